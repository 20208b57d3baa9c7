#!/usr/bin/env python3
"""Samples of a program that burns seven parts of its time in one function and three in another: how
many of those that are due there are, how exact the shares, how many stacks complete, and what it costs.

Beside it, in the same run: perf with frame pointers and with copies of the stack, and gperftools, where
they are installed (`scripts/deps bench`). `make bench` runs it.
"""
import glob
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
for folder in ("preload", "e2e"):
    sys.path.insert(0, os.path.join(ROOT, "tests", folder))
import harness  # noqa: E402  pylint: disable=wrong-import-position
import samples  # noqa: E402  pylint: disable=wrong-import-position

TURNS = int(os.environ.get("BENCH_PAIRS", "3"))
SECONDS = "0.5"
PERF = shutil.which("perf")
PROFILER = next(iter(glob.glob("/usr/lib/*/libprofiler.so*")), None)


def run(argv, top, **more):
    """(ns of processor time, elapsed seconds, all processor seconds with the tools' own)"""
    env = harness.environment(os.path.join(top, "runtime"), top, more)
    before, begin = os.times(), time.monotonic()
    done = subprocess.run(argv, env=env, cwd=top, stdin=subprocess.DEVNULL, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    elapsed, after = time.monotonic() - begin, os.times()
    spent = after.children_user + after.children_system - before.children_user \
        - before.children_system
    return int(re.search(r"cpu_ns (\d+)", done.stdout).group(1)), elapsed, spent


def by_hark(top, rate, program, threads, by=""):
    shutil.rmtree(os.path.join(top, "hark.data"), ignore_errors=True)
    figures = run([harness.HARK, "run", "--sample", f"cpu@{rate}{by}", program, threads, SECONDS], top)
    until = time.monotonic() + 10
    while not (found := samples.Samples(os.path.join(top, "hark.data", "samples"))).ended \
            and time.monotonic() < until:
        time.sleep(.01)
    stacks = []
    names = names_of(program)
    for _, node, _ in found.samples:
        stack = found.stack(node)
        stacks.append(([names(offset) if path == program else path for path, offset in stack],
                       stack[-1][0] not in samples.INCOMPLETE))
    return figures, stacks


def names_of(program):
    out = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    rows = sorted((int(line.split()[0], 16), line.split()[2]) for line in out.splitlines()
                  if line.split()[1:2] in (["t"], ["T"]))

    def name(offset):
        found = [name for at, name in rows if at <= offset]
        return found[-1] if found else "?"
    return name


def by_perf(top, rate, program, threads, how):
    data = os.path.join(top, "perf.data")
    figures = run([PERF, "record", "-q", "-e", "cpu-clock", "-F", str(rate), *how, "-o", data,
                   program, threads, SECONDS], top)
    out = subprocess.run([PERF, "script", "--no-inline", "-i", data, "-F", "ip,sym"],
                         capture_output=True, text=True, check=False, cwd=top).stdout
    stacks = []
    for block in out.split("\n\n"):
        names = [line.split()[1].split("+")[0] for line in block.splitlines()
                 if len(line.split()) > 1]
        if names:
            stacks.append((names, names[-1] in ("_start", "clone3", "__clone3", "__GI___clone3")))
    return figures, stacks


def by_gperftools(top, rate, program, threads):
    data = os.path.join(top, "gperf.out")
    figures = run([program, threads, SECONDS], top, LD_PRELOAD=PROFILER, CPUPROFILE=data,
                  CPUPROFILE_FREQUENCY=str(min(rate, 4000)))
    with open(data, "rb") as file:
        words = memoryview(file.read())
    words = words[:len(words) // 8 * 8].cast("Q")
    at, count = 2 + words[1], 0
    while at + 2 < len(words) and words[at]:
        count += words[at]
        at += 2 + words[at + 1]
    return figures, [([], False)] * count


def main():
    tools = {"bare": lambda top, rate, *rest: (run([*rest[:2], SECONDS], top), None),
             "hark": by_hark,
             "hark timer": lambda *rest: by_hark(*rest, by=":timer")}
    if PERF:
        tools["perf -g"] = lambda *rest: by_perf(*rest, ["-g"])
        tools["perf dwarf"] = lambda *rest: by_perf(*rest, ["--call-graph", "dwarf"])
    if PROFILER:
        tools["gperftools"] = by_gperftools
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as top:
        program = os.path.join(top, "split")
        subprocess.run(["gcc", "-O2", "-w", "-D_GNU_SOURCE", "-pthread", "-o", program,
                        os.path.join(ROOT, "tests", "e2e", "guests", "split.c")], check=True)
        print(f"{'':<12}{'threads':>8}{'Hz':>6}{'of those due':>14}{'seven':>8}{'complete':>10}"
              f"{'elapsed':>10}")
        for threads, rate in (("1", 99), ("1", 999), ("4", 999), ("4", 4000)):
            bare = None
            for name, tool in tools.items():
                rows = [tool(top, rate, program, threads) for _ in range(TURNS)]
                elapsed = statistics.median(row[0][1] for row in rows)
                if name == "bare":
                    bare = elapsed
                    continue
                due = statistics.median(len(r[1]) / (r[0][0] * rate / 1e9) for r in rows)
                stacks = [stack for row in rows for stack in row[1]]
                seven = sum("seven" in names for names, _ in stacks)
                three = sum("three" in names for names, _ in stacks)
                whole = sum(good for _, good in stacks) / max(1, len(stacks))
                share = f"{seven / (seven + three):.3f}" if seven + three else "-"
                print(f"{name:<12}{threads:>8}{rate:>6}{due:>13.1%} {share:>8}{whole:>10.2%}"
                      f"{elapsed / bare - 1:>+10.1%}", flush=True)
        overhead(top, program)


def overhead(top, program):
    """The same work, alone and looked at by turns: how much more of the program's processor time it takes.
    What the tool itself uses beside it is not in it."""
    data = os.path.join(top, "perf.data")
    tools = {"bare": ([], {}),
             "hark @999": ([harness.HARK, "run", "--sample", "cpu@999"], {}),
             "hark timer": ([harness.HARK, "run", "--sample", "cpu@999:timer"], {})}
    if PERF:
        tools["perf -g @999"] = ([PERF, "record", "-q", "-e", "cpu-clock", "-F", "999", "-g", "-o", data], {})
        tools["perf dwarf @999"] = ([PERF, "record", "-q", "-e", "cpu-clock", "-F", "999", "--call-graph",
                                     "dwarf", "-o", data], {})
    if PROFILER:
        tools["gperftools"] = ([], {"LD_PRELOAD": PROFILER, "CPUPROFILE": os.path.join(top, "gperf.out"),
                                    "CPUPROFILE_FREQUENCY": "999"})
    took = {name: [] for name in tools}
    for _ in range(8 * TURNS):
        for name, (before, env) in tools.items():
            took[name].append(run([*before, program, "2", "0.3", "fixed"], top, **env)[0])
    print(f"\n{'processor time of the same work':<36}{'median':>9}{'least':>9}")
    for name, row in took.items():
        if name != "bare":
            print(f"{name:<36}{statistics.median(row) / statistics.median(took['bare']) - 1:>+9.1%}"
                  f"{min(row) / min(took['bare']) - 1:>+9.1%}", flush=True)


if __name__ == "__main__":
    main()
