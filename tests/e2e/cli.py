"""What tests of the hark command share: a home for each case, and what it expects.

    @cli.case
    def version(home, expect):
        expect.same(home.run("--version").returncode, 0, "exit status")

    cli.main(__doc__)
"""

import contextlib
import functools
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "preload"))
import harness  # noqa: E402  pylint: disable=wrong-import-position

HARK = harness.HARK
LIMIT = 60  # seconds that anything here may take, on a machine with much else to do


class Home:
    """A directory and an environment of its own; what it started is gone afterwards."""

    def __init__(self, stack):
        self.top = tempfile.mkdtemp(prefix="hark-cli-")
        stack.callback(shutil.rmtree, self.top, ignore_errors=True)
        self.runtime = os.path.join(self.top, "runtime")
        self.children = []
        stack.callback(self.end)

    def env(self, **extra):
        return harness.environment(self.runtime, self.top, extra)

    def run(self, *args, **how):
        """hark ARGS to its end: a CompletedProcess, in text."""
        extra = how.pop("env", {})
        how.setdefault("stderr", subprocess.PIPE)
        return subprocess.run([HARK, *args], env=self.env(**extra), cwd=self.top, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=LIMIT,
                              check=False, **how)

    def start(self, *args, **how):
        child = subprocess.Popen([HARK, *args], env=self.env(), cwd=self.top, text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, **how)
        self.children.append(child)
        return child

    def session(self, pid):
        """Its row in `hark ps --json`, once there is a guardian."""
        def look():
            rows = harness.parse_objects(self.run("ps", "--json").stdout.encode())
            return next((r for r in rows if r["pid"] == pid and r["guardian_pid"]), None)
        return wait_for(look)

    def file(self, name, text, mode=0o644):
        path = os.path.join(self.top, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def end(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
            for pipe in filter(None, (child.stdin, child.stdout)):
                with contextlib.suppress(OSError):
                    pipe.close()
        # The collectors end by themselves; their directory goes when they have.
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: not glob.glob(self.runtime + "/*"), 20)


def command_line(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def copy_program(source, to):
    """By another process: a child that is forked here meanwhile would hold it open for writing, and
    nobody could execute it. Returns the copy's path."""
    subprocess.run(["cp", source, to], check=True)
    return os.path.join(to, os.path.basename(source)) if os.path.isdir(to) else to


def once(function):
    """What it gives for the same arguments is made once, though several cases ask for it at a time."""
    made, lock = {}, threading.Lock()

    @functools.wraps(function)
    def get(*arguments):
        with lock:
            result, busy = made.setdefault(arguments, ([], threading.Lock()))
        with busy:
            if not result:
                result.append(function(*arguments))
        return result[0]
    return get


def lives(pid):
    """Not if it is a zombie: it may be nobody's to reap."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def best(measure, good, tries=3):
    """The first of a few measurements that is good, or the last: what else the machine does may
    spoil one, but what hark does spoils all."""
    for _ in range(tries):
        measured = measure()
        if good(measured):
            break
    return measured


def wait_for(look, limit=LIMIT):
    """What it sees at last. The longer that takes, the longer are the pauses: who looks takes time, too."""
    started = time.monotonic()
    while not (found := look()):
        waited = time.monotonic() - started
        if waited > limit:
            raise TimeoutError("it did not come")
        time.sleep(min(max(waited / 8, 0.003), 0.1))
    return found


CASES = []
SPARE = set()  # names of cases that others stand for (tap.py)


def with_home(function):
    """function(home, expect) as a case of harness.run_tap()."""
    def body():
        with contextlib.ExitStack() as stack:
            complaints = []
            function(Home(stack), Expect(complaints))
            return complaints
    return body


def case(function):
    CASES.append((function.__name__, with_home(function)))
    return function


class Expect:
    def __init__(self, complaints):
        self.complaints = complaints

    def __call__(self, holds, what):
        if not holds:
            self.complaints.append(what)

    def same(self, got, expected, what):
        self(got == expected, f"{what}: {got!r}, expected {expected!r}")

    def refused(self, done, status, *words):
        """One line on stderr that says all of that, and nothing on stdout."""
        self.same(done.returncode, status, "exit status")
        self.same(done.stdout, "", "stdout")
        self(re.fullmatch(r"hark: [^\n]+\n", done.stderr), f"not one line: {done.stderr!r}")
        for word in words:
            self(word in done.stderr, f"{word!r} is not said: {done.stderr!r}")


def main(description):
    """Runs the cases of the script that calls it."""
    args = harness.arguments(description)
    if args.native:
        print("1..0 # skip nothing here runs without hark")
        sys.exit(0)
    harness.require_hark(args)
    sys.exit(harness.run_tap(CASES, args, SPARE))
