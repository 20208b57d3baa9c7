#!/usr/bin/env python3
"""What a traced library call costs (--calls), entry and exit and the program's own time together:
nanoseconds a call, elapsed and of processor time, of a program that was not built for it.

Beside it, in the same run: the bare call, and uftrace where it is installed, with its own buffers and
with large ones. `make bench` runs it; UFTRACE=PATH names another uftrace.

Traces are in /dev/shm.
"""
import os
import shutil
import statistics
import subprocess
import tempfile

import bench_stamps
import harness

TURNS = bench_stamps.TURNS
UFTRACE = bench_stamps.UFTRACE
GLOBS = "ffs,lfind"
TARGET = 45
WAYS = {
    "bare": [],
    "trace": [harness.HARK, "run", "--calls", GLOBS],
    "flight": [harness.HARK, "run", "--calls", GLOBS, "--stamp", "flight"],
    "profile": [harness.HARK, "run", "--calls", GLOBS, "--stamp", "profile"],
}
if UFTRACE:
    WAYS["uftrace"] = [UFTRACE, "record", "--force", "-d", "data"]
    WAYS["uftrace -b 4m"] = [UFTRACE, "record", "--force", "-b", "4m", "-d", "data"]


def measure(program, case, way, top):
    """(ns a call, bytes a call on disk, ns of processor time)"""
    bench_stamps.wait_for_the_last(top)
    data = os.path.join(top, "data")
    shutil.rmtree(data, ignore_errors=True)
    more = ["--data", data] if way in ("trace", "flight", "profile") else []
    done = subprocess.run([*WAYS[way], *more, program, case], cwd=top, stdin=subprocess.DEVNULL,
                          env=harness.environment(os.path.join(top, "runtime")),
                          stdout=subprocess.PIPE, check=True)
    return bench_stamps.figures_of(done.stdout, data)


def middle(rows, column):
    return statistics.median(row[column] for row in rows)


def print_case(case, figures):
    print(f"{case}: median of {TURNS}, ns a call (of processor time)")
    for way, rows in figures.items():
        ratio = verdict = ""
        if UFTRACE and way in ("trace", "flight", "profile"):
            ratio = "  " + ", ".join(
                f"{statistics.median(a[2] / b[2] for a, b in zip(rows, figures[peer])):.3f}"
                for peer in figures if peer.startswith("uftrace")) + " of uftrace"
        if way in ("trace", "flight", "profile"):
            verdict = f"  {'ok' if middle(rows, 2) <= TARGET else 'MISS'} (target {TARGET})"
        print(f"  {way:<13} {middle(rows, 0):8.2f} ({middle(rows, 2):7.2f})  "
              f"{middle(rows, 1):6.2f} B{ratio}{verdict}", flush=True)


def main():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as top:
        program = os.path.join(top, "library")
        subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-fno-builtin", "-pthread", "-o", program,
                        os.path.join(bench_stamps.ROOT, "tests", "bench", "library.c")], check=True)
        for case in ("flat", "nested", "threads"):
            figures = {way: [] for way in WAYS}
            for _ in range(TURNS):
                for way in WAYS:
                    figures[way].append(measure(program, case, way, top))
            print_case(case, figures)
    if not UFTRACE:
        print("uftrace is not installed: no comparison")


if __name__ == "__main__":
    main()
