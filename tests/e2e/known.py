"""The trace that tests/unit/export_case.h makes by hand: what must be in its exports, and they."""

import collections
import os
import subprocess

import cli

WRITER = os.path.join(cli.harness.BUILD, "tests", "unit", "test_export")
START = 1700000000123456789
EVIL = "evil</script><img src=x onerror=boom()>;\"\\\x01\ufffd"
SAID = "it <b>broke</b>: \"caf\u00e9\" \\ \x1b[31m"

# Calls of the trace made by hand: thread, fiber, path, begin, end.
CALLS = [
    (100, 0, "main", 1000, 20000), (100, 0, "main;parse", 2000, 5000),
    (100, 0, "main;parse", 6000, 9000), (100, 0, "main;parse;EVIL", 6500, 7500),
    (100, 0, "main;FACT", 10000, 10500), (100, 0, "main;FACT;FACT", 10100, 10400),
    (100, 0, "main;FACT;FACT;FACT", 10200, 10300), (100, 1, "co", 11100, 11900),
    (101, 0, "worker_main", 3000, 15000), (101, 0, "worker_main;parse", 4000, 14000),
    (200, 0, "main", 2500, 16000), (200, 0, "main;work", 3000, 4000),
]
COMM = {100: "known", 101: "worker", 200: "child"}
PID = {100: 100, 101: 100, 200: 200}


def name_of(path):
    return path.split(";")[-1].replace("EVIL", EVIL).replace("FACT", "fact(unsigned long)")


def paths():
    """(thread's name, path) -> [calls, own nanoseconds]"""
    rows = collections.defaultdict(lambda: [0, 0])
    for tid, _, path, begin, end in CALLS:
        rows[COMM[tid], path][0] += 1
        rows[COMM[tid], path][1] += end - begin
        if ";" in path:
            rows[COMM[tid], path.rpartition(";")[0]][1] -= end - begin
    return {key: tuple(row) for key, row in rows.items()}


def written(home):
    subprocess.run([WRITER, "--write", home.top], check=True, timeout=cli.LIMIT)
    return lambda suffix: os.path.join(home.top, "known" + suffix)


def read(path):
    with open(path, "rb") as file:
        return file.read()
