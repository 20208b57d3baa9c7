#!/usr/bin/env python3
"""Arguments and results of library calls (--arguments): what a program gave and got, as it says itself.

Speaks TAP.
"""

import collections
import json
import os
import tempfile

import cli
import traces

BUILT = tempfile.TemporaryDirectory(prefix="hark-values-")
NAMES = "open,openat,close,lseek,mkdir,access,malloc,free,setenv,getenv,kill,pthread_mutex_trylock,exit"


@cli.once
def program():
    path = os.path.join(BUILT.name, "values")
    cli.harness.cc("-O1", "-w", "-fno-builtin", "-D_GNU_SOURCE", "-pthread", "-o", path,
                   os.path.join(cli.harness.ROOT, "tests", "e2e", "guests", "values.c"))
    return path


def run(home, expect, calls, *command, status=0, more=("--arguments",)):
    """(lines that it said, folder of the trace)"""
    data = os.path.join(home.top, "data")
    done = home.run("run", "--calls", calls, *more, "--data", data, program(), *command)
    expect.same((done.returncode, done.stderr), (status, ""), f"{command}: status")
    return done.stdout.splitlines(), data


def shown(home, data):
    """(tid, what `hark replay` says of it) of each call, in the order of their entries"""
    rows, entered = [], collections.defaultdict(list)
    for line in home.run("replay", "--format", "json", "--data", data).stdout.splitlines():
        event = json.loads(line)
        if event["type"] == "enter":
            rows.append([event["tid"], ""])
            entered[event["tid"]].append(rows[-1])
        elif event["type"] == "leave":
            result = f" = {event['result']}" if "result" in event else ""
            entered[event["tid"]].pop()[1] = \
                f"{event['function']}({event.get('arguments', '?')}){result}"
    return rows


@cli.case
def what_the_program_gave_and_got(home, expect):
    """Strings of any bytes, too long, at a page's end and nowhere; flags, modes, signals, errors."""
    said, data = run(home, expect, NAMES, "kinds", status=7)
    said = [line.split(" = ", 1)[0] if line.startswith("exit") else line for line in said]
    got = [text for _, text in shown(home, data)]
    # stdio has a buffer of its own, and its file's name is none of ours
    expect.same([line for line in got if not line.startswith(("malloc(1024", "malloc(4096"))], said,
                "calls")


@cli.case
def threads(home, expect):
    """Each has its own: in their order, whatever the others do."""
    said, data = run(home, expect, "access", "threads", "200")
    wanted, got = collections.defaultdict(list), collections.defaultdict(list)
    for line in said:
        number, text = line.split(" ", 1)
        wanted[number].append(text)
    for tid, text in shown(home, data):
        got[tid].append(text)
    expect.same(sorted(got.values()), sorted(wanted.values()), "calls of all threads")


@cli.case
def T8_handlers_in_between(home, expect):
    """A handler's call never gets the arguments of the one that it interrupted."""
    said, data = run(home, expect, "access", "interrupted", "200")
    wanted = {line.rsplit(" ", 1)[0]: int(line.rsplit(" ", 1)[1]) for line in said}
    expect.same(dict(collections.Counter(text for _, text in shown(home, data))), wanted, "calls")


def values_in(data):
    return collections.Counter(r.kind for thread in traces.read(data).threads.values()
                               for r in thread.records if r.kind in ("arguments", "result", "entry"))


@cli.case
def only_when_asked_for(home, expect):
    """Else, and where calls are left out or only added up, nothing of them is in the trace."""
    said, data = run(home, expect, NAMES, "kinds", status=7, more=())
    count = values_in(data)
    expect.same((count["arguments"], count["result"]), (0, 0), "without --arguments")
    expect(count["entry"] >= len(said), count)
    for more, entries in ((("--min-time", "1h"), 1), (("--notrace", "access"), len(said)),
                          (("--stamp", "profile"), 0)):
        run(home, expect, NAMES, "kinds", status=7, more=("--arguments", *more))
        count = values_in(data)
        expect.same(count["arguments"], count["entry"], f"{more}: arguments, of as many calls")
        expect(count["result"] <= count["arguments"] and count["entry"] <= entries + 20,
               f"{more}: {count}")


@cli.case
def without_calls_there_are_none(home, expect):
    done = home.run("run", "--arguments", "true")
    expect.same((done.returncode, done.stderr), (0, "hark: --arguments records nothing without --calls\n"), "said")


@cli.case
def kept_calls_keep_theirs(home, expect):
    """--min-time takes short calls back with their arguments; what is long enough has its own."""
    _, data = run(home, expect, "access,kill", "kinds", status=7,
                  more=("--arguments", "--min-time", "1ns"))
    got = [text for _, text in shown(home, data)]
    expect("kill(-1234567, SIGCHLD) = -1 ESRCH" in got, got)


@cli.case
def hooks_stand_for_libcs_functions(home, expect):
    """What we interpose is called by its own name and library; what we call ourselves is not there."""
    said, data = run(home, expect, "*@libc.so*", "kinds", status=7, more=())
    rows = [json.loads(line) for line in
            home.run("report", "--format", "json", "--data", data).stdout.splitlines()]
    calls = {row["function"]: row["calls"] for row in rows}
    expect.same({row["module"] for row in rows}, {"libc.so.6"}, "modules")
    expect.same((calls.get("open"), calls.get("close")), (2, 3), "calls of open and close, as said")
    expect.same(calls.get("access"), sum(line.startswith("access") for line in said), "of access")
    expect("write" not in calls and "madvise" not in calls, f"calls of ours, or libc's own: {calls}")


@cli.case
def replay_and_exports(home, expect):
    """As text, with the result behind it; as arguments of the events in exports."""
    _, data = run(home, expect, "open,close", "kinds", status=7)
    lines = home.run("replay", "--data", data).stdout.splitlines()
    expect(any(line.endswith('open("/etc/passwd", O_RDONLY) = 3;') for line in lines), lines)
    out = os.path.join(home.top, "chrome")
    home.run("export", "--format", "chrome", "-o", out, "--data", data)
    with open(out, encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    args = [e["args"] for e in events if e.get("name") == "open"]
    expect.same({k: args[0].get(k) for k in ("arguments", "result")},
                {"arguments": '"/etc/passwd", O_RDONLY', "result": "3"}, "chrome")
    home.run("export", "--format", "perfetto", "-o", out, "--data", data)
    with open(out, "rb") as file:
        packets = file.read()
    expect(b'"/etc/passwd", O_RDONLY' in packets and b"result" in packets, "perfetto")


cli.main(__doc__)
