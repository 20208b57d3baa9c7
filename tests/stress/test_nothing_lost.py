#!/usr/bin/env python3
# limit: 120
# alone
"""Nothing lost: a program talks with four threads while hark's processes are killed under it.

    test_nothing_lost.py [--seed N] [--rounds N] [--messages N] [PATTERN...]

Each round draws, from its seed, what says how much (talker.c), to which sink, how the program ends,
and who is killed or stopped meanwhile. Checked is, against the talker's own account: each message whose
call had returned has arrived, in its thread's order, whole, and a second time only after a kill of
the collector, then (in JSON) with the same seq and bytes; the program's status is its own; and no
process, directory or descriptor stays behind. To see a failed round again: --seed with its
seed and --rounds 1, and the name of its kind.

The short form, a round of each kind, is part of `make check`; with STRESS_SECONDS of 10 and more it
is a hundred rounds of ten times as many messages, and goes on until that time is over.
"""

import argparse
import contextlib
import ctypes
import dataclasses
import fnmatch
import glob
import json
import mmap
import os
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "preload"))
import harness  # noqa: E402  pylint: disable=wrong-import-position

HARK = harness.HARK
THREADS = 8             # accounts: four threads, and four of the second role
ROUND_LIMIT = 15        # seconds for a round, but for its checks
SETTLE_LIMIT = 15
KILLS_MOST = 20
PR_SET_CHILD_SUBREAPER = 36


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


KINDS = [
    Plan("file-json"),
    Plan("file-text", format="text"),
    Plan("file-raw", format="raw"),
    Plan("unix-json", sink="unix"),
    Plan("unix-raw", sink="unix", format="raw"),
    Plan("tcp-text", sink="tcp", format="text"),
    Plan("rotate-json", sink="rotate"),
    Plan("rotate-text", sink="rotate", format="text"),
    Plan("long-lines", long_every=500),
    Plan("guardian", trouble="guardian"),
    Plan("either", trouble="either"),
    Plan("stop", trouble="stop", ring="1M"),
    Plan("salvage", trouble="both", how="write", ring="1M"),
    Plan("salvage-rotate", trouble="both", how="fprintf", sink="rotate", ring="256K"),
    Plan("end-exit", end="exit"),
    Plan("end-_exit", end="_exit"),
    Plan("end-abort", end="abort", format="text"),
    Plan("end-kill", end="kill"),
    Plan("end-exec", end="exec"),
    Plan("end-outside", end="outside", trouble="either"),
]


def varied(kind, rng):
    """The same kind of round with the rest drawn anew, for the long form."""
    if kind in LOSSES:
        return kind
    plan = dataclasses.replace(kind)
    if plan.trouble != "both":
        plan.how = rng.choice(["write", "fprintf", "syslog", "mixed", "mixed"])
    if not plan.kind.startswith("end-"):
        plan.end = rng.choice(["+exit", "exit", "_exit", "+_exit", "abort", "kill", "exec", "outside"])
    if plan.trouble == "both" and plan.end == "exec":
        plan.end = "exit"
    plan.long_every = plan.long_every or rng.choice([0, 0, 0, 5000])
    plan.ring = rng.choice(["64K", "256K", "1M", "4M"])
    return plan


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


def padding(plan, thread, number):
    by_syslog = plan.how == "syslog" or (plan.how == "mixed" and number % 3 == 2)
    if plan.long_every and not by_syslog and \
            number % plan.long_every == plan.long_every - 1 - thread:
        return 40000
    return number * 7919 % 97


# ---- what was heard ----------------------------------------------------------------------------

JSON = rb'''(\{"time":"[-\dT:.]{29}Z","level":"info","msg":"RUN ([0-7]) (\d+) (([a-z]?)\5*)\.",''' \
       rb'''"source":"(?:stderr|syslog)","pid":\d+,"tid":\d+(?:,"comm":"(?:talker|exe)")?,''' \
       rb'''"seq":(\d+)(?:,"ident":"talker","facility":"user")?\})'''
TEXT = rb"(\[[-\d]{10} [\d:.]{12}\] \[info\] (?:(?:talker|exe)\[)?\d+\]?(?: syslog)?: " \
       rb"RUN ([0-7]) (\d+) (([a-z]?)\5*)\.)()"
