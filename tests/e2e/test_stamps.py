#!/usr/bin/env python3
# limit: 400
"""Function stamps: an instrumented program counts its own calls, and the trace has them all.

The trace is read by traces.py, which is no part of hark. Speaks TAP.
"""

import collections
import functools
import json
import os
import random
import resource
import signal
import struct
import subprocess
import tempfile
import time

import cli
import traces
from counting import compiled, counts_in, gaps, on_a_small_disk, two_libraries


TESTING = os.path.join(cli.harness.BUILD, "testing", "hark")


SHARED = tempfile.TemporaryDirectory(prefix="hark-stamps-")  # of all cases


@cli.once
def guest():
    return compiled(SHARED.name, "stamps.c", "stamps")


def stamped(home, program, case, *more, mode="trace"):
    """Runs it: (exit status, what it counted, the trace)."""
    ledger = os.path.join(home.top, "ledger")
    data = os.path.join(home.top, "data")
    if os.path.exists(ledger):
        os.unlink(ledger)
    done = home.run("run", "--stamp", mode, "--data", data, program, case, ledger, *more)
    assert not done.stderr, done.stderr
    return done.returncode, counts_in(ledger), traces.read(data)


def endings(trace):
    return collections.Counter(row[2] for thread in trace.threads.values()
                               for row in trace.walk(thread))


def lost(trace):
    return sum(r.count for t in trace.threads.values() for r in t.records if r.kind == "gap")


EXACT = "fib inlined deep qsort longjmp signals threads storm coroutines fork exit".split()


@cli.case
def every_call_is_there(home, expect):
    """Counts agree for calls, inlined calls, recursion, callbacks, longjmp, handlers, threads, fork,
    coroutines, _exit."""
    program = guest()
    for case in EXACT:
        status, counted, trace = stamped(home, program, case)
        expect.same(status, 3 if case == "exit" else 0, f"{case}: exit status")
        expect.same(trace.calls(), counted, f"{case}: calls")
        if case == "longjmp":
            expect.same(endings(trace)["unwound"], counted["leaps"], "calls that were left")
        expect.same(lost(trace), 0, f"{case}: lost")
        ends = endings(trace)
        if case in ("fib", "inlined", "deep", "qsort", "threads", "storm", "exit"):
            expect.same(set(ends), {"returned"}, f"{case}: how calls ended")


@cli.case
def profile_adds_up(home, expect):
    """Profile mode: the same counts; times add up; a histogram holds every call that ended."""
    program = guest()
    for case in EXACT + ["interrupted"]:
        status, counted, trace = stamped(home, program, case, mode="profile")
        expect.same(status, 3 if case == "exit" else 0, f"{case}: exit status")
        expect.same(trace.calls(), counted, f"{case}: calls")
        for edge in trace.edges:
            ended = sum(edge.buckets)
            expect(ended <= edge.calls and edge.own <= edge.total + edge.own, f"{case}: {edge}")
            if case in ("fib", "deep", "qsort"):
                expect.same(ended, edge.calls, f"{case}: in the histogram")
                expect(edge.least <= edge.most, f"{case}: {edge}")
    trace = stamped(home, program, "fib", mode="profile")[2]
    outer = [e for e in trace.edges if e.caller == (0, 0)]
    own = sum(e.own for e in trace.edges)
    expect.same(len(outer), 1, "edges from outside")
    expect.same(own, outer[0].total, "self times add up to the outermost call's total")
    expect.same(sum(e.total for e in trace.edges), outer[0].total, "recursion is counted once")


@cli.case
def the_last_is_kept(home, expect):
    """Flight mode: a thread's last calls, in a few segments; exactly the end of what a trace has."""
    program = guest()
    _, _, trace = stamped(home, program, "many", mode="flight:64K")
    _, _, whole = stamped(home, program, "many", mode="trace")
    last, every = (next(iter(t.threads.values())) for t in (trace, whole))
    kinds = [(r.kind, r.offset) for r in last.records if r.kind != "open"]
    expect(len(last.parts) == 4 and 64000 / 6 / 2 < len(kinds) <= 65536 / 4, f"{len(kinds)} records")
    expect.same(kinds, [(r.kind, r.offset) for r in every.records][-len(kinds):], "the last records")


@cli.case
def interrupted_anywhere(home, expect):
    """T8: a timer's handler that calls functions itself, every 50 us."""
    program = guest()
    status, counted, trace = stamped(home, program, "interrupted", "10")
    expect.same(status, 0, "exit status")
    expect(counted["tick"] > 20, f"the handler ran {counted['tick']} times")
    expect.same(trace.calls(), counted, "calls")
    expect.same(set(endings(trace)), {"returned"}, "how calls ended")


