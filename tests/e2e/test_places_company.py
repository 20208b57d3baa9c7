#!/usr/bin/env python3
"""In company: other preloads before and behind us, debuggers, tracers, valgrind, sanitizers, and odd
ways to load a library.

Speaks TAP; see places.py.
"""
# limit: 400

import contextlib
import copy
import datetime
import functools
import glob
import os
import re
import subprocess
import tempfile
import time

import cli
import harness
import places

SPEAK = [places.SPEAK]


# ---- other preloads -----------------------------------------------------------------------------

def library(name):
    """Where Debian has it, or None."""
    found = glob.glob(f"/usr/lib/*/{name}") + glob.glob(f"/usr/lib/*/*/{name}")
    return found[0] if found else None


def lacks_library(name):
    return None if library(name) else f"{name} is not installed"


def beside(home, expect, path, env=None):
    """That preload around us, within, before us and behind us."""
    theirs = ["env", f"LD_PRELOAD={path}"]
    natives = {}
    for how, options in {
            "around": {"around": theirs, "modes": ["run"]},
            "within": {"within": theirs, "modes": ["run"]},
            "before": {"within": ["env", f"LD_PRELOAD={path}:{places.SHIM}"]},
            "behind": {"within": ["env", f"LD_PRELOAD={places.SHIM} {path}"]}}.items():
        # another program under it before ours, as the hark command is
        first = ["env"] if how == "around" else []
        native = natives.setdefault(how == "around", None) or places.run(
            home, SPEAK, within=[*theirs, *first], env=env)
        natives[how == "around"] = native
        expect.same(native.status, 7, f"{path}: natively {native.stderr!r}")
        runs = places.compare(home, expect, f"{path} {how}", SPEAK, env=env, native=native,
                              **options)
        places.captured(expect, f"{path} {how}", runs)


@places.case(lacks_library("libjemalloc.so.2"))
def jemalloc(home, expect):
    beside(home, expect, library("libjemalloc.so.2"))


def without_remains(function):
    """libfaketime leaves a semaphore and a file for every process that does not end by exit(), and
    complains of those when the pid is given out again."""
    def sweep():
        for path in glob.glob("/dev/shm/faketime_shm_*") + glob.glob("/dev/shm/sem.faketime_sem_*"):
            if not os.path.exists("/proc/" + path.rpartition("_")[2]):
                with contextlib.suppress(OSError):  # another user's
                    os.unlink(path)

    @functools.wraps(function)
    def body(home, expect):
        sweep()
        try:
            function(home, expect)
        finally:
            sweep()
    return body


@places.case(lacks_library("libfaketime.so.1"))
@without_remains
def faketime(home, expect):
    """The program's clock is not ours: messages bear the true time, one after the other."""
    env = {"LD_PRELOAD": library("libfaketime.so.1"), "FAKETIME": "2001-02-03 04:05:06"}
    beside(home, expect, env["LD_PRELOAD"], {"FAKETIME": env["FAKETIME"]})
    faked = ["env", *(f"{name}={value}" for name, value in env.items())]
    say = ["sh", "-c", "date +%Y; echo one >&2; sleep 0.01; echo two >&2"]
    for around, within in (faked, []), ([], faked):
        out = os.path.join(home.top, "times")
        done = subprocess.run([*around, cli.HARK, "run", "--to", f"file:{out}?format=json", "--",
                               *within, *say], env=home.env(), capture_output=True, check=False,
                              timeout=places.LIMIT)
        expect.same(done.stdout, b"2001\n", "the program's year")
        now = time.time()
        times = [datetime.datetime.fromisoformat(m["time"][:26] + "+00:00").timestamp()
                 for m in harness.read_messages(out)]
        expect(len(times) == 2 and now - 10 < times[0] <= times[1] - 0.009 <= now, f"{times} {now}")
        os.unlink(out)


