"""What tests in restricted places share: a program runs natively, under `hark run` and under a bare
LD_PRELOAD, in a place that somebody else has made narrow, and nobody can tell the three apart.

    places.compare(home, expect, "no network", [SPEAK], within=["unshare", "-n"])

The exit status, stdout and the files are those of the native run; what it says on stderr is in
hark's file or has gone its old way, with at most one line of hark's; and when all is over there is
no session and no process left.
"""

import contextlib
import copy
import os
import re
import shutil
import subprocess
import tempfile

import cli
import harness

SHIM = os.path.join(harness.BUILD, "libhark-preload.so")
SPEAK = harness.build("../e2e/guests/speak.c")
ENTRY = harness.build("../e2e/guests/entry.c")
ROOT = os.geteuid() == 0
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
OWN = ("hark: ", cli.HARK + ": ")
LIMIT = 60  # seconds for one program, on a busy machine

# A mount namespace of one's own, as root or as somebody who becomes root in a user namespace.
MOUNTS = ["unshare", "-m"] if ROOT else ["unshare", "-Urm"]


def case(*lacks):
    """As cli.case; each of lacks is what hinders it here, or None. A skip says which."""
    def decorate(function):
        why = next(filter(None, lacks), None)
        if why:
            cli.CASES.append((f"{function.__name__} # skip {why}", list))
            return function
        return cli.case(function)
    return decorate


def lacks_command(*names):
    return next((f"{name} is not installed" for name in names if not shutil.which(name)), None)


def lacks_root():
    return None if ROOT else "only root can do that"


def lacks_run(*argv):
    """What the kernel refuses, in its own words."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT,
                              check=False, text=True)
    except OSError as error:
        return str(error)
    words = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return f"{' '.join(argv[:2])}: {words}" if done.returncode else None


def script(text, *rest):
    """A command that does what the script says and becomes what follows it."""
    return ["sh", "-c", text + '\nexec "$@"', "sh", *rest]


# An ordinary user, for root to be; nobody else has to be asked.
NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if ROOT else []


def lacks_nobody():
    """Why an ordinary user cannot run what was built here, or None."""
    return lacks_run(*AS_NOBODY, cli.HARK, "--version") or lacks_run(*AS_NOBODY, ENTRY, "--", "true")


@contextlib.contextmanager
def of_nobody(home):
    """The same home, but an ordinary user's; that of a test of root's is closed to him."""
    if not ROOT:
        yield home
        return
    theirs = copy.copy(home)
    theirs.top = tempfile.mkdtemp(prefix="hark-cli-", dir="/tmp")
    theirs.runtime = os.path.join(theirs.top, "runtime")
    try:
        os.chown(theirs.top, NOBODY, NOBODY)
        yield theirs
    finally:
        shutil.rmtree(theirs.top, ignore_errors=True)


# What valgrind says of an opcode in our unwind tables that it does not know; it goes on.
VALGRINDS = re.compile(rb"--\d+-- Warning: DWARF2 CFI reader: unhandled DW_OP_ opcode 0x12\n")


class Run(harness.Fields):
    status: int
    stdout: bytes
    stderr: bytes
    heard: bytes        # in hark's file
    files: dict
    left: list          # sessions and processes

    def said(self):
        lines = (self.heard + self.stderr).decode(errors="replace").splitlines()
        return sorted(line for line in lines if not line.startswith(OWN))

    def own(self):
        """Lines of hark's, or of its loader."""
        lines = self.stderr.decode(errors="replace").splitlines()
        return [line for line in lines if line.startswith(OWN)]


def of_this(runtime):
    """Who has this runtime directory in its environment."""
    mark, found = b"HARK_RUNTIME_DIR=" + runtime.encode(), []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                mine = mark in file.read().split(b"\0")
            if mine:
                found.append((int(entry), cli.command_line(entry)))
        except OSError:
            pass
    return found


def contents(folder):
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            if os.path.isfile(full) and not os.path.islink(full):
                with open(full, "rb") as file:
                    found[os.path.relpath(full, folder)] = file.read()
    return found


def run(home, argv, env=None, mode="native", around=(), within=()):
    """mode: native, run or bare."""
    work, out = os.path.join(home.top, "work"), os.path.join(home.top, "out")
    shutil.rmtree(work, ignore_errors=True)
    os.mkdir(work)
    owner = os.stat(home.top)
    os.chown(work, owner.st_uid, owner.st_gid)
    if os.path.exists(out):
        os.unlink(out)
    sink = f"file:{out}?format=raw"
    start = {"native": [], "run": [cli.HARK, "run", "--to", sink, "--"],
             "bare": ["env", f"LD_PRELOAD={SHIM}", f"HARK_SINKS={sink}"]}[mode]
    done = subprocess.run([*around, *start, *within, *argv], cwd=work,
                          env=home.env(**{"PATH": PATH, **(env or {})}),
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT,
                          check=False)
    left = settle(home)  # only then is everything in the file
    return Run(done.returncode, done.stdout, VALGRINDS.sub(b"", done.stderr),
               VALGRINDS.sub(b"", read(out)), contents(work), left)


def settle(home):
    def left():
        sessions = os.listdir(home.runtime) if os.path.isdir(home.runtime) else []
        return sessions + of_this(home.runtime)
    try:
        cli.wait_for(lambda: not left())
    except TimeoutError:
        return left()
    return []


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def sizes(one):
    return {name: len(data) for name, data in one.files.items()}


def same(expect, what, native, heard):
    expect.same(heard.status, native.status, f"{what}: status ({heard.stderr[-400:]!r})")
    expect.same(heard.stdout, native.stdout, f"{what}: stdout")
    expect(heard.files == native.files, f"{what}: files {sizes(heard)}, expected {sizes(native)}")
    expect.same(heard.said(), native.said(), f"{what}: said")
    expect(len(heard.own()) <= 1, f"{what}: more than one word of hark's: {heard.own()}")
    expect.same(heard.left, [], f"{what}: left behind")


def turn(number, *choices):
    """All of them, with $EVERY; else one, by turns: where cases are combinations of what is the same in each,
    others stand for those that are left out (tap.py)."""
    return choices if os.environ.get("EVERY") else choices[number % len(choices):][:1]


def compare(home, expect, what, argv, modes=("run", "bare"), native=None, **how):
    """Runs it in each mode; returns the runs by mode, for what else is to be asked of them."""
    runs = {"native": native or run(home, argv, **how)}
    for mode in modes:
        runs[mode] = run(home, argv, mode=mode, **how)
        same(expect, f"{what}, {mode}", runs["native"], runs[mode])
    return runs


def captured(expect, what, runs):
    """All of it is in hark's file, and hark has said nothing."""
    for mode, heard in runs.items():
        if mode != "native":
            expect.same(heard.stderr, b"", f"{what}, {mode}: past hark")


def passed(expect, what, runs):
    """All of it has gone its old way."""
    for mode, heard in runs.items():
        if mode != "native":
            expect.same(heard.heard, b"", f"{what}, {mode}: captured")
