#!/usr/bin/env python3
"""What a message costs beside others: 1 to 64 processes that write flat out, into one raw file.

For each number of writers: the time from the first message to the last writer's end, a message; what
of it is a writer's own processor time; and the same for direct writes to a file with O_APPEND.
`make bench` runs it.
"""
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "preload"))
import harness  # noqa: E402  pylint: disable=wrong-import-position

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "1024000"))
TURNS = 3


def crowd(program, writers, folder, hark):
    out = os.path.join(folder, "out")
    argv = [program, str(writers), "1", str(MESSAGES // writers)]
    if hark:
        argv = [harness.HARK, "run", "--to", f"file:{out}?format=raw", "--", *argv]
    with open(os.devnull if hark else out, "ab") as err:
        done = subprocess.run(argv, env=harness.environment(folder), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=err, check=True)
    while any(entry.is_dir() for entry in os.scandir(folder)):
        pass  # the session's directory: what was said is on its way
    os.unlink(out)
    report = json.loads(done.stdout)
    return report["elapsed_ns"] / MESSAGES, report["cpu_ns"] / MESSAGES


def main():
    program = harness.build("../stress/crowd.c", extra=("-O2",))
    print("writers     under hark: elapsed, own cpu       direct: elapsed, own cpu      ratio")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as top:
        for writers in 1, 2, 4, 8, 16, 32, 64:
            turns = [[crowd(program, writers, top, hark) for hark in (True, False)]
                     for _ in range(TURNS)]
            ours, direct = (min(turn[i] for turn in turns) for i in (0, 1))
            print(f"{writers:7} {ours[0]:20.0f} ns {ours[1]:8.0f} ns {direct[0]:16.0f} ns "
                  f"{direct[1]:8.0f} ns {ours[0] / direct[0]:10.2f}", flush=True)


main()
