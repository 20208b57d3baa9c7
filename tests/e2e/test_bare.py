#!/usr/bin/env python3
"""LD_PRELOAD alone, without `hark run`: a session of its own, joined by the children, or none.

Speaks TAP; see cli.py.
"""
# limit: 400

import ctypes.util
import json
import os
import re
import subprocess
import sys

import cli
import harness

SHIM = os.path.join(harness.BUILD, "libhark-preload.so")
GUEST = harness.build("../e2e/guests/guest.c")
ENTRY = harness.build("../e2e/guests/entry.c")
PORTRAIT = harness.build("identity/portrait.c")


class Heard:
    """What came of a program that ran with LD_PRELOAD, and the messages in its one JSON file."""

    def __init__(self, home, argv, **env):
        self.out = os.path.join(home.top, "out.json")
        if os.path.exists(self.out):
            os.unlink(self.out)
        env = {"LD_PRELOAD": SHIM, "HARK_SINKS": f"file:{self.out}?format=json", **env}
        done = subprocess.run(argv, env=home.env(**env), cwd=home.top, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=cli.LIMIT, check=False)
        self.status, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr
        cli.wait_for(lambda: not os.path.isdir(home.runtime) or not os.listdir(home.runtime))
        self.messages = harness.read_messages(self.out)

    def texts(self):
        return [m["msg"] for m in self.messages]


SAY = "echo out; echo one >&2; sh -c 'echo two >&2'; (echo three >&2); ls /nonexistent; exit 7"
SAID = ["one", "two", "three", "ls: cannot access '/nonexistent': No such file or directory"]


@cli.case
def works_as_under_run(home, expect):
    bare = Heard(home, ["sh", "-c", SAY])
    expect.same((bare.status, bare.stdout, bare.stderr), (7, b"out\n", b""), "the program")
    expect.same(bare.texts(), SAID, "said")
    expect.same([m["seq"] for m in bare.messages], [1, 2, 3, 4], "one session")
    expect.same(len({m["pid"] for m in bare.messages}), 4, "processes that spoke")
    expect.same([m.get("comm") for m in bare.messages], ["sh", "sh", "sh", "ls"], "names")


@cli.case
def settings_hold(home, expect):
    heard = Heard(home, ["sh", "-c", "echo ERROR a >&2; echo b >&2; echo warning: c >&2; echo d"],
                  HARK_LEVEL="warning", HARK_CAPTURE="stderr,stdout", HARK_RING="128K")
    expect.same(heard.texts(), ["ERROR a", "warning: c"], "above the level")
    config = home.file("hark.yaml", "level: error\nmirror: yes\n")
    heard = Heard(home, ["sh", "-c", "echo ERROR a >&2; echo warning: c >&2"], HARK_CONFIG=config)
    expect.same(heard.texts(), ["ERROR a"], "said")
    expect.same(heard.stderr, b"ERROR a\nwarning: c\n", "mirrored")


@cli.case
def console_by_default(home, expect):
    for word in ("say-nul", "say-invalid", "say-unfinished", "say-single", "say-long"):
        done = [subprocess.run([GUEST, word], env=home.env(**env), cwd=home.top, check=False,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=cli.LIMIT)
                for env in ({}, {"LD_PRELOAD": SHIM})]
        expect(done[0].stdout, "natively nothing")
        expect(done[1].stdout == done[0].stdout, f"{word}: {done[1].stdout[:200]!r}")


@cli.case
def the_program_cannot_tell(home, expect):
    """Its portrait, under the conditions in which a session is hardest to begin."""
    for conditions in [], ["ignore=17"], ["block-all"], ["reaper=1"], ["child=3"], ["files=20"], \
            ["umask=0777"], ["close=0"], ["close=1"], ["close=0", "close=1"], ["pending=17"]:
        for fact in ("descriptors", "signals", "relatives", "process"):
            argv = [ENTRY, *conditions, "--", PORTRAIT, fact]
            seen = [harness.run_native(argv, env=env) for env in (
                {}, {"LD_PRELOAD": SHIM, "HARK_SINKS": "file:log?format=raw"})]
            log = seen[1].files.get("log", b"").replace(b"by syslog\n", b"")
            stated = [[re.sub(r"^wait [1-9]\d*", "wait N", line) for line in one.stated()]
                      for one in seen]
            expect(stated[0] and seen[0].stderr, f"{conditions}: natively {seen[0]}")
            expect(stated[1] == stated[0], f"{conditions} {fact}: "
                   f"{[line for line in stated[1] if line not in stated[0]][:5]}")
            expect.same((seen[1].status, seen[1].stderr, log), (0, b"", seen[0].stderr),
                        f"{conditions} {fact}: status, stderr, the file")
            expect(seen[1].settled, f"{conditions} {fact}: the session did not end")


