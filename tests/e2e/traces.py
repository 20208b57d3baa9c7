"""Reads a trace as TRACE.md describes it, on its own: a second opinion for the tests.

    trace = read("hark.data")
    trace.threads[(image, number)].records   [Record(kind, ticks, function, ...)]
    trace.calls()                            {function's name: calls}

Slow and simple; functions are named by `nm`.
"""

import collections
import dataclasses
import functools
import os
import struct
import subprocess
import urllib.parse

HEADER = struct.Struct("<QIIIIIIQQIIIIQ16s24x")
MAGIC = b"harkseg1"
PAGE = 4096
PROFILE = 3
ENTRY, EXIT, ENTRY_NEAR, LONG = 1, 2, 3, 4
(VOID, TIME, HOME, NEAR, ENTRY_FAR, EXIT_FAR, UNWOUND, FIBER, OPEN, GAP, END, STAMP, VALUES) = range(13)


@dataclasses.dataclass
class Record:
    kind: str
    ticks: int = 0
    module: int = 0
    offset: int = 0
    count: int = 0
    detail: int = 0


@dataclasses.dataclass
class Thread:
    image: int
    number: int
    tid: int
    comm: str
    parts: list
    parent: int
    records: list = dataclasses.field(default_factory=list)


def pairs(words):
    return {key: urllib.parse.unquote_to_bytes(value).decode() for key, value in
            (word.split("=", 1) for word in words)}


def segments(data):
    """(header, words) of each segment in a file's bytes"""
    at = 0
    while at + HEADER.size <= len(data):
        if data[at:at + 8] != MAGIC:
            at += PAGE
            continue
        head = HEADER.unpack_from(data, at)
        size = head[1]
        body = data[at + HEADER.size:at + size]
        yield head, struct.unpack(f"<{len(body) // 4}I", body)
        at += size


def near(ticks, low):
    """The time that is nearest to ticks and has these low 29 bits."""
    difference = (low - ticks) & ((1 << 29) - 1)
    if difference >= 1 << 28:
        difference -= 1 << 29
    return ticks + difference


def decode(head, words):
    ticks, home, close = head[7], head[9], head[10]
    at = 0
    while at < len(words):
        word = words[at]
        kind = word & 7
        if kind in (ENTRY, EXIT, ENTRY_NEAR):
            ticks = near(ticks, word >> 3)
        if word == 0:
            at += 1
        elif kind in (ENTRY, ENTRY_NEAR):
            yield Record("entry", ticks, home if kind == ENTRY else close, words[at + 1])
            at += 2
        elif kind == EXIT:
            yield Record("exit", ticks)
            at += 1
        elif kind == LONG:
            length = word >> 8 & 255
            assert length, f"a long record without length at word {at}"
            name, detail = word >> 3 & 31, word >> 16
            body = words[at + 1:at + length]
            if name not in (VOID, HOME, NEAR):
                ticks = body[0] | body[1] << 32
                body = body[2:]
            if name == HOME:
                home = body[0]
            elif name == NEAR:
                close = body[0]
            elif name in (ENTRY_FAR, EXIT_FAR, OPEN):
                yield Record({ENTRY_FAR: "entry", EXIT_FAR: "stray exit", OPEN: "open"}[name],
                             ticks, body[0], body[1] | body[2] << 32)
            elif name == UNWOUND:
                yield Record("unwound", ticks, count=body[0])
            elif name == FIBER:
                yield Record("fiber", ticks, count=body[0])
            elif name == GAP:
                yield Record("gap", ticks, count=body[0] | body[1] << 32, detail=detail)
            elif name == END:
                yield Record("end", ticks, detail=detail)
            elif name == VALUES:
                yield Record("result" if detail else "arguments", ticks)
            at += length
        else:
            raise AssertionError(f"a record of kind {kind} at word {at}")


@dataclasses.dataclass
class Edge:
    image: int
    caller: tuple
    callee: tuple
    calls: int
    total: int
    own: int
    least: int
    most: int
    buckets: tuple


def edges(head, data):
    """The edges of a profile segment; data begins behind its header."""
    slots, used = struct.unpack_from("<II", data)
    assert used <= slots
    for i in range(used):
        row = struct.unpack_from("<7Q80I", data, 8 + i * 376)
        caller, callee = ((key >> 40, key & (1 << 40) - 1) for key in row[:2])
        yield Edge(head[3], caller, callee, *row[2:7], row[7:])


