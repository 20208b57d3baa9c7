#!/usr/bin/env python3
"""What `hark export` writes is read by others: protoc, babeltrace2, callgrind_annotate.

One trace is made by hand (tests/unit/export_case.h): what must be in it stands here once more. The
other is of a program that counts its own calls. Speaks TAP.
"""
# limit: 400

import collections
import gzip
import json
import os
import re
import struct
import subprocess

import cli
from known import CALLS, COMM, EVIL, PID, SAID, START, name_of, paths, read, written

GUESTS = os.path.join(cli.harness.ROOT, "tests", "e2e", "guests")


# ---- chrome -------------------------------------------------------------------------------------

@cli.case
def chrome(home, expect):
    trace = json.loads(read(written(home)(".json")))
    events = trace["traceEvents"]
    expect.same(trace["otherData"]["start_utc_ns"], str(START), "start")
    threads = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    expect.same({t: n for t, n in threads.items() if t in COMM}, COMM, "threads")
    lanes = [t for t in threads if t not in COMM]
    expect(len(lanes) == 1 and lanes[0] >= 1 << 22, f"a lane for the fiber: {threads}")
    got = sorted((e["tid"], e["name"], round(e["ts"] * 1000), round(e["dur"] * 1000))
                 for e in events if e["ph"] == "X")
    expect.same(got, sorted((lanes[0] if fiber else tid, name_of(path), begin, end - begin)
                            for tid, fiber, path, begin, end in CALLS), "calls")
    ends = {e["args"]["end"]: e["name"] for e in events if e["ph"] == "X" and
            "end" in e.get("args", {})}
    expect.same(ends, {"died": "main", "exited": "main", "unwound": EVIL}, "ends")
    instants = [e for e in events if e["ph"] == "i"]
    expect.same([(e["cat"], e["tid"], e["ts"]) for e in instants],
                [("message", 100, 5.5), ("message", 999, 8), ("stamp", 100, 12.5),
                 ("hark", 101, 13), ("hark", 100, 20)], "instants")
    expect.same(instants[0]["name"], SAID, "what was said")
    expect.same(instants[0]["args"], {"level": "error", "source": "stderr"}, "its level")


# ---- protocol buffers ---------------------------------------------------------------------------

PERFETTO = """syntax = "proto2";
message Trace { repeated Packet packet = 1; }
message Packet { optional Clocks clock_snapshot = 6; optional uint64 timestamp = 8;
  optional uint32 sequence = 10; optional Event track_event = 11; optional Interned interned = 12;
  optional uint32 flags = 13; optional Track track = 60; }
message Clocks { repeated Clock clocks = 1; optional uint32 primary = 2; }
message Clock { optional uint32 id = 1; optional uint64 now = 2; }
message Event { repeated Note note = 4; optional uint32 type = 9; optional uint64 name_iid = 10;
  optional uint64 track = 11; repeated string category = 22; optional string name = 23;
  optional uint64 location_iid = 34; }
message Note { optional uint64 number = 3; optional string text = 6; optional string name = 10; }
message Interned { repeated Name names = 2; repeated Location locations = 4; }
message Name { optional uint64 iid = 1; optional string name = 2; }
message Location { optional uint64 iid = 1; optional string file = 2; optional string function = 3;
  optional uint32 line = 4; }
message Track { optional uint64 uuid = 1; optional string name = 2; optional Process process = 3;
  optional Thread thread = 4; optional uint64 parent = 5; }
message Process { optional int32 pid = 1; repeated string cmdline = 2; optional string name = 6; }
message Thread { optional int32 pid = 1; optional int32 tid = 2; optional string name = 5; }
"""

PPROF = """syntax = "proto3";
message Profile { repeated Type sample_type = 1; repeated Sample sample = 2;
  repeated Mapping mapping = 3; repeated Location location = 4; repeated Function function = 5;
  repeated string string_table = 6; int64 time_nanos = 9; repeated int64 comment = 13;
  int64 default_type = 14; }
message Type { int64 type = 1; int64 unit = 2; }
message Sample { repeated uint64 location_id = 1; repeated int64 value = 2; repeated Label label = 3; }
message Label { int64 key = 1; int64 str = 2; }
message Mapping { uint64 id = 1; uint64 start = 2; uint64 limit = 3; uint64 offset = 4;
  int64 filename = 5; int64 build_id = 6; bool has_functions = 7; }
message Location { uint64 id = 1; uint64 mapping_id = 2; uint64 address = 3; repeated Line line = 4; }
message Line { uint64 function_id = 1; int64 line = 2; }
message Function { uint64 id = 1; int64 name = 2; int64 system_name = 3; int64 filename = 4;
  int64 start_line = 5; }
"""