@places.case(lacks_library("libfaketime.so.1"))
@without_remains
def time_that_stands_still(home, expect):
    """In the program's eyes. It waits for a sink no longer than it may, all the same."""
    argv = [cli.HARK, "run", "--exit-timeout", "300ms", "--", "env", "FAKETIME=2001-02-03 04:05:06",
            f"LD_PRELOAD={library('libfaketime.so.1')}", places.SPEAK]
    reading, writing = os.pipe()
    with contextlib.suppress(BlockingIOError):  # a console that nobody reads
        os.set_blocking(writing, False)
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    try:
        child = subprocess.Popen(argv, env=home.env(), cwd=home.top, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=writing)
        home.children.append(child)
        expect.same(child.wait(places.LIMIT), 7, "status")
    finally:
        os.close(writing)
        os.close(reading)


@places.case(places.lacks_command("fakeroot"))
def fakeroot(home, expect):
    argv = ["sh", "-c", "touch f; chown 7:8 f; stat -c %u:%g f; id -u; echo said >&2; ls none"]
    for where, modes in ("around", ["run"]), ("within", ["run", "bare"]):
        runs = places.compare(home, expect, f"fakeroot {where}", argv, modes=modes,
                              **{where: ["fakeroot", "--"]})
        expect(runs["native"].stdout.startswith(b"7:8\n0\n"), f"natively {runs['native']}")
        places.captured(expect, where, runs)


@places.case(places.lacks_command("fakeroot"), places.lacks_nobody())
def fakeroot_of_an_ordinary_user(home, expect):
    """Whoever only seems to be root has no place where root's sessions are."""
    with places.of_nobody(home) as theirs:
        os.mkdir(theirs.top + "/xdg", 0o700)
        if places.ROOT:
            os.chown(theirs.top + "/xdg", places.NOBODY, places.NOBODY)
        runs = places.compare(
            theirs, expect, "fakeroot", SPEAK, around=[
                *places.AS_NOBODY, "fakeroot", "--", "env", "-u", "HARK_RUNTIME_DIR",
                f"XDG_RUNTIME_DIR={theirs.top}/xdg"], modes=["run"])
        places.captured(expect, "fakeroot", runs)
        where = cli.subprocess.run(
            [*places.AS_NOBODY, "fakeroot", "--", cli.HARK, "run", "--", "sh", "-c",
             "echo $HARK_SESSION"], env=theirs.env(HARK_RUNTIME_DIR="", XDG_RUNTIME_DIR=""),
            cwd="/", capture_output=True, check=False, timeout=places.LIMIT, text=True)
        user = places.NOBODY if places.ROOT else os.geteuid()
        expect(where.stdout.startswith((f"/dev/shm/hark-{user}/", f"/tmp/hark-{user}/")),
               f"the session is in {where.stdout!r} {where.stderr!r}")
        for base in "/dev/shm", "/tmp":  # as far as nobody else of that user's has any there
            try:
                cli.wait_for(lambda: not os.path.exists(where.stdout.strip()), 5)
                os.rmdir(f"{base}/hark-{user}")
            except (OSError, TimeoutError):
                pass


@places.case()
def stdbuf(home, expect):
    for number, buffers in enumerate((["-o0", "-e0"], ["-oL", "-eL"], ["-e4096"])):
        # it preloads a library in each; what the buffers change, they change in the program
        for where, modes in ("within", ["run"]), *places.turn(
                number, ("around", ["run"]), ("within", ["bare"])):
            runs = places.compare(home, expect, f"stdbuf {buffers} {where}", SPEAK, modes=modes,
                                  **{where: ["stdbuf", *buffers]})
            places.captured(expect, where, runs)


# ---- the loader ---------------------------------------------------------------------------------

@places.case()
def bound_at_once(home, expect):
    native = places.run(home, SPEAK)
    for value in "LD_BIND_NOW=1", "LD_BIND_NOT=1", "LD_DYNAMIC_WEAK=1", "LD_PREFER_MAP_32BIT_EXEC=1":
        runs = places.compare(home, expect, value, SPEAK, around=["env", value], native=native)
        places.captured(expect, value, runs)


