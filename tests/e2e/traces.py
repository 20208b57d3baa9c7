"""Reads a trace as TRACE.md describes it, on its own: a second opinion for the tests.

    trace = read("hark.data")
    trace.threads[(image, number)].records   [Record(kind, ticks, function, ...)]
    trace.calls()                            {function's name: calls}

Functions are named by `nm`.
"""

import collections
import functools
import itertools
import operator
import os
import re
import struct
import subprocess

HEADER = struct.Struct("<QIIIIIIQQIIIIQ16s24x")
MAGIC = b"harkseg1"
PAGE = 4096
PROFILE, AGAIN = 3, 4
ENTRY, EXIT, ENTRY_NEAR, LONG = 1, 2, 3, 4
(VOID, TIME, HOME, NEAR, ENTRY_FAR, EXIT_FAR, UNWOUND, FIBER, OPEN, GAP, END, STAMP, VALUES) = range(13)


HALF, LOW = 1 << 28, (1 << 29) - 1

Record = collections.namedtuple("Record", "kind ticks module offset count detail", defaults=(0,) * 5)


# parts: the numbers of its segments
Thread = collections.namedtuple("Thread", "image number tid comm parts parent records")


def unquoted(value):
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), value.encode()).decode()


def pairs(words):
    return {key: unquoted(value) for key, value in (word.split("=", 1) for word in words)}


def segments(data):
    """(header, body) of each segment in a file's bytes"""
    at = 0
    while at + HEADER.size <= len(data):
        if data[at:at + 8] != MAGIC:
            at += PAGE
            continue
        head = HEADER.unpack_from(data, at)
        size = head[1]
        yield head, data[at + HEADER.size:at + size]
        at += size


def decode(head, body):
    """The records of a segment. There are hundreds of thousands of entries and exits: these are short."""
    ticks, home, close = head[7], head[9], head[10]
    words = iter(struct.unpack(f"<{len(body) // 4}I", body))
    records, new = [], tuple.__new__
    for word in words:
        kind = word & 7
        if kind in (ENTRY, EXIT, ENTRY_NEAR):
            # the time that is nearest to the last and has these low 29 bits
            ticks += ((word >> 3) - ticks + HALF & LOW) - HALF
            if kind == EXIT:
                records.append(new(Record, ("exit", ticks, 0, 0, 0, 0)))
            else:
                records.append(new(Record, ("entry", ticks, home if kind == ENTRY else close,
                                            next(words), 0, 0)))
        elif kind == LONG:
            name, detail, length = word >> 3 & 31, word >> 16, word >> 8 & 255
            assert length, f"a long record without length before record {len(records)}"
            more = list(itertools.islice(words, length - 1))
            if name == HOME:
                home = more[0]
            elif name == NEAR:
                close = more[0]
            elif name != VOID:
                ticks = more[0] | more[1] << 32
                records.extend(long_record(name, detail, ticks, more[2:]))
        else:
            assert word == 0, f"a record of kind {kind} behind record {len(records)}"
    return records


def long_record(name, detail, ticks, body):
    if name in (ENTRY_FAR, EXIT_FAR, OPEN):
        yield Record({ENTRY_FAR: "entry", EXIT_FAR: "stray exit", OPEN: "open"}[name],
                     ticks, body[0], body[1] | body[2] << 32)
    elif name in (UNWOUND, FIBER):
        yield Record({UNWOUND: "unwound", FIBER: "fiber"}[name], ticks, count=body[0],
                     detail=body[1] if name == UNWOUND else 0)
    elif name == GAP:
        yield Record("gap", ticks, count=body[0] | body[1] << 32, detail=detail)
    elif name == END:
        yield Record("end", ticks, detail=detail)
    elif name == VALUES:
        yield Record("result" if detail else "arguments", ticks)


Edge = collections.namedtuple("Edge", "image caller callee calls total own least most buckets")


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
            for head, body in segments(file.read()):
                if head[2] == PROFILE:
                    self.edges.extend(edges(head, body))
                    continue
                # Full ones are copied behind all others, and then used again: one that was killed in
                # between left both, and the first is whole.
                if head[2] != AGAIN and head[6] not in (row[0] for row in parts[head[3], head[5]]):
                    parts[head[3], head[5]].append((head[6], head, body))
        for (image, number), rows in sorted(parts.items()):
            rows.sort(key=lambda row: row[0])
            first = rows[0][1]
            thread = Thread(image, number, first[4], first[14].rstrip(b"\0").decode(),
                            [row[0] for row in rows], first[13], [])
            for _, head, body in rows:
                records = decode(head, body)
                if thread.records:
                    # a flight recorder's segments repeat what is open: who reads on knows that
                    records = [r for r in records if r.kind != "open"]
                thread.records.extend(records)
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
            seen = collections.Counter(map(operator.itemgetter(0, 2, 3), thread.records))
            for (kind, module, offset), calls in seen.items():
                if kind == "entry":
                    count[self.name(thread.image, module, offset)] += calls
        for edge in self.edges:
            count[self.name(edge.image, *edge.callee)] += edge.calls
        return dict(count)

    def walk(self, thread):
        """(depth, name, how it ended) of each call, in order of entries; asserts that it adds up."""
        stack, rows, names = [], [], {}
        stacks = {0: stack}
        for kind, _, module, offset, count, left in thread.records:
            if kind in ("entry", "open"):
                name = names.get((module, offset))
                if not name:
                    name = names[module, offset] = self.name(thread.image, module, offset)
                row = [len(stack), name, kind]
                rows.append(row)
                stack.append(row)
            elif kind == "exit":
                assert stack, "an exit without an open call"
                stack.pop()[2] = "returned"
            elif kind == "unwound":
                assert len(stack) >= left, "more is said to stay open than was open"
                for _ in range(min(count, len(stack) - left)):
                    stack.pop()[2] = "unwound"
            elif kind == "fiber":
                stack = stacks.setdefault(count, [])
        return list(map(tuple, rows))


def read(path):
    return Trace(path)