def unescape(text):
    """protoc's strings are bytes, with C's escapes."""
    return text.encode().decode("unicode_escape").encode("latin-1").decode()


def decode(home, definition, message, data):
    """What protoc makes of it: a dict of lists, inner messages likewise. Fields that the definition
    does not know are refused."""
    with open(os.path.join(home.top, "x.proto"), "w", encoding="utf-8") as file:
        file.write(definition)
    done = subprocess.run(["protoc", f"--proto_path={home.top}", f"--decode={message}", "x.proto"],
                          cwd=home.top, input=data, stdout=subprocess.PIPE, check=True,
                          timeout=cli.LIMIT)
    top = collections.defaultdict(list)
    stack = [top]
    for line in done.stdout.decode().splitlines():
        key, _, value = line.strip().partition(" ")
        assert not key[0].isdigit(), f"a field that nobody knows: {line}"
        if key == "}":
            stack.pop()
        elif value == "{":
            inner = collections.defaultdict(list)
            stack[-1][key].append(inner)
            stack.append(inner)
        else:
            stack[-1][key[:-1]].append(unescape(value[1:-1]) if value[0] == '"' else
                                       value == "true" if value in ("true", "false") else int(value))
    return top


def perfetto_calls(trace):
    """{(track, name, begin, end)}, and tracks by their numbers. Slices close what was opened last."""
    names, tracks, open_calls, calls = {}, {}, collections.defaultdict(list), []
    for packet in trace["packet"]:
        for interned in packet["interned"]:
            names.update((n["iid"][0], n["name"][0]) for n in interned["names"])
        for track in packet["track"]:
            tracks[track["uuid"][0]] = track
        for event in packet["track_event"]:
            track, at = event["track"][0], packet["timestamp"][0]
            assert track in tracks, "an event before its track"
            if event["type"] == [1]:
                open_calls[track].append((names[event["name_iid"][0]], at))
            elif event["type"] == [2]:
                name, begin = open_calls[track].pop()
                calls.append((track, name, begin, at))
    assert not any(open_calls.values()), "left open"
    return calls, tracks


@cli.case
def perfetto(home, expect):
    trace = decode(home, PERFETTO, "Trace", read(written(home)(".perfetto-trace")))
    calls, tracks = perfetto_calls(trace)
    threads = {u: t["thread"][0] for u, t in tracks.items() if t["thread"]}
    expect.same({t["tid"][0]: t["name"][0] for t in threads.values()}, COMM, "threads")
    processes = {u: t["process"][0]["pid"][0] for u, t in tracks.items() if t["process"]}
    expect.same({t["tid"][0]: processes[tracks[u]["parent"][0]] for u, t in threads.items()}, PID,
                "their processes")
    fibers = {u: t["parent"][0] for u, t in tracks.items() if t["parent"] and not t["thread"]}
    where = {u: (t["tid"][0], 0) for u, t in threads.items()}
    where.update((u, (where[parent][0], 1)) for u, parent in fibers.items())
    expect.same(sorted((*where[track], name, begin - START, end - START)
                       for track, name, begin, end in calls),
                sorted((tid, fiber, name_of(path), begin, end)
                       for tid, fiber, path, begin, end in CALLS), "calls")
    said = [(p["timestamp"][0] - START, e["category"], e["name"][0], e["track"][0])
            for p in trace["packet"] for e in p["track_event"] if e["type"] == [3]]
    expect.same([row[:3] for row in said[:2]],
                [(5500, ["message"], SAID), (8000, ["message"], SAID)], "messages")
    expect.same(where.get(said[0][3]), (100, 0), "the thread that said it")
    expect.same(tracks[said[1][3]]["name"], ["messages"], "nobody's message")
    expect.same([row[0] for row in said[2:]], [12500, 13000, 20000], "other instants")
    clocks = trace["packet"][0]["clock_snapshot"][0]
    expect.same({c["id"][0]: c["now"][0] for c in clocks["clocks"]}, {6: START, 1: START}, "clocks")
    expect.same(trace["packet"][0]["flags"], [1], "a fresh sequence")