LOADER = harness.build("../e2e/guests/loader.c")
LIBRARY = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int speak(void)
{
	fputs("library: stdio\\n", stderr);
	if (write(2, "library: write\\n", 15) != 15)
		return 95;
	puts("library: out");
	fflush(stdout);
	return system("echo library: shell >&2; exit 3") == 0x300 ? 5 : 94;
}
"""


@places.case()
def other_namespaces(home, expect):
    """A library with a libc of its own, or bound past us: what it says has gone its old way, or is
    heard, and its children are heard."""
    source, path = home.file("library.c", LIBRARY), os.path.join(home.top, "library.so")
    harness.cc("-shared", "-fPIC", "-o", path, source)
    for how in "own", "deep":
        runs = places.compare(home, expect, how, [LOADER, how, path])
        expect.same(runs["native"].status, 5, f"{how}: natively")
        for mode in "run", "bare":
            heard = runs[mode].heard.decode().splitlines()
            expect({"before", "after", "by write", "library: shell"} <= set(heard),
                   f"{how} {mode}: heard {heard}")


# ---- who looks over a program's shoulder --------------------------------------------------------

@places.case(places.lacks_command("strace"), places.lacks_run("strace", "-o", "/dev/null", "true"))
def strace(home, expect):
    tool = ["strace", "-f", "-o", "/dev/null"]
    for where in "around", "within":
        places.captured(expect, where, places.compare(home, expect, f"strace {where}", SPEAK,
                                                      **{where: tool}))


def without_addresses(data):
    return re.sub(rb"(process |LWP |0x)[0-9a-f]+", rb"\1N", data)


@places.case(places.lacks_command("gdb"), places.lacks_run("strace", "-o", "/dev/null", "true"))
def gdb(home, expect):
    """It starts the program with us inside, stops it in the middle, and sees how it ends."""
    tool = ["gdb", "-q", "-nx", "-batch", "-ex", "break make_file", "-ex", "run", "-ex", "next",
            "-ex", "continue"]
    native = places.run(home, SPEAK, within=tool)
    expect(b"exited with code 07" in native.stdout, f"natively {native}")
    sink = f"HARK_SINKS=file:{home.top}/out?format=raw"
    inside = [*tool[:4], "-ex", f"set environment LD_PRELOAD {places.SHIM}", "-ex",
              "set environment " + sink.replace("=", " ", 1), *tool[4:]]
    ways = {"within": {"mode": "run", "within": tool}, "inside": {"within": inside}}
    if os.environ.get("EVERY"):  # it inherits us as from `hark run`, and we begin as inside
        ways["bare"] = {"mode": "bare", "within": tool}
    for name, way in ways.items():
        heard = places.run(home, SPEAK, **way)
        heard.stdout = without_addresses(heard.stdout)
        expected = copy.copy(native)
        expected.stdout = without_addresses(native.stdout)
        places.same(expect, f"gdb {name}", expected, heard)
    around = places.run(home, SPEAK, mode="run",
                        around=["gdb", "-q", "-nx", "-batch", "-ex", "run", "--args"])
    expect(b"exited with code 07" in around.stdout, f"around: {around.stdout!r}")
    expect.same(around.said(), native.said(), "around: said")
    expect.same(around.left, [], "around: left")


@places.case(places.lacks_command("valgrind"), places.lacks_run("valgrind", "-q", "true"))
def valgrind(home, expect):
    """No error is found that is not the program's, in us neither."""
    tool = ["valgrind", "-q", "--error-exitcode=77", "--leak-check=full"]
    alone, children = [*tool, "--trace-children=no"], [*tool, "--trace-children=yes"]
    ways = [("run", {"within": children}), ("run", {"around": alone}), ("bare", {"within": alone})]
    if os.environ.get("EVERY"):
        ways += [(mode, {where: how}) for mode in ("run", "bare") for where, how in
                 (("within", alone), ("within", children), ("around", alone))]
    native = places.run(home, SPEAK)  # of which valgrind, said to be quiet, has nothing to say
    expect.same(native.status, 7, f"natively {native.stderr!r}")
    for mode, where in ways:
        runs = places.compare(home, expect, f"valgrind {where}", SPEAK, modes=[mode],
                              native=native, **where)
        places.captured(expect, f"valgrind {where}", runs)


