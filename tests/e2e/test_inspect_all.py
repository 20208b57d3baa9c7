#!/usr/bin/env python3
"""`hark inspect` of a third of what is in /usr/bin and /usr/sbin (EVERY=1: of all), and whether it is
true: programs drawn by lot are run, and what hooks heard of them is held against the verdict.

INSPECT_SAMPLES says how many are run (6 unless given), INSPECT_SEED which. They are run with an option
that none of them knows, by an ordinary user: root's powers are no part of the question.
"""
# limit: 900

import glob
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

import cli
import tap

SAMPLES = int(os.environ.get("INSPECT_SAMPLES", "6"))
SEED = os.environ.get("INSPECT_SEED") or str(random.SystemRandom().randrange(10 ** 6))
NOBODY = 65534
SECONDS = 30  # of a processor, for all of them: a fifth of that is usual
# They do something whatever they are told, wait for somebody, or end others' processes.
LEAVE = {"fuser", "halt", "init", "kill", "killall", "killall5", "pkill", "poweroff", "reboot",
         "runlevel", "script", "shutdown", "skill", "snice", "telinit", "watch", "yes"}
ARGUMENTS = ("--hark-no-such-option", "/nonexistent/hark/file", "--version")


def everything():
    return sorted(path for place in ("/usr/bin", "/usr/sbin") for path in glob.glob(place + "/*")
                  if os.path.isfile(path) and os.access(path, os.X_OK))


@cli.case
def everything_in_one_go(home, expect):
    # a third of them by lot, so that in time all have their turn
    names = everything() if os.environ.get("EVERY") else everything()[int(SEED) % 3::3]
    before = os.times()
    done = subprocess.run([cli.HARK, "inspect", "--json", *names], env=home.env(), cwd=home.top,
                          capture_output=True, text=True, check=False)
    after = os.times()
    took = after.children_user + after.children_system - before.children_user \
        - before.children_system
    expect.same(done.returncode, 0, f"exit status ({done.stderr[:500]!r})")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    expect.same([row["name"] for row in rows], names, "one object for each, in order")
    expect(took < SECONDS, f"INSPECT_SEED={SEED}: {len(names)} programs took {took:.1f} s of a processor")
    print(f"# {len(names)} programs in {took:.1f} s of a processor")


class Place:
    """Where an ordinary user runs programs."""

    def __init__(self):
        # root's $TMPDIR is closed to others
        self.top = tempfile.mkdtemp(prefix="hark-all-", dir="/tmp" if os.getuid() == 0 else None)
        self.runtime = os.path.join(self.top, "runtime")
        os.mkdir(self.runtime, 0o700)
        if os.getuid() == 0:
            for path in (self.top, self.runtime):
                os.chown(path, NOBODY, NOBODY)
        self.env = {"PATH": "/usr/bin:/usr/sbin:/bin", "HOME": self.top, "TMPDIR": self.top,
                    "HARK_RUNTIME_DIR": self.runtime, "LC_ALL": "C", "TERM": "dumb"}
        self.user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}

    def run(self, command, stderr):
        """Its exit status; None: it did not end."""
        with open(stderr, "wb") as file:
            child = subprocess.Popen(command, env=self.env, cwd=self.top, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=file,
                                     start_new_session=True, **self.user)
            try:
                return child.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, 9)
                child.wait()
                return None

    def inspect(self, names):
        done = subprocess.run([cli.HARK, "inspect", "--json", *names], env=self.env, cwd=self.top,
                              capture_output=True, text=True, timeout=cli.LIMIT, check=False,
                              **self.user)
        return [row for row in map(json.loads, done.stdout.splitlines()) if "error" not in row]


def content(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def check(place, number, row):
    """None: nothing can be told; else what is wrong with it, "" if nothing is."""
    plain, past, out = (os.path.join(place.top, f"{kind}{number}") for kind in ("n", "e", "o"))
    for argument in ARGUMENTS:
        status = place.run([row["name"], argument], plain)
        if status is None:
            return None
        if content(plain):
            break
    else:
        return None
    # From a shell, so that no session goes deep by itself for it.
    under = place.run([cli.HARK, "run", "--to", f"file:{out}?format=raw&source=stderr", "--",
                       "/bin/sh", "-c", 'exec "$0" "$@"', row["name"], argument], past)
    unheard, heard = content(past), content(out)
    verdict = row["verdicts"]["capture"]["verdict"]
    right = {"yes": heard and not unheard, "no": unheard and not heard, "partly": True}[verdict]
    if right and under == status:
        return ""
    return (f"{row['name']} {argument}: {verdict}, status {status} and {under}, heard "
            f"{heard[:200]!r}, past us {unheard[:200]!r} (INSPECT_SEED={SEED})")


@cli.case
def verdicts_are_true(_, expect):
    place = Place()
    try:
        lot = random.Random(SEED).sample(everything(), len(everything()))
        told, done = 0, set()
        while lot and told < SAMPLES:
            rows = place.inspect([lot.pop() for _ in range(min(len(lot), 2 * SAMPLES))])
            if not rows:
                raise tap.Skip("an ordinary user cannot execute this hark")
            for row in rows:
                real = os.path.realpath(row["path"])
                names = {os.path.basename(row["name"]), os.path.basename(real)}
                if real in done or names & LEAVE or told == SAMPLES:
                    continue
                done.add(real)
                wrong = check(place, len(done), row)
                told += wrong is not None
                expect(not wrong, wrong)
        print(f"# {told} programs run of {len(done)}: the others say nothing, or do not end")
    finally:
        cli.wait_for(lambda: not os.listdir(place.runtime))
        shutil.rmtree(place.top, ignore_errors=True)


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    cli.main(__doc__)