def pprof_rows(profile):
    """(thread, path) -> values"""
    strings = profile["string_table"]
    names = {f["id"][0]: strings[f["name"][0]] for f in profile["function"]}
    places = {p["id"][0]: names[p["line"][0]["function_id"][0]] for p in profile["location"]}
    mappings = {m["id"][0] for m in profile["mapping"]}
    assert all(p["mapping_id"][0] in mappings for p in profile["location"])
    rows = {}
    for sample in profile["sample"]:
        label = sample["label"][0]
        assert strings[label["key"][0]] == "thread"
        key = strings[label["str"][0]], ";".join(places[i] for i in reversed(sample["location_id"]))
        assert key not in rows
        rows[key] = tuple(sample["value"])
    return rows


@cli.case
def pprof(home, expect):
    profile = decode(home, PPROF, "Profile", gzip.decompress(read(written(home)(".pb.gz"))))
    strings = profile["string_table"]
    expect.same(strings[0], "", "the first string")
    expect.same([(strings[t["type"][0]], strings[t["unit"][0]]) for t in profile["sample_type"]],
                [("calls", "count"), ("time", "nanoseconds")], "types")
    expected = {(thread, ";".join(map(name_of, path.split(";")))): row
                for (thread, path), row in paths().items()}
    expect.same(pprof_rows(profile), expected, "samples")
    modules = [os.path.basename(strings[m["filename"][0]]) for m in profile["mapping"]]
    expect.same(sorted(modules), ["child", "known", "libevil.so"], "modules")
    expect.same(modules[0], "known", "the program itself comes first")


# ---- folded, speedscope, callgrind, ctf ---------------------------------------------------------

@cli.case
def folded(home, expect):
    lines = read(written(home)(".folded")).decode(errors="replace").splitlines()
    got = dict(line.rsplit(" ", 1) for line in lines)
    plain = EVIL.replace(";", "_").replace("\x01", "_")
    expected = {thread + ";" + path.replace("EVIL", plain).replace("FACT", "fact(unsigned long)"):
                str(self) for (thread, path), (_, self) in paths().items()}
    expect.same(got, expected, "paths")
    outermost = sum(end - begin for _, _, path, begin, end in CALLS if ";" not in path)
    expect.same(sum(map(int, got.values())), outermost, "sum")


def speedscope_calls(trace, expect):
    """What its reader would build; its rules are those of its importer."""
    expect.same(trace["$schema"], "https://www.speedscope.app/file-format-schema.json", "schema")
    frames = trace["shared"]["frames"]
    expect(all(isinstance(f["name"], str) for f in frames), "frames have names")
    calls = collections.defaultdict(list)
    for profile in trace["profiles"]:
        expect.same((profile["type"], profile["unit"]), ("evented", "nanoseconds"), "type")
        stack, last = [], profile["startValue"]
        for event in profile["events"]:
            expect(event["at"] >= last, "time goes back")
            last = event["at"]
            if event["type"] == "O":
                stack.append((event["frame"], last))
            else:
                frame, begin = stack.pop()
                expect.same(event["frame"], frame, "what is closed")
                calls[profile["name"]].append((frames[frame]["name"], begin, last))
        expect.same((stack, profile["endValue"]), ([], last), "the end")
    return calls


@cli.case
def speedscope(home, expect):
    trace = json.loads(read(written(home)(".speedscope.json")))
    calls = speedscope_calls(trace, expect)
    expected = {f"{comm} ({tid})": sorted((name_of(path), begin, end)
                                          for t, fiber, path, begin, end in CALLS
                                          if t == tid and not (tid == 100 and path == "main") and
                                          not fiber)
                for tid, comm in COMM.items()}
    # what was interrupted by the other stack comes in pieces
    expected["known (100)"] += [("main", 1000, 11000), ("co", 11100, 11500), ("main", 11500, 11700),
                                ("co", 11700, 11900), ("main", 12000, 20000)]
    expect.same({name: sorted(rows) for name, rows in calls.items()},
                {name: sorted(rows) for name, rows in expected.items()}, "calls")


