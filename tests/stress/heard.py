"""What test_nothing_lost.py needs to judge: what a talker has said, what was heard of it, and the
readers at the other end of sockets and pipes."""

import dataclasses
import json
import os
import re
import socket
import struct
import threading
import time

THREADS = 8             # accounts: four threads, and four of the second role


# ---- what a round is ---------------------------------------------------------------------------

@dataclasses.dataclass
class Plan:
    kind: str
    sink: str = "file"        # file, rotate, unix, tcp
    format: str = "json"
    trouble: str = "collector"  # none, collector, guardian, either, both, stop
    how: str = "mixed"
    end: str = "+exit"        # of the talker; outside: SIGKILL at some moment
    long_every: int = 0
    ring: str = "4M"


# ---- what was said -----------------------------------------------------------------------------

class Account:
    """The talker's own count, per thread: messages begun, and calls that have returned."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.truncate(64 * THREADS)

    def read(self):
        with open(self.path, "rb") as file:
            data = file.read()
        rows = [struct.unpack_from("QQ", data, 64 * i) for i in range(THREADS)]
        return [r[0] for r in rows], [r[1] for r in rows]


PADS = [b"%c" % (97 + i % 26) * (i * 7919 % 97) for i in range(26 * 97)]


def padding(plan, thread, number):
    """What talker.c puts behind the number."""
    by_syslog = plan.how == "syslog" or (plan.how == "mixed" and number % 3 == 2)
    if plan.long_every and not by_syslog and \
            number % plan.long_every == plan.long_every - 1 - thread:
        return b"%c" % (97 + number % 26) * 40000
    return PADS[number % len(PADS)]


# ---- what was heard ----------------------------------------------------------------------------

JSON = rb'''(\{"time":"[-\dT:.]{29}Z","level":"info","msg":"RUN ([0-7]) (\d+) ([a-z]*)\.",''' \
       rb'''"source":"(?:stderr|syslog)","pid":\d+,"tid":\d+(?:,"comm":"(?:talker|exe)")?,''' \
       rb'''"seq":(\d+)(?:,"ident":"talker","facility":"user")?\})'''
TEXT = rb"(\[[-\d]{10} [\d:.]{12}\] \[info\] (?:(?:talker|exe)\[)?\d+\]?(?: syslog)?: " \
       rb"RUN ([0-7]) (\d+) ([a-z]*)\.)()"
RAW = rb"(RUN ([0-7]) (\d+) ([a-z]*)\.)()"
PATTERNS = {"json": JSON, "text": TEXT, "raw": RAW}


class Heard:
    """Goes over all that arrived and complains about what should not be so."""

    def __init__(self, plan, run, complaints):
        self.plan = plan
        self.pattern = re.compile(b"^" + PATTERNS[plan.format].replace(b"RUN", run) + b"$", re.M)
        self.run = run
        self.complain = complaints.append
        self.last = [0] * THREADS     # the furthest message of each thread
        self.cut = [0] * THREADS      # a message of which a part has arrived, marked so
        self.repeats = 0              # how often the stream went back
        self.repeated = 0             # lines that came again
        self.notes = []               # of hark
        self.seq_of_notes = set()
        self.seq = 0
        self.first_of_seq = {}

    def take(self, data):
        """One stream, that ends with a whole line."""
        found = self.pattern.findall(data)
        lines = data.count(b"\n")
        if data and not data.endswith(b"\n"):
            self.complain(f"the end is torn: {data[data.rfind(bytes([10])) + 1:][:200]!r}")
        if len(found) != lines:
            self.sort_out(data)
        if self.plan.format == "json":
            self.follow_seq(found)
        else:
            self.follow_numbers(found)

    def sort_out(self, data):
        """Lines that are no message of the talker's."""
        good = re.compile(self.pattern.pattern)
        for line in data.split(b"\n"):
            if not line or good.match(line):
                continue
            if self.is_note(line) or self.is_cut(line):
                continue
            self.complain(f"no line of this run, or torn: {line[:300]!r} … {line[-100:]!r}")

    def is_note(self, line):
        if self.plan.format == "json":
            try:
                message = json.loads(line)
            except ValueError:
                return False
            if message.get("source") != "hark":
                return False
            self.notes.append(message["msg"])
            self.seq_of_notes.add(message["seq"])
            return True
        match = re.search(rb"hark: (.*)$|^hark(.*)", line)
        if match and self.run not in line:
            self.notes.append(line.decode())
            return True
        return False

    def is_cut(self, line):
        """The beginning of a message whose writer died in the middle of the call."""
        if self.plan.format == "json":
            try:
                message = json.loads(line)
            except ValueError:
                return False
            if message.get("partial") is not True:
                return False
            line = message["msg"].encode()
        match = re.search(self.run + rb" ([0-7]) (\d+) (([a-z])\4*)$", line)
        if not match:
            return False
        self.cut[int(match[1])] = int(match[2])
        return True

    def follow_seq(self, found):
        firsts = self.first_of_seq
        back = []
        fresh = []
        previous = self.seq
        top = max(firsts, default=0)
        for row in found:
            seq = int(row[4])
            if seq <= top:
                if seq <= previous:
                    self.repeats += 1
                if firsts.get(seq, row[0]) != row[0]:
                    back.append((firsts[seq], row[0]))
                self.repeated += seq in firsts
            else:
                firsts[seq] = row[0]
                fresh.append(row)
                top = seq
            previous = seq
        self.seq = previous
        for before, after in back[:3]:
            self.complain(f"repeated differently: {before[:300]!r}, {after[:300]!r}")
        self.follow_numbers(fresh)

    def follow_numbers(self, found):
        last, plan = self.last, self.plan
        now = list(last)
        bad = 0
        for row in found:
            thread, number = int(row[1]), int(row[2])
            if row[3] != PADS[number % len(PADS)] and row[3] != padding(plan, thread, number) or \
                    plan.long_every and row[3] != padding(plan, thread, number):
                bad += 1
                if bad < 4:
                    self.complain(f"not as it was said: {row[0][:300]!r}")
            if number == last[thread] + 1:
                last[thread] = number
            elif number <= last[thread]:
                if number != now[thread] + 1:
                    self.repeats += 1
                self.repeated += 1
            else:
                bad += 1
                if bad < 4:
                    self.complain(f"thread {thread}: {number} after {last[thread]}")
                last[thread] = number
            now[thread] = number

    def finish(self, begun, done, kills):
        for thread in range(THREADS):
            if self.last[thread] < done[thread]:
                self.complain(f"thread {thread}: {done[thread]} calls have returned, the last "
                              f"message is {self.last[thread]}")
            if self.last[thread] > begun[thread]:
                self.complain(f"thread {thread}: message {self.last[thread]}, "
                              f"begun {begun[thread]}")
            if self.cut[thread] and self.cut[thread] <= done[thread]:
                self.complain(f"thread {thread}: message {self.cut[thread]} is cut, but its call "
                              "has returned")
        # Without seq, each thread's going back is one of its own.
        most = kills if self.plan.format == "json" else kills * THREADS
        if self.repeats > most:
            self.complain(f"went back {self.repeats} times after {kills} kills")
        if self.plan.format == "json" and kills == 0:
            # a note may be the last of all: who died in the middle of a call said nothing after it
            seen = self.first_of_seq.keys() | self.seq_of_notes
            if seen and max(seen) != len(seen) and not any(self.cut):
                self.complain(f"{len(seen)} messages and notes, seq to {max(seen)}")


