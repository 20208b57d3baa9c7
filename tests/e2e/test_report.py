#!/usr/bin/env python3
# limit: 400
"""hark report, graph and diff: what they say of programs that count their own calls, and of those
that were killed. What the figures mean is held by tests/unit/test_table.c.

Speaks TAP.
"""

import json
import os
import random
import signal

import cli
from counting import GUESTS, compiled, counts_in

KEYS = ("function module file line calls total_ns self_ns min_ns avg_ns p50_ns p99_ns max_ns threads "
        "method").split()


def record(home, program, case, *more, mode="trace", data="hark.data"):
    """Runs it: (exit status, what it counted)."""
    ledger = os.path.join(home.top, "ledger")
    if os.path.exists(ledger):
        os.unlink(ledger)
    done = home.run("run", "--stamp", mode, "--data", data, program, case, ledger, *more)
    return done.returncode, counts_in(ledger)


def objects(home, expect, *words):
    done = home.run(*words, "--format", "json")
    expect.same((done.returncode, done.stderr), (0, ""), " ".join(words))
    return [json.loads(line) for line in done.stdout.splitlines()]


def calls(rows):
    return {row["function"]: row["calls"] for row in rows}


# ---- report -------------------------------------------------------------------------------------

@cli.case
def every_call_is_counted(home, expect):
    """Traces and profiles of recursion, callbacks, longjmp, handlers, threads, coroutines, fork."""
    program = compiled(home.top, "stamps.c", "stamps")
    for mode in ("trace", "profile"):
        for case in ("fib", "deep", "qsort", "longjmp", "signals", "threads", "coroutines", "fork"):
            _, counted = record(home, program, case, mode=mode)
            rows = objects(home, expect, "report")
            expect.same(calls(rows), counted, f"{mode} of {case}")
            for row in rows:
                expect.same(list(row), KEYS, "keys and their order")
                expect(row["min_ns"] <= row["p50_ns"] <= row["p99_ns"] <= row["max_ns"]
                       and row["self_ns"] <= row["total_ns"] or row["calls"] > 1, f"{row}")


