#!/usr/bin/env python3
"""Crowds: thousands of threads in one process, thousands of processes at once, and 64 processes that
write flat out. Nothing is lost, each one's order holds, and the collector's memory stays bounded.

The short form is part of `make check`; with STRESS_SECONDS of 10 and more (`make stress`) the crowds
are whole: 10,000 threads, 2,000 processes. Speaks TAP.
"""
# limit: 400

import contextlib
import json
import os
import re
import resource
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "preload"))
import harness  # noqa: E402  pylint: disable=wrong-import-position

CROWD = harness.build("../stress/crowd.c", extra=("-O2",))
WHOLE = float(os.environ.get("STRESS_SECONDS") or 0) >= 10
LIMIT = 600 if WHOLE else 60
COLLECTOR_KIB = 40 << 10    # of its own memory, whatever the crowd
COST_NS = 100000            # of a writer's processor time, for a message, however many wait for room
THREAD_BYTES = 4096         # what the shim may need for each thread

LINE = {"raw": rb"^(\d+) (\d+) (\d+) x+$",
        "json": rb'^\{"time":"[^"]+","level":"info","msg":"(\d+) (\d+) (\d+) x+","source":"stderr",'
                rb'"pid":\d+,"tid":\d+(?:,"comm":"crowd")?,"seq":\d+\}$'}


def crowd(*sizes):
    return [CROWD, *map(str, sizes)]


def own_memory(pid):
    """KiB that belong to the process alone; 0: it is gone."""
    with contextlib.suppress(OSError, AttributeError):
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            return int(re.search(r"RssAnon:\s*(\d+)", file.read()).group(1))
    return 0


class Run:
    """A crowd under hark: what it reported, what arrived, what the collector needed for it."""

    def __init__(self, form, options, sizes):
        with contextlib.ExitStack() as stack:
            place = harness.Place(stack)
            out = os.path.join(place.runtime, "out")
            channels = [harness.Channel("pipe", place.top), harness.Channel("pipe", place.top)]
            for channel in channels:
                stack.callback(channel.close)
            argv = [harness.HARK, "run", "--to", f"file:{out}?format={form}", *options, "--",
                    *crowd(*sizes)]
            watched = harness.start(argv, place, *channels, os.devnull, None)
            stack.callback(watched.end)
            self.collector_kib = self.follow(watched, place)
            self.status = watched.wait(LIMIT)
            self.settled = place.settle(watched)
            self.report = json.loads(place.stdout() or b"{}")
            self.direct = channels[0].collected()
            with open(out, "rb") as file:
                self.heard = file.read()

    @staticmethod
    def follow(watched, place):
        most = collector = 0
        while not watched.pump(0.02):
            if not collector:
                rows = harness.ask("ps", place.runtime)
                collector = rows[0]["collector_pid"] if rows else 0
            most = max(most, own_memory(collector) if collector else 0)
        return most


def complaints(run, form, processes, threads, messages):
    if (run.status, run.settled, run.direct) != (0, True, b""):
        yield f"status {run.status}, settled {run.settled}, stderr {run.direct[:300]!r}"
    lines = re.findall(LINE[form], run.heard, re.M)
    total = processes * threads * messages
    if run.heard.count(b"\n") != len(lines) or len(lines) != total:
        good = re.compile(LINE[form])
        odd = next((line for line in run.heard.split(b"\n") if line and not good.match(line)), b"")
        yield f"{run.heard.count(10)} lines, {len(lines)} of the crowd, {total} said: {odd[:300]!r}"
    last = {}
    for process, thread, number in lines:
        key, number = (process, thread), int(number)
        if number != last.get(key, -1) + 1:
            yield f"process {process}, thread {thread}: {number} after {last.get(key)}"
            break
        last[key] = number
    if run.report["cpu_ns"] > COST_NS * total:
        yield f"a message cost {run.report['cpu_ns'] / total:.0f} ns of processor time"
    if run.collector_kib > COLLECTOR_KIB:
        yield f"the collector needed {run.collector_kib} KiB"


def say(line):
    """In one piece: several cases run at a time."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def show(name, run, messages):
    say(f"# {name}: {messages} messages, {run.report['elapsed_ns'] / messages:.0f} ns each, "
          f"{run.report['cpu_ns'] / messages:.0f} ns of a writer's processor time; the collector's "
          f"own memory {run.collector_kib} KiB")


def case(name, form, processes, threads, messages, options=()):
    def body():
        run = Run(form, options, (processes, threads, messages))
        found = list(complaints(run, form, processes, threads, messages))
        if not found:
            show(name, run, processes * threads * messages)
        return found
    return name, body


def more_memory(threads):
    """KiB that the program needs more than without hark."""
    kib = []
    for options in None, ["--level", "none"]:
        done = harness.run(crowd(1, threads, 5), options, limit=LIMIT, stderr="file")
        kib.append(json.loads(done.stdout)["rss_kib"])
    return kib[1] - kib[0]


def threads_are_cheap(threads):
    """What a thread costs the program more than without hark, whatever hark itself needs."""
    def body():
        few = threads // 5
        each = (more_memory(threads) - more_memory(few)) * 1024 / (threads - few)
        say(f"# {few} to {threads} threads: {each:.0f} bytes each")
        return [f"{each:.0f} bytes a thread"] if each > THREAD_BYTES else []
    return "memory of a thread", body


def main():
    args = harness.arguments(__doc__)
    if args.native:
        print("1..0 # skip nothing here runs without hark")
        sys.exit(0)
    harness.require_hark(args)
    most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    many = 10000 if WHOLE else 1000
    crowds = 2000 if WHOLE else 200
    if most not in (-1, resource.RLIM_INFINITY):
        many, crowds = min(many, most // 2), min(crowds, most // 2)
    cases = [case(f"{many} threads", "json", 1, many, 20),
             case(f"{crowds} processes", "json", crowds, 1, 20),
             case("64 writers", "raw", 64, 1, 20000 if WHOLE else 2000),
             case("64 writers, a small ring", "raw", 64, 1, 2000, ["--ring", "64K"]),
             threads_are_cheap(many // 4)]
    sys.exit(harness.run_tap(cases, args))


main()