# ---- where it goes -----------------------------------------------------------------------------

class Peer:
    """Listens, and keeps what each connection brings, in their order."""

    def __init__(self, kind, directory):
        if kind == "unix":
            self.path = os.path.join(directory, "sock")
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(self.path)
            self.spec = f"unix:{self.path}"
        else:
            self.socket = socket.create_server(("127.0.0.1", 0))
            self.spec = f"tcp://127.0.0.1:{self.socket.getsockname()[1]}"
        self.socket.listen(64)
        self.parts = []
        self.open = 0
        self.reading = threading.Event()
        self.reading.set()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        """One after the other: a new connection is looked at when the old one has ended."""
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.open += 1
            part = bytearray()
            self.parts.append(part)
            with connection:
                while True:
                    self.reading.wait()
                    try:
                        piece = connection.recv(1 << 20)
                    except OSError:
                        piece = b""
                    if not piece:
                        break
                    part += piece
            self.open -= 1

    def streams(self):
        """What a connection that broke brought last may be the beginning of a line."""
        return [bytes(p[:p.rfind(b"\n") + 1]) for p in self.parts]

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(5)


class Drain:
    """Reads the other end of the program's own stderr."""

    def __init__(self):
        self.ours, self.theirs = os.pipe()
        self.data = bytearray()
        self.ended = threading.Event()
        self.reading = threading.Event()
        self.reading.set()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while piece := os.read(self.ours, 1 << 16):
            self.data += piece
            self.reading.wait()
            if len(piece) < 1 << 15:
                time.sleep(0.001)  # rather than be woken for each line
        self.ended.set()

    def close(self):
        if self.ended.wait(0):
            os.close(self.ours)