# ---- sanitizers ---------------------------------------------------------------------------------

def lacks_sanitizer(name):
    with tempfile.TemporaryDirectory() as top:
        with open(top + "/empty.c", "w", encoding="ascii") as file:
            file.write("int main(void) { return 0; }\n")
        done = harness.cc(f"-fsanitize={name}", "-o", "empty", "empty.c", cwd=top, check=False,
                          capture_output=True)
        return places.lacks_run(top + "/empty") if done.returncode == 0 else done.stderr.decode()[-200:]


def sanitized(name, source="speak.c"):
    return harness.build(f"../e2e/guests/{source}", extra=[f"-fsanitize={name}"],
                         name=f"{source[:-2]}-{name}")


@places.case(*(lacks_sanitizer(name) for name in ("address", "undefined", "leak")))
def sanitizers(home, expect):
    for name in "address", "undefined", "leak":
        program = sanitized(name)
        # a bare preload is the same to each: the first of them that looks at what is loaded has it
        modes = ["run"] if name != "address" and not os.environ.get("EVERY") else ["run", "bare"]
        runs = places.compare(home, expect, name, [program], modes=modes)
        expect.same(runs["native"].status, 7, f"{name}: natively {runs['native'].stderr!r}")
        places.captured(expect, name, runs)


@places.case(lacks_sanitizer("address"))
def what_a_sanitizer_finds(home, expect):
    """It finds the same, where it looks at what is written, too; its own options hold."""
    source = home.file("wrong.c", """
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        int main(int argc, char **argv)
        {
            char *volatile text = malloc(10);
            memset(text, 'x', 10);
            return argc > 1 ? text[atoi(argv[1])] : write(2, text, 30) != 30;
        }""")
    program = os.path.join(home.top, "wrong")
    harness.cc("-w", "-fsanitize=address", "-o", program, source)
    for argv in [program], [program, "12"]:
        native = places.run(home, argv, env={"ASAN_OPTIONS": "exitcode=41:symbolize=0"})
        expect.same(native.status, 41, f"natively {native}")
        for mode in "run", "bare":
            heard = places.run(home, argv, mode=mode, env={"ASAN_OPTIONS": "exitcode=41:symbolize=0"})
            expect.same(heard.status, 41, f"{argv} {mode}")
            expect(b"heap-buffer-overflow" in heard.stderr + heard.heard, f"{argv} {mode}: silent")


@places.case(lacks_sanitizer("address"))
def defaults_of_the_program(home, expect):
    """It has a word of its own on how the sanitizer is to behave."""
    source = home.file("main.c", """
        #include <stdlib.h>
        const char *__asan_default_options(void) { return "exitcode=43:symbolize=0"; }
        int main(void) { char *volatile p = malloc(3); return p[5]; }""")
    harness.cc("-w", "-fsanitize=address", "-o", f"{home.top}/main", source)
    for mode in "native", "run", "bare":
        expect.same(places.run(home, [f"{home.top}/main"], mode=mode).status, 43, mode)


@places.case(lacks_sanitizer("thread"))
def no_race_of_ours(home, expect):
    """Many threads in a small ring: what they copy there is no race of the program's."""
    program = sanitized("thread", "crowd.c")
    runs = places.compare(home, expect, "thread", [program], env={"HARK_RING": "64K"})
    expect.same(runs["native"].status, 7, f"natively {runs['native'].stderr[-300:]!r}")
    places.captured(expect, "thread", runs)


cli.main(__doc__)
