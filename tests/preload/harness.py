"""Runs a program natively and under hark, and lets a test compare what came of it.

    native = harness.run_native(["/bin/sh", "-c", "echo hi >&2"])
    heard = harness.run_hark(["/bin/sh", "-c", "echo hi >&2"])

Both give an Outcome: exit status, stdout, what the program stated on descriptor 3, what arrived on
the real descriptor 2, and the messages that hark made. A run has a directory, a runtime directory
and an environment of its own, and leaves no process behind. Descriptors 0 to 3 are all that the
program gets. Descriptor 2 can be of several kinds, see CHANNELS.

Programs under test are compiled by build(), a variant (see VARIANTS) each. tap.py runs the cases.
"""

import contextlib
import fcntl
import json
import os
import pty
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tty

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests"))
# pylint: disable-next=wrong-import-position,unused-import
from tap import Skip, arguments, run_tap  # noqa: E402, F401  the runners find them here

from modes import BUILD, HERE, Mode  # noqa: E402

HARK = os.path.join(BUILD, "hark")
ONCE = os.path.join(BUILD, "tests", "once")
mode = Mode()        # a runner may put another one here

RUN_LIMIT = 90       # seconds that a program may take
SETTLE_LIMIT = 30    # seconds that a session may take to end after its last process
LEAST_FD = 20        # our own descriptors stay above those that a child gets

# What is compiled, and how. -fno-builtin: the function named is the function called.
VARIANTS = {
    "plain": ["-O0", "-fno-builtin"],
    "fortify": ["-O2", "-fno-builtin", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"],
    "nopie": ["-O1", "-fno-builtin", "-fno-pie", "-no-pie"],
    "static-cxx": ["-O1", "-static-libstdc++", "-static-libgcc"],
}
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wundef", "-Wvla", "-Wwrite-strings"]


# ---- what a run gives --------------------------------------------------------------------------

class Fields:
    """Those that a class names, in their order. (dataclasses take longer to load than all our own.)"""

    def __init__(self, *values):
        self.__dict__.update(zip(self.__annotations__, values, strict=True))

    def __repr__(self):
        return f"{type(self).__name__}({vars(self)})"


class Outcome(Fields):
    status: int | None          # exit status, minus the signal, None: had to be killed
    pid: int
    stdout: bytes
    report: bytes               # what the program stated on descriptor 3
    stderr: bytes               # what arrived on the real descriptor 2
    messages: list              # of hark: the objects of format=json, in order; [] natively
    at_exit: int                # how many of them were there when the program's end was seen
    settled: bool               # the session ended in time, and nobody kept descriptors 2 or 3
    files: dict                 # what the program left in its directory: name to bytes
    stderr_stat: os.stat_result | None  # of the open file that was descriptor 2

    def lines(self):
        """The real stderr, or natively what should be captured, as (text, finished) pairs."""
        return split_lines(self.stderr)

    def texts(self, source=None):
        """The texts of the messages of one source, or of all."""
        return [m.get("msg", "") for m in self.messages
                if source is None or m.get("source") == source]

    def losses(self):
        return [m for m in self.messages if m.get("source") == "hark"]

    def expected(self):
        """What the program stated must be reported (see expect_*() in case.h)."""
        return [json.loads(line[7:]) for line in self.report.decode().splitlines()
                if line.startswith("expect ")]

    def stated(self):
        """What else it stated, one line each."""
        return [line for line in self.report.decode(errors="replace").splitlines()
                if not line.startswith("expect ")]


def split_lines(data):
    """Bytes into (text, finished) pairs; only the last may be unfinished."""
    lines = data.decode("utf-8", "replace").split("\n")
    return [(text, True) for text in lines[:-1]] + ([(lines[-1], False)] if lines[-1] else [])


# ---- descriptor 2, of several kinds ------------------------------------------------------------

class Channel:
    """One end becomes the program's descriptor; what is written there is collected."""

    def __init__(self, kind, directory):
        """kind: a key of CHANNELS."""
        self.kind = kind
        self.child = self.ours = self.path = None
        self.data = bytearray()
        CHANNELS[kind](self, directory)
        for end in ("child", "ours"):
            if getattr(self, end) is not None:
                setattr(self, end, raised(getattr(self, end)))
        self.stat = os.fstat(self.child) if self.child is not None else None

    def file(self, directory):
        self.path = os.path.join(directory, "stderr")
        self.child = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC)

    def pipe(self, _):
        self.ours, self.child = os.pipe()

    def tty(self, _):
        self.ours, self.child = pty.openpty()
        tty.setraw(self.child)  # a newline stays a newline

    def socket(self, _):
        ours, child = socket.socketpair()
        self.ours, self.child = ours.detach(), child.detach()

    def closed(self, _):
        pass

    def readonly(self, _):
        self.child = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def null(self, _):
        self.child = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)

    def broken(self, _):
        ours, self.child = os.pipe()
        os.close(ours)

    def started(self):
        """The program has its end now. That of a terminal stays open until the program has ended:
        closing the last one would hang up."""
        if self.kind != "tty":
            self.release()

    def release(self):
        if self.child is not None:
            os.close(self.child)
            self.child = None

    def read(self):
        """Takes what is there; at the end closes our end."""
        try:
            piece = os.read(self.ours, 1 << 16)
        except OSError:  # a terminal that nobody has open any more
            piece = b""
        self.data += piece
        if not piece:
            self.close()

    def close(self):
        self.release()
        if self.ours is not None:
            os.close(self.ours)
            self.ours = None

    def collected(self):
        if self.path:
            with open(self.path, "rb") as file:
                return file.read()
        return bytes(self.data)