@cli.case
def jumped_out_of_anywhere(home, expect):
    """T14: a timer's handler that leaves by siglongjmp, out of the stamps themselves: the calls after it
    are where they were before it, in every mode."""
    program, turns = guest(), 1000
    callers = {"jumps": {None}, "jumped_out_of": {"jumps"}, "calls_for_ever": {"jumped_out_of"},
               "fib": {"calls_for_ever", "fib"}}
    for mode, *more in ["trace"], ["trace", "--min-time", "200ns"], ["flight:64M"], ["profile"]:
        what = " ".join([mode, *more])
        home.run("run", "--stamp", mode, *more, program, "jumps", "ledger", str(turns))
        done = home.run("report", "--format", "json")
        rows = {row["function"]: row for row in map(json.loads, done.stdout.splitlines())}
        expect.same((rows["jumps"]["calls"], rows["jumped_out_of"]["calls"]), (1, turns), f"{what}: calls")
        expect(all(row["self_ns"] <= row["total_ns"] for row in rows.values()), f"{what}: {rows}")
        expect(rows["calls_for_ever"]["total_ns"] > 100000 * turns, f"{what}: {rows}")
        done = home.run("graph", "--format", "json")
        tree = list(map(json.loads, done.stdout.splitlines()))
        names = {row.get("id"): row["function"] for row in tree}
        strays = [row for row in tree if row["function"] in callers and
                  row.get("caller", names.get(row.get("parent"))) not in callers[row["function"]]]
        expect.same(strays, [], f"{what}: called by others than their callers")


@cli.case
def coroutines_take_turns(home, expect):
    """A coroutine's stack of calls is not made anew each time."""
    for mode in "trace", "profile", "flight":
        done = home.run("run", "--stamp", mode, guest(), "swaps", "ledger")
        pages = int(done.stdout.split()[1])
        expect(pages < 500, f"{mode}: {pages} pages in 1,000 turns")


@cli.case
def times_go_forward(home, expect):
    """A call's time is between its caller's, and every entry is within the run."""
    program = guest()
    _, _, trace = stamped(home, program, "fib")
    thread = next(iter(trace.threads.values()))
    ticks = [r.ticks for r in thread.records]
    expect.same(ticks, sorted(ticks), "times")
    expect(int(trace.identity["ticks"]) < ticks[0], "the trace begins before the program")


@cli.case
def stopped_between_segments(home, expect):
    """A segment is begun for a record, and it is long until the thread goes on: what it says then is of
    then, and no time lies before another."""
    program = guest()
    data = os.path.join(home.top, "data")
    argv = [TESTING, "run", "--stamp", "flight:64K", "--data", data, program, "fib", "ledger"]
    subprocess.run(argv, env=home.env(), cwd=home.top, check=True, timeout=cli.LIMIT)
    last = max(part for t in traces.read(data).threads.values() for part in t.parts)
    child = subprocess.Popen(argv, cwd=home.top, env=home.env(HARK_TESTPOINT=f"stamp_segment:stop:{last}"))
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    expect(os.WIFSTOPPED(status), f"stopped: {status:#x}")
    time.sleep(0.4)  # more than the low bits of a time can tell, at 2 GHz and more
    os.kill(child.pid, signal.SIGCONT)
    expect.same(child.wait(cli.LIMIT), 0, "exit status")
    for thread in traces.read(data).threads.values():
        times = [r.ticks for r in thread.records]
        back = [(a, b) for a, b in zip(times, times[1:]) if b < a]
        expect.same(back, [], f"times that go back, of {len(times)}")


@cli.case
def small_on_disk(home, expect):
    """At most 12 bytes a call, but for the room of one segment a thread."""
    program = guest()
    _, counted, trace = stamped(home, program, "many")
    used = sum(8 * (r.kind == "entry") + 4 * (r.kind == "exit")
               for t in trace.threads.values() for r in t.records)
    expect(used <= 12 * counted["fib"], f"{used} bytes for {counted['fib']} calls")


@cli.case
def killed_anywhere(home, expect):
    """S10: SIGKILL at a random moment: what is there are all calls but for the one in flight."""
    program = guest()
    rng = random.Random(20261121)
    turns, latest = (100, 20000) if os.environ.get("EVERY") else (12, 3000)  # microseconds
    for turn in range(turns):
        status, counted, trace = stamped(home, program, "killed", str(rng.randrange(500, latest)))
        got = trace.calls()
        expect.same(status, -signal.SIGKILL, "exit status")
        expect(all(0 <= got.get(name, 0) - counted[name] <= 1 for name in counted),
               f"turn {turn}: {got}, counted {counted}")
        for thread in trace.threads.values():
            still_open = [row[1] for row in trace.walk(thread) if row[2] == "entry"]
            expect.same(still_open[:1], ["forever"], f"turn {turn}: died inside")


