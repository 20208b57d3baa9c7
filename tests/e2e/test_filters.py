#!/usr/bin/env python3
# limit: 400
"""Which calls are recorded: filters by name, module, call path, depth and time, and the budget.

Programs count their own calls; traces.py, which is no part of hark, reads what was recorded. TAP.
"""

import collections
import os
import random
import re
import signal
import subprocess
import tempfile
import threading

import cli
import traces
from counting import compiled, counts_in, gaps, on_a_small_disk, two_libraries

SHARED = tempfile.TemporaryDirectory(prefix="hark-filters-")  # of all cases
SHARED_LOCK = threading.Lock()
ONCE = {}


def guest(source):
    """A program that all cases run, built when the first of them does."""
    with SHARED_LOCK:
        if source not in ONCE:
            ONCE[source] = compiled(SHARED.name, source, source.split(".", maxsplit=1)[0])
        return ONCE[source]


def has_counter():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        flags = next((line.split() for line in file if line.startswith("flags")), [])
    return "constant_tsc" in flags and "nonstop_tsc" in flags


TESTING = os.path.join(cli.harness.BUILD, "testing", "hark")
COUNTER = {"HARK_TESTCOUNTER": "1"} if has_counter() else {}  # whatever the kernel's own clock is


def recorded(home, *args, options=(), mode="trace", status=0, counts=True):
    """Runs a program: (what it counted, the trace)."""
    ledger, data = (os.path.join(home.top, name) for name in ("ledger", "data"))
    if os.path.exists(ledger):
        os.unlink(ledger)
    more = [ledger] if counts else []
    done = subprocess.run([TESTING, "run", "--stamp", mode, "--data", data, *options, *args[:2], *more,
                           *args[2:]], env=home.env(**COUNTER), cwd=home.top, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=cli.LIMIT,
                          check=False)
    assert not done.stderr, done.stderr
    assert done.returncode == status, done.returncode
    return counts_in(ledger) if counts else done.stdout, traces.read(data)


def without(counted, *names):
    return {name: n for name, n in counted.items() if name not in names}


def only(counted, *names):
    return {name: n for name, n in counted.items() if name in names}


def printed(text):
    return {name: int(n) for n, name in re.findall(r"^(\d+) (\S+)$", text, re.MULTILINE)}


@cli.case
def by_name(home, expect):
    """These and what they call; not these, nor that: for calls, callbacks, longjmp, handlers, threads,
    fork, coroutines; in both modes."""
    program = guest("stamps.c")
    rows = [
        ("qsort", "--filter=by_value", lambda c: only(c, "by_value")),
        ("longjmp", "--filter=leaps", lambda c: only(c, "leaps")),
        ("longjmp", "--filter=after*", lambda c: only(c, "after_leap")),
        ("interrupted 4", "--notrace=tick", lambda c: only(c, "interrupted", "fib")),
        ("storm", "--notrace=fib", lambda c: without(c, "fib")),
        ("coroutines", "--notrace=fib", lambda c: without(c, "fib")),
        ("inlined", "--filter=inlined", lambda c: only(c, "inlined")),
        ("fib", "--notrace=*", lambda c: {}),
    ]
    for case, option, wanted in rows:
        for mode in ("trace", "profile") if case == "longjmp" else ("trace",):
            counted, trace = recorded(home, program, *case.split(), options=option.split("="), mode=mode)
            expect.same(trace.calls(), wanted(counted), f"{case} {option} {mode}: calls")
            for thread in trace.threads.values():
                ends = {row[2] for row in trace.walk(thread)}
                if case != "coroutines":  # which wait for ever
                    expect(ends <= {"returned", "unwound"}, f"{case} {option}: {ends}")
            expect("unfiltered" not in [word for word, _ in trace.events], "all was judged")


@cli.case
def forked(home, expect):
    """The child goes on with the rules; what was open in it and is recorded, is repeated."""
    program = guest("stamps.c")
    counted, trace = recorded(home, program, "fork", options=["--filter", "child>fib"])
    expect.same(trace.calls(), {"fib": 177}, f"calls of {counted}")
    counted, trace = recorded(home, program, "fork", options=["--filter", "forks", "--depth", "2"])
    opened = [(row[1], row[2]) for t in trace.threads.values() for row in trace.walk(t)
              if row[2] == "open" or row[1] == "forks"]
    expect.same(trace.calls(), {"forks": 1, "fib": 2, "child": 1}, "calls, two levels deep")
    expect.same(len(opened), 2, f"forks is open in the child: {opened}")