CHANNELS = {
    "file": Channel.file,          # a regular file, as a shell opens it
    "pipe": Channel.pipe,
    "tty": Channel.tty,            # a pseudo-terminal, raw
    "socket": Channel.socket,      # a stream socket
    "closed": Channel.closed,      # 2>&-
    "readonly": Channel.readonly,  # open for reading only
    "null": Channel.null,          # /dev/null
    "broken": Channel.broken,      # a pipe that nobody reads
}


def raised(fd):
    """The same open file at a number that a child does not use."""
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, LEAST_FD)
    os.close(fd)
    return high


# ---- running -----------------------------------------------------------------------------------

def run_native(argv, **how):
    """Runs it without hark; see run()."""
    return run(argv, None, **how)


def run_hark(argv, options=(), **how):
    """Runs it under `hark run` with one sink, a file in JSON; options are further ones of run."""
    return run(argv, list(options), **how)


def run(argv, options, stderr="pipe", stdin=os.devnull, env=None, files=None, limit=RUN_LIMIT,
        sinks=True):
    """Runs argv to its end; options: None natively, or those of `hark run`.

    stderr: the kind of descriptor 2. env: further variables. files: what lies in the program's
    directory at the start, name to bytes. sinks: False leaves out the sink, so that options
    can name others; messages are then what is in $OUT, if anything.
    """
    with contextlib.ExitStack() as stack:
        place = Place(stack)
        for name, data in (files or {}).items():
            with open(os.path.join(place.work, name), "wb") as file:
                file.write(data)
        channel, report = Channel(stderr, place.top), Channel("pipe", place.top)
        stack.callback(channel.close)
        stack.callback(report.close)
        if options is not None:
            sink = ["--to", f"file:{place.out}?format=json"] if sinks else []
            argv = mode.heard(argv, [*sink, *options])
        else:
            argv = mode.native(argv)
        watched = start(argv, place, channel, report, stdin, env)
        stack.callback(watched.end)
        status = watched.wait(limit)
        at_exit = whole_lines(place.out).count(b"\n")
        settled = place.settle(watched) and status is not None
        return Outcome(status, watched.pid, place.stdout(), report.collected(),
                       mode.without_noise(channel.collected()), read_messages(place.out),
                       at_exit, settled, place.left(), channel.stat)


