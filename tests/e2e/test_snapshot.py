#!/usr/bin/env python3
# limit: 400
"""Flight recorders: what they hold is kept on an error, by `hark snapshot`, and on death. Speaks TAP."""

import contextlib
import json
import os
import signal

import cli
import traces

SOURCE = os.path.join(cli.harness.ROOT, "tests", "e2e", "guests", "alarm.c")


def build(home):
    program = os.path.join(home.top, "alarm")
    if os.path.exists(program):
        return program
    cli.harness.cc("-O1", "-g", "-w", "-finstrument-functions", "-pthread", "-D_GNU_SOURCE", "-o",
                   program, SOURCE)
    return program


def flown(home, *args, flight="flight"):
    """Runs it to its end, and to that of its session."""
    done = home.run("run", "--stamp", flight, build(home), *args)
    cli.wait_for(lambda: not os.path.isdir(home.runtime) or not os.listdir(home.runtime))
    return done


def snapshots(home):
    return sorted(name for name in os.listdir(os.path.join(home.top, "hark.data"))
                  if "snapshot" in name)


def objects(home, verb, data, word=""):
    """word: of those lines that are wanted"""
    done = home.run(verb, "--data", data, "--format", "json")
    assert done.returncode == 0 and not done.stderr, done
    lines = "\n".join(line for line in done.stdout.splitlines() if word in line)
    return cli.harness.parse_objects(lines.encode())


def deaths_of(home, data):
    """Where each was."""
    return [r["inside"] for r in objects(home, "replay", data, "death") if r["type"] == "death"]


def rows_of(home, data):
    """(type, function or what was said, how it ended) in the order of time"""
    return [(r["type"], r.get("function", r.get("msg")), r.get("end"))
            for r in objects(home, "replay", data)]


@cli.case
def error_brings_its_calls(home, expect):
    """The calls before the message, the message in its place, and whose it is."""
    done = flown(home, "say")
    expect.same((done.returncode, done.stderr), (0, "ERROR: line 7\n"), "the program")
    expect.same(snapshots(home), ["snapshot.1"], "snapshots")
    data = "hark.data/snapshot.1"
    rows = rows_of(home, data)
    begin = [("enter", name, None) for name in ("main", "serve", "parse")]
    steps = [("enter", "step", None), ("leave", "step", "returned")]
    said = [("message", "ERROR: line 7", None)]
    expect.same(rows[:len(begin + 7 * steps + said)], begin + 7 * steps + said, "what was before it")
    expect(all(row[0] != "death" for row in rows), f"nobody died: {rows}")
    identity = traces.read(os.path.join(home.top, data)).identity
    with open(os.path.join(home.top, "hark.data", "messages"), encoding="utf-8") as file:
        message = json.loads(file.readline())
    expect.same([identity[key] for key in ("reason", "seq", "message_ticks", "mode", "snapshot")],
                ["message", str(message["seq"]), str(message["ticks"]), "flight", "1"], "identity")
    expect("session" not in identity, "it is no live session's")


@cli.case
def burst_shares_one(home, expect):
    flown(home, "burst")
    expect.same(snapshots(home), ["snapshot.1"], "snapshots of twenty errors")


@cli.case
def none_are_wanted(home, expect):
    program = build(home)
    for args in (("--stamp", "flight", "--snapshots", "0"), ("--stamp", "trace"),
                 ("--stamp", "flight", "--level", "crit")):
        done = home.run("run", *args, "--data", "hark.data", program, "say")
        expect.same(done.returncode, 0, "exit status")
        cli.wait_for(lambda: not os.listdir(home.runtime))
        expect.same(snapshots(home), [], f"snapshots with {args}")


def check_work(thread):
    """Each work() that is whole has fifty leaves; calls are nested as they were made. How many."""
    stack, whole, last = [], 0, 0
    for at, r in enumerate(thread.records):
        assert r.ticks + 1000000 > last, f"{last - r.ticks} back: {thread.records[at - 2:at + 2]}"
        last = r.ticks
        if r.kind == "entry":
            if stack:
                stack[-1][1] += 1
            stack.append([(r.module, r.offset), 0])
        elif r.kind == "exit" and stack:
            function, below = stack.pop()
            assert below in (0, 50), f"{below} calls in {function}"
            whole += below == 50
        elif r.kind == "exit":  # of a call from before
            assert thread.parts[0] > 0
        else:
            assert r.kind in ("end", "open"), r.kind
    return whole


