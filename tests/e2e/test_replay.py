#!/usr/bin/env python3
"""`hark replay`: calls in the order of time, and what the program said between them. Speaks TAP."""
# limit: 400

import json
import os
import re
import signal

import cli

SOURCE = os.path.join(cli.harness.ROOT, "tests", "e2e", "guests", "said.c")

# What said.c does: each line without its margin. D is a duration.
WHOLE = """
main() {
  T  INFO   starting
  load() {
    parse() {
      step(); D
      T  ERROR  ERROR: line 7
      step(); D
    } /* parse */ D
  } /* load */ D
} /* main */ D
"""
DEAD = """
main() {
  T  INFO   starting
  load() {
    parse() {
      step(); D
      T  ERROR  ERROR: line 7
      ✗ died inside main › load › parse
    } /* parse: died */ D
  } /* load: died */ D
} /* main: died */ D
"""


def recorded(home, *args):
    program = os.path.join(home.top, "said")
    cli.harness.cc("-O1", "-g", "-finstrument-functions", "-pthread", "-D_GNU_SOURCE", "-o",
                   program, SOURCE)
    done = home.run("run", "--stamp", "trace", "--to", "file:log", program, *args)
    dead = args == ("die",)
    assert done.returncode == (-signal.SIGKILL if dead else 0), done
    # A killed program waits for nobody: the session's messages are whole when it has ended.
    cli.wait_for(lambda: not os.path.isdir(home.runtime) or not os.listdir(home.runtime))


def replay(home, *options, **env):
    done = home.run("replay", *options, env=env)
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout


def shape(text):
    """Without margins, with what differs from run to run by its letter."""
    lines = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        margin, _, rest = line.partition("│ ")
        duration = re.fullmatch(r" *\d+\.\d{3} (us|ms|s) (?: +\d+)? *", margin)
        assert duration or not margin.replace(" ", "").strip("0123456789"), line
        rest = re.sub(r"\d\d:\d\d:\d\d\.\d{3}", "T", rest)
        lines.append(rest + (" D" if duration else ""))
    return "\n" + "\n".join(lines) + "\n"


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


@cli.case
def time_line(home, expect):
    recorded(home)
    text = replay(home)
    expect.same(shape(text), WHOLE, "lines")
    expect("\033" not in text, "colour without a terminal")
    outer = re.search(r"([\d.]+) ms +│ } /\* main \*/", text)
    expect(outer and float(outer[1]) >= 8, f"four sleeps of 2 ms: {text}")


@cli.case
def death(home, expect):
    recorded(home, "die")
    expect.same(shape(replay(home)), DEAD, "lines")
    rows = objects(replay(home, "--format", "json"))
    deaths = [r["inside"] for r in rows if r["type"] == "death"]
    expect.same(deaths, [["parse", "load", "main"]], "inside what")
    expect.same([r["end"] for r in rows if r["type"] == "leave"],
                ["returned", "died", "died", "died"], "ends")


@cli.case
def as_json(home, expect):
    recorded(home)
    rows = objects(replay(home, "--format", "json"))
    expect.same([r.get("function", r.get("msg")) for r in rows],
                ["main", "starting", "load", "parse", "step", "step", "ERROR: line 7", "step", "step",
                 "parse", "load", "main"], "order")
    expect.same([r["time"] for r in rows], sorted(r["time"] for r in rows), "times")
    stack, pids = [], {r["pid"] for r in rows}
    expect.same(len(pids), 1, "processes")
    for row in rows:
        if row["type"] == "enter":
            expect.same(row["depth"], len(stack), "depth")
            stack.append(row["function"])
        elif row["type"] == "leave":
            expect.same(stack.pop(), row["function"], "what is left")
            expect(0 <= row["self_ns"] <= row["total_ns"], f"times: {row}")
            expect.same((row["module"], row["end"]), ("said", "returned"), "where, how")
            expect(row["file"].endswith("said.c") and row["line"] > 10, f"source: {row}")
    said = [(r["level"], r["msg"], r["source"]) for r in rows if r["type"] == "message"]
    expect.same(said, [("info", "starting", "stderr"), ("error", "ERROR: line 7", "stderr")], "said")


@cli.case
def parts_of_it(home, expect):
    recorded(home)

    def functions(*options):
        return [r["function"] for r in objects(replay(home, "--format", "json", *options))
                if r["type"] == "enter"]

    expect.same(functions("--depth", "2"), ["main", "load"], "--depth")
    expect.same(functions("--filter", "parse"), ["parse", "step", "step"], "--filter")
    expect.same(functions("--notrace", "par*"), ["main", "load"], "--notrace")
    expect.same(functions("--min-time", "1ms"), ["main", "load", "parse"], "--min-time")
    expect.same(functions("--module", "nothing*"), [], "--module")
    moved = os.path.join(home.top, "elsewhere")
    os.rename(os.path.join(home.top, "hark.data"), moved)
    expect.same(functions("--data", moved, "--depth", "1"), ["main"], "--data")


@cli.case
def threads(home, expect):
    recorded(home, "threads")
    rows = objects(replay(home, "--format", "json"))
    tids = [r["tid"] for r in rows if r.get("function") in ("main", "work") and r["type"] == "enter"]
    expect.same(len(set(tids)), 2, "threads")
    text = replay(home)
    for tid, name in zip(tids, ("main", "work")):
        expect(re.search(rf" {tid} │ {name}\(\) {{", text), f"{name} of {tid}: {text}")
    expect(text.index("work()") < text.index("} /* main */"), "they are merged")
    apart = replay(home, "--by-thread")
    expect(apart.index("work()") > apart.index("} /* main */"), "one after the other")
    expect.same(len(re.findall(r"^# thread \d+ of process \d+: said$", apart, re.M)), 2, "headings")
    only = objects(replay(home, "--format", "json", "--tid", str(tids[1])))
    expect.same([r["function"] for r in only if r["type"] == "enter"], ["work", "step"], "--tid")


@cli.case
def colours(home, expect):
    recorded(home)
    text = replay(home, CLICOLOR_FORCE="1")
    expect("\033[33m" in text and "\033[1;31m ERROR " in text, "CLICOLOR_FORCE")
    expect.same(shape(re.sub(r"\033\[[\d;]*m", "", text)), WHOLE, "the same lines")
    expect("\033" not in replay(home, NO_COLOR="1", CLICOLOR_FORCE="1"), "NO_COLOR")


@cli.case
def refusals(home, expect):
    expect.refused(home.run("replay"), 125, "hark.data")
    expect.refused(home.run("replay", "--format", "xml"), 125, "xml", "text", "json")
    expect.refused(home.run("replay", "--depth", "0"), 125, "--depth 0")
    expect.refused(home.run("replay", "x"), 125, "x")


if __name__ == "__main__":
    cli.main(__doc__)
