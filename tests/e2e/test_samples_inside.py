#!/usr/bin/env python3
# limit: 200
"""hark run --sample cpu@RATE:timer: samples that a program takes of itself, where the kernel refuses to show
stacks to others. They are held against what programs know themselves, and the programs must see nothing
of it. Speaks TAP.
"""

import json
import os
import re
import signal
import subprocess
import time

import cli
import samples
from sampling import Symbols, check_family, check_split, compile_guest, run

TICK = round(time.clock_getres(6) * 1e9)  # CLOCK_MONOTONIC_COARSE moves with the kernel's tick
KERNEL, TIMER = 1, 2
ONCE = f"look {10**9 // TICK} times a second at most, not 999"


def inside(home, mode, spec="cpu@9999:timer", data="hark.data"):
    """The guest's own words of what should not have been, its samples, and the ids of its threads."""
    program = os.path.join(home.top, "inside")
    if not os.path.exists(program):
        compile_guest(home, "inside", "-O2", source="inside.c")
    done, _, tids, found = run(home, spec, program, mode, data=data)
    wrong = [line for line in done.stdout.splitlines() if not line.startswith("tid ")]
    return done, wrong, tids, found


@cli.case
def shares_by_timers(home, expect):
    """Seven parts and three, as many as the tick lets be, every thread, whole stacks."""
    program = compile_guest(home, "split", "-O2")
    symbols = Symbols(program)
    for threads, spec, seconds in ((1, "cpu@999:timer", "0.4"), (4, "cpu@199:timer", "0.2")):
        check_split(home, expect, spec, program, symbols, threads, spec, seconds)
        found = samples.Samples(os.path.join(home.top, "hark.data", "samples"))
        expect.same((found.source, found.mode, found.least), (TIMER, 1, TICK), f"{spec}: the header")
        expect.same(found.period, max(TICK, round(1e9 / int(spec[4:7]))), f"{spec}: the period")


@cli.case
def every_thread_has_a_timer(home, expect):
    """Also those of C11, detached ones, those of a child of fork; and the timers of those that ended are
    given back: here there may be no more than a few at a time."""
    before = subprocess.run(["prlimit", "--sigpending", "--output=SOFT", "--noheadings", "--raw"],
                            capture_output=True, text=True, check=True).stdout.split()[-1]
    program = compile_guest(home, "inside", "-O2", source="inside.c")
    done, _, tids, found = run(home, "cpu@999:timer", "prlimit", "--sigpending=200:", program, "threads")
    expect.same((done.returncode, len(tids)), (0, 5), f"the threads, {before}: {done.stdout}{done.stderr}")
    expect(tids <= set(found.by_tid()), f"{found.by_tid()}, not {tids}")


@cli.case
def children_by_timers(home, expect):
    """Behind fork, behind exec, and without an environment."""
    check_family(home, expect, "cpu@999:timer", compile_guest(home, "split", "-O2"), .7)


@cli.case
def no_call_is_interrupted(home, expect):
    """Those that the kernel never begins anew, and those that would be cut short, at each tick."""
    done, wrong, _, found = inside(home, "edges")
    expect.same((done.returncode, wrong), (0, []), "what calls returned")
    expect(len(found.samples) * TICK > 250e6, f"{len(found.samples)} samples of 400 ms")
    program = compile_guest(home, "split", "-O2")
    done, _, _, _ = run(home, "cpu@9999:timer", program, "2", "0.1", "wait")
    expect.same((done.returncode, "EINTR" in done.stdout), (0, False), done.stdout)


@cli.case
def who_uses_the_signal_himself(home, expect):
    """He is left alone, gets what is his, and it is said once."""
    done, wrong, _, found = inside(home, "own")
    expect.same((done.returncode, wrong), (0, []), "what the program saw")
    expect.same(done.stderr.count("is not sampled: it uses SIGPROF itself"), 1, done.stderr)
    until = len(found.samples) * TICK
    expect(until <= 120e6, f"{until} ns were sampled, and not only the first 100 ms")
    profiled = compile_guest(home, "pg", "-O2", "-pg", source="inside.c")
    done, _, _, found = run(home, "cpu@999:timer", profiled, "burn")
    expect.same((done.returncode, len(found.samples)), (0, 0), "gcc -pg")
    expect("is not sampled: it uses SIGPROF itself" in done.stderr, done.stderr)
    ignored = ["sh", "-c", "trap '' PROF; exec ./inside burn"]
    done, _, _, found = run(home, "cpu@999:timer", *ignored)
    expect.same(len(found.samples), 0, "ignored from the start")
    expect("it has a handler for SIGPROF, or ignores it" in done.stderr, done.stderr)