RAW = rb"(RUN ([0-7]) (\d+) (([a-z]?)\5*)\.)()"
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
            seq = int(row[5])
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
            if len(row[3]) != padding(plan, thread, number) or \
                    row[4] != (b"%c" % (97 + number % 26) if row[3] else b""):
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
                self.complain(f"thread {thread}: message {self.last[thread]}, begun {begun[thread]}")
            if self.cut[thread] and self.cut[thread] <= done[thread]:
                self.complain(f"thread {thread}: message {self.cut[thread]} is cut, but its call "
                              "has returned")
        # Without seq, each thread's going back is one of its own.
        most = kills if self.plan.format == "json" else kills * THREADS
        if self.repeats > most:
            self.complain(f"went back {self.repeats} times after {kills} kills")
        if self.plan.format == "json" and kills == 0:
            seen = sorted(self.first_of_seq)
            if seen and seen[-1] != len(seen) + len(self.notes) and not any(self.cut):
                self.complain(f"{len(seen)} messages, {len(self.notes)} notes, seq to {seen[-1]}")


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


def rotated(path):
    """app.log.N … app.log.1, app.log"""
    numbered = [(int(name.rpartition(".")[2]), name) for name in glob.glob(path + ".*")]
    return [name for _, name in sorted(numbered, reverse=True)] + [path]


# ---- a round -----------------------------------------------------------------------------------

