"""One session of test_soak.py: the plan of its troubles, and what came of it."""

import contextlib
import dataclasses
import heapq
import itertools
import os
import pty
import random
import re
import signal
import socket
import subprocess
import time
import tty

from ledger import (AGAIN, ANNOUNCED, BACKS, CLOSING, CUTS, CUTS_COUNT, EARS, END, GAPS, GAPS_COUNT,
                    HELD, HELD_OURS, LAST_AT, LINES, LONGEST, LONGEST_OURS, MESSAGES, MOOD, ODD,
                    REPEATED, REST, SLOTS, TALK, WORKERS, Ledger, lost_in)
from round import HARK, Session, harness

HERE = os.path.dirname(os.path.abspath(__file__))
DISK_MB = 96
LIMIT = 60               # seconds for whatever is to come: none is judged by its speed
GIVEN_UP_LIMIT = 5       # the same, once something did not come
GROWTH_MOST_KB = 4096    # of a process of hark's that was left alone, over a life


def program(name):
    headers = ["ledger.h"] + ["ear_lines.h"] * (name == "ear")  # its age is theirs
    return harness.build(f"../stress/{name}.c", extra=("-O2", *(
        word for header in headers for word in ("-include", os.path.join(HERE, header)))))


def send(pidfd, number):
    try:
        signal.pidfd_send_signal(pidfd, number)
        return True
    except ProcessLookupError:
        return False


