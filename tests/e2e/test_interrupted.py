#!/usr/bin/env python3
"""Writers that die or stop in the middle of a message, calls that are too large, and clocks that jump.

The hark under test is the one with test points (lib/base/testpoint.h). Speaks TAP; see cli.py.
"""
# limit: 400

import itertools
import os
import re
import signal
import sys
import time

import cli
import harness
from session import Session, lost, messages

TESTING = os.path.join(harness.BUILD, "testing", "hark")
POINTS = ["ring_claimed", "ring_filling", "ring_filled", "ring_committed"]
HELD_UP = 0.1   # seconds for which one writer may hold up another
GENEROUS = 50   # times that, on a busy machine, for the slowest of a few


def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return None


def at_point(point, home, expect):
    """Killed there, its record alone is lost and counted; stopped there, it holds nobody up, and when
    it goes on its message arrives, once and whole."""
    session = Session(home, "--ring", "256K", hark=TESTING)
    session.do("echo the first >&2")
    session.wait_for("the first")
    # its JOIN is the first passing, "before" the second
    victim = (f"HARK_TESTPOINT={point}:%s:3 /bin/bash -c "
              "'echo before >&2; echo cut >&2; echo after >&2'")
    delays = []
    session.do(victim % "kill")
    session.do("echo past the dead >&2")
    delays.append(session.wait_for("past the dead"))
    expect("before" in session.texts(), f"what had returned: {session.texts()}")
    expect("after" not in session.texts(), "it was not killed")
    expect.same("cut" in session.texts(), point == "ring_committed", "the record itself")
    pid = int(session.do(victim % "stop" + " & echo $!"))
    cli.wait_for(lambda: state_of(pid) == "T")
    for i in range(5):
        session.do(f"echo past the stopped {i} >&2")
        delays.append(session.wait_for(f"past the stopped {i}"))
    expect(sorted(delays)[len(delays) // 2] < HELD_UP and max(delays) < GENEROUS * HELD_UP,
           f"held up for {delays}")
    session.do("for i in $(seq 5000); do echo \"line $i of many, to fill the ring with\" >&2; done")
    os.kill(pid, signal.SIGCONT)
    session.do(f"wait {pid}; echo the last >&2")
    session.wait_for("the last")
    expect.same(session.end(), 0, "exit status")
    texts = session.texts()
    many = [f"line {i} of many, to fill the ring with" for i in range(1, 5001)]
    expect([t for t in texts if t.startswith("line ")] == many, "the others' messages")
    expected = {"before": 2, "cut": 2 if point == "ring_committed" else 1, "after": 1}
    expect.same({t: texts.count(t) for t in expected}, expected, "of the killed and the stopped")
    others = {t for t in texts if not re.match("bash: .*Killed", t)} - set(many) - set(expected)
    expect.same({re.sub(r" \d$", "", t) for t in others},
                {"the first", "past the dead", "past the stopped", "the last"}, "nothing else")
    # what was said again elsewhere is not lost, only what died
    expect.same(lost(session.out), 0 if point == "ring_committed" else 1, "counted as lost")


for point_name in POINTS:
    def body(home, expect, point=point_name):
        at_point(point, home, expect)
    body.__name__ = "at_" + point_name
    cli.case(body)


# ---- large and small calls -----------------------------------------------------------------------

@cli.case
def larger_than_the_ring(home, expect):
    """One write of 1 MB with a ring of 64 KB: waited for, and joined again."""
    for policy in "block", "timeout:10s":
        session = Session(home, "--ring", "64K", "--overflow", policy)
        session.do("perl -e 'syswrite(STDERR, (join q(), map { sprintf q(%07d,), $_ } 1..131072)"
                   ".qq(\\n)) == 1048577 or die; print STDERR qq(whole\\n)'")
        session.wait_for("whole")
        expect.same(session.end(), 0, f"{policy}: exit status")
        said = messages(session.out)
        got = "".join(m["msg"] for m in said[:-1])
        expect(got == "".join(f"{i:07d}," for i in range(1, 131073)), f"{policy}: {len(got)} bytes")
        expect([m.get("partial", False) for m in said] == [True] * (len(said) - 2) + [False] * 2,
               f"{policy}: {len(said)} messages, which are partial?")
        expect.same(lost(session.out), 0, f"{policy}: lost")
        os.unlink(session.out)


@cli.case
def large_calls_at_once(home, expect):
    """What one call wrote stays together, whoever else writes: its records are joined again."""
    raw = os.path.join(home.top, "raw")
    session = Session(home, "--ring", "256K", "--to", f"file:{raw}?format=raw")
    session.do("for c in a b c d; do perl -e 'syswrite(STDERR, $ARGV[0] x 199999 . qq(\\n)) == 200000 "
               "or die for 1..20' $c & done; wait; echo end >&2")
    session.wait_for("end")
    expect.same(session.end(), 0, "exit status")
    with open(raw, "rb") as file:
        lines = file.read().decode().split("\n")
    whole = {c * 199999: lines.count(c * 199999) for c in "abcd"}
    expect(set(whole.values()) == {20} and lines[80:] == ["end", ""],
           f"{[len(x) for x in lines]}: {sum(whole.values())} of 80 are whole")
    expect.same(lost(session.out), 0, "lost")


# ---- clocks --------------------------------------------------------------------------------------

def clock_jumps(counter, home, expect):
    """The clock is set back by an hour, forth, and back: times of messages never run backwards, and
    the order is that of the ring."""
    clock = home.file("clock", "0\n")
    session = Session(home, hark=TESTING, HARK_TESTCLOCK=clock, HARK_TESTCOUNTER=counter)
    began = time.time()
    for i, hours in enumerate((0, -1, 1, -2, 0)):
        home.file("clock", f"{hours * 3600 * 10**9}\n")
        for k in range(3):
            session.do(f"echo {i} {k} >&2; logger_by=$(ls /nonexistent)")
        session.wait_for(f"{i} 2")
    expect.same(session.end(), 0, "exit status")
    said = messages(session.out)
    mine = [m["msg"] for m in said if not m["msg"].startswith("ls:")]
    expect.same(mine, [f"{i} {k}" for i in range(5) for k in range(3)], "order")
    expect.same([m["seq"] for m in said], list(range(1, len(said) + 1)), "seq")
    times = [m["time"] for m in said]
    back = [pair for pair in itertools.pairwise(times) if pair[1] < pair[0]]
    expect(not back, f"times run backwards: {back[:3]}")
    first = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(began))
    expect(first in times[0] or times[0] > first, f"the first at {times[0]}, not {first}")
    # what was said after the step forward is not before it
    expect(times[-1] > time.strftime("%Y-%m-%dT%H:%M", time.gmtime(began + 3500)),
           f"the step forward is not seen: {times[0]} to {times[-1]}")


@cli.case
def clock_jumps_with_counter(home, expect):
    clock_jumps("1", home, expect)


@cli.case
def clock_jumps_without_counter(home, expect):
    """Where the time-stamp counter is not invariant."""
    clock_jumps("0", home, expect)


if not os.access(TESTING, os.X_OK):
    print(f"1..0 # skip {TESTING} is not built")
    sys.exit(0)
cli.main(__doc__)