@cli.case
def by_depth(home, expect):
    """The outermost levels of what is recorded."""
    program = guest("stamps.c")
    for mode in ("trace", "profile"):
        _, trace = recorded(home, program, "deep", options=["--depth", "5"], mode=mode)
        expect.same(trace.calls(), {"deep": 10}, f"two towers, five levels, {mode}")
        _, trace = recorded(home, program, "threads", options=["--notrace", "threads", "--depth", "1"],
                            mode=mode)
        expect.same(trace.calls(), {"thread": 4}, f"threads, {mode}")
    _, trace = recorded(home, program, "qsort", options=["--filter", "by_value", "--depth", "1"])
    expect.same(trace.calls(), {"by_value": len([1 for t in trace.threads.values()
                                                 for r in t.records if r.kind == "entry"])},
                "what is not recorded is no level")


@cli.case
def by_path(home, expect):
    """Called by; further below; the same by a reader of the whole trace."""
    program = guest("stamps.c")
    counted, trace = recorded(home, program, "fib", options=["--filter", "fib>fib>fib"])
    expect.same(trace.calls(), {"fib": counted["fib"] - 3}, "the third of a name, and all below")
    _, trace = recorded(home, program, "interrupted", "4", options=["--filter", "tick>after_leap"])
    expect.same(set(trace.calls()), {"after_leap"}, "called by the handler")
    _, whole = recorded(home, program, "coroutines")
    _, trace = recorded(home, program, "coroutines", options=["--filter", "coroutine>**>fib"],
                        mode="profile")
    expect.same(trace.calls(), only(whole.calls(), "fib"), "below")


@cli.case
def by_module(home, expect):
    """Libraries that are loaded and unloaded; names of their own; the session keeps what it knows."""
    libraries = two_libraries(home.top)
    program = guest("stamps.c")
    for option, wanted in (
            ("--filter=inner_*@libsecond.so,*@*/libfirst.so",
             {"inner_second": 9, "of_first": 9, "inner_first": 9}),
            ("--filter=loads>of_first>*", {"inner_first": 9}),
            ("--notrace=*@lib*", {"loads": 1, "fib": 6})):
        _, trace = recorded(home, program, "modules", *libraries, options=option.split("="),
                            counts=False)
        expect.same(trace.calls(), wanted, option)


@cli.case
def by_names_of_cxx(home, expect):
    """As readers show them, with their commas and brackets; and as they are linked."""
    program = guest("sieve.cc")
    rows = [
        (["--filter", "shop::operator>>(*"], {"operator>>": 10, "put<int>": 10}),
        (["--filter", "market*>shop::sell*>*put*"], {"put<long>": 20}),
        (["--filter", "_ZN4shop4sell*", "--notrace", "shop::shelf<int>::*"],
         {"sell": 10, "operator>>": 10, "put<long>": 20}),
    ]
    short = (("operator>>", "operator>>"), ("shelf<int>::put", "put<int>"),
             ("shelf<long>::put", "put<long>"), ("sell", "sell"), ("market", "market"),
             ("outside", "outside"))
    for options, wanted in rows:
        text, trace = recorded(home, program, "names", "10", options=options, counts=False)
        expect.same(printed(text)["strangers"], 0, "T7: children and signals that it did not start")
        got = collections.Counter()
        for name, calls in trace.calls().items():
            got[next(s for part, s in short if part in name)] += calls
        expect.same(dict(got), wanted, " ".join(options))


@cli.case
def by_time(home, expect):
    """Short calls are taken back with what they called; long ones have all that was long."""
    program = guest("sieve.cc")
    text, trace = recorded(home, program, "naps", "20", options=["--min-time", "3ms"], counts=False)
    counted = printed(text)
    names = collections.Counter({re.sub(r"\(.*", "", n): c for n, c in trace.calls().items()})
    expect.same((names["nap"], names["naps"]), (20, 1), "the long ones")
    expect(names["blinks"] + names["blink"] <= 8, f"the short ones, but who waited: {names}")
    expect(counted["blink"] > 20000, f"it counted {counted}")
    ends = {row[2] for t in trace.threads.values() for row in trace.walk(t)}
    expect.same(ends, {"returned"}, "how calls ended")
    used = sum(8 * (r.kind == "entry") + 4 * (r.kind == "exit")
               for t in trace.threads.values() for r in t.records)
    expect(used < 1000, f"{used} bytes of records: room is used again")
    # calls that longjmp leaves, and a handler that comes at any moment
    stamps = guest("stamps.c")
    _, trace = recorded(home, stamps, "longjmp", options=["--min-time", "1s"])
    expect.same(trace.calls(), {}, "nothing takes a second")
    counted, trace = recorded(home, stamps, "interrupted", "4", options=["--min-time", "1ns"])
    expect.same(without(trace.calls(), "fib"), without(counted, "fib"), "all take a nanosecond")
    expect(counted["fib"] >= trace.calls()["fib"] > counted["fib"] * 0.99, "or the clock stood still")
    counted, trace = recorded(home, stamps, "interrupted", "4", options=["--min-time", "50us"])
    expect(all(n <= counted[name] for name, n in trace.calls().items()), f"{trace.calls()}")
    expect({row[2] for t in trace.threads.values() for row in trace.walk(t)} <= {"returned"},
           "it adds up")