@cli.case
def names_files_and_lines(home, expect):
    program = compiled(home.top, "stamps.c", "stamps")
    record(home, program, "fib")
    row = objects(home, expect, "report")[0]
    with open(os.path.join(GUESTS, "stamps.c"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    place = next(i for i, line in enumerate(lines, 1) if line.startswith("OWN static int fib"))
    expect.same((row["function"], row["module"], row["method"], row["threads"]),
                ("fib", "stamps", "entry", 1), "fib")
    expect(row["file"].endswith("stamps.c") and place <= row["line"] <= place + 1, f"{row}")


@cli.case
def text_is_a_table(home, expect):
    program = compiled(home.top, "stamps.c", "stamps")
    record(home, program, "qsort")
    rows = objects(home, expect, "report", "--sort", "calls")
    done = home.run("report", "--sort", "calls")
    lines = done.stdout.splitlines()
    expect.same(lines[0].split(), "TOTAL SELF CALLS MIN AVG P50 P99 MAX THREADS FUNCTION".split(),
                "heading")
    expect.same([line.split()[-2] for line in lines[1:]], [row["function"] for row in rows], "rows")
    expect.same([int(line.split()[4].replace(",", "")) for line in lines[1:]],
                sorted((row["calls"] for row in rows), reverse=True), "calls, the most first")
    # each stands where the heading says: a function's name begins below its heading
    column = lines[0].index("FUNCTION")
    for line, row in zip(lines[1:], rows):
        expect(line[column:].startswith(row["function"]) and line[column - 1] == " ", line)


@cli.case
def filters(home, expect):
    program = compiled(home.top, "stamps.c", "stamps")
    _, counted = record(home, program, "qsort")
    everything = calls(objects(home, expect, "report"))
    some = sorted(everything)[0]
    left = calls(objects(home, expect, "report", "--notrace", some))
    expect(some not in left and set(left) < set(everything), f"without {some}: {left}")
    expect.same(calls(objects(home, expect, "report", "--filter", "*")), counted, "all")
    expect.same(calls(objects(home, expect, "report", "--module", "stamps")), counted, "the program's")
    done = home.run("report", "--module", "libnothing*")
    expect.same((done.returncode, done.stdout), (0, ""), "no function of that module")
    expect("holds no calls" in done.stderr, done.stderr)
    done = home.run("report", "--tid", "1")
    expect("holds no calls" in done.stderr, done.stderr)
    outermost = calls(objects(home, expect, "report", "--depth", "1"))
    expect(outermost and set(outermost) < set(everything), f"outermost: {outermost}")
    done = home.run("report", "--min-time", "1h")
    expect.same((done.returncode, done.stdout), (0, ""), "calls of an hour")


@cli.case
def refusals(home, expect):
    """No trace, another version, bad options: each with a sentence that says what to do."""
    expect.refused(home.run("report"), 125, "hark.data", "hark run --stamp trace")
    expect.refused(home.run("graph", "--data", "nowhere"), 125, "nowhere")
    expect.refused(home.run("report", "--sort", "totl"), 125, "totl", "total")
    expect.refused(home.run("report", "--format", "xml"), 125, "xml", "json")
    expect.refused(home.run("graph", "what"), 125, "what")
    expect.refused(home.run("diff", "hark.data"), 125, "two traces")
    expect.refused(home.run("diff", "a", "b", "c"), 125, "c")
    os.mkdir(os.path.join(home.top, "hark.data"))
    expect.refused(home.run("report"), 125, "hark.data")
    home.file("hark.data/trace", "hark-trace=7\nmode=trace\n")
    for verb in ("report", "graph"):
        expect.refused(home.run(verb), 125, "version 7", "version 1")
    expect.refused(home.run("report", "--diff", "hark.data"), 125, "version 7")


# ---- those that were killed ---------------------------------------------------------------------

@cli.case
def where_it_died(home, expect):
    """S10: SIGKILL at a random moment: every call but the one in flight, and the calls that were
    open."""
    program = compiled(home.top, "stamps.c", "stamps")
    rng = random.Random(4)
    for turn in range(5):
        status, counted = record(home, program, "killed", str(rng.randrange(500, 20000)))
        expect.same(status, -signal.SIGKILL, "exit status")
        done = home.run("report", "--format", "json")
        got = calls(json.loads(line) for line in done.stdout.splitlines())
        expect(all(0 <= got.get(name, 0) - counted[name] <= 1 for name in counted),
               f"turn {turn}: {got}, counted {counted}")
        expect.same(done.stderr.count("died inside forever"), 1, done.stderr)
        expect.same(home.run("report").stdout.count("died inside forever"), 1, "in the text")


@cli.case
def dies_once_in_whatever_mode(home, expect):
    """Who goes on in another mode, since `hark set`, has not died there, and is one thread."""
    program = compiled(home.top, "stamps.c", "stamps")
    ledger = os.path.join(home.top, "ledger")
    child = home.start("run", "--stamp", "trace", program, "forever", ledger)
    for mode in "flight", "profile", "trace", None:
        before = counts_in(ledger).get("fib", 0) if os.path.exists(ledger) else 0
        cli.wait_for(lambda least=before: os.path.exists(ledger) and os.path.getsize(ledger) and
                     counts_in(ledger).get("fib", 0) > least + 100000)
        if mode:
            expect.same(home.run("set", str(child.pid), f"stamp={mode}").returncode, 0, mode)
    child.kill()
    child.wait(cli.LIMIT)
    done = home.run("report", "--format", "json")
    expect.same(done.stderr.count("died inside"), 1, done.stderr)
    threads = {row["threads"] for row in map(json.loads, done.stdout.splitlines())}
    expect.same(threads, {1}, "threads")


@cli.case
def a_torn_end_is_told(home, expect):
    program = compiled(home.top, "stamps.c", "stamps")
    record(home, program, "fib")
    whole = calls(objects(home, expect, "report"))
    image = os.path.join(home.top, "hark.data", "image.1")
    with open(image, "r+b") as file:
        file.truncate(112 + 8 * 5 + 4)
    done = home.run("report", "--format", "json")
    expect.same(done.returncode, 0, "exit status")
    expect("cannot be read" in done.stderr and "image.1" in done.stderr, done.stderr)
    got = sum(calls(json.loads(line) for line in done.stdout.splitlines()).values())
    expect(0 < got < sum(whole.values()), f"{got} calls")


@cli.case
def built_again_since(home, expect):
    """Names are not taken from another file than ran, and it is said why there are none."""
    program = compiled(home.top, "stamps.c", "stamps")
    record(home, program, "fib")
    os.replace(compiled(home.top, "stamps.c", "again", "-O1"), program)
    done = home.run("report", "--format", "json")
    rows = list(map(json.loads, done.stdout.splitlines()))
    expect(len(rows) == 1 and rows[0]["function"].startswith("0x"), f"{rows}")
    expect("have no names" in done.stderr and "is not the file that ran" in done.stderr, done.stderr)
    os.unlink(program)
    done = home.run("replay")
    expect("have no names" in done.stderr and "No such file" in done.stderr, done.stderr)
    program = compiled(home.top, "stamps.c", "nameless", "-Wl,--build-id=none")
    record(home, program, "fib")
    expect.same(home.run("report").stderr.count("have no names"), 0, "without a build-id")
    os.utime(program)
    done = home.run("report", "--format", "json")
    expect(json.loads(done.stdout.splitlines()[0])["function"].startswith("0x"), done.stdout)
    expect("nameless was written again after it ran" in done.stderr, done.stderr)


# ---- graph --------------------------------------------------------------------------------------

@cli.case
def a_tree_holds_every_call(home, expect):
    program = compiled(home.top, "stamps.c", "stamps")
    for case in ("fib", "qsort", "deep", "threads"):
        _, counted = record(home, program, case)
        nodes = objects(home, expect, "graph")
        got = {}
        for node in nodes:
            got[node["function"]] = got.get(node["function"], 0) + node["calls"]
        expect.same(got, counted, f"{case}: calls")
        by_id = {node["id"]: node for node in nodes}
        below = dict.fromkeys(by_id, 0)
        for node in nodes:
            if node["parent"] is None:
                expect.same(node["depth"], 0, "depth of the outermost")
            else:
                expect.same(node["depth"], by_id[node["parent"]]["depth"] + 1, "depth")
                below[node["parent"]] += node["total_ns"]
        for node in nodes:
            expect.same(node["total_ns"] - below[node["id"]], node["self_ns"], f"{node}")
        drawn = home.run("graph").stdout.splitlines()
        expect.same(len(drawn), len(nodes) + 1, f"{case}: a line for each path")


@cli.case
def callers_and_callees(home, expect):
    program = compiled(home.top, "stamps.c", "stamps")
    _, counted = record(home, program, "fib")
    for mode in ("trace", "profile"):
        record(home, program, "fib", mode=mode)
        row, = objects(home, expect, "graph", "--function", "fi?")
        expect.same((row["function"], row["calls"]), ("fib", counted["fib"]), mode)
        expect.same([(a["function"], a["calls"]) for a in row["callers"]],
                    [(None, 1), ("fib", counted["fib"] - 1)], "callers")
        expect.same([(a["function"], a["calls"]) for a in row["callees"]],
                    [("fib", counted["fib"] - 1)], "callees")
        text = home.run("graph", "--function", "fib").stdout
        expect("called by (outside)" in text and "calls fib" in text, text)
    done = home.run("graph", "--function", "nobody")
    expect.same((done.returncode, done.stdout), (1, ""), "a function that is not there")
    expect("nobody" in done.stderr, done.stderr)


@cli.case
def a_profile_has_edges_alone(home, expect):
    program = compiled(home.top, "stamps.c", "stamps")
    _, counted = record(home, program, "qsort", mode="profile")
    got = {}
    for arc in objects(home, expect, "graph"):
        got[arc["function"]] = got.get(arc["function"], 0) + arc["calls"]
    expect.same(got, counted, "calls")
    expect("no call paths" in home.run("graph").stdout, "it says so")


# ---- diff ---------------------------------------------------------------------------------------

@cli.case
def a_profile_of_who_exits(home, expect):
    """The calls that exit was called from took their time, too."""
    program = compiled(home.top, "stamps.c", "stamps")
    for way in "exit", "_exit", "quick_exit":
        status, counted = record(home, program, "leaves", way, mode="profile")
        expect.same((status, counted["leaves_by"]), (3, 1), way)
        rows = {row["function"]: row for row in objects(home, expect, "report")}
        expect.same(rows["leaves_by"]["calls"], 1, f"{way}: calls")
        expect(rows["leaves_by"]["total_ns"] > rows["fib"]["total_ns"] > 0, f"{way}: {rows}")
        expect(0 < rows["leaves_by"]["self_ns"] < rows["leaves_by"]["total_ns"], f"{way}: {rows}")


@cli.case
def a_profile_of_too_many_pairs(home, expect):
    """More callers and callees than there is room for: what is not shown is counted, and said."""
    many = 260
    functions = "\n".join(f"void f{i}(int n) {{ all(n); }}" for i in range(many))
    names = ", ".join(f"f{i}" for i in range(many))
    source = os.path.join(home.top, "pairs.c")
    with open(source, "w", encoding="ascii") as file:
        file.write(f"__attribute__((no_instrument_function)) static void all(int n);\n{functions}\n"
                   f"static void (*table[])(int) = {{ {names} }};\n"
                   f"static void all(int n) {{ for (int i = 0; n && i < {many}; i++) table[i](n - 1); }}\n"
                   "__attribute__((no_instrument_function)) int main() { all(2); return 0; }\n")
    program = compiled(home.top, source, "pairs", "-O0")
    home.run("run", "--stamp", "profile", program)
    for verb in "report", "graph":
        done = home.run(verb, "--format", "json")
        shown = sum(json.loads(line)["calls"] for line in done.stdout.splitlines())
        told = int(done.stderr.split("calls are not shown")[0].split()[-1].replace(",", ""))
        expect.same(shown + told, many + many * many, f"{verb}: {done.stderr}")
        expect(told > 0, f"{verb}: {told}")


@cli.case
def what_changed(home, expect):
    program = compiled(home.top, "stamps.c", "stamps")
    _, before = record(home, program, "fib", data="a")
    _, after = record(home, program, "qsort", data="b")
    rows = objects(home, expect, "diff", "a", "b")
    expect.same({r["function"]: r["before"]["calls"] for r in rows if r["before"]}, before, "before")
    expect.same({r["function"]: r["after"]["calls"] for r in rows if r["after"]}, after, "after")
    expect.same(sorted(r["function"] for r in rows), sorted(set(before) | set(after)), "once each")
    expect.same(objects(home, expect, "report", "--data", "a", "--diff", "b"), rows, "report --diff")
    changes = [abs((r["after"] or {"total_ns": 0})["total_ns"]
                   - (r["before"] or {"total_ns": 0})["total_ns"]) for r in rows]
    expect.same(changes, sorted(changes, reverse=True), "the greatest change first")
    same = home.run("diff", "a", "a").stdout.splitlines()
    expect.same(len(same), len(before) + 1, "rows of the same trace twice")
    expect(all(line.split()[4:10:2] == ["0", "0", "0"] for line in same[1:]), f"{same}")


cli.main(__doc__)
