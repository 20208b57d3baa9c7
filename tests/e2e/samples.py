"""A trace's samples, read by TRACE.md alone: what `hark report` says is held against it."""
import struct

FILE, THREAD, NODE, SAMPLE, WAIT, MAP, GAP, CLOCK, END = range(1, 10)
INCOMPLETE = ("[deeper]", "[unknown caller]")


class Samples:
    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        (self.magic, size, self.mode, self.source, self.reach, self.period, self.pid, self.target,
         _, self.stack_bytes, self.least) = struct.unpack_from("<QIIIIQiiQII", data)
        assert self.magic == 0x31706d736b726168, hex(self.magic)
        self.files, self.threads, self.nodes = {}, {}, [None]
        self.samples, self.waits, self.gaps, self.ended = [], [], [], False
        at = size
        while at + 8 <= len(data):
            (head,) = struct.unpack_from("<Q", data, at)
            kind, words = head & 15, head >> 4 & 255
            number, value = head >> 12 & 0xfffff, head >> 32
            if not words or at + 8 * words > len(data):
                break
            self.take(kind, number, value, data[at + 8:at + 8 * words])
            at += 8 * words
        self.torn = at != len(data)

    def take(self, kind, number, value, body):
        if kind == FILE:
            build, path = body[:value].split(b"\0", 1)
            self.files[number] = (path.decode(), build.decode())
        elif kind == THREAD:
            tid, _ = struct.unpack_from("<QQ", body)
            self.threads[number] = (value, tid, body[16:].rstrip(b"\0").decode())
        elif kind == NODE:
            self.nodes.append((value, number, struct.unpack("<Q", body)[0]))
        elif kind == SAMPLE:
            self.samples.append((number, value, struct.unpack("<Q", body)[0]))
        elif kind == WAIT:
            self.waits.append((number, value) + struct.unpack("<QQ", body))
        elif kind == GAP:
            self.gaps.append((number, value))
        elif kind == END:
            self.ended = True

    def stack(self, node):
        """(path of the file, offset), the leaf first."""
        found = []
        while node:
            node, file, offset = self.nodes[node]
            found.append((self.files[file][0], offset))
        return found

    def complete(self):
        """The share of samples whose stack goes out to main or the thread's start."""
        good = sum(self.stack(node)[-1][0] not in INCOMPLETE for _, node, _ in self.samples)
        return good / max(1, len(self.samples))

    def by_tid(self):
        count = {}
        for thread, _, _ in self.samples:
            tid = self.threads[thread][1]
            count[tid] = count.get(tid, 0) + 1
        return count