@cli.case
def disabled(home, expect):
    heard = Heard(home, ["sh", "-c", SAY], HARK_DISABLE="1")
    expect.same((heard.status, heard.stdout), (7, b"out\n"), "the program")
    expect.same(heard.stderr.decode().splitlines(), SAID, "said for itself")
    expect(not os.path.exists(heard.out) and not os.path.exists(home.runtime), "a session")
    heard = Heard(home, ["sh", "-c", "echo a >&2; HARK_DISABLE=1 sh -c 'echo b >&2'; echo c >&2"])
    expect.same((heard.texts(), heard.stderr), (["a", "c"], b"b\n"), "disabled for one child")


# ---- other preloads -----------------------------------------------------------------------------

OTHER = """
#include <stdio.h>
#include <unistd.h>
/* Counts what passes through here, and says so at the end. */
static int calls;
__attribute__((constructor)) static void begin(void) { fputs("other: begin\\n", stderr); }
__attribute__((destructor)) static void end(void) { fprintf(stderr, "other: end\\n"); }
int puts(const char *text) { calls++; return fprintf(stdout, "[%s]\\n", text) < 0 ? -1 : 0; }
"""


def other_preload(home):
    source, path = home.file("other.c", OTHER), os.path.join(home.top, "other.so")
    harness.cc("-shared", "-fPIC", "-fno-builtin", "-o", path, source)
    return path


@cli.case
def other_preloads(home, expect):
    other = other_preload(home)
    libm = ctypes.util.find_library("m")
    argv = ["sh", "-c", "echo one >&2; /usr/bin/env true; echo two >&2; exit 3"]
    native = Heard(home, argv, LD_PRELOAD=other, HARK_SINKS="")
    words = sorted(native.stderr.decode().splitlines())
    expect("other: begin" in words and "two" in words, f"natively {words}")
    for preload in (f"{SHIM}:{other}", f"{other}:{SHIM}", f"{other} {SHIM}", f"{SHIM} {other}",
                    f" {SHIM}  {other} ", f":{SHIM}::{other}:", f"{libm}:{SHIM} {other}"):
        heard = Heard(home, argv, LD_PRELOAD=preload)
        # what is said before our constructor has run speaks for itself
        passed = heard.stderr.decode().splitlines()
        expect(set(passed) <= {"other: begin"}, f"{preload}: passed {passed}")
        expect.same(heard.status, 3, preload)
        expect.same(sorted(passed + heard.texts()), words, preload)


@cli.case
def missing_files_and_twice(home, expect):
    complaint = b"ERROR: ld.so: object '%s' from LD_PRELOAD cannot be preloaded"
    for preload in f"/no/such.so:{SHIM}", f"{SHIM}:/no/such.so":
        heard = Heard(home, ["sh", "-c", "echo one >&2; /bin/true; exit 3"], LD_PRELOAD=preload)
        expect.same((heard.status, heard.texts()), (3, ["one"]), preload)
        # the loader's own words: once for sh, once for true
        expect.same(heard.stderr.count(complaint % b"/no/such.so"), 2, preload)
    for preload in f"{SHIM}:{SHIM}", f"{SHIM} {SHIM} {SHIM}":
        heard = Heard(home, ["sh", "-c", "echo one >&2; sh -c 'echo two >&2; exit 3'"],
                      LD_PRELOAD=preload)
        expect.same((heard.status, heard.stderr, heard.texts()), (3, b"", ["one", "two"]), preload)


@cli.case
def a_copy_beside_it(home, expect):
    """Two copies of the shim, as with two installations: nothing is said twice or lost."""
    for name in "hark", "libhark-preload.so":
        with open(os.path.join(harness.BUILD, name), "rb") as source:
            path = os.path.join(home.top, name)
            with open(path, "wb") as copy:
                copy.write(source.read())
            os.chmod(path, 0o755)
    for preload in f"{SHIM}:{path}", f"{path}:{SHIM}":
        heard = Heard(home, ["sh", "-c", "echo one >&2; sh -c 'echo two >&2; exit 3'"],
                      LD_PRELOAD=preload)
        expect.same((heard.status, heard.stderr, heard.texts()), (3, b"", ["one", "two"]), preload)


@cli.case
def a_command_that_cannot_start(home, expect):
    """Said once, with the reason, and not again by the children."""
    shim = os.path.join(home.top, "libhark-preload.so")
    script = 'cp "$0" "$1" && echo no program >hark && chmod 755 hark'
    subprocess.run(["sh", "-c", script, SHIM, shim], cwd=home.top, check=True)
    heard = Heard(home, ["sh", "-c", "echo one >&2; sh -c 'echo two >&2; exit 3'"], LD_PRELOAD=shim)
    expect.same((heard.status, heard.stderr), (3, b"hark: cannot start the hark command (error 8); "
                                               b"output passes through unchanged\none\ntwo\n"),
                "the program")


@cli.case
def with_fakeroot_or_faketime(home, expect):
    tried = 0
    for tool in ["fakeroot", "--"], ["stdbuf", "-oL", "-eL"], ["setarch", "-R"]:
        if not cli.shutil.which(tool[0]):
            print(f"# skip: {tool[0]} is not installed")
            continue
        tried += 1
        heard = Heard(home, [*tool, "sh", "-c", "ls /nonexistent; echo two >&2; exit 3"])
        expect.same((heard.status, heard.stderr, heard.texts()[-1:]), (3, b"", ["two"]), str(tool))
    expect(tried, "none of them is here")