class Place:
    """The directories of one run; gone afterwards, with every process that still uses them."""

    def __init__(self, stack):
        self.top = tempfile.mkdtemp(prefix="hark-test-")
        stack.callback(shutil.rmtree, self.top, ignore_errors=True)
        shm = "/dev/shm"
        self.runtime = tempfile.mkdtemp(prefix="hark-test-",
                                        dir=shm if os.access(shm, os.W_OK) else self.top)
        stack.callback(shutil.rmtree, self.runtime, ignore_errors=True)
        self.clean = True
        stack.callback(self.kill_leftovers)
        self.work = os.path.join(self.top, "work")
        os.mkdir(self.work)
        self.out = os.path.join(self.top, "out.json")

    def stdout(self):
        with open(os.path.join(self.top, "stdout"), "rb") as file:
            return file.read()

    def left(self):
        found = {}
        for folder, _, names in os.walk(self.work):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        found[os.path.relpath(path, self.work)] = file.read()
        return found

    def sessions(self):
        """The directories of the sessions that are alive, or were left behind."""
        return [entry.path for entry in os.scandir(self.runtime)
                if entry.is_dir(follow_symlinks=False)]

    def settle(self, watched):
        """Waits until the sessions have ended and nobody has descriptors 2 and 3 any more; False:
        they still do."""
        until = time.monotonic() + SETTLE_LIMIT
        while self.sessions() or watched.open_channels():
            if time.monotonic() > until:
                self.clean = False
                return False
            watched.pump(0.005)
        return True

    def kill_leftovers(self):
        """Only after a run that did not settle: whoever has this runtime directory, by pid."""
        if self.clean:
            return
        mark = b"HARK_RUNTIME_DIR=" + self.runtime.encode()
        pids = {value for row in ask("ps", self.runtime) for key, value in row.items()
                if key in ("pid", "collector_pid", "guardian_pid") and isinstance(value, int)}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if mark in file.read().split(b"\0"):
                        pids.add(int(entry))
        for pid in pids - {0, os.getpid()}:
            kill(pid)


def ask(verb, runtime, *args):
    """`hark VERB --json` about the sessions in a runtime directory: a list of objects."""
    if not os.access(HARK, os.X_OK):
        return []
    done = subprocess.run([HARK, verb, "--json", *args], stdin=subprocess.DEVNULL,
                          env=environment(runtime), capture_output=True, timeout=SETTLE_LIMIT,
                          check=False)
    return parse_objects(done.stdout)


def kill(pid):
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def environment(runtime, home="/", extra=None):
    """A small one, with nothing of hark's but the runtime directory."""
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TERM": "dumb", "HOME": home,
           "TMPDIR": home, "HARK_RUNTIME_DIR": runtime,
           "HARK_EXIT_TIMEOUT": "60s"}  # what was said is shown at the end, on a busy machine too
    env.update(mode.environment)
    env.update(extra or {})
    return env


class Watched:
    """A program that was started, and its descriptors that are read."""

    def __init__(self, pid, channels):
        self.pid = pid
        self.channels = channels
        self.pidfd = os.pidfd_open(pid)
        self.reaped = False

    def open_channels(self):
        return [c for c in self.channels if c.ours is not None]

    def pump(self, seconds):
        """Waits for text, or for the program's end (True), and takes the text."""
        poll = select.poll()
        if not self.reaped:
            poll.register(self.pidfd, select.POLLIN)
        for channel in self.open_channels():
            poll.register(channel.ours, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(max(0, seconds * 1000))]
        for channel in self.open_channels():
            if channel.ours in ready:
                channel.read()
        return self.pidfd in ready

    def wait(self, limit):
        """Its status as in subprocess, or None: it took too long and was killed."""
        until = time.monotonic() + limit
        while not self.pump(until - time.monotonic()):
            if time.monotonic() > until:
                self.end()
                return None
        _, status = os.waitpid(self.pid, 0)
        self.reaped = True
        for channel in self.channels:
            channel.release()
        return os.waitstatus_to_exitcode(status)

    def end(self):
        if not self.reaped:
            kill(self.pid)
            os.waitpid(self.pid, 0)
            self.reaped = True
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None


