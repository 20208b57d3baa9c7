#!/usr/bin/env python3
"""hark run --sample of programs that were not made for this test: what their flame graphs begin with, and
functions that somebody who knows the program looks for. Speaks TAP."""

import os
import shutil

import cli
from sampling import run

SCRIPT = """
import json, re
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
rows = [{'id': i, 'name': 'item-%d' % i} for i in range(4000)]
for _ in range(4):
    back = [json.loads(json.dumps(r)) for r in rows]
    sum(int(re.match(r'(\\\\w+)-(\\\\d+)', r['name']).group(2)) for r in back)
    fib(18)
"""
MAIN = "_start;__libc_start_main;__libc_start_call_main;main;"
THREAD = "clone3;start_thread;"
LOST = ("[unknown caller]", "[deeper]")


def text(home):
    path = os.path.join(home.top, "text")
    with open(path, "w", encoding="ascii") as file:
        for i in range(120000):
            file.write(f"line {i} of {i * 7919 % 100003}: the quick {i % 97} brown foxes\n")
    return path


def beginnings(home, program, data):
    """Samples by what stands at the outer end of their stacks, and all functions."""
    folded = home.run("export", "--format", "folded", "--data", data, "-o", "-").stdout
    count, functions = {}, set()
    for line in folded.splitlines():
        stack, ns = line.rsplit(" ", 1)
        names = stack.split(";")[1:]
        functions.update(names)
        whole = ";".join(names) + ";"
        found = next((b for b in program if whole.startswith(b)), names[0] if names else "")
        count[found] = count.get(found, 0) + int(ns)
    return count, functions


def check(home, expect, data, argv, begins, looked_for, needs=None):
    if not all(shutil.which(word) for word in needs or argv[:1]):
        print(f"# {argv[0]}: left out: it is not installed", flush=True)
        return
    why = home.run("run", "--sample", "cpu@99:kernel", "--data", "probe", "true").stderr
    if why:
        print(f"# {argv[0]}: left out: {why.strip()}", flush=True)
        return
    bearable = .3 if data == "go" else .03

    def measure():
        _, _, _, found = run(home, "cpu@1999", *argv, data=data)
        return found, *beginnings(home, begins, data)

    def part(count, ends):
        return sum(count.get(end, 0) for end in ends) / max(1, sum(count.values()))

    def good(measured):
        return part(measured[1], begins) > .8 and part(measured[1], LOST) < bearable
    found, count, functions = cli.best(measure, good)
    expect(len(found.samples) > 50, f"{data}: {len(found.samples)} samples")
    # what is left is the loader before the program begins, and the kernel before that
    expect(part(count, begins) > .8, f"{data}: begin so: {count}")
    expect(part(count, LOST) < bearable, f"{data}: nobody knows who called: {count}")
    expect(set(looked_for) <= functions, f"{data}: {sorted(functions)[:60]} lack {looked_for}")


@cli.case
def python3(home, expect):
    script = os.path.join(home.top, "script.py")
    with open(script, "w", encoding="ascii") as file:
        file.write(SCRIPT)
    # Debian's, whose main() jumps to Py_BytesMain()
    check(home, expect, "python", ["/usr/bin/python3", script],
          ["_start;__libc_start_main;__libc_start_call_main;"], ["_PyEval_EvalFrameDefault", "Py_RunMain"])


@cli.case
def xz_with_threads(home, expect):
    path = text(home)
    check(home, expect, "xz", ["xz", "-1", "-T2", "--block-size=1MiB", "-k", path], [MAIN, THREAD],
          ["lzma_code"])


@cli.case
def fzf_built_by_go(home, expect):
    """Stripped: names are those of Go's own table. Its runtime changes stacks, behind which nobody is known."""
    path = text(home)
    check(home, expect, "go", ["sh", "-c", f"exec fzf --filter=qck <{path} >/dev/null"],
          ["runtime.goexit;", MAIN],
          ["runtime.goexit", "github.com/junegunn/fzf/src.(*Pattern).Match", "runtime.mallocgc"], needs=["fzf"])


if __name__ == "__main__":
    cli.main(__doc__)
