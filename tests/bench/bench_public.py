#!/usr/bin/env python3
"""What a program's own stamps and timers cost it (libhark): nanoseconds each, in a trace and without a
session, beside a stamped call of a function and a logged message in the same run. `make bench` runs it."""
import json
import os
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "preload"))
import harness  # noqa: E402  pylint: disable=wrong-import-position

TURNS = int(os.environ.get("BENCH_PAIRS", "5"))


def measure(program, ways, top):
    env = harness.environment(os.path.join(top, "runtime"))
    done = subprocess.run([*ways, program], env=env, cwd=top, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return json.loads(done.stdout)


def main():
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as top:
        program = os.path.join(top, "public")
        subprocess.run(["gcc", "-O2", "-finstrument-functions", f"-I{ROOT}", "-o", program,
                        os.path.join(ROOT, "tests", "bench", "public.c"),
                        os.path.join(harness.BUILD, "libhark.a")], check=True)
        trace = [harness.HARK, "run", "--stamp", "trace", "--to", "file:log"]
        figures = {"in a trace": [], "no session": []}
        for _ in range(TURNS):
            figures["in a trace"].append(measure(program, trace, top))
            figures["no session"].append(measure(program, [], top))
        print(f"median of {TURNS}, ns each: a stamped call, a timer's interval, a stamp, a message")
        for way, rows in figures.items():
            print(f"  {way:<11}", "".join(f"{key:>8} {statistics.median(row[key] for row in rows):7.2f}"
                                          for key in ("call", "timer", "stamp", "log")), flush=True)


main()