@functools.lru_cache(maxsize=32)
def said(_built, *command):
    """What a command says of a file, once for each time that the file was built."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Symbols:
    def __init__(self, path):
        self.path = path
        self.names = None

    def name(self, offset):
        if self.names is None:
            built = os.stat(self.path).st_mtime_ns
            out = said(built, "nm", "--target=default", "-C", self.path)
            rows = [line.split(" ", 2) for line in out.splitlines() if not line.startswith(" ")]
            lowest = self.lowest()
            self.names = {int(at, 16) - lowest: name for at, kind, name in rows if kind in "tTwW"}
        return self.names.get(offset, f"?{offset:x}")

    def lowest(self):
        out = said(os.stat(self.path).st_mtime_ns, "readelf", "-lW", self.path)
        return min(int(line.split()[2], 16) & ~(PAGE - 1)
                   for line in out.splitlines() if line.split()[:1] == ["LOAD"])


class Trace:
    def __init__(self, path):
        self.path = path
        with open(os.path.join(path, "trace"), encoding="ascii") as file:
            self.identity = pairs(file.read().split())
        self.events = []
        with open(os.path.join(path, "events"), encoding="ascii") as file:
            for line in file:
                words = line.split()
                self.events.append((words[0], pairs(words[1:])))
        self.symbols = {}
        self.called_names = None
        self.threads = {}
        self.edges = []
        for name in sorted(os.listdir(path)):
            if name.startswith("image."):
                self.read_image(os.path.join(path, name))

    def read_image(self, path):
        parts = collections.defaultdict(list)
        with open(path, "rb") as file:
            for head, words in segments(file.read()):
                if head[2] == PROFILE:
                    self.edges.extend(edges(head, struct.pack(f"<{len(words)}I", *words)))
                    continue
                parts[head[3], head[5]].append((head[6], head, words))
        for (image, number), rows in sorted(parts.items()):
            rows.sort(key=lambda row: row[0])
            first = rows[0][1]
            thread = Thread(image, number, first[4], first[14].rstrip(b"\0").decode(),
                            [row[0] for row in rows], first[13])
            for at, head, words in rows:
                # a flight recorder's segments repeat what is open: who reads on knows that
                thread.records.extend(r for r in decode(head, words)
                                      if r.kind != "open" or at == rows[0][0])
            self.threads[image, number] = thread

    def module(self, image, number):
        for word, keys in self.events:
            if word == "module" and int(keys["image"]) == image and int(keys["n"]) == number:
                return keys
        return None

    def called(self, image, offset):
        """A library's function, by the name that it was called by."""
        if self.called_names is None:
            self.called_names = {(int(k["image"]), int(k["offset"], 16)): k["name"]
                                 for word, k in self.events if word == "call"}
        return self.called_names.get((image, offset), f"?call:{offset:x}")

    def name(self, image, module, offset):
        keys = self.module(image, module)
        if not keys:
            return f"?{module}:{offset:x}"
        if keys.get("method") == "call":
            return self.called(image, offset)
        symbols = self.symbols.setdefault(keys["path"], Symbols(keys["path"]))
        return symbols.name(offset)

    def calls(self):
        count = collections.Counter()
        for thread in self.threads.values():
            seen = collections.Counter((r.module, r.offset) for r in thread.records
                                       if r.kind == "entry")
            for (module, offset), calls in seen.items():
                count[self.name(thread.image, module, offset)] += calls
        for edge in self.edges:
            count[self.name(edge.image, *edge.callee)] += edge.calls
        return dict(count)

    def walk(self, thread):
        """(depth, name, how it ended) of each call, in order of entries; asserts that it adds up."""
        stacks, fiber, rows = {0: []}, 0, []
        for r in thread.records:
            stack = stacks.setdefault(fiber, [])
            if r.kind in ("entry", "open"):
                rows.append([len(stack), self.name(thread.image, r.module, r.offset), r.kind])
                stack.append(rows[-1])
            elif r.kind == "exit":
                assert stack, "an exit without an open call"
                stack.pop()[2] = "returned"
            elif r.kind == "unwound":
                assert len(stack) >= r.count, "more was unwound than was open"
                for _ in range(r.count):
                    stack.pop()[2] = "unwound"
            elif r.kind == "fiber":
                fiber = r.count
        return [tuple(row) for row in rows]


def read(path):
    return Trace(path)
