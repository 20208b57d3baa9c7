#!/usr/bin/env python3
# limit: 170
"""SIGKILL at a random moment, in several threads and processes: the trace has every call but for the
one in flight of each thread, and says inside of what each of them died. Speaks TAP.

A short form in `make check`; `make stress` goes on for $STRESS_SECONDS, a hundred kills at least."""

import collections
import json
import os
import random
import re
import signal
import struct
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
import cli  # noqa: E402  pylint: disable=wrong-import-position

SECONDS = float(os.environ.get("STRESS_SECONDS", "2"))
LONG = SECONDS > 10
NAMES = ("main", "work", "load", "parse", "step")
ROW = struct.Struct("<6q80x")
MODES = ("trace", "profile", "flight:64K")
SHAPES = ((1, 0), (3, 0), (1, 1), (2, 2)) # threads, forks
DIED = re.compile(r"thread (\d+) \([^)]*\) of \S+, process \d+, died inside ([^;\n]*)")


def counted(ledger):
    """{tid: {function: calls}}"""
    with open(ledger, "rb") as file:
        data = file.read()
    rows = {}
    for i in range(struct.unpack_from("<q", data)[0]):
        tid, *calls = ROW.unpack_from(data, 128 + i * ROW.size)
        rows[tid] = dict(zip(NAMES, calls))
    return rows


def reported(home, expect, *options):
    """{function: calls}, and {tid: the path inside of which it died}"""
    done = home.run("report", "--format", "json", *options)
    expect.same(done.returncode, 0, f"report: {done.stderr}")
    # Whoever is killed between making a segment and writing its head leaves a place without one.
    expect(all("has no segment at byte" in line for line in done.stderr.splitlines()
               if "cannot be read" in line), done.stderr)
    calls = {row["function"]: row["calls"] for row in map(json.loads, done.stdout.splitlines())}
    return calls, {int(tid): inside.split(" › ") for tid, inside in DIED.findall(done.stderr)}


def check_counts(expect, what, got, rows):
    """Who is interrupted between an entry's record and the count is one ahead, in one function."""
    total = collections.Counter()
    for row in rows.values():
        total.update(row)
    ahead = {name: got.get(name, 0) - total[name] for name in NAMES}
    expect(all(n >= 0 for n in ahead.values()) and sum(ahead.values()) <= len(rows),
           f"{what}: {got}, counted {dict(total)}")


def check_deaths(expect, what, deaths, rows, profile):
    """The profile of a forked process begins with the fork: what was open then is not in it."""
    expect.same(set(deaths), set(rows), f"{what}: who died")
    for tid, inside in deaths.items():
        if inside[-1:] == ["step"]:
            inside = inside[:-1]
        first = ["work"] if rows[tid]["work"] else ["main"]
        if profile and not rows[tid]["work"] and not rows[tid]["main"]:
            first = []
        expect.same(inside, first + ["load", "parse"], f"{what}: where {tid} died")


def kill(home, expect, program, turn, rng):
    mode, (threads, forks) = MODES[turn % 3], SHAPES[turn // 3 % len(SHAPES)]
    ledger, after = os.path.join(home.top, "ledger"), rng.randrange(20000)
    what = f"turn {turn}, {mode}, {threads} threads, {forks} forks, {after} us"
    if os.path.exists(ledger):
        os.unlink(ledger)
    done = home.run("run", "--stamp", mode, program, ledger, str(threads), str(forks), str(after))
    expect.same(done.returncode, -signal.SIGKILL, f"{what}: exit status {done.stderr}")
    rows = counted(ledger)
    expect.same(len(rows), threads * (forks + 1), f"{what}: threads")
    got, deaths = reported(home, expect)
    if mode.startswith("flight"):
        expect(0 < got["step"] <= sum(row["step"] for row in rows.values()) + len(rows),
               f"{what}: {got}")
    else:
        check_counts(expect, what, got, rows)
    check_deaths(expect, what, deaths, rows, mode == "profile")
    if mode == "trace" and LONG:
        for tid, row in rows.items():
            check_counts(expect, f"{what}, {tid}", reported(home, expect, "--tid", str(tid))[0],
                         {tid: row})


@cli.case
def killed_at_random(home, expect):
    program = os.path.join(home.top, "mortal")
    cli.harness.cc("-O2", "-g", "-finstrument-functions", "-pthread", "-D_GNU_SOURCE", "-o",
                   program, os.path.join(ROOT, "tests", "stress", "mortal.c"))
    seed = random.randrange(1 << 32)
    rng, until = random.Random(seed), time.monotonic() + SECONDS
    print(f"# seed {seed}")
    turn, least = 0, 100 if LONG else 12
    while (turn < least or time.monotonic() < until) and not expect.complaints:
        kill(home, expect, program, turn, rng)
        turn += 1
    print(f"# {turn} kills", flush=True)


cli.main(__doc__)