class Round:
    def __init__(self, plan, seed, messages, stack):
        self.plan = plan
        self.rng = random.Random(seed)
        self.messages = messages
        self.run = f"R{self.rng.getrandbits(48):012x}"
        self.top = tempfile.mkdtemp(prefix="hark-stress-")
        stack.callback(shutil.rmtree, self.top, ignore_errors=True)
        self.shm = tempfile.mkdtemp(prefix="hark-stress-", dir="/dev/shm")
        stack.callback(shutil.rmtree, self.shm, ignore_errors=True)
        self.runtime = os.path.join(self.shm, "runtime")
        os.mkdir(self.runtime, 0o700)
        self.account = Account(os.path.join(self.shm, "account"))
        self.out = os.path.join(self.shm, "app.log")
        self.peer = Peer(plan.sink, self.top) if plan.sink in ("unix", "tcp") else None
        if self.peer:
            stack.callback(self.peer.close)
        self.stderr = Drain()
        stack.callback(self.stderr.close)
        self.program = None
        self.kills = 0            # of the collector
        self.dead = []            # pids that we killed
        self.complaints = []
        stack.callback(self.end_all)

    def env(self):
        return harness.environment(self.runtime, self.top)

    def sink(self):
        form = f"format={self.plan.format}"
        if self.peer:
            return f"{self.peer.spec}?{form}&overflow=block&backoff=1ms..20ms"
        if self.plan.sink == "rotate":
            return f"file:{self.out}?{form}&size=1M&keep=1000"
        return f"file:{self.out}?{form}"

    def start(self):
        plan = self.plan
        end = "+exit" if plan.end == "outside" else plan.end
        argv = [HARK, "run", "--to", self.sink(), "--ring", plan.ring, "--", TALKER,
                self.account.path, self.run, str(self.messages), plan.how, str(plan.long_every),
                end, "0"]
        self.program = subprocess.Popen(argv, stdin=subprocess.DEVNULL, cwd=self.top,
                                        stdout=subprocess.DEVNULL, stderr=self.stderr.theirs,
                                        env=self.env())
        os.close(self.stderr.theirs)

    # -- who is killed --

    def row(self):
        """The session in `hark ps`; None when it has ended."""
        rows = harness.ask("ps", self.runtime)
        return rows[0] if rows else None

    def hark_pidfd(self, pid):
        """A pidfd, if that is a process of hark's and nobody else's; None if not."""
        if not pid or pid == self.program.pid:
            return None
        with contextlib.suppress(OSError):
            fd = os.pidfd_open(pid)
            with contextlib.suppress(OSError):
                if os.path.samefile(f"/proc/{pid}/exe", HARK):
                    return fd
            os.close(fd)
        return None

    def signal(self, which, *numbers, pause=0):
        """Signals to the collector, the guardian or both, as close to each other as can be. Whether
        it came to that."""
        row = self.row()
        if not row:
            return False
        pids = {w: row[w + "_pid"] for w in ("collector", "guardian")}
        fds = {w: self.hark_pidfd(pid) for w, pid in pids.items()}
        sent = False
        # One without the other is a session that is just beginning, or that has lost one of them
        # already and may not lose both.
        if None not in fds.values() and not set(pids.values()) & set(self.dead) and \
                pids["collector"] != pids["guardian"]:
            for number in numbers:
                for fd in map(fds.get, which):
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(fd, number)
                        sent = True
                if number == signal.SIGSTOP:
                    self.program_ended(pause)
        for fd in fds.values():
            if fd is not None:
                os.close(fd)
        if sent and signal.SIGKILL in numbers:
            self.dead += [pids[w] for w in which]
            self.kills += "collector" in which
        return sent

    def program_ended(self, seconds):
        """Waits so long at most."""
        fd = os.pidfd_open(self.program.pid)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        ended = bool(poll.poll(seconds * 1000))
        os.close(fd)
        return ended

    def make_trouble(self):
        """While the program runs."""
        rng, plan = self.rng, self.plan
        until = time.monotonic() + ROUND_LIMIT
        done = 0
        doom = time.monotonic() + rng.uniform(0.01, 0.6) if plan.end == "outside" else None
        both_at = rng.randrange(1, 4)
        while not self.program_ended(rng.uniform(0, 0.012)):
            self.reap()
            if doom and time.monotonic() > doom:
                self.program.kill()
                doom = None
            if time.monotonic() > until:
                self.complaints.append("the program does not end: " + self.describe())
                self.program.kill()
                return
            if done >= KILLS_MOST or plan.trouble == "none":
                self.program_ended(0.02)
            elif plan.trouble == "stop":
                done += self.signal(["collector"], signal.SIGSTOP, signal.SIGCONT,
                                    pause=rng.uniform(0, 0.3))
            elif plan.trouble == "both":
                done += self.signal(["collector"], signal.SIGKILL) if done != both_at else \
                    self.kill_both()
            else:
                who = plan.trouble
                if who == "either":
                    who = rng.choice(["collector", "guardian"])
                done += self.signal([who], signal.SIGKILL)

    def kill_both(self):
        if not self.signal(["guardian", "collector"], signal.SIGKILL):
            return 0
        self.reap()
        return KILLS_MOST

    def describe(self):
        """What can be said of a session that hangs."""
        said = [json.dumps(self.row()), json.dumps(harness.ask("stats", self.runtime))[:1500],
                f"begun and done: {self.account.read()}", f"killed: {self.dead}"]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                    stat = file.read()
                if f" {os.getpid()} " in stat[:60]:
                    said.append(stat[:40])
        return "\n".join(said)

    # -- the end --

    def reap(self):
        for pid in self.dead:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def reap_all(self, limit):
        """Every process that came of this round has ended. (They become our children when their
        parents die.)"""
        until = time.monotonic() + limit
        while time.monotonic() < until:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                time.sleep(0.002)
        return False

    def salvage(self):
        for path in os.scandir(self.runtime):
            done = subprocess.run([HARK, "salvage", path.path], env=self.env(), cwd=self.top,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  check=False, timeout=ROUND_LIMIT)
            if done.returncode:
                self.complaints.append(f"salvage: {done.returncode} {done.stdout}{done.stderr}")

    def settle(self):
        left = not self.reap_all(SETTLE_LIMIT)
        if left:
            self.complaints.append("processes stay behind: " + self.describe())
        if self.plan.trouble == "both":
            self.salvage()
        if os.listdir(self.runtime):
            self.complaints.append(f"the session stays behind: {os.listdir(self.runtime)}, "
                                   f"{[os.listdir(d.path) for d in os.scandir(self.runtime)]}")
        if not self.stderr.ended.wait(2):
            self.complaints.append("somebody keeps the program's stderr")
        if self.peer:
            until = time.monotonic() + 5
            while self.peer.open and time.monotonic() < until:
                time.sleep(0.002)
            if self.peer.open:
                self.complaints.append("somebody keeps the connection")

    def expected_status(self):
        return {"abort": -signal.SIGABRT, "kill": -signal.SIGKILL}.get(self.plan.end.strip("+"), 7)

    def check(self):
        begun, done = self.account.read()
        heard = Heard(self.plan, self.run.encode(), self.complaints)
        if self.peer:
            streams = self.peer.streams()
        else:
            names = rotated(self.out) if self.plan.sink == "rotate" else [self.out]
            streams = [read(name) for name in names]
        for stream in streams:
            heard.take(stream)
        self.check_direct(heard)
        heard.finish(begun, done, self.kills)
        if self.plan.sink == "rotate":
            self.check_sizes(streams)
        unexpected = [n for n in heard.notes if "died in the middle" not in n]
        if unexpected:
            self.complaints.append(f"hark says: {unexpected[:5]}")
        return sum(done), heard

    def check_direct(self, heard):
        """What the program wrote for itself, when nobody collected any more."""
        data = bytes(self.stderr.data)
        lines = [line for line in data.split(b"\n")
                 if not line.startswith(b"hark: the collector is gone")]
        data = b"\n".join(lines)
        if data and self.plan.trouble != "both":
            self.complaints.append(f"the program's stderr: {data[:300]!r}")
        elif data:
            direct = Heard(dataclasses.replace(self.plan, format="raw"), self.run.encode(),
                           self.complaints)
            direct.last = heard.last
            direct.take(data[:data.rfind(b"\n") + 1])
            if direct.repeats:
                self.complaints.append(f"{direct.repeats} repeats on the program's stderr")

    def check_sizes(self, streams):
        for stream in streams:
            first = stream.find(b"\n")
            if len(stream) > 1 << 20 and first + 1 != len(stream):
                self.complaints.append(f"a file of {len(stream)} bytes")

    def end_all(self):
        """Whatever happened, nothing stays."""
        if self.program and self.program.poll() is None:
            self.program.kill()
            self.program.wait()
        row = self.row()
        for pid in (row or {}).get("guardian_pid", 0), (row or {}).get("collector_pid", 0):
            fd = self.hark_pidfd(pid)
            if fd is not None:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                os.close(fd)
        self.reap_all(5)

    def go(self):
        started = time.monotonic()
        self.start()
        self.make_trouble()
        status = self.program.wait()
        wanted = {self.expected_status()} | ({-9} if self.plan.end == "outside" else set())
        if status not in wanted:
            self.complaints.append(f"exit status {status}, not {wanted}")
        self.settle()
        ms = (time.monotonic() - started) * 1000
        total, heard = self.check()
        return f"{total} messages, {self.kills} kills of the collector, {heard.repeats} times " \
               f"back ({heard.repeated} lines again), {ms:.0f} ms"