@cli.case
def the_signal_is_not_seen(home, expect):
    """Neither disposition nor mask, nor anything pending, nor by who waits for all signals; and one that
    somebody else sends does what it always did."""
    done, wrong, tids, found = inside(home, "unseen")
    expect.same((done.returncode, wrong, done.stderr.count("\n")), (0, [], 1), f"{done.stderr}")
    for tid in tids:
        # 30 ms before it blocks the signal, and 60 when it no more does; nothing of what lies between
        got = found.by_tid()[tid] * TICK
        expect(60e6 <= got <= 110e6, f"{got} ns of 90 ms")
    done, _, _, found = inside(home, "killed")
    expect.same(done.returncode, -signal.SIGPROF, "a signal from outside")


@cli.case
def masks_by_words(home, expect):
    """dash blocks all signals by sigprocmask() and lets them come again by sigsetmask()."""
    done, wrong, tids, found = inside(home, "words")
    expect.same((done.returncode, wrong, len(tids)), (0, [], 1), f"{done.stderr}")
    got = found.by_tid()[tids.pop()] * TICK
    expect(80e6 <= got <= 145e6, f"{got} ns of 120 ms")


@cli.case
def where_the_kernel_refuses(home, expect):
    """A seccomp filter forbids the call, as in containers: samples are taken all the same, or it is said
    what to do."""
    refuse = compile_guest(home, "refuse", "-O2", source="refuse.c")
    program = compile_guest(home, "split", "-O2")
    for errno in (1, 13, 38):
        done = subprocess.run([refuse, str(errno), cli.HARK, "run", "--sample", "cpu@999", "--data",
                               f"data{errno}", program, "1", "0.1"], env=home.env(), cwd=home.top,
                              capture_output=True, text=True, check=False, timeout=cli.LIMIT)
        expect.same((done.returncode, done.stderr.count("\n"), ONCE in done.stderr), (0, 1, True),
                    f"{errno}: {done.stderr}")
        path = os.path.join(home.top, f"data{errno}", "samples")
        found = cli.wait_for(lambda p=path: next((s for s in [samples.Samples(p)] if s.ended), None))
        expect.same(found.source, TIMER, "who took them")
        expect(len(found.samples) * TICK > 50e6, f"{errno}: {len(found.samples)} samples of 100 ms")
    for spec, words in (("wall@99", ["perf_event_paranoid", "CAP_PERFMON", "cpu@RATE"]),
                        ("cpu@99:kernel", ["perf_event_paranoid", "CAP_PERFMON"])):
        done = subprocess.run([refuse, "13", cli.HARK, "run", "--sample", spec, "--data", "none", "true"],
                              env=home.env(), cwd=home.top, capture_output=True, text=True, check=False)
        expect.same(done.returncode, 0, "the program runs without")
        expect(all(word in done.stderr for word in words), done.stderr)
    static = compile_guest(home, "static", "-O2", "-static")
    done = home.run("run", "--sample", "cpu@99:timer", "--data", "none.data", static, "1", "0")
    expect("static: it cannot sample itself" in done.stderr, done.stderr)
    for spec in ("cpu@99:clock", "wall@99:timer", "cpu@99:"):
        done = home.run("run", "--sample", spec, "true")
        expect.same((done.returncode, "cpu@RATE:timer" in done.stderr), (125, True), done.stderr)


@cli.case
def stacks_that_nobody_called(home, expect):
    """Those of makecontext() begin as a function begins, not behind a call; a handler's go on at who was
    interrupted."""
    program = compile_guest(home, "context", "-O2", source="context.c")
    run(home, "cpu@999:timer", program, "80")
    paths = home.run("export", "--format", "folded", "-o", "-").stdout.splitlines()
    expect(any("main;" in path and ";on_signal;burn" in path for path in paths), f"the handler's: {paths}")
    own = [path for path in paths if ";on_stack;burn" in path]
    expect(own and not any("unknown" in path or "0x" in path for path in own), f"the stack's own: {own}")


@cli.case
def inspect_says_it_before(home, expect):
    """What it says where the kernel refuses is what comes of it."""
    refuse = compile_guest(home, "refuse", "-O2", source="refuse.c")
    for name, flags, answer, word in (("dynamic", [], "partly", "by timers"),
                                      ("static", ["-static"], "no", "it cannot sample itself")):
        program = compile_guest(home, name, "-O2", *flags)
        for argv in (["inspect", "--json", program],
                     ["run", "--sample", "cpu@999", "--data", name + ".data", program, "1", "0.1"]):
            done = subprocess.run([refuse, "13", cli.HARK, *argv], env=home.env(), cwd=home.top, text=True,
                                  capture_output=True, check=True, timeout=cli.LIMIT)
            if argv[0] == "inspect":
                verdict = json.loads(done.stdout)["verdicts"]["samples"]
        expect.same((verdict["verdict"], word in verdict["reason"]), (answer, True), f"{verdict}")
        rows = home.run("report", "--data", name + ".data", "--format", "json").stdout
        expect.same('"function":"seven"' in rows, answer == "partly", f"{name}: {rows}")