@cli.case
def killed_anywhere(home, expect):
    """SIGKILL at a random moment while calls are taken back: what is there is whole, and says where
    it died."""
    program = guest("stamps.c")
    rng = random.Random(20261130)
    for turn in range(5):
        _, trace = recorded(home, program, "killed", str(rng.randrange(500, 20000)),
                            options=["--min-time", "100us"], status=-signal.SIGKILL)
        for thread in trace.threads.values():
            rows = trace.walk(thread)
            still_open = [row[1] for row in rows if row[2] == "entry"]
            expect.same(still_open[:1], ["forever"], f"turn {turn}: died inside")
            expect(set(still_open[1:]) <= {"fib"} and len(still_open) <= 14, f"{still_open}")


@cli.case
def changed_while_it_runs(home, expect):
    """hark set: several changes in one call; what was hidden and is open stays so."""
    program = guest("stamps.c")
    ledger, data = (os.path.join(home.top, name) for name in ("ledger", "data"))
    child = home.start("run", "--stamp", "trace", "--data", data, "--filter", "nobody", program,
                       "forever", ledger)
    cli.wait_for(lambda: os.path.exists(ledger) and os.path.getsize(ledger)
                 and counts_in(ledger).get("fib", 0) > 100000)
    expect.same(traces.read(data).calls(), {}, "nothing at first")
    done = home.run("set", str(child.pid), "filter=fib>fib", "depth=1")
    expect.same((done.returncode, done.stdout, done.stderr), (0, "", ""), "set")
    cli.wait_for(lambda: traces.read(data).calls().get("fib", 0) > 1000)
    done = home.run("set", "filter=", "depth=0", "min-time=1h")
    expect.same(done.returncode, 0, f"set again {done.stderr}")
    for words in (["filter=a>>b"], ["depth=x"], ["stamp-budget=7"], ["min-time=3"], ["stamp=off", "x=1"],
                  ["notrace=,"]):
        done = home.run("set", *words)
        expect.refused(done, 125, words[-1].replace("=", "=", 1).split("=")[0])
    child.kill()
    child.wait()
    trace = traces.read(data)
    expect.same(set(trace.calls()), {"fib"}, "forever was open, and hidden, all the time")
    for thread in trace.threads.values():
        depths = collections.Counter(row[0] for row in trace.walk(thread) if row[2] == "returned")
        # the calls that were open when a segment was full stay, however short: those of one fib(12)
        deeper = sum(count for depth, count in depths.items() if depth)
        expect(deeper <= 12 and depths[0] > 1000, f"one level: {depths}")


@cli.case
def where_names_cannot_be_known(home, expect):
    """No hark command to ask: all is recorded, and the trace says so."""
    program = guest("stamps.c")
    ledger, data = (os.path.join(home.top, name) for name in ("ledger", "data"))
    script = (f"mount --bind /dev/null {cli.HARK} 2>/dev/null || exit 77; exec {program} fib {ledger}")
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", cli.HARK, "run", "--stamp",
                           "trace", "--data", data, "--filter", "sorted", "sh", "-c", script],
                          env=home.env(), cwd=home.top, capture_output=True, text=True, check=False,
                          timeout=cli.LIMIT)
    if done.returncode == 77 or "unshare" in done.stderr:
        raise cli.harness.Skip(done.stderr.strip())
    expect.same((done.returncode, done.stderr), (0, ""), "exit status")
    trace = traces.read(data)
    expect.same(trace.calls(), counts_in(ledger), "calls")
    expect.same([word for word, _ in trace.events if word == "unfiltered"], ["unfiltered"], "events")
    report = home.run("report", "--data", data)
    expect(report.stderr.startswith("hark: all functions of 1 module were recorded, whatever the filter says")
           and report.stderr.count("\n") == 1, f"said once: {report.stderr}")