@cli.case
def asked_for_in_full_flight(home, expect):
    """Copies of segments that are being written and used again are whole; nothing else is told."""
    child = home.start("run", "--stamp", "flight:64K", "--to", "file:log", build(home), "hot")
    log = os.path.join(home.top, "log")
    cli.wait_for(lambda: os.path.exists(log) and os.path.getsize(log))
    for number in range(1, 7):
        child.send_signal(signal.SIGCONT)
        done = home.run("snapshot", str(child.pid))
        child.send_signal(signal.SIGSTOP)  # it has shown what it can, and would take our time
        data = os.path.join(home.top, "hark.data", f"snapshot.{number}")
        expect.same((done.returncode, done.stdout, done.stderr), (0, data + "\n", ""), "hark snapshot")
        trace = traces.read(data)
        names = set(trace.calls())
        expect(names <= {"main", "work", "leaf"}, f"functions: {names}")
        hot = [t for t in trace.threads.values() if len(t.records) > 100]
        expect.same(len(hot), 2, "threads")
        for thread in hot:
            expect(check_work(thread) > 1, f"{len(thread.records)} records, {thread.parts}")
            expect.same(thread.records[-1].kind, "end", "how it ends")
    rows = objects(home, "report", data)
    expect(all(row["calls"] > 0 for row in rows) and len(rows) >= 2, f"report: {rows}")
    expect.same([row for row in rows_of(home, data) if row[0] == "death"], [], "deaths")
    child.send_signal(signal.SIGCONT)
    child.stdin.close()
    child.wait()


DEAD = {signal.SIGKILL: "killed", signal.SIGSEGV: "a fault", signal.SIGABRT: "abort()"}


@cli.case
def deaths_are_kept(home, expect):
    """S10: what the first to die did is there, whatever other processes do later."""
    for number, how in DEAD.items():
        done = flown(home, "die", str(int(number)), flight="flight:64K")
        expect.same(done.returncode, 0, f"{how}: exit status")
        expect.same(deaths_of(home, "hark.data"), [["parse", "serve", "main"]], f"{how}: where it died")
        text = home.run("report").stdout
        expect("died inside main › serve › parse" in text, f"{how}: {text}")


@cli.case
def threads_that_come_and_go(home, expect):
    """Who ended leaves its recorder to the next one: the disk is not filled."""
    flown(home, "storm", flight="flight:64K")
    size = os.path.getsize(os.path.join(home.top, "hark.data", "image.1"))
    expect(0 < size <= 12 * 4 * (16 << 10), f"{size} bytes of four hundred threads, four at a time")
    done = home.run("report")
    expect.same((done.returncode, done.stderr), (0, ""), "report")


@cli.case
def goes_with_its_trace(home, expect):
    """The trace that is put aside takes its snapshots along, and they go with it."""
    for _ in range(3):
        flown(home, "say")
    expect.same(snapshots(home), ["snapshot.1"], "snapshots")
    expect.same(sorted(name for name in os.listdir(home.top) if "data" in name),
                ["hark.data", "hark.data.old"], "traces")


@cli.case
def of_the_dead(home, expect):
    """By the trace's name, also when its session has ended."""
    flown(home, "die", "9", flight="flight:64K")
    done = home.run("snapshot", "--data", "hark.data")
    expect.same((done.returncode, done.stdout), (0, "hark.data/snapshot.1\n"), "hark snapshot")
    expect.same(deaths_of(home, "hark.data/snapshot.1"), [["parse", "serve", "main"]], "where it died")


@cli.case
def refusals(home, expect):
    program = build(home)
    expect.refused(home.run("snapshot"), 125, "no live sessions")
    expect.refused(home.run("snapshot", "--data", "nowhere"), 125, "nowhere")
    expect.refused(home.run("snapshot", "--data", "x", "1"), 125, "--data")
    expect.refused(home.run("snapshot", "1", "2"), 125, "one PID")
    expect.refused(home.run("run", "--snapshots", "many", "true"), 125, "many", "0 to 1000")
    for mode, word in (("trace", "stamp=trace"), ("off", "stamp=flight")):
        child = home.start("run", "--stamp", mode, "--to", f"file:log-{mode}", program, "hot")
        log = os.path.join(home.top, f"log-{mode}")
        cli.wait_for(lambda path=log: os.path.exists(path) and os.path.getsize(path))
        expect.refused(home.run("snapshot", str(child.pid)), 125, word)
        with contextlib.suppress(OSError):
            child.stdin.close()
        child.wait()


cli.main(__doc__)