@cli.case
def late_calls_leave_no_hole(home, expect):
    """What comes late has a record of the whole time before it, and left no room behind: a window with a hole is
    not used again."""
    _, counted, trace = stamped(home, guest(), "late")
    expect.same(trace.calls(), counted, "calls")
    with open(os.path.join(home.top, "data", "image.1"), "rb") as file:
        _, body = next(traces.segments(file.read()))
    words = struct.unpack(f"<{len(body) // 4}I", body)
    last = max(at for at, word in enumerate(words) if word)
    expect.same(words[:last].count(0), 0, "words that nobody wrote")


@cli.case
def killed_between_copy_and_use(home, expect):
    """S10: a part that is full was copied, or is just being cleared: every call is there once, for who reads
    while the thread stands there, and for who reads when it was killed."""
    program = guest()
    for point in ("stamp_copied", "stamp_again"):
        ledger, data = (os.path.join(home.top, f"{point}.{what}") for what in ("ledger", "data"))
        child = subprocess.Popen([TESTING, "run", "--stamp", "trace", "--data", data, program, "forever", ledger],
                                 cwd=home.top, env=home.env(HARK_TESTPOINT=f"{point}:stop:2"))
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        expect(os.WIFSTOPPED(status), f"stopped: {status:#x}")
        for state in ("stopped", "killed"):
            seen = home.run("report", "--format", "json", data)
            died = [line.split(" › ")[0].split(", ")[-1] for line in seen.stderr.splitlines()]
            expect.same(died, [] if state == "stopped" else ["died inside forever"], f"{state} at {point}")
            counted, got = counts_in(ledger)["fib"], traces.read(data).calls()["fib"]
            told = {row["function"]: row["calls"] for row in map(json.loads, seen.stdout.splitlines())}
            expect(counted - 1 <= got <= counted + 1, f"{state} at {point}: {got}, counted {counted}")
            expect.same(told["fib"], got, f"{state} at {point}")
            if state == "stopped":
                child.kill()
                child.wait(cli.LIMIT)


@cli.case
def modules_come_and_go(home, expect):
    """S7: two libraries at the same address, one after the other."""
    libraries = two_libraries(home.top)
    program = guest()
    data = os.path.join(home.top, "data")
    done = home.run("run", "--stamp", "trace", "--data", data, program, "modules",
                    *libraries)
    expect.same(done.returncode, 0, "exit status")
    got = traces.read(data).calls()
    expect.same({name: got.get(name) for name in
                 ("of_first", "inner_first", "of_second", "inner_second", "loads")},
                {"of_first": 9, "inner_first": 9, "of_second": 9, "inner_second": 9, "loads": 1},
                "calls")


@cli.case
def modules_come_and_go_all_day(home, expect):
    """More often than there is room for modules at a time: each has its names, and is unloaded once."""
    libraries = two_libraries(home.top)
    for mode in "trace", "profile":
        done = home.run("run", "--stamp", mode, guest(), "modules", *libraries, "1200")
        expect.same(done.returncode, 0, f"{mode}: exit status")
        rows = map(json.loads, home.run("report", "--format", "json").stdout.splitlines())
        got = {row["function"]: row["calls"] for row in rows}
        expect.same(got, {"of_first": 1800, "inner_first": 1800, "of_second": 1800, "inner_second": 1800,
                          "fib": 1200, "loads": 1}, f"{mode}: calls")
        with open(os.path.join(home.top, "hark.data", "events"), encoding="utf-8") as file:
            words = collections.Counter(line.split()[0] for line in file)
        expect.same((words["module"], words["unload"]), (1201, 1200), f"{mode}: events")
    done = home.run("run", "--stamp", "profile", "--data", "data", guest(), "modules", *libraries, "1200")
    trace = traces.read(os.path.join(home.top, "data"))
    edges = [edge for edge in trace.edges if trace.name(edge.image, *edge.callee) == "fib"]
    expect.same([edge.calls for edge in edges], [1200], "who calls what stays has one edge for that")


