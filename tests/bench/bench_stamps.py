#!/usr/bin/env python3
"""What a stamped call costs, entry and exit and the program's own time together: nanoseconds a call,
elapsed and of processor time. Where the machine has other things to do, only the latter is of use.

Beside it, in the same run: glibc's empty hooks, stamps switched off, and uftrace where it is
installed. `make bench` runs it; UFTRACE=PATH names another uftrace.
"""
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "preload"))
import harness  # noqa: E402  pylint: disable=wrong-import-position

TURNS = int(os.environ.get("BENCH_PAIRS", "5"))
UFTRACE = os.environ.get("UFTRACE") or shutil.which("uftrace")
TARGETS = {"trace": 30, "profile": 45}
# With rules: all is recorded nevertheless; nothing is; all is too short; too hot.
RULES = {"filter": ["trace", "--filter", "*"], "hidden": ["trace", "--notrace", "*"],
         "short": ["trace", "--min-time", "1h"], "muted": ["trace", "--stamp-budget", "0.01%"]}


def size_of(folder):
    return sum(entry.stat().st_size for entry in os.scandir(folder) if entry.is_file())


def wait_for_the_last(top):
    """The session before writes to its trace still."""
    while glob.glob(os.path.join(top, "runtime", "*")):
        time.sleep(0.005)


def figures_of(said, data):
    """(ns a call, bytes a call on disk, ns of processor time)"""
    report = json.loads(said.splitlines()[0])
    stored = size_of(data) / report["calls"] if os.path.isdir(data) else 0
    return report["ns"], stored, report["cpu_ns"]


def measure(program, case, way, top):
    data = os.path.join(top, "data")
    wait_for_the_last(top)
    shutil.rmtree(data, ignore_errors=True)
    argv = [program, case]
    if way == "uftrace":
        argv = [UFTRACE, "record", "--no-libcall", "-d", data, *argv]
    elif way != "bare":
        mode, *rules = RULES.get(way, [way])
        argv = [harness.HARK, "run", "--stamp", mode, *rules, "--data", data, *argv]
    done = subprocess.run(argv, env=harness.environment(os.path.join(top, "runtime")), cwd=top,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    return figures_of(done.stdout, data)


def print_case(case, figures):
    print(f"{case}: median of {TURNS}, ns a call (of processor time)")
    for way, rows in figures.items():
        ns = statistics.median(row[0] for row in rows)
        stored = statistics.median(row[1] for row in rows)
        cpu = statistics.median(row[2] for row in rows)
        ratio = ""
        if "uftrace" in figures and way not in ("uftrace", "bare"):
            ratio = statistics.median(a[0] / b[0] for a, b in zip(rows, figures["uftrace"]))
            worked = statistics.median(a[2] / b[2] for a, b in zip(rows, figures["uftrace"]))
            ratio = f"  {ratio:.3f} ({worked:.3f}) of uftrace"
        verdict = ""
        if way == "off":
            more = statistics.median(a[0] - b[0] for a, b in zip(rows, figures["bare"]))
            verdict = f"  {more:+.2f} over bare (target +1.50)"
        elif way in TARGETS:
            verdict = f"  {'ok' if ns <= TARGETS[way] else 'MISS'} (target {TARGETS[way]})"
        print(f"  {way:<8} {ns:8.2f} ({cpu:7.2f})  {stored:6.2f} B{ratio}{verdict}", flush=True)


def main():
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as top:
        program = os.path.join(top, "calls")
        source = os.path.join(ROOT, "tests", "bench", "calls.c")
        subprocess.run(["gcc", "-O2", "-finstrument-functions", "-o", program, source], check=True)
        ways = ["bare", "off", "trace", "profile", "flight", *RULES] + (["uftrace"] if UFTRACE else [])
        for case in ("fib", "qsort", "threads"):
            figures = {way: [] for way in ways}
            for _ in range(TURNS):
                for way in ways:
                    figures[way].append(measure(program, case, way, top))
            print_case(case, figures)
    if not UFTRACE:
        print("uftrace is not installed: no comparison")


if __name__ == "__main__":
    main()
