#!/usr/bin/env python3
# limit: 400
"""Exact counts: what programs count themselves, what hark has recorded of them, and what uftrace says of the
same binary, function by function. Speaks TAP.

uftrace keeps no call deeper than its --max-stack, 65,535 at most: there, the program's own count alone is right.
"""

import json
import os
import re
import shutil
import subprocess

import cli

GUESTS = os.path.join(cli.harness.ROOT, "tests", "e2e", "guests")
UFTRACE = shutil.which("uftrace")


def build(home, source, *flags):
    path = os.path.join(home.top, os.path.splitext(source)[0])
    cli.harness.cc("-O2", "-g", "-w", "-D_GNU_SOURCE", "-finstrument-functions", "-pthread", *flags,
                   "-o", path, os.path.join(GUESTS, source))
    return path


def plain(name):
    """Without template arguments, parameters, what it returns, and namespaces of the compiler's own."""
    before = None
    while before != name:
        before, name = name, re.sub(r"<[^<>]*>|\([^()]*\)", "", name)
    return name.replace("[abi:cxx11]", "").removesuffix(" const").split(" ")[-1]


def added(rows):
    calls = {}
    for name, count in rows:
        calls[plain(name)] = calls.get(plain(name), 0) + count
    return calls


def self_counted(text):
    return {name: int(calls) for name, calls in (line.rsplit(" ", 1) for line in text.splitlines())}


def by_hark(home, expect, mode, program, *args):
    """What the program counted, and the calls of the report."""
    done = home.run("run", "--stamp", mode, program, *args)
    expect.same((done.returncode, done.stderr), (0, ""), "the program")
    report = home.run("report", "--format", "json")
    expect.same((report.returncode, report.stderr), (0, ""), "report")
    rows = [json.loads(line) for line in report.stdout.splitlines()]
    return self_counted(done.stdout), added((r["function"], r["calls"]) for r in rows)


def by_uftrace(home, program, *args):
    data = os.path.join(home.top, "uftrace.data")
    shutil.rmtree(data, ignore_errors=True)
    how = {"cwd": home.top, "env": home.env(), "check": True, "timeout": cli.LIMIT, "text": True}
    subprocess.run([UFTRACE, "record", "--no-libcall", "--no-event", "-d", data, program, *args],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how)
    said = subprocess.run([UFTRACE, "report", "-d", data, "--no-pager", "-f", "call"],
                          stdout=subprocess.PIPE, **how).stdout
    rows = (line.split(None, 1) for line in said.splitlines())
    return added((row[1], int(row[0])) for row in rows if row and row[0].isdigit()
                 and not row[1].startswith("linux:"))


def compare(home, expect, program, *args, uftrace=True):
    what = " ".join(args) or os.path.basename(program)
    got = {}
    for mode in ("trace", "profile"):
        counted, got = by_hark(home, expect, mode, program, *args)
        expect({name: got.get(name) for name in counted} == counted,
               f"{what}, {mode}: {got}, counted {counted}")
    if uftrace and UFTRACE:
        expect.same(got, by_uftrace(home, program, *args), f"{what}: beside uftrace")


@cli.case
def plain_c(home, expect):
    program = build(home, "stamps.c")
    for case in ("fib", "qsort", "threads", "longjmp", "signals"):
        compare(home, expect, program, case)


@cli.case
def hundred_thousand_deep(home, expect):
    compare(home, expect, build(home, "stamps.c"), "deepest", uftrace=False)


@cli.case
def templates_and_exceptions(home, expect):
    compare(home, expect, build(home, "counts.cc"))


if not UFTRACE:
    print("# uftrace is not installed: no second opinion")
cli.main(__doc__)