@cli.case
def switched_while_it_runs(home, expect):
    """hark set: off, then a trace, a profile, and off again; what is refused."""
    program = guest()
    ledger = os.path.join(home.top, "ledger")
    data = os.path.join(home.top, "hark.data")
    child = home.start("run", program, "forever", ledger)
    cli.wait_for(lambda: os.path.exists(ledger) and os.path.getsize(ledger)
                 and counts_in(ledger).get("fib", 0) > 1000)
    expect(not os.path.exists(data), "no trace while nothing is recorded")

    def grown(what):
        def look():
            try:
                return what(traces.read(data))
            except AssertionError:  # a part is being written over
                return False
        return cli.wait_for(look)

    for word, what in (("stamp=flight", lambda t: t.calls().get("fib", 0) > 1000),
                       ("stamp=profile", lambda t: any(e.calls > 1000 for e in t.edges))):
        done = home.run("set", str(child.pid), word)
        expect.same((done.returncode, done.stdout), (0, ""), word)
        cli.wait_for(lambda: os.path.exists(os.path.join(data, "events")))
        expect(grown(what), word)
    expect.same(home.run("set", "stamp=off").returncode, 0, "off")

    def quiet():
        """The program goes on, and nothing more is recorded: noticed within a tenth of a second."""
        recorded, begun = sum(e.calls for e in traces.read(data).edges), counts_in(ledger)["fib"]
        cli.wait_for(lambda: counts_in(ledger)["fib"] > begun + 100000)
        return sum(e.calls for e in traces.read(data).edges) == recorded

    cli.wait_for(quiet)
    for word in ("stamp=nonsense", "level=info", "12x"):
        expect.same(home.run("set", word).returncode, 125, word)
    child.kill()
    child.wait()


@cli.case
def the_disk_is_full(home, expect):
    """S9: recording stops with a gap, the program goes on: where there is no room for another window, and in
    the midst of copying one."""
    program = guest()

    def measure(size):
        begun = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        trace = on_a_small_disk(home, program, "many", size=size)
        return trace, sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - begun
    for size, least in (("300k", 6000), ("800k", 40000)):
        trace, took = cli.best(functools.partial(measure, size), lambda measured: measured[1] < 0.7)
        expect(took < 0.7, f"{size}: it goes on slowly, {took:.2f} s of processor time")
        expect.same(gaps(trace), [1], f"{size}: gaps")
        expect("gap" in [word for word, _ in trace.events], f"{size}: the gap is among the events")
        expect(trace.calls()["fib"] > least, f"{size}: what was recorded before is there")
        parts = next(iter(trace.threads.values())).parts
        expect.same(parts, list(range(len(parts))), f"{size}: parts")
        seen = home.run("report", os.path.join(home.top, "data"))
        expect("twice" not in seen.stderr and "segment" not in seen.stderr, f"{size}: {seen.stderr}")


@cli.case
def a_thread_that_cannot_open_it(home, expect):
    """It cannot say so itself: another one does, and so does the report."""
    status, counted, trace = stamped(home, guest(), "unopened")
    expect.same((status, trace.calls()), (0, {"begins_late": 1}), f"of {counted}")
    expect.same(gaps(trace), [6], "gaps")
    done = home.run("report", "data")
    expect("is missing in 1 place: the program could not open" in done.stderr, done.stderr)


@cli.case
def sandboxed(home, expect):
    """T10: behind a filter that kills: what there is room for is recorded, then a gap, and no call."""
    program = guest()
    for mode in ("trace", "flight:64K", "profile"):
        status, counted, trace = stamped(home, program, "sandbox", mode=mode)
        expect.same(status, 0, f"{mode}: exit status")
        got = trace.calls()
        expect(177 <= got["fib"] <= counted["fib"], f"{mode}: {got}, counted {counted}")
        if mode == "trace":
            expect.same(gaps(trace), [2], "gaps")


@cli.case
def the_one_before_is_kept(home, expect):
    """The trace that is there becomes .old; what is no trace is refused, and the program runs."""
    program = guest()
    for case in ("fib", "inlined"):
        done = home.run("run", "--stamp", "trace", program, case)
        expect.same((done.returncode, done.stderr), (0, ""), case)
    expect.same(set(traces.read(os.path.join(home.top, "hark.data")).calls()),
                {"holds_inlined", "inlined"}, "the last")
    expect.same(set(traces.read(os.path.join(home.top, "hark.data.old")).calls()), {"fib"}, "before")
    # one that could be removed in part only, as by who was killed meanwhile, is removed the next time
    held = os.path.join(home.top, "hark.data.old", "snapshot.1", "held")
    os.makedirs(held)
    done = home.run("run", "--stamp", "trace", program, "fib")
    expect("hark.data.old" in done.stderr, done.stderr)
    os.rmdir(held)
    done = home.run("run", "--stamp", "trace", program, "fib")
    expect.same((done.returncode, done.stderr), (0, ""), "after one that was removed in part")
    expect.same(set(traces.read(os.path.join(home.top, "hark.data.old")).calls()),
                {"holds_inlined", "inlined"}, "before, again")
    mine = os.path.join(home.top, "mine")
    os.mkdir(mine)
    with open(os.path.join(mine, "letter"), "w", encoding="ascii") as file:
        file.write("dear")
    done = home.run("run", "--stamp", "trace", "--data", "mine", program, "fib")
    expect.same(done.returncode, 0, "exit status with a folder of the user's")
    expect("no trace" in done.stderr and "--data" in done.stderr, done.stderr)
    expect.same(os.listdir(mine), ["letter"], "the user's folder")


cli.main(__doc__)