def annotated(path):
    """callgrind_annotate's inclusive list: {function: nanoseconds}"""
    done = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", "--auto=no",
                           path], stdout=subprocess.PIPE, check=True, timeout=cli.LIMIT)
    text = done.stdout.decode(errors="replace")
    rows = re.findall(r"^ *([\d,]+) \([ \d.]+%\)  (?:\S+?):(.*?) \[(.*)\]$", text, re.M)
    return {(os.path.basename(module), name): int(ns.replace(",", "")) for ns, name, module in rows}


@cli.case
def callgrind(home, expect):
    path = written(home)(".callgrind")
    expect.same(annotated(path),
                {("known", "main"): 19000, ("known", "parse"): 16000,
                 ("known", "fact(unsigned long)"): 500, ("known", "co"): 800,
                 ("known", "worker_main"): 12000, ("child", "main"): 13500, ("child", "work"): 1000,
                 ("libevil.so", EVIL.replace("\x01", "_")): 1000}, "inclusive times")
    calls = re.findall(r"^calls=(\d+)", read(path).decode(errors="replace"), re.M)
    expect.same(sorted(map(int, calls)), [1, 1, 1, 1, 2, 2], "calls along edges")
    expect("totals: 45300\n" in read(path).decode(errors="replace"), "total")


def told(directory):
    """babeltrace2's lines: (nanoseconds, event, tid, the rest)"""
    done = subprocess.run(["babeltrace2", "--clock-seconds", directory], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=cli.LIMIT, check=True)
    assert not done.stderr, done.stderr
    rows = []
    for line in done.stdout.decode(errors="replace").splitlines():
        second, ns, event, tid, rest = re.fullmatch(
            r"\[(\d+)\.(\d{9})\] \(\S+\) here (\w+): .*? vtid = (\d+), .*? \}, (\{.*)", line).groups()
        rows.append((int(second + ns), event, int(tid), rest))
    return rows


@cli.case
def ctf(home, expect):
    rows = told(written(home)(".ctf"))
    name = re.compile(r'function = \( "(.*)" : container')
    plain = EVIL.replace("\x01", "_").replace("\\", "\\\\").replace('"', '\\"')
    open_calls, calls = collections.defaultdict(list), []
    fiber = 0
    for at, event, tid, rest in rows:
        if event == "func_entry":
            open_calls[tid, fiber if tid == 100 else 0].append((name.search(rest)[1], at - START))
        elif event == "func_exit":
            key = tid, fiber if tid == 100 else 0
            function, begin = open_calls[key].pop()
            expect.same(name.search(rest)[1], function, "what is left")
            calls.append((*key, function.replace(plain, EVIL), begin, at - START))
        elif event == "stack":
            fiber = int(re.search(r"number = (\d+)", rest)[1])
    expect.same(sorted(calls), sorted((tid, fiber, name_of(path), begin, end)
                                      for tid, fiber, path, begin, end in CALLS), "calls")
    others = [(at - START, event, tid) for at, event, tid, _ in rows
              if event not in ("func_entry", "func_exit", "stack")]
    expect.same(others, [(5500, "message", 100), (8000, "message", 999), (12500, "stamp", 100),
                         (13000, "gap", 101), (20000, "died", 100)], "other events")
    late = [(at, int(re.search(r"duration = (\d+)", rest)[1])) for at, event, _, rest in
            told(os.path.join(home.top, "late.ctf")) if event == "func_call"]
    expect.same(late, sorted(((START + end, end - begin) for _, _, _, begin, end in CALLS),
                             key=lambda row: row[0]), "calls told at their ends")


# ---- a program that counts ----------------------------------------------------------------------

def recorded(home, case, *more):
    program, ledger = os.path.join(home.top, "stamps"), os.path.join(home.top, "ledger")
    cli.harness.cc("-O2", "-g", "-w", "-D_GNU_SOURCE", "-finstrument-functions", "-pthread", "-o",
                   program, os.path.join(GUESTS, "stamps.c"))
    done = home.run("run", "--stamp", "trace", program, case, ledger, *more)
    cli.wait_for(lambda: not home.run("ps").stdout)  # the clock's rate is told at the end
    assert done.returncode == 0 and not done.stderr, done
    rows = struct.iter_unpack("<24sq", read(ledger))
    return {name.rstrip(b"\0").decode(): calls for name, calls in rows if name[0]}


def exported(home, form, *options):
    path = os.path.join(home.top, "out." + form)
    done = home.run("export", "--format", form, "-o", path, *options)
    assert done.returncode == 0 and not done.stdout and not done.stderr, done
    return path


