"""The rounds of test_nothing_lost.py: a talker under hark, trouble, and what came of it."""

import contextlib
import dataclasses
import glob
import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "preload"))
import harness  # noqa: E402  pylint: disable=wrong-import-position
import traps  # noqa: E402, F401  pylint: disable=wrong-import-position,unused-import
from heard import PATTERNS, THREADS, Account, Drain, Heard, Peer  # noqa: E402

HARK = harness.HARK
ROUND_LIMIT = 60        # seconds for a round, but for its checks
SETTLE_LIMIT = 60
KILLS_MOST = 20


def talker():
    return harness.build("../stress/talker.c", extra=("-O2",))


def rotated(path):
    """app.log.N … app.log.1, app.log"""
    numbered = [(int(name.rpartition(".")[2]), name) for name in glob.glob(path + ".*")]
    return [name for _, name in sorted(numbered, reverse=True)] + [path]


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


class Session:
    """A program under hark, in directories of its own, and hark's two processes beside it."""

    def __init__(self, stack):
        self.top = tempfile.mkdtemp(prefix="hark-stress-")
        stack.callback(shutil.rmtree, self.top, ignore_errors=True)
        self.shm = tempfile.mkdtemp(prefix="hark-stress-", dir="/dev/shm")
        stack.callback(shutil.rmtree, self.shm, ignore_errors=True)
        self.runtime = os.path.join(self.shm, "runtime")
        os.mkdir(self.runtime, 0o700)
        self.program = None
        self.kills = 0            # of the collector
        self.dead = []            # pids that we killed
        self.complaints = []
        stack.callback(self.end_all)

    def env(self):
        return harness.environment(self.runtime, self.top)

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

    @contextlib.contextmanager
    def pair(self):
        """{"collector": (pid, pidfd), "guardian": …}; None unless both are there. One without the
        other is a session that is just beginning, or that has lost one of them already and may not
        lose both."""
        row = self.row() or {}
        pids = {w: row.get(w + "_pid", 0) for w in ("collector", "guardian")}
        fds = {w: self.hark_pidfd(pid) for w, pid in pids.items()}
        whole = None not in fds.values() and not set(pids.values()) & set(self.dead) and \
            pids["collector"] != pids["guardian"]
        try:
            yield {w: (pids[w], fds[w]) for w in fds} if whole else None
        finally:
            for fd in fds.values():
                if fd is not None:
                    os.close(fd)

    def signal(self, which, *numbers, pause=0):
        """Signals to the collector, the guardian or both, as close to each other as can be. Whether
        it came to that."""
        sent = False
        with self.pair() as pair:
            if not pair:
                return False
            for number in numbers:
                for _, fd in map(pair.get, which):
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(fd, number)
                        sent = True
                if number == signal.SIGSTOP:
                    self.program_ended(pause)
            if sent and signal.SIGKILL in numbers:
                self.dead += [pair[w][0] for w in which]
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
        self.reap_all(20)


class Round(Session):
    def __init__(self, plan, seed, messages, stack):
        super().__init__(stack)
        self.plan = plan
        self.rng = random.Random(seed)
        self.messages = messages
        self.run = f"R{self.rng.getrandbits(48):012x}"
        self.account = Account(os.path.join(self.shm, "account"))
        self.out = os.path.join(self.shm, "app.log")
        self.peer = Peer(plan.sink, self.top) if plan.sink in ("unix", "tcp") else None
        if self.peer:
            stack.callback(self.peer.close)
        self.stderr = Drain()
        stack.callback(self.stderr.close)

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
        argv = [HARK, "run", "--to", self.sink(), "--ring", plan.ring, "--", talker(),
                self.account.path, self.run, str(self.messages), plan.how, str(plan.long_every),
                end, "0"]
        self.program = subprocess.Popen(argv, stdin=subprocess.DEVNULL, cwd=self.top,
                                        stdout=subprocess.DEVNULL, stderr=self.stderr.theirs,
                                        env=self.env())
        os.close(self.stderr.theirs)

    # -- trouble --

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

    def salvage(self):
        until = time.monotonic() + 30
        for path in os.scandir(self.runtime):
            while True:
                done = subprocess.run([HARK, "salvage", path.path], env=self.env(), cwd=self.top,
                                      stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                      check=False, timeout=ROUND_LIMIT)
                # For a moment after a kill, a new guardian may be on its way for all that is known.
                if "is alive" not in done.stderr or time.monotonic() > until:
                    break
                time.sleep(0.02)
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
        if not self.stderr.ended.wait(30):
            self.complaints.append("somebody keeps the program's stderr")
        if self.peer:
            until = time.monotonic() + 30
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
        words = [talker(), self.account.path, self.run, str(self.messages), plan.how, "0", "+exit",
                  "0"]
        argv = [HARK, "run", "--to", self.sink(), "--ring", plan.ring, "--overflow",
                plan.trouble, "--exit-timeout", "300ms", "--", "/bin/sh", "-c",
                " ".join(words) + "; echo $?; read line"]
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
        drained = subprocess.run([HARK, "drain", "--timeout", f"{ROUND_LIMIT}s"], env=self.env(),
                                 check=False, timeout=2 * ROUND_LIMIT)
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
        announced = sum(map(int, re.findall(rb"(\d+) messages? \(\d+ bytes\) lost", data)))
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
