#!/usr/bin/env python3
"""Public stamps and timers (libhark): what `hark stamps` and the readers of traces show of them. Speaks
TAP."""
# limit: 400

import json
import os
import signal
import subprocess

import cli

ROOT, BUILD = cli.harness.ROOT, cli.harness.BUILD
SHIM = os.path.join(BUILD, "libhark-preload.so")


def built(home, source, *flags):
    """Instrumented, and with the library; --static among the flags: neither shared library nor stamps
    of functions."""
    path = os.path.join(home.top, "program")
    static = "-static" in flags
    library = ([os.path.join(BUILD, "libhark.a")] if static else
               ["-finstrument-functions", f"-L{BUILD}", "-lhark", f"-Wl,-rpath,{BUILD}"])
    cli.harness.cc("-O1", "-g", "-pthread", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}", "-o", path,
                   os.path.join(ROOT, "tests", "e2e", "guests", source), *flags, *library)
    return path


def record(home, program, *args, wanted=0):
    done = home.run("run", "--stamp", "trace", "--to", "file:log", program, *args)
    assert done.returncode == wanted, done
    if wanted:
        cli.wait_for(lambda: not os.path.isdir(home.runtime) or not os.listdir(home.runtime))
    return done.stdout


def rows(home, *options, verb="stamps"):
    done = home.run(verb, "--format", "json", *options)
    assert done.returncode == 0 and not done.stderr, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def texts(found):
    return [(row["step"], row["text"]) for row in found if row["type"] == "stamp"]


def timers(found):
    return sorted((row["timer"], row["count"]) for row in found if row["type"] == "timer")


THREADS = [(1, "chunking complete")] + 4 * [(3, "a part is done")] + [(4, "all parts are done")]


@cli.case
def threads(home, expect):
    said = record(home, built(home, "stamping.c"), "threads")
    expect.same(said, "first 1 step 1\ncount 4001 last 10 ordered 1\n", "what the program sees")
    found = rows(home)
    expect.same(texts(found), THREADS, "by step")
    expect.same(timers(found), [("work", 4001)], "timers")
    expect.same(texts(rows(home, "--sort", "time")), THREADS, "by time: the same here")
    stamps = [row for row in found if row["type"] == "stamp"]
    expect.same(sorted(row["id"] for row in stamps), [1, 2, 3, 4, 5, 6], "ids")
    expect.same(len({row["tid"] for row in stamps}), 5, "threads")
    expect.same(len({row["pid"] for row in stamps}), 1, "processes")
    times = [row["time"] for row in rows(home, "--sort", "time") if row["type"] == "stamp"]
    expect.same(times, sorted(times), "times")
    timer = found[-1]
    expect(timer["min_ns"] <= timer["avg_ns"] <= timer["max_ns"] <= timer["total_ns"], timer)
    expect.same(len(timer["last_ns"]), 10, "the last ones")


@cli.case
def on_the_time_line(home, expect):
    record(home, built(home, "stamping.c"))
    lines = []
    for row in rows(home, verb="replay"):
        if row["type"] in ("enter", "leave"):
            lines.append((row["type"], row["function"]))
        else:
            lines.append((row["type"], row.get("text") or row.get("timer")))
    expect.same(lines, [("enter", "main"), ("enter", "measured"), ("timer", "work"),
                        ("leave", "measured"), ("enter", "stamped"), ("stamp", "chunking complete"),
                        ("leave", "stamped"), ("enter", "show"), ("leave", "show"),
                        ("leave", "main")], "order")
    text = home.run("replay").stdout
    expect("◆ chunking complete  (step 1, id 1)" in text, text)
    expect("◷ work  (number 1, the last: 1 time, " in text, text)
    table = home.run("stamps").stdout.splitlines()
    expect(table[1].split()[:2] == ["1", "1"] and table[1].endswith("  chunking complete"), table)
    expect(table[-1].startswith("work ") and "  1 time, " in table[-1], table)


@cli.case
def exports(home, expect):
    record(home, built(home, "stamping.c"))

    def exported(name):
        done = home.run("export", "--format", name, "-o", "-")
        expect.same(done.returncode, 0, done.stderr)
        return done.stdout

    events = json.loads(exported("chrome"))["traceEvents"]
    stamp = [event for event in events if event["ph"] == "i"]
    expect.same([(event["cat"], event["name"], event["args"]) for event in stamp],
                [("stamp", "chunking complete", {"id": 1, "step": 1})], "chrome: stamps")
    begin, end = [event for event in events if event["ph"] in "be"]
    expect.same((begin["name"], end["name"], begin["id"]), ("work", "work", end["id"]), "chrome: timer")
    expect.same(end["args"]["count"], 1, "chrome: figures")
    call = next(event for event in events if event["name"] == "measured")
    expect(call["ts"] <= begin["ts"] <= end["ts"] <= call["ts"] + call["dur"], "chrome: within its call")
    packets = home.run("export", "--format", "perfetto", "-o", "p").returncode
    expect.same(packets, 0, "perfetto")
    with open(os.path.join(home.top, "p"), "rb") as file:
        data = file.read()
    expect(b"chunking complete" in data and b"took_ns" in data, "perfetto: both")
    expect.same(home.run("export", "--format", "ctf", "-o", "c").returncode, 0, "ctf")
    shown = subprocess.run(["babeltrace2", os.path.join(home.top, "c")], capture_output=True, text=True,
                           check=True).stdout
    expect('stamp: ' in shown and 'text = "chunking complete"' in shown, shown)
    expect('timer: ' in shown and 'name = "work"' in shown, shown)