@cli.case
def who_stops_the_sampler(home, expect):
    """The program goes on as ever, and what was lost is counted."""
    program = compile_guest(home, "deep", "-O0", source="deep.c")
    # 256 stacks of 16 KiB fill the ring; of a host that is busy, some ticks come as one
    seconds = 480 * TICK / 1e9
    child = home.start("run", "--sample", "cpu@999:timer", program, "0.1", str(seconds))
    path = os.path.join(home.top, "hark.data", "samples")
    cli.wait_for(lambda: os.path.exists(path) and samples_in(path) > 3)
    sampler = samples.Samples(path).pid
    os.kill(sampler, signal.SIGSTOP)
    said = child.communicate(timeout=cli.LIMIT)[0]
    os.kill(sampler, signal.SIGCONT)
    expect.same((child.returncode, said), (0, "done\n"), "the program")
    found = cli.wait_for(lambda: next((s for s in [samples.Samples(path)] if s.ended), None))
    lost = sum(count for reason, count in found.gaps if reason == 1)
    expect(lost > 0, f"{lost} are lost, {found.gaps}")
    total = (len(found.samples) + lost) * TICK
    wanted = 1e9 * (seconds + .1)
    expect(.7 < total / wanted < 1.3, f"{total} ns of {wanted} are accounted for")


@cli.case
def who_blocks_the_signal_is_told_of(home, expect):
    """xz's workers block all signals: how many threads, and how many samples there would have been."""
    blocked = 5  # lib/stamp/trace.h
    done, wrong, tids, found = inside(home, "blocked")
    expect.same((done.returncode, wrong, len(tids)), (0, [], 2), "the guest")
    expect(not tids & set(found.by_tid()), "they have samples")
    missing = sum(count for reason, count in found.gaps if reason == blocked)
    expect(.4 * 1e9 < missing * found.period < 1.1 * 1e9, f"{missing} missing, of {1e9 / found.period}")
    told = home.run("report").stderr
    expect(f"at least {missing} samples are missing: 2 threads (inside " in told and "block SIGPROF" in told,
           told)
    page = home.run("export", "--format", "flamegraph", "-o", "-").stdout
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', page, re.S)[1])
    expect.same(data["samples"], {"period_ns": found.period, "inside": True, "missing": missing}, "the page")
    expect(all(f.get("sampled") for f in data["functions"]), "calls were not counted")
    # behind more others than are looked at at a time
    _, _, tids, found = inside(home, "crowd", data="crowd")
    missing = sum(count for reason, count in found.gaps if reason == blocked)
    expect(.4 * 1e9 < missing * found.period < 1.1 * 1e9, f"{missing} missing in a crowd")
    # that they are gone before anybody looks
    _, _, tids, found = inside(home, "brief", data="brief")
    expect.same([count for reason, count in found.gaps if reason == blocked and count], [], "none is missing")
    # who unblocks it is sampled
    _, _, tids, found = inside(home, "unblocked", data="unblocked")
    expect(tids <= set(found.by_tid()), f"{found.by_tid()}, not {tids}")
    expect.same(home.run("report", "--data", "unblocked").stderr, "", "nothing is missing")
    rows = {tid for _, tid, _ in found.threads.values()}
    expect(tids <= rows, "threads")


def samples_in(path):
    return len(samples.Samples(path).samples) if os.path.getsize(path) else 0


@cli.case
def the_report_says_who_looked(home, expect):
    program = compile_guest(home, "split", "-O2")
    run(home, "cpu@999:timer", program, "1", "0.1")
    done = home.run("report")
    expect.same(done.returncode, 0, "report")
    expect("by timers in the program" in done.stdout and f"{10**9 // TICK} times a second" in done.stdout
           and "more cannot be had" in done.stdout, done.stdout)
    run(home, "cpu@99:timer", program, "1", "0.05", data="slow")
    done = home.run("report", "--data", "slow")
    expect("99 times a second" in done.stdout and "cannot be had" not in done.stdout, done.stdout)
    rows = [json.loads(line) for line in home.run("report", "--format", "json").stdout.splitlines()]
    expect({row["method"] for row in rows} == {"sample"} and len(rows) > 3, f"{rows}")
    run(home, "cpu@1:timer", program, "1", "0", data="none")
    done = home.run("report", "--data", "none")
    expect("no samples: no thread that could be sampled ran for a whole period of 1000000 us" in done.stderr,
           done.stderr)
    expect.same("instrument" in done.stderr, False, done.stderr)


if __name__ == "__main__":
    cli.main(__doc__)
