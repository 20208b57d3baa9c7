#!/usr/bin/env python3
# limit: 400
"""Nothing lost: a program talks with four threads while hark's processes are killed under it.

    test_nothing_lost.py [--seed N] [--rounds N] [--messages N] [PATTERN...]

Each round draws, from its seed, what says how much (talker.c), to which sink, how the program ends,
and who is killed or stopped meanwhile. Checked is, against the talker's own account: each message
whose call had returned has arrived, in its thread's order, whole, and a second time only after a
kill of the collector, then (in JSON) with the same seq and bytes; the program's status is its own;
and no process, directory or descriptor stays behind. To see a failed round again: --seed with its
seed and --rounds 1, the name of its kind and, where it was of the long form, --varied.

The short form, a round of each kind, is part of `make check`; with STRESS_SECONDS of 10 and more it
is a hundred rounds of ten times as many messages, and goes on until that time is over.
"""

import argparse
import contextlib
import ctypes
import dataclasses
import os
import random
import shutil
import sys
import time

from heard import Plan
from round import HARK, LossRound, Round, rotated, talker, traps

PR_SET_CHILD_SUBREAPER = 36


# ---- the kinds of rounds ------------------------------------------------------------------------

KINDS = [
    Plan("file-json"),
    Plan("file-text", format="text"),
    Plan("file-raw", format="raw"),
    Plan("unix-json", sink="unix"),
    Plan("unix-raw", sink="unix", format="raw"),
    Plan("tcp-text", sink="tcp", format="text"),
    Plan("rotate-json", sink="rotate"),
    Plan("rotate-text", sink="rotate", format="text"),
    Plan("long-lines", long_every=500),
    Plan("guardian", trouble="guardian"),
    Plan("either", trouble="either"),
    Plan("stop", trouble="stop", ring="1M"),
    Plan("salvage", trouble="both", how="write", ring="1M"),
    Plan("salvage-rotate", trouble="both", how="fprintf", sink="rotate", ring="256K"),
    Plan("end-exit", end="exit"),
    Plan("end-_exit", end="_exit"),
    Plan("end-abort", end="abort", format="text"),
    Plan("end-kill", end="kill"),
    Plan("end-exec", end="exec"),
    Plan("end-outside", end="outside", trouble="either"),
]


# trouble is the ring's policy here
LOSSES = [
    Plan("lost-console", sink="console", trouble="block"),
    Plan("lost-console-text", sink="console-text", format="text", trouble="block"),
    Plan("lost-console-raw", sink="console-raw", format="raw", trouble="block"),
    Plan("lost-unix", sink="unix", trouble="block"),
    Plan("lost-tcp", sink="tcp", trouble="block"),
    Plan("lost-ring", sink="file", trouble="drop", ring="64K"),
    Plan("lost-timeout", sink="file", trouble="timeout:1ms", ring="64K"),
    Plan("lost-overwrite", sink="file", trouble="overwrite", ring="64K"),
]


def varied(kind, rng):
    """The same kind of round with the rest drawn anew, for the long form."""
    if kind in LOSSES:
        return kind
    plan = dataclasses.replace(kind)
    if plan.trouble != "both":
        plan.how = rng.choice(["write", "fprintf", "syslog", "mixed", "mixed"])
    if not plan.kind.startswith("end-"):
        plan.end = rng.choice(["+exit", "exit", "_exit", "+_exit", "abort", "kill", "exec",
                               "outside"])
    if plan.trouble == "both" and plan.end == "exec":
        plan.end = "exit"
    plan.long_every = plan.long_every or rng.choice([0, 0, 0, 5000])
    if plan.trouble in ("stop", "both"):
        plan.long_every = 0  # a line may take too long then
    plan.ring = rng.choice(["64K", "256K", "1M", "4M"])
    return plan


def play(plan, seed, messages, keep):
    with contextlib.ExitStack() as stack:
        kind = LossRound if plan in LOSSES else Round
        one = kind(plan, seed, messages, stack)
        figures = one.go()
        if one.complaints and keep:
            for name in rotated(one.out):
                if os.path.exists(name):
                    shutil.copy(name, keep)
        return figures, one.complaints


# ---- all of them -------------------------------------------------------------------------------

def rounds(args, seconds):
    """(name, seed, plan, messages), for as long as it is wanted."""
    kinds = [k for k in KINDS + LOSSES if traps.chosen(__file__, k.kind, args.patterns)]
    long = seconds >= 10
    count = args.rounds or (100 if long else len(kinds))
    messages = args.messages or (250000 if long else 12000)
    started = time.monotonic()
    number = 0
    while number < count or (not args.rounds and long and time.monotonic() - started < seconds):
        kind = kinds[number % len(kinds)]
        seed = args.seed + number
        plan = varied(kind, random.Random(seed)) if long or args.varied else kind
        yield kind.kind, seed, plan, messages
        number += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1000000)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--messages", type=int, help="of each thread")
    parser.add_argument("--varied", action="store_true", help="draw the plan, too")
    parser.add_argument("--keep", help="copy the files of a round that failed to this directory")
    parser.add_argument("-l", "--list", action="store_true", help="name the kinds, play none")
    parser.add_argument("patterns", nargs="*",
                        help="only kinds that match one of these globs, or a trap's number")
    args = parser.parse_args()
    if args.list:
        print("\n".join(traps.named(__file__, kind.kind) for kind in KINDS + LOSSES))
        return
    if not os.access(HARK, os.X_OK):
        sys.exit(f"{HARK} is not there: run make first")
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    talker()  # built before the first round
    seconds = float(os.environ.get("STRESS_SECONDS") or 2)
    failed = number = 0
    for number, (name, seed, plan, messages) in enumerate(rounds(args, seconds), 1):
        try:
            figures, complaints = play(plan, seed, messages, args.keep)
        except Exception as error:  # pylint: disable=broad-except  # a round, not the test, fails
            figures, complaints = "", [f"{type(error).__name__}: {error}"]
        for complaint in complaints[:12]:
            print("# " + str(complaint)[:1500].replace("\n", "\n#   "))
        if complaints:
            print(f"# {plan}")
        verdict = "not ok" if complaints else "ok"
        print(f"{verdict} {number} - {traps.named(__file__, name)} --seed {seed}: {figures}",
              flush=True)
        failed += bool(complaints)
    print(f"1..{number}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