# ---- children with an environment of their own --------------------------------------------------

@cli.case
def empty_environment(home, expect):
    for command in ("env -i /bin/sh -c 'echo two >&2'", "env -i - /bin/ls /nonexistent",
                    "env -u LD_PRELOAD -u HARK_SESSION -u HARK_SINKS sh -c 'echo two >&2'",
                    "unset LD_PRELOAD HARK_SESSION; /bin/sh -c 'echo two >&2'",
                    "exec env -i /bin/sh -c 'echo two >&2'"):
        heard = Heard(home, ["bash", "-c", f"echo one >&2; {command}"])
        expect.same(heard.stderr, b"", f"{command}: past hark")
        texts = heard.texts()
        expect.same((texts[:1], len(texts)), (["one"], 2), f"{command}: {texts}")
        expect.same([m["seq"] for m in heard.messages], [1, 2], f"{command}: one session")


SPAWNERS = {
    "subprocess": "subprocess.run(['/bin/sh', '-c', 'echo two >&2'], env={})",
    "posix_spawn": "os.waitpid(os.posix_spawn('/bin/sh', ['sh', '-c', 'echo two >&2'], {}), 0)",
    "execve": "os.execve('/bin/sh', ['sh', '-c', 'echo two >&2'], {'A': 'b'})",
    "execve_preload": "os.execve('/bin/sh', ['sh', '-c', 'echo two >&2'], "
                      "{'LD_PRELOAD': 'libm.so.6'})",
    "fexecve": "os.execve(os.open('/bin/sh', os.O_RDONLY), ['sh', '-c', 'echo two >&2'], {})",
    "system": "os.system('echo two >&2')",
    "popen": "os.environ.clear(); os.popen('echo two >&2').read()",
    "fork": "os.fork() or os._exit(os.write(2, b'two\\n') - 4); os.wait()",
}


@cli.case
def environments_of_their_own(home, expect):
    for name, code in SPAWNERS.items():
        heard = Heard(home, [sys.executable, "-Sc", "import os, subprocess, sys; "
                             f"os.write(2, b'one\\n'); {code}"])
        expect.same((heard.status, heard.stderr), (0, b""), name)
        expect.same(heard.texts(), ["one", "two"], name)
        expect.same(len({m["pid"] for m in heard.messages}), 1 if "exec" in name else 2, name)


@cli.case
def what_the_child_finds(home, expect):
    """Ours is added once, others are kept; who wants no LD_PRELOAD still has ours."""
    libm = ctypes.util.find_library("m")
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    heard = Heard(home, ["env", "-i", "A=b", f"LD_PRELOAD={libm}", sys.executable, "-Sc", code])
    env = json.loads(heard.stdout)
    expect.same(env["LD_PRELOAD"].split(":"), [SHIM, libm], "LD_PRELOAD")
    expect(env["HARK_SESSION"].startswith(home.runtime), "HARK_SESSION")
    expect.same({k for k in env if k not in ("LC_CTYPE",)}, {"A", "LD_PRELOAD", "HARK_SESSION"},
                "variables")


# ---- sessions within and after ------------------------------------------------------------------

@cli.case
def a_session_that_has_ended(home, expect):
    """Its name in the environment is of no use any more: a new one begins."""
    heard = Heard(home, ["sh", "-c", "echo one >&2"], HARK_SESSION=home.runtime + "/nothing")
    expect.same((heard.texts(), heard.stderr), (["one"], b""), "said")


@cli.case
def run_within_and_around(home, expect):
    heard = Heard(home, ["sh", "-c", f"echo one >&2; {cli.HARK} run --to console -- sh -c "
                         "'echo two >&2' 2>inner; echo three >&2"])
    expect.same((heard.texts(), heard.stderr), (["one", "three"], b""), "the outer session")
    with open(os.path.join(home.top, "inner"), "rb") as file:
        expect.same(file.read(), b"two\n", "the inner one")


@cli.case
def many_at_once(home, expect):
    """Sixteen that begin sessions of their own at the same time, with one sink."""
    out = os.path.join(home.top, "all")
    script = f"export LD_PRELOAD={SHIM}; " \
             "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do " \
             "env -u HARK_SESSION sh -c \"echo line $i >&2; exit $i\" & done; wait"
    done = subprocess.run(["bash", "-c", script], cwd=home.top, capture_output=True, check=False,
                          env=home.env(HARK_SINKS=f"file:{out}?format=raw"), timeout=cli.LIMIT)
    expect.same((done.returncode, done.stderr), (0, b""), "the script")
    cli.wait_for(lambda: not os.listdir(home.runtime))
    with open(out, encoding="ascii") as file:
        expect.same(sorted(file.read().splitlines()), sorted(f"line {i}" for i in range(1, 17)),
                    "the file")


cli.main(__doc__)