@cli.case
def the_disk_is_full(home, expect):
    """S9: with rules, recording stops as it does without; what they leave out needs no room."""
    program = guest("stamps.c")
    for options, calls in ((["--notrace", "nobody"], {"fib", "many"}), (["--min-time", "1ns"], {"fib", "many"}),
                           (["--filter", "fib>fib"], {"fib"})):
        trace = on_a_small_disk(home, program, "many", *options)
        expect.same(gaps(trace), [1], f"{options}: gaps")
        expect(set(trace.calls()) <= calls and trace.calls()["fib"] > 1000, f"{options}: {trace.calls()}")
    trace = on_a_small_disk(home, program, "many", "--filter", "nobody")
    expect.same((gaps(trace), trace.calls()), ([], {}), "nothing is recorded, and nothing missing")


@cli.case
def sandboxed(home, expect):
    """T10: behind a filter that kills, and without a clock, nobody is asked: a gap, as without rules."""
    program = guest("stamps.c")
    for options, before in ((["--filter", "fib>fib"], {"fib": 176}), (["--notrace", "fib"], {"sandboxed": 1}),
                            (["--min-time", "1h"], {"sandboxed": 1})):  # how long, nobody knows
        _, trace = recorded(home, program, "sandbox", options=options)
        expect.same(trace.calls(), before, f"{options}: what was called before")
        expect.same(gaps(trace), [2], f"{options}: gaps")


@cli.case
def within_a_budget(home, expect):
    """What is too hot and too short is muted, and named with its count; the rest is recorded."""
    program = guest("sieve.cc")
    text, trace = recorded(home, program, "hot", "200", options=["--stamp-budget", "0.5%"], counts=False)
    counted = printed(text)
    muted = [keys for word, keys in trace.events if word == "muted"]
    names = [trace.name(int(m["image"]), int(m["module"]), int(m["offset"], 16)) for m in muted]
    calls = {re.sub(r"\(.*", "", n): c for n, c in trace.calls().items()}
    expect.same([re.sub(r"\(.*", "", n) for n in names], ["tiny"], f"muted {calls}")
    expect.same([int(m["calls"]) for m in muted], [calls["tiny"]], "its count so far")
    expect(calls["tiny"] < counted["tiny"] / 2, f"{calls} of {counted}")
    expect.same(calls["chunk"], 200, "the others")
    report = home.run("report", "--data", os.path.join(home.top, "data"))
    expect.same(report.stderr.count("\n"), 1, f"one line for one function {report.stderr}")
    expect(f"tiny(unsigned int) was not recorded any more after {calls['tiny']:,} calls" in report.stderr
           and "budget" in report.stderr, f"report: {report.stderr}")


@cli.case
def a_recursion_is_muted(home, expect):
    """Its calls that are open end when they do; hark set has it recorded again."""
    program = guest("sieve.cc")
    _, trace = recorded(home, program, "fib", "32", options=["--stamp-budget", "0.5%"], counts=False)
    muted = [keys for word, keys in trace.events if word == "muted"]
    expect.same(len(muted), 1, f"muted: {muted}")
    expect.same(sum(trace.calls().values()), int(muted[0]["calls"]), "calls")
    thread = next(iter(trace.threads.values()))
    ends = collections.Counter(row[2] for row in trace.walk(thread))
    expect.same(set(ends), {"returned"}, "how calls ended")
    first = next(r for r in thread.records if r.kind == "entry")
    last = thread.records[-2] if thread.records[-1].kind == "end" else thread.records[-1]
    expect(last.kind == "exit" and last.ticks - first.ticks >
           2 * (thread.records[len(thread.records) // 2].ticks - first.ticks),
           "the outermost call ends at the end")
    stamps = guest("stamps.c")
    ledger, data = (os.path.join(home.top, name) for name in ("ledger", "data2"))
    child = home.start("run", "--stamp", "trace", "--data", data, "--stamp-budget", "0.5%", stamps,
                       "forever", ledger)

    def muted_lines():
        try:
            with open(os.path.join(data, "events"), encoding="ascii") as file:
                return file.read().count("\nmuted ")
        except FileNotFoundError:
            return 0
    cli.wait_for(lambda: muted_lines() == 1)
    expect.same(home.run("set", "depth=40").returncode, 0, "set")
    cli.wait_for(lambda: muted_lines() == 2)
    child.kill()
    child.wait()


cli.main(__doc__)
