#!/usr/bin/env python3
# limit: 400
# beside
"""A soak: a chorus of processes talks, forks, execs and dies, and everything around it is in trouble.

    test_soak.py [--seed N] [--seconds N] [--share N] [--life N] [--plan]

Sessions follow each other (a life each). In each, a chorus (chorus.c) talks to five sinks at once, and
from the plan, which is drawn from the seed alone, collectors and guardians are killed, stopped and
continued, readers of sockets likewise, a terminal stands still, a disk is filled and freed, files are
renamed and removed, and reopened by SIGHUP. Of four lives, one kills the talkers all the time, in the
middle of long messages, one collectors and guardians, and one leaves hark's processes alone, to see
whether they grow. A ledger kept outside of hark (ledger.h) compares what was said with what ears (ear.c)
hear behind each sink:

- each message whose call has returned arrives in each sink, whole and in order; with the console, which
  may lose when it stands still, what arrived and what was announced as lost is what was said;
- in files nothing comes twice; in streams only after a kill, with the same seq;
- who is not in trouble sees a message within 100 ms, by the message's own time (hold-ups during
  trouble of our making are counted apart, and neither is judged: a busy machine holds up, too);
- processes, threads, descriptors, memory, directories: at the end as at the start.

SOAK_SECONDS says how long (`make soak` is an hour, flat out). In `make check` it is a minute in which is
talked, and trouble made, in short bursts: a share of the time (--share, in percent), and of what
processor time the tests beside it leave. Each kind of trouble comes in it nevertheless.
"""

import argparse
import contextlib
import ctypes
import itertools
import os
import sys
import tempfile
import time

from ledger import LIVES
from life import DISK_MB, SINKS, TROUBLES, Life, plan_of, program
from round import HARK

PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_PRIVATE_REC = (1 << 18) | (1 << 14)
SHORT_SECONDS = 60
SHORT_NICE, SHORT_SHARE = 10, 8
LIFE_SECONDS = 40        # of a session, at most

libc = ctypes.CDLL(None, use_errno=True)


def small_disk(stack):
    """A tmpfs that only we see; None where that is not permitted."""
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNS) != 0:
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0:
            return None
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"),
                           ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    directory = tempfile.mkdtemp(prefix="hark-disk-")
    stack.callback(os.rmdir, directory)
    libc.mount(None, b"/", None, MS_PRIVATE_REC, None)
    if libc.mount(b"soak", directory.encode(), b"tmpfs", 0, f"size={DISK_MB}M".encode()) != 0:
        return None
    stack.callback(libc.umount2, directory.encode(), 2)
    return directory


class Sums:
    def __init__(self):
        self.said = self.lives = self.talkers = self.failed = 0
        self.troubles, self.sinks = {}, {name: {} for name in SINKS}

    def add(self, life, said, figures):
        self.said += said
        self.lives += 1
        self.talkers += life.ledger.words[LIVES]
        for what, times in life.count.items():
            self.troubles[what] = self.troubles.get(what, 0) + times
        for name, row in figures.items():
            sums = self.sinks[name]
            for key, value in row.items():
                merge = max if key.startswith("longest") else int.__add__
                sums[key] = merge(sums.get(key, 0), value)

    def tell(self):
        kills = sum(n for what, n in self.troubles.items() if what.startswith("kill"))
        print(f"# {self.said} messages said by {self.talkers} workers in {self.lives} sessions; "
              f"{kills} kills")
        print("# " + ", ".join(f"{n} × {what}" for what, n in sorted(self.troubles.items())))
        for name, row in self.sinks.items():
            if not row:
                continue
            text = f"# {name:8} {row['lost']} lost, {row['repeated']} repeated"
            if name == "console":
                text += f", {row['announced']} announced as lost by its policy and " \
                        f"{row['missing']} missing"
            if name == "rotating":
                text += f"; held up over 100 ms: {row['held']} (longest " \
                        f"{row['longest'] / 1e6:.0f} ms), in trouble of our making " \
                        f"{row['held_ours']} ({row['longest_ours'] / 1e6:.0f} ms)"
            print(text)


def print_plan(seed):
    for number in range(4):
        plan = plan_of(seed, number)
        print(f"life {number}: ring {plan.ring}, {plan.kind.name}")
        for pause, what, length, *_ in itertools.islice(plan.events, 40):
            print(f"  after {pause * 1000:.1f} ms {what}" +
                  (f" for {length * 1000:.1f} ms" if length else ""))


def lives(args, disk, sums):
    """Until the time is over; a life is shorter where that makes four of them."""
    until = time.monotonic() + args.seconds
    length = min(LIFE_SECONDS, args.seconds / 4)
    number = args.life or 0
    while time.monotonic() < until:
        with contextlib.ExitStack() as stack:
            life = Life(args.seed, number, args.share, disk, stack)
            try:
                said, figures = life.go(min(length, until - time.monotonic()))
                sums.add(life, said, figures)
            except Exception as error:  # pylint: disable=broad-except  # a life, not the test
                life.complaints.append(f"{type(error).__name__}: {error}")
                said = 0
            for complaint in life.complaints[:12]:
                print("# " + str(complaint)[:3000].replace("\n", "\n#   "))
            sums.failed += bool(life.complaints)
            yield bool(life.complaints), \
                f"--seed {args.seed} --life {number}: {said} messages, {life.kills} kills of the " \
                f"collector, ring {life.plan.ring}, {life.plan.kind.name}, grown by {life.grown} kB"
        number += 1
        if args.life is not None:
            return


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1000000)
    parser.add_argument("--seconds", type=float,
                        default=float(os.environ.get("SOAK_SECONDS") or SHORT_SECONDS))
    parser.add_argument("--share", type=int, help="of the time in which is talked, in percent "
                        f"(of a minute: {SHORT_SHARE}, else all of it)")
    parser.add_argument("--life", type=int, help="only this one of the seed's sessions")
    parser.add_argument("--plan", action="store_true", help="print the beginning of the plan")
    args = parser.parse_args()
    if args.plan:
        print_plan(args.seed)
        return
    if not os.access(HARK, os.X_OK):
        sys.exit(f"{HARK} is not there: run make first")
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    if args.seconds == SHORT_SECONDS:
        os.nice(SHORT_NICE)
    args.share = args.share or (SHORT_SHARE if args.seconds == SHORT_SECONDS else 100)
    for name in "chorus", "ear":
        program(name)  # built before the first life
    sums, number = Sums(), 0
    with contextlib.ExitStack() as stack:
        disk = small_disk(stack)
        for number, (failed, text) in enumerate(lives(args, disk, sums), 1):
            print(f"{'not ok' if failed else 'ok'} {number} - {text}", flush=True)
    sums.tell()
    missing = [what for what, *_ in TROUBLES
               if what not in sums.troubles and (disk or what != "fill disk")]
    whole = args.life is None and args.seconds >= SHORT_SECONDS
    print(f"{'not ok' if whole and missing else 'ok'} {number + 1} - each kind of trouble came to pass" +
          ("" if whole else " # skip it was not to last so long"))
    for what in missing:
        print(f"# not once: {what}")
    print(f"ok {number + 2} - a disk that is full" +
          ("" if disk else " # skip no right to mount one, not even in a user namespace"))
    print(f"1..{number + 2}")
    sys.exit(1 if sums.failed or (whole and missing) else 0)


if __name__ == "__main__":
    main()