class LossRound(Round):
    """A reader that stands still, and policies that lose: what arrived and what was announced as
    lost is together what was said."""

    def sink(self):
        return {"console": "console?format=json&queue=64K&overflow=drop",
                "console-text": "console?format=text&queue=64K&overflow=drop",
                "console-raw": "console?format=raw&queue=64K&overflow=drop",
                "unix": f"{self.peer and self.peer.spec}?format=json&queue=64K&overflow=drop",
                "tcp": f"{self.peer and self.peer.spec}?format=json&queue=64K&"
                       "overflow=timeout:20ms",
                "file": f"file:{self.out}?format=json"}[self.plan.sink]

    def start(self):
        # The shell keeps the session when the talker has ended.
        plan = self.plan
        talker = [TALKER, self.account.path, self.run, str(self.messages), plan.how, "0", "+exit",
                  "0"]
        argv = [HARK, "run", "--to", self.sink(), "--ring", plan.ring, "--overflow",
                plan.trouble, "--exit-timeout", "300ms", "--", "/bin/sh", "-c", " ".join(talker) + "; echo $?; read line"]
        self.program = subprocess.Popen(argv, stdin=subprocess.PIPE, cwd=self.top,
                                        stdout=subprocess.PIPE, stderr=self.stderr.theirs,
                                        env=self.env())
        os.close(self.stderr.theirs)

    def reader(self):
        return self.peer.reading if self.peer else self.stderr.reading

    def go(self):
        started = time.monotonic()
        if self.plan.sink != "file":
            self.reader().clear()
        self.start()
        while self.plan.trouble != "block" and not self.said():
            self.signal(["collector"], signal.SIGSTOP, signal.SIGCONT,
                        pause=self.rng.uniform(0, 0.05))
        self.said(ROUND_LIMIT)
        self.reader().set()
        drained = subprocess.run([HARK, "drain"], env=self.env(), check=False, timeout=ROUND_LIMIT)
        if drained.returncode:
            self.complaints.append(f"drain: {drained.returncode}")
        stats = self.told_by_stats()
        self.program.communicate(b"\n", timeout=ROUND_LIMIT)
        self.settle()
        ms = (time.monotonic() - started) * 1000
        return self.check_sums(stats) + f", {ms:.0f} ms"

    def said(self, seconds=0):
        """Whether the talker has ended."""
        return bool(select.select([self.program.stdout], [], [], seconds)[0])

    def told_by_stats(self):
        """The losses as `hark stats` has them, once they no longer change."""
        until, before = time.monotonic() + 5, None
        while time.monotonic() < until:
            rows = harness.ask("stats", self.runtime)
            lost = rows[0]["lost"] if rows else {}
            if lost == before:
                break
            before = lost
            time.sleep(0.25)
        return sum(before.values())

    def check_sums(self, stats):
        _, done = self.account.read()
        if self.peer:
            data = b"".join(self.peer.streams())
        elif self.plan.sink == "file":
            data = read(self.out)
        else:
            data = bytes(self.stderr.data)
        pattern = re.compile(b"^" + PATTERNS[self.plan.format].replace(b"RUN", self.run.encode())
                             + b"$", re.M)
        found = pattern.findall(data)
        announced = sum(map(int, re.findall(rb"(\d+) messages \(\d+ bytes\) lost", data)))
        others = [line for line in data.split(b"\n")
                  if line and not pattern.match(line) and b" lost: " not in line]
        if others:
            self.complaints.append(f"no line of this run, or torn: {others[:3]}")
        last = [0] * THREADS
        for row in found:
            if int(row[2]) <= last[int(row[1])]:
                self.complaints.append(f"thread {int(row[1])}: {int(row[2])} again")
                break
            last[int(row[1])] = int(row[2])
        said = sum(done)
        if len(found) + announced != said:
            self.complaints.append(f"{len(found)} arrived + {announced} announced as lost = "
                                   f"{len(found) + announced}, not {said}")
        if stats != said - len(found):
            self.complaints.append(f"stats say {stats} lost, {said - len(found)} are missing")
        return f"{said} messages, {len(found)} arrived, {announced} announced as lost"