@cli.case
def counted_calls(home, expect):
    """All formats tell as many calls of each function as the program counted."""
    counted = recorded(home, "threads", "16")  # a few segments each
    expect(sum(counted.values()) > 100, f"too little to count: {counted}")
    got = {}
    events = json.loads(read(exported(home, "chrome")))["traceEvents"]
    got["chrome"] = collections.Counter(e["name"] for e in events if e["ph"] == "X")
    trace = decode(home, PERFETTO, "Trace", read(exported(home, "perfetto")))
    got["perfetto"] = collections.Counter(row[1] for row in perfetto_calls(trace)[0])
    trace = json.loads(read(exported(home, "speedscope")))
    got["speedscope"] = collections.Counter(
        row[0] for rows in speedscope_calls(trace, expect).values() for row in rows)
    got["pprof"] = collections.Counter()
    profile = decode(home, PPROF, "Profile", gzip.decompress(read(exported(home, "pprof"))))
    for (_, path), values in pprof_rows(profile).items():
        got["pprof"][path.split(";")[-1]] += values[0]
    done = subprocess.run(["babeltrace2", exported(home, "ctf")], stdout=subprocess.PIPE, check=True,
                          timeout=cli.LIMIT)
    got["ctf"] = collections.Counter(
        re.findall(r'func_entry:.* function = \( "(.*?)"', done.stdout.decode()))
    page = read(exported(home, "flamegraph")).decode()
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', page, re.S)[1])
    got["flamegraph"] = collections.Counter()
    for row in zip(*[iter(data["rows"])] * 4):
        if row[1] >= 0:
            got["flamegraph"][data["functions"][row[1]]["name"]] += row[2]
    for form, calls in got.items():
        expect.same(dict(calls), counted, form)
    outermost = sum(values[1] for values in pprof_rows(profile).values())
    lines = read(exported(home, "folded")).decode().splitlines()
    expect.same(sum(int(line.rsplit(" ", 1)[1]) for line in lines), outermost, "folded: sum")
    expect.same({name for _, name in annotated(exported(home, "callgrind"))}, set(counted),
                "callgrind: functions")


@cli.case
def filters(home, expect):
    """What is left out is left out of the export; its time stays with who called it."""
    recorded(home, "fib")
    whole = json.loads(read(exported(home, "chrome")))["traceEvents"]
    calls = [e for e in whole if e["ph"] == "X"]
    expect.same({e["name"] for e in calls}, {"fib"}, "functions")
    outer = max(calls, key=lambda e: e["dur"])
    depth = json.loads(read(exported(home, "chrome", "--depth", "1")))["traceEvents"]
    expect.same([e["dur"] for e in depth if e["ph"] == "X"], [outer["dur"]], "--depth 1")
    done = home.run("export", "--format", "folded", "-o", "-", "--depth", "1")
    expect.same(done.stdout, f"stamps;fib {round(outer['dur'] * 1000)}\n", "all of it is its own")
    done = home.run("export", "--format", "folded", "-o", "-", "--tid", "1")
    expect.same((done.returncode, done.stdout), (0, ""), "another thread")


@cli.case
def refusals(home, expect):
    expect.refused(home.run("export"), 125, "--format", "flamegraph", "callgrind")
    expect.refused(home.run("export", "--format", "perfeto"), 125, "perfeto", "did you mean perfetto?")
    expect.refused(home.run("export", "--format", "ctf", "-o", "-"), 125, "directory")
    expect.refused(home.run("export", "--format", "chrome"), 125, "hark.data")
    expect.refused(home.run("export", "--format", "chrome", "x"), 125, "no trace x")
    expect.refused(home.run("export", "--format", "chrome", "--min-time", "3"), 125, "--min-time 3")
    expect(not os.path.exists(os.path.join(home.top, "hark.json")), "a file is left behind")
    recorded(home, "fib")
    expect.refused(home.run("export", "--format", "folded", "-o", "none/x"), 125, "none/x", "No such")
    expect.refused(home.run("export", "--format", "chrome", "-o", "/dev/full"), 125, "No space")
    done = home.run("export", "--format", "flamegraph")
    expect.same((done.returncode, done.stderr), (0, "hark: wrote hark.html\n"), "a name of its own")
    expect(read(os.path.join(home.top, "hark.html")).endswith(b"</html>\n"), "all of it")


if __name__ == "__main__":
    cli.main(__doc__)