def fill(path):
    """The file system is full afterwards."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass


# ---- the plan: drawn from the seed alone --------------------------------------------------------

# what, how often, how long at most (seconds; None: at once over)
TROUBLES = [
    ("kill collector", 30, None), ("kill guardian", 14, None), ("stop collector", 6, 0.15),
    ("stop guardian", 3, 0.3), ("kill unix", 8, None), ("stop unix", 5, 0.3), ("stop tcp", 5, 0.3),
    ("stop console", 6, 0.3), ("fill disk", 5, 0.3), ("rename small", 6, None),
    ("rename rotating", 4, None), ("remove small", 3, None), ("hang up", 5, None),
    ("kill talker", 8, None), ("stop talker", 6, 0.15),
]
OF_HARK = ("kill collector", "kill guardian", "stop collector", "stop guardian")


@dataclasses.dataclass
class Kind:
    """Of lives."""
    name: str
    pause: float = 0.07         # seconds between two troubles, on the average
    long: tuple = (4000, 40000)  # every so many messages one of so many bytes
    other: tuple = ()           # than TROUBLES has it; 0: never


KINDS = [
    Kind("mixed"),
    # Who talks is killed in the middle of what is long; and that is cut, for it waits longer than
    # lines are held.
    Kind("talkers die", 0.015, (3, 6000), (("kill talker", 300, None), ("stop talker", 100, 0.15),
                                           ("stop unix", 60, 0.6), ("stop tcp", 60, 0.6))),
    Kind("collectors die", 0.02, other=(("kill collector", 150, None), ("kill guardian", 50, None))),
    Kind("hark left alone", other=tuple((what, 0, None) for what in OF_HARK)),
]
CALM = KINDS[3]


@dataclasses.dataclass
class Plan:
    kind: Kind
    ring: str
    seed: int       # of the chorus
    events: object  # endless: (pause, what, how long, how far in a burst, a number for choices)


def plan_of(seed, number):
    rng = random.Random(f"{seed}.{number}")
    ring, kind = rng.choice(["64K", "256K", "256K", "1M"]), KINDS[number % len(KINDS)]
    choices = list({t[0]: t for t in (*TROUBLES, *kind.other)}.values())

    def events():
        first = [c for c in choices if c[1]]  # each of them once, whatever is drawn later
        rng.shuffle(first)
        while True:
            what, _, longest = first.pop() if first else \
                rng.choices(choices, [c[1] for c in choices])[0]
            # Now and then a second of peace, in which nobody may be held up.
            pause = rng.expovariate(1 / kind.pause) if rng.random() < 0.97 else 1
            yield pause, what, longest and rng.uniform(0.005, longest), rng.random(), rng.random()
    return Plan(kind, ring, rng.getrandbits(48), events())


# ---- one session --------------------------------------------------------------------------------

SINKS = ["rotating", "small", "unix", "tcp", "console"]
FILES, CONSOLE = ("rotating", "small"), SINKS.index("console")


class Life(Session):
    """share: of the time, in percent, in which is talked; trouble is as much rarer."""

    def __init__(self, seed, number, share, disk, stack):
        super().__init__(stack)
        self.plan = plan_of(seed, number)
        self.run = f"R{self.plan.seed:012x}"
        self.ledger = Ledger(os.path.join(self.shm, "ledger"), self.plan.kind.long, share)
        self.share = share
        self.disk = disk or os.path.join(self.top, "disk")
        os.makedirs(self.disk, exist_ok=True)
        self.dirs = {"rotating": os.path.join(self.shm, "rotating"), "small": self.disk}
        os.mkdir(self.dirs["rotating"])
        self.ears = {}
        self.stopped = {}         # what: pidfds
        self.undo = []            # a heap: (when, ticket, function)
        self.ticket = itertools.count()
        self.count = {}           # of troubles that came to pass
        self.some = {}            # by sink: the first that did not come and had to
        self.moved = 0
        self.before, self.grown = {}, {}  # what measure() found; kB
        self.stack = stack
        self.open_sinks()

    # -- sinks and ears --

    def open_sinks(self):
        self.sockets = {"unix": socket.socket(socket.AF_UNIX),
                        "tcp": socket.create_server(("127.0.0.1", 0), backlog=64)}
        path = os.path.join(self.top, "sock")
        self.sockets["unix"].bind(path)
        self.sockets["unix"].listen(64)
        port = self.sockets["tcp"].getsockname()[1]
        self.master, self.terminal = pty.openpty()
        tty.setraw(self.terminal)
        self.specs = [
            f"file:{self.dirs['rotating']}/app.log?format=json&size=4M&keep=2000&overflow=block",
            f"file:{self.dirs['small']}/app.log?format=logfmt&overflow=block&backoff=1ms..20ms",
            f"unix:{path}?format=json&overflow=block&backoff=1ms..20ms",
            f"tcp://127.0.0.1:{port}?format=raw&overflow=block&backoff=1ms..20ms",
            "console?format=json&overflow=drop&queue=256K"]

    def start_ear(self, name):
        which = {"unix": ["listen"], "tcp": ["listen"], "console": ["fd"]}.get(name, ["tail"])
        fds = []
        if name in FILES:
            which += [self.dirs[name], "app.log"]
        else:
            fds = [self.master if name == "console" else self.sockets[name].fileno()]
            which += [str(fds[0])]
        with open(os.path.join(self.top, "odd." + name), "ab") as odd:
            self.ears[name] = subprocess.Popen(
                [program("ear"), self.ledger.path, self.run, str(SINKS.index(name)), *which],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=odd, pass_fds=fds)

    def start(self):
        for name in SINKS:
            self.start_ear(name)
        sinks = [word for spec in self.specs for word in ("--to", spec)]
        self.program = subprocess.Popen(
            [HARK, "run", *sinks, "--ring", self.plan.ring, "--capture", "stderr,stdout,syslog",
             "--exit-timeout", "20s", "--", program("chorus"), self.ledger.path, self.run,
             str(self.plan.seed)],
            stdin=subprocess.DEVNULL, stdout=self.terminal, stderr=self.terminal, cwd=self.top,
            env=self.env())
        os.close(self.terminal)

    # -- trouble --

    def later(self, seconds, function):
        heapq.heappush(self.undo, (time.monotonic() + seconds, next(self.ticket), function))

    def do_due(self, everything=False):
        while self.undo and (everything or self.undo[0][0] <= time.monotonic()):
            heapq.heappop(self.undo)[2]()
        if not self.undo:
            self.ledger.trouble(over=True)

    def stop(self, what, pidfd, seconds):
        """Takes the pidfd."""
        if what in self.stopped:
            os.close(pidfd)
            return False
        self.stopped[what] = pidfd
        send(pidfd, signal.SIGSTOP)

        def go_on():
            send(pidfd, signal.SIGCONT)
            os.close(self.stopped.pop(what))
        self.later(seconds, go_on)
        return True

    def talker(self, choice):
        """A pidfd of one of the chorus, the foreman excepted."""
        try:
            with open(f"/proc/{self.program.pid}/task/{self.program.pid}/children",
                      encoding="ascii") as file:
                pids = [int(word) for word in file.read().split()]
            return os.pidfd_open(pids[int(choice * len(pids))])
        except (OSError, IndexError):
            return None

    def trouble(self, what, seconds, choice):
        """Whether it came to that."""
        deed, _, whom = what.partition(" ")
        if whom in ("collector", "guardian"):
            if deed == "kill":
                return not self.stopped.keys() & {"collector", "guardian"} and \
                    self.signal([whom], signal.SIGKILL)
            with self.pair() as pair:
                return bool(pair) and self.stop(whom, os.dup(pair[whom][1]), seconds)
        if whom == "talker":
            pidfd = self.talker(choice)
            if pidfd is None:
                return False
            if deed == "stop":
                return self.stop(f"talker {pidfd}", pidfd, seconds)
            send(pidfd, signal.SIGKILL)
            os.close(pidfd)
            return True
        if whom in self.ears and deed in ("kill", "stop"):
            if deed == "stop":
                return self.stop(whom, os.pidfd_open(self.ears[whom].pid), seconds)
            if whom in self.stopped:
                return False
            self.ears[whom].kill()
            self.ears[whom].wait()
            self.start_ear(whom)
            return True
        return self.trouble_of_files(deed, whom, seconds)

    def trouble_of_files(self, deed, whom, seconds):
        if deed == "fill":
            balloon = os.path.join(self.disk, "balloon")
            if not os.path.ismount(self.disk) or os.path.exists(balloon):
                return False
            fill(balloon)
            self.later(seconds, lambda: os.unlink(balloon))
            return True
        if deed == "hang":
            with self.pair() as pair:
                return bool(pair) and send(pair["collector"][1], signal.SIGHUP)
        live = os.path.join(self.dirs[whom], "app.log")
        self.moved += 1
        try:
            if deed == "rename":
                os.rename(live, f"{live}.moved-{self.moved}")
            else:
                self.remove(live)
        except FileNotFoundError:
            return False
        return True

    def remove(self, live):
        """Not before the ear has it open: what it has read so far must be of this file."""
        ear = self.ears["small"].pid
        inode = os.stat(live).st_ino
        for fd in os.listdir(f"/proc/{ear}/fd"):
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{ear}/fd/{fd}").st_ino == inode:
                    os.unlink(live)
                    return
        raise FileNotFoundError

    def make_trouble(self, seconds):
        until = time.monotonic() + seconds
        slower = 100 / self.share
        owed = {}  # what could not be when it was due, and has never been: each second time
        for number, (pause, what, length, part, choice) in enumerate(self.plan.events):
            if owed and number % 2:
                what, length = owed.popitem()
            at = self.ledger.in_burst(time.monotonic() + min(pause * slower, pause + 1), part)
            while True:
                self.do_due()
                self.reap()
                now = time.monotonic()
                if now >= min(at, until):
                    break
                self.keep_disk_free()
                next_undo = self.undo[0][0] if self.undo else at
                time.sleep(max(0, min(at, until, next_undo, now + 0.02 * slower) - now))
            if time.monotonic() >= until or self.program.poll() is not None:
                break
            self.ledger.trouble(over=False)
            if self.trouble(what, length, choice):
                self.count[what] = self.count.get(what, 0) + 1
            elif what not in self.count:
                owed[what] = length
            self.do_due()
        self.do_due(everything=True)

    def keep_disk_free(self):
        """It is so small that it would fill by itself. The ear removes what was moved away."""
        live = os.path.join(self.disk, "app.log")
        with contextlib.suppress(FileNotFoundError):
            if os.stat(live).st_size > DISK_MB << 18:
                self.moved += 1
                os.rename(live, f"{live}.moved-{self.moved}")

    def reap(self):
        for pid in list(self.dead):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    self.dead.remove(pid)

    # -- before and after --

    def all_open(self):
        rows = harness.ask("stats", self.runtime)
        sinks = rows[0]["sinks"] if rows else []
        self.before = self.measure()
        return len(sinks) == len(SINKS) and all(s["state"] == "open" for s in sinks) and \
            len(self.before) == 2

    def measure(self):
        """{who: (descriptors, threads, kB)} while nobody talks; without one that closes something
        just now, or ends."""
        found = {}
        with self.pair() as pair:
            for who, (pid, _) in (pair or {}).items():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError, TypeError):
                    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
                        status = file.read()
                    found[who] = (sorted(os.readlink(f"/proc/{pid}/fd/{fd}").partition(" ")[0]
                                         for fd in os.listdir(f"/proc/{pid}/fd")),
                                  int(re.search(r"Threads:\s+(\d+)", status)[1]),
                                  int(re.search(r"RssAnon:\s+(\d+)", status)[1]))
        return found

    def patience(self):
        return GIVEN_UP_LIMIT if self.complaints else LIMIT

    def wait_until(self, what, condition):
        limit = self.patience()
        until = time.monotonic() + limit
        while not condition():
            if time.monotonic() > until:
                self.complaints.append(f"not within {limit} s: {what}: {self.describe()}")
                return False
            self.keep_disk_free()
            time.sleep(0.005)
        return True

    def describe(self):
        said, stats = self.ledger.said(), harness.ask("stats", self.runtime)
        return f"{said} said, {[self.ledger.heard(i)[MESSAGES] for i in range(EARS)]} heard, {stats}"

    def caught_up(self):
        """But for what need not come, and what the console may lose."""
        returned, doubts = [r for _, r in self.ledger.slots()], self.ledger.doubts()
        return all((slot, number) in doubts for ear in range(EARS) if ear != CONSOLE
                   for slot, heard in enumerate(self.ledger.last(ear))
                   for number in range(heard + 1, returned[slot] + 1))

    def rest(self):
        """Nobody talks, all has arrived; what hark's processes have is what they had before."""
        self.ledger.words[MOOD] = REST
        self.wait_until("talkers end", lambda: not self.ledger.words[WORKERS])
        self.wait_until("all that was said is heard", self.caught_up)
        if self.wait_until("both processes of hark", lambda: len(self.measure()) == 2):
            self.compare_sizes()

    def compare_sizes(self):
        after = {}

        def same():
            nonlocal after
            after = self.measure()
            return len(after) == 2 and all(
                len(after[who][0]) <= len(self.before[who][0]) and
                after[who][1] == self.before[who][1] for who in after)
        if not self.wait_until("descriptors and threads as before", same):
            self.complaints.append(f"before {self.before}, after {after}")
        self.grown = {who: size[2] - self.before[who][2] for who, size in after.items()}
        if self.plan.kind is CALM and max(self.grown.values(), default=0) > GROWTH_MOST_KB:
            self.complaints.append(f"grown by {self.grown} kB")

    def settle(self):
        self.ledger.words[MOOD] = END
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.program.wait(self.patience())
        if self.program.returncode != 7:
            self.complaints.append(f"the program's status: {self.program.returncode}")
        self.wait_until("the session ends", lambda: not os.listdir(self.runtime))
        self.ledger.words[CLOSING] = 1
        for name, ear in self.ears.items():
            try:
                if ear.wait(self.patience()):
                    self.complaints.append(f"the ear of {name}: {ear.returncode}")
            except subprocess.TimeoutExpired:
                self.complaints.append(f"{name} goes on")
                ear.kill()
                ear.wait()
        if not self.reap_all(self.patience()):
            self.complaints.append("processes stay behind")

    # -- the verdict --

    def check(self):
        doubts = self.ledger.doubts()
        figures = {}
        for number, name in enumerate(SINKS):
            figures[name] = self.check_sink(number, name, doubts)
        said = self.ledger.said()
        # Without seq, a note that comes again is counted again.
        announced = {f["announced"] for name, f in figures.items() if name != "tcp"}
        # A message that came in pieces may lack one or two; so it is lines that are counted.
        figures["console"]["missing"] = lacks = figures["rotating"]["lines"] - figures["console"]["lines"]
        if len(announced) != 1 or abs(announced.pop() - lacks) > self.kills:
            self.complaints.append(f"the console lacks {lacks} lines, announced are "
                                   f"{[f['announced'] for f in figures.values()]}; missing are "
                                   f"{self.some['console']}, odd {self.odd('console')!r}")
        return said, figures

    def odd(self, name):
        with open(os.path.join(self.top, "odd." + name), encoding="utf-8",
                  errors="replace") as file:
            return file.read(3000)

    def check_sink(self, number, name, doubts):
        heard = self.ledger.heard(number)[:LAST_AT].tolist()
        gaps = self.ledger.gaps(number)
        lost, some = lost_in(gaps, doubts)
        self.some[name] = some
        excused = heard[AGAIN] if name in FILES else heard[REPEATED]
        if lost and name != "console":
            self.complaints.append(f"{name}: {lost} lost: {some}")
        if heard[GAPS_COUNT] > GAPS or heard[CUTS_COUNT] > CUTS:
            self.complaints.append(f"{name}: too many gaps to count")
        # Where a collector was killed in the middle of a line, a terminal has its beginning twice.
        if wrong := [c for c in self.ledger.cuts(number) if c not in doubts and name != "console"]:
            self.complaints.append(f"{name}: cut, but the call returned: {wrong[:5]}")
        if heard[REPEATED] > excused:
            self.complaints.append(f"{name}: {heard[REPEATED]} repeated in files, {excused} had to: "
                                   f"{self.odd(name)}")
        most = self.kills + self.count.get("kill unix", 0)
        if heard[BACKS] > most * (SLOTS if name == "tcp" else 1):
            self.complaints.append(f"{name}: went back {heard[BACKS]} times after {most} kills")
        # In the middle of a line, too: on a terminal, two halves may then make one.
        if heard[ODD] > (self.kills if name == "console" else 0):
            self.complaints.append(f"{name}: {heard[ODD]} odd lines: {self.odd(name)}")
        return {"lost": 0 if name == "console" else lost, "missing": lost,
                "repeated": heard[REPEATED], "announced": heard[ANNOUNCED],
                "lines": heard[LINES],
                "held": heard[HELD], "held_ours": heard[HELD_OURS],
                "longest": heard[LONGEST], "longest_ours": heard[LONGEST_OURS]}

    def end_all(self):
        for ear in self.ears.values():
            if ear.poll() is None:
                ear.kill()
                ear.wait()
        for pidfd in self.stopped.values():
            send(pidfd, signal.SIGCONT)
            os.close(pidfd)
        super().end_all()
        for one in self.sockets.values():
            one.close()
        os.close(self.master)
        for name in os.listdir(self.disk):
            os.unlink(os.path.join(self.disk, name))
        self.ledger.close()

    def go(self, seconds):
        self.start()
        self.wait_until("a session with all its sinks open", self.all_open)
        self.ledger.words[MOOD] = TALK
        self.make_trouble(seconds)
        self.rest()
        self.settle()
        return self.check()