def start(argv, place, channel, report, stdin, env):
    """Starts argv in a session of its own with descriptors 0 to 3 and no other."""
    stdout = raised(os.open(os.path.join(place.top, "stdout"), os.O_WRONLY | os.O_CREAT))
    actions = [(os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0),
               (os.POSIX_SPAWN_DUP2, stdout, 1),
               (os.POSIX_SPAWN_DUP2, report.child, 3)]
    if channel.kind == "tty":  # opened by the leader of a session, it becomes its terminal
        actions.append((os.POSIX_SPAWN_OPEN, 2, os.ttyname(channel.child), os.O_RDWR, 0))
    elif channel.child is not None:
        actions.append((os.POSIX_SPAWN_DUP2, channel.child, 2))
    else:
        actions.append((os.POSIX_SPAWN_CLOSE, 2))
    with spawning:  # the directory is everybody's, and we have threads
        before = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.chdir(place.work)
            pid = os.posix_spawn(argv[0], argv, environment(place.runtime, place.work, env),
                                 file_actions=actions, setsid=True,
                                 setsigmask=[], setsigdef=range(1, 32))
        finally:
            os.fchdir(before)
            os.close(before)
            os.close(stdout)
    channel.started()
    report.started()
    return Watched(pid, [channel, report])


spawning = threading.Lock()
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # many programs here abort


def parse_objects(data):
    """One object a line. All are parsed at once, which is three times as fast as one by one."""
    lines = [line for line in data.decode("utf-8").split("\n") if line and not line.isspace()]
    objects = json.loads(f"[{','.join(lines)}]")
    if len(objects) != len(lines):
        raise ValueError(f"{len(objects)} objects in {len(lines)} lines")
    return objects


def whole_lines(path, start=0):
    """The bytes of those in a file from there on; none when it does not exist."""
    try:
        with open(path, "rb") as file:
            file.seek(start)
            data = file.read()
    except FileNotFoundError:
        return b""
    return data[:data.rfind(b"\n") + 1]


def read_messages(path):
    """Those of a sink's file whose lines are whole."""
    return parse_objects(whole_lines(path))


# ---- compiling ---------------------------------------------------------------------------------

def cc(*words, by=None, anywhere=False, **how):
    """Compiles by gcc, C++ by g++, or takes what was compiled so before (tests/compile/once.c); a
    CompletedProcess. anywhere: no matter which paths of sources are in the program."""
    by = by or ("g++" if any(word.endswith(".cc") for word in words) else "gcc")
    once = [ONCE, *["--anywhere"][:anywhere]] if os.access(ONCE, os.X_OK) else []
    return subprocess.run([*once, by, *words], **{"check": True, **how})


def build(source, variant="plain", extra=(), name=None):
    """Compiles tests/preload/SOURCE where it is out of date; returns the program's path."""
    path = os.path.join(HERE, source)
    cxx = source.endswith(".cc")
    folder = os.path.join(mode.folder, variant, os.path.basename(os.path.dirname(path)))
    program = os.path.join(folder, name or os.path.splitext(os.path.basename(source))[0])
    inputs = [path, os.path.join(HERE, "case.h"), __file__]
    inputs += [arg for arg in extra if os.path.isfile(arg)]
    with contextlib.suppress(FileNotFoundError):
        if os.path.getmtime(program) > max(map(os.path.getmtime, inputs)):
            return program
    os.makedirs(folder, exist_ok=True)
    new = f"{program}.{os.getpid()}.new"
    command = [*mode.compilers[cxx]]
    command += ["-std=gnu++17"] if cxx else ["-std=gnu11", "-D_GNU_SOURCE"]
    command += ["-g", "-I", ROOT, "-pthread", *WARNINGS, *VARIANTS[variant], "-o", new, path,
                *extra, "-ldl"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          text=True)
    if done.returncode or done.stderr:
        raise RuntimeError(" ".join(command) + "\n" + done.stderr)
    os.rename(new, program)
    return program


def cases_of(program):
    """(case, set of flags) pairs that the program itself lists."""
    done = subprocess.run(mode.native([program, "--list"]), stdin=subprocess.DEVNULL,
                          capture_output=True, check=True, text=True,
                          env=environment("/nonexistent"))
    rows = (line.partition("\t") for line in done.stdout.splitlines())
    return [(name, set(flags.split())) for name, _, flags in rows]


def require_hark(args):
    """Says what is missing before a thousand cases say it."""
    if not args.native and not args.list and not os.access(HARK, os.X_OK):
        sys.exit(f"{HARK} is not there: run make first")