@cli.case
def fork(home, expect):
    record(home, built(home, "stamping.c"), "fork")
    found = rows(home)
    expect.same(texts(found), [(1, "chunking complete"), (3, "in the child"), (4, "in the parent")],
                "stamps")
    expect.same(timers(found), [("work", 2), ("work", 2)], "a child begins with 0")
    expect.same(len({row["pid"] for row in found}), 2, "processes")


@cli.case
def killed(home, expect):
    record(home, built(home, "stamping.c"), "die", wanted=-signal.SIGKILL)
    found = rows(home)
    expect.same((texts(found), timers(found)), ([(1, "chunking complete")], [("work", 1)]), "all")


@cli.case
def static(home, expect):
    program = built(home, "stamping.c", "-static")
    said = record(home, program, "threads")
    expect.same(said, "first 1 step 1\ncount 4001 last 10 ordered 1\n", "what the program sees")
    found = rows(home)
    expect.same((texts(found), timers(found)), (THREADS, [("work", 4001)]), "all")
    done = subprocess.run([program], capture_output=True, text=True, cwd=home.top, check=False)
    expect.same((done.returncode, done.stdout), (0, "first -107 step 0\nerror -107\n"), "alone")


@cli.case
def bare(home, expect):
    program = built(home, "stamping.c")
    env = home.env(LD_PRELOAD=SHIM, HARK_STAMP="trace", HARK_SINKS="file:log")
    done = subprocess.run([program, "threads"], capture_output=True, text=True, cwd=home.top, env=env,
                          timeout=cli.LIMIT, check=False)
    expect.same((done.returncode, done.stdout),
                (0, "first 1 step 1\ncount 4001 last 10 ordered 1\n"), "what the program sees")
    found = rows(home)
    expect.same((texts(found), timers(found)), (THREADS, [("work", 4001)]), "all")


@cli.case
def without_a_session(home, expect):
    done = subprocess.run([built(home, "stamping.c"), "threads"], capture_output=True, text=True,
                          cwd=home.top, check=False)
    expect.same(done.returncode, 3, "the worker's stamp is refused")
    done = subprocess.run([os.path.join(home.top, "program")], capture_output=True, text=True,
                          cwd=home.top, check=False)
    expect.same((done.returncode, done.stdout), (0, "first -107 step 0\nerror -107\n"), "alone")
    expect.same(sorted(os.listdir(home.top)).count("hark.data"), 0, "no trace")


@cli.case
def without_a_trace(home, expect):
    done = home.run("run", "--to", "file:log?format=json", "--to", "file:named?format=json&source=stamp",
                    built(home, "stamping.c"))
    expect.same((done.returncode, done.stdout), (0, "first 1 step 1\ncount 1 last 1 ordered 1\n"),
                "what the program sees")
    with open(os.path.join(home.top, "named"), encoding="utf-8") as file:
        named = [json.loads(line) for line in file]
    expect.same([(row["msg"], row["source"], row["fields"], "seq" in row) for row in named],
                [("chunking complete", "stamp", {"id": 1, "step": 1}, False)], "source=stamp")
    log = os.path.join(home.top, "log")
    expect(not os.path.exists(log) or not os.path.getsize(log), "other sinks")


@cli.case
def cplusplus(home, expect):
    said = record(home, built(home, "stamping.cc"))
    found = rows(home)
    expect.same((said, texts(found), timers(found)), ("2\n", [(1, "caught")], [("parsing", 2)]), "all")


@cli.case
def nothing_there(home, expect):
    done = home.run("stamps")
    expect("there is no trace" in done.stderr and done.returncode == 125, done)
    record(home, "/bin/true")
    done = home.run("stamps")
    expect.same((done.returncode, done.stdout), (0, ""), "of a program that knows nothing of hark")
    expect("holds no stamps and no timers" in done.stderr, done)
    for options in (["--sort", "colour"], ["--format", "xml"], ["more"], ["--nonsense"]):
        done = home.run("stamps", *options)
        expect(done.returncode == 125 and options[-1] in done.stderr, done)


if __name__ == "__main__":
    cli.main(__doc__)