# trouble is the ring's policy here
LOSSES = [
    Plan("lost-console", sink="console", trouble="block"),
    Plan("lost-console-text", sink="console-text", format="text", trouble="block"),
    Plan("lost-console-raw", sink="console-raw", format="raw", trouble="block"),
    Plan("lost-unix", sink="unix", trouble="block"),
    Plan("lost-tcp", sink="tcp", trouble="block"),
    Plan("lost-ring", sink="file", trouble="drop", ring="64K"),
    Plan("lost-timeout", sink="file", trouble="timeout:1ms", ring="64K"),
    Plan("lost-overwrite", sink="file", trouble="overwrite", ring="64K"),
]


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def play(plan, seed, messages):
    with contextlib.ExitStack() as stack:
        kind = LossRound if plan in LOSSES else Round
        one = kind(plan, seed, messages, stack)
        figures = one.go()
        if one.complaints and KEEP:
            for name in rotated(one.out):
                if os.path.exists(name):
                    shutil.copy(name, KEEP)
        return figures, one.complaints


# ---- all of them -------------------------------------------------------------------------------

def rounds(args, seconds):
    """(name, seed, plan, messages), for as long as it is wanted."""
    kinds = [k for k in KINDS + LOSSES
             if not args.patterns or any(fnmatch.fnmatch(k.kind, p) for p in args.patterns)]
    long = seconds >= 10
    count = args.rounds or (100 if long else len(kinds))
    messages = args.messages or (250000 if long else 20000)
    started = time.monotonic()
    number = 0
    while number < count or (not args.rounds and long and time.monotonic() - started < seconds):
        kind = kinds[number % len(kinds)]
        seed = args.seed + number
        plan = varied(kind, random.Random(seed)) if long or args.varied else kind
        yield kind.kind, seed, plan, messages
        number += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1000000)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--messages", type=int, help="of each thread")
    parser.add_argument("--varied", action="store_true", help="draw the plan, too")
    parser.add_argument("--keep", help="copy the files of a round that failed to this directory")
    parser.add_argument("patterns", nargs="*", help="only kinds that match one of these globs")
    args = parser.parse_args()
    global TALKER, KEEP  # pylint: disable=global-statement
    KEEP = args.keep
    if not os.access(HARK, os.X_OK):
        sys.exit(f"{HARK} is not there: run make first")
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    TALKER = harness.build("../stress/talker.c", extra=("-O2",))
    seconds = float(os.environ.get("STRESS_SECONDS") or 2)
    failed = number = 0
    for number, (name, seed, plan, messages) in enumerate(rounds(args, seconds), 1):
        try:
            figures, complaints = play(plan, seed, messages)
        except Exception as error:  # pylint: disable=broad-except  # a round, not the test, fails
            figures, complaints = "", [f"{type(error).__name__}: {error}"]
        for complaint in complaints[:12]:
            print("# " + str(complaint)[:1500].replace("\n", "\n#   "))
        if complaints:
            print(f"# {plan}")
        verdict = "not ok" if complaints else "ok"
        print(f"{verdict} {number} - {name} --seed {seed}: {figures}", flush=True)
        failed += bool(complaints)
    print(f"1..{number}")
    sys.exit(1 if failed else 0)


TALKER = KEEP = None
if __name__ == "__main__":
    main()
