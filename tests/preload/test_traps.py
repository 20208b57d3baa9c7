#!/usr/bin/env python3
# limit: 400
"""What a program does to its own threads, stacks, memory and rights, in the midst of a hook.

The programs are in traps/; the rows that they belong to are in tests/traps.txt. Speaks TAP.
"""

import collections
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import harness
from test_identity import compare, trouble

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "e2e"))
import cli  # pylint: disable=wrong-import-position

MOST_STACK = 2048    # bytes that a hook may use of its caller's stack
JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"


def run(name, source="threads.c", runs=(harness.run_native, harness.run_hark)):
    """Natively and here."""
    program = harness.build("traps/" + source)
    return [each([program, name]) for each in runs]


# ---- stacks and memory ---------------------------------------------------------------------------

def stack_depth():
    """T8: hooks use under 2 KiB of their caller's stack."""
    depths = [{line.split()[1]: int(line.split()[2]) for line in one.stated()}
              for one in run("depth", "stack.c")]
    wrong = []
    if len(depths[0]) < 10 or depths[0].keys() != depths[1].keys():
        return [f"measured {depths}"]
    for name, bytes_ in depths[1].items():
        more = bytes_ - depths[0][name]
        if more >= MOST_STACK or (name == "write" and bytes_ >= MOST_STACK):
            wrong.append(f"{name}: {bytes_} bytes, natively {depths[0][name]}")
    print("# stack: " + ", ".join(f"{name} {depths[1][name]} ({depths[0][name]})"
                                  for name in depths[0]), flush=True)
    return wrong


def own_malloc():
    """T9: no hook calls the program's malloc, and what malloc itself says is neither lost nor said
    twice, whether we were ready or not."""
    native, heard = run("hooks", "alloc.c")
    wrong = trouble(native)
    early = [f"malloc is called, {n}" for n in (1, 2, 3)]
    both = heard.stderr.decode().splitlines() + heard.texts("stderr")
    if sorted(both) != sorted(native.stderr.decode().splitlines()):
        wrong.append(f"said {collections.Counter(both)}, natively {native.stderr}")
    if not set(early) <= set(both):
        wrong.append(f"what malloc said is not there: {both[:5]}")
    for line in heard.stated():
        if not line.startswith("syslog") and not line.endswith(" 0 times"):
            wrong.append(line)
    if heard.stated()[:-1] != native.stated()[:-1]:
        wrong.append(f"{heard.stated()}\nnatively {native.stated()}")
    if "syslog 0" not in heard.stated():
        wrong.append(f"syslog allocates: {heard.stated()[-1]}")
    return wrong + ([] if heard.status == native.status == 0 else [f"exit status {heard.status}"])


def with_jemalloc():
    """T9, T12: jemalloc, before and after ours, which writes its statistics by itself."""
    if not os.path.exists(JEMALLOC):
        raise harness.Skip("jemalloc is not installed")
    shim = os.path.join(harness.BUILD, "libhark-preload.so")
    wrong = []
    script = ["/bin/bash", "-c", "echo one >&2; perl -e 'print STDERR qq(two\\n)'; exit 3"]
    with_it = ["/usr/bin/env", "MALLOC_CONF=stats_print:true,stats_print_opts:mdablxeh,nonsense"]
    runs = [harness.run_native([*with_it, f"LD_PRELOAD={JEMALLOC}", *script])]
    runs += [harness.run_hark([*with_it, f"LD_PRELOAD={preload}", *script])
             for preload in (JEMALLOC, f"{shim}:{JEMALLOC}", f"{JEMALLOC}:{shim}")]
    for one in runs:
        lines = [line for line, _ in one.lines()] + one.texts("stderr")
        kept = [line for line in lines if not re.search(r"\d", line)]
        counted = collections.Counter(kept)
        if one is runs[0]:
            native = counted
            if "one" not in native or not any("jemalloc" in line for line in native):
                return [f"natively {native}"]
        if (counted, one.status, one.settled) != (native, 3, True):
            wrong.append(f"{one.status}: {counted - native} more, {native - counted} less")
    return wrong


# ---- threads and signals -------------------------------------------------------------------------

def same(name):
    native, heard = run(name)
    return trouble(native) + compare(native, heard)


def cut(name):
    """All that was said when its call returned has come, once; the rest once at most; the last line
    of all is there."""
    heard, = run(name, runs=(harness.run_hark,))
    said = [line[5:] for line in heard.stated() if line.startswith("said ")]
    texts = [m["msg"] for m in heard.messages if m["source"] == "stderr" and not m.get("partial")]
    counted = collections.Counter(texts)
    wrong = trouble(heard) + [line for line in heard.stated() if line.endswith(" is taken")]
    if heard.status != 0 or not heard.settled or heard.stderr:
        wrong.append(f"status {heard.status}, settled {heard.settled}, past us {heard.stderr[:200]}")
    missing = [text for text in said if not counted[text]]
    if missing or not said:
        wrong.append(f"{len(missing)} of {len(said)} are missing: {missing[:5]}")
    twice = [text for text, n in counted.items() if n > 1 and text in set(said)]
    if twice:
        wrong.append(f"{len(twice)} came twice: {twice[:5]}")
    shape = re.compile(r"[a-z]+\d* \d+$|main after \w+ \d+$|after all|all (came|joined)"
                       r"|in a handler$|working")
    torn = [text for text in texts if not shape.match(text)]
    if torn:
        wrong.append(f"torn: {torn[:5]}")
    if said and texts and said[-1] != texts[-1]:
        wrong.append(f"the last is {texts[-1]!r}, not {said[-1]!r}")
    if name == "fork_among_threads":
        strange = [m for m in heard.messages if m["msg"].startswith("child ") and
                   m["msg"] != f"child {m['pid']}"]
        others = [m for m in heard.messages if m["msg"].startswith("t") and m["pid"] != heard.pid]
        if strange or others:
            wrong.append(f"with another pid: {(strange + others)[:3]}")
    return wrong


# ---- rights --------------------------------------------------------------------------------------

def sandbox(name, home, expect):
    """T10: behind a filter that kills, no call of ours; the collector comes by itself."""
    program = harness.build("traps/sandbox.c")
    out = os.path.join(home.top, "out.json")
    lines = ["before the filter"] + ["behind the filter"] * 1000 + ["by stdio"]
    for prefix in [], [cli.HARK, "run", "--to", f"file:{out}?format=json", "--"]:
        child = subprocess.Popen([*prefix, program, name], env=home.env(), cwd=home.top,
                                 stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        home.children.append(child)
        child.stdout = child.stderr
        if prefix:
            with cli.contextlib.suppress(TimeoutError):
                cli.wait_for(lambda: len(harness.read_messages(out)) == len(lines))
            expect.same([m["msg"] for m in harness.read_messages(out)], lines, "while it lives")
        child.stdin.close()
        end = -signal.SIGABRT if name == "aborts" else 5
        expect.same(child.wait(cli.LIMIT), end, f"{prefix}: exit status")
        expect.same(child.stderr.read().decode().splitlines(), [] if prefix else lines, "stderr")


UNPRIVILEGED = 65534
LEAVES = r"""
use POSIX; $| = 1; my ($how, $root) = @ARGV;
print STDERR "as root\n";
if ($how eq 'setuid') { POSIX::setgid(65534); POSIX::setuid(65534) == 0 || $< == 65534 or exit 9; }
if ($how eq 'chroot') { chroot $root or exit 8; chdir '/'; }
print STDERR "changed\n";
if (fork == 0) { print STDERR "its child\n"; exit 0; } wait;
if ($how eq 'setuid') { exec '/bin/sh', '-c', 'echo another image >&2; exit 4'; }
exit 4;
"""


def changed_rights(how, home, expect):
    """T11: what is mapped stays mapped; a new image that may not map passes its output through."""
    if os.getuid() != 0:
        raise harness.Skip("needs root")
    empty = os.path.join(home.top, "empty")
    os.mkdir(empty)
    os.chmod(home.top, 0o755)
    out = os.path.join(home.top, "out.json")
    # the libraries are loaded before the root changes
    argv = ["perl", "-e", LEAVES, how, empty]
    native = subprocess.run(argv, env=home.env(), capture_output=True, text=True, check=False)
    heard = home.run("run", "--to", f"file:{out}?format=json", "--", *argv)
    expect.same(native.returncode, 4, "natively")
    expect.same(heard.returncode, 4, "exit status")
    cli.wait_for(lambda: not os.listdir(home.runtime))
    texts = [m["msg"] for m in harness.read_messages(out)]
    passed = heard.stderr.splitlines()
    own = [line for line in passed if not line.startswith("hark: ")]
    expect.same(sorted(texts + own), sorted(native.stderr.splitlines()), "said")
    expect.same(texts[:3], ["as root", "changed", "its child"], "captured")
    expect(len(passed) - len(own) <= 1, f"warned more than once: {passed}")


def other_user(home, expect):
    """T11: after su, in an environment that still names our session."""
    if os.getuid() != 0 or not cli.shutil.which("setpriv"):
        raise harness.Skip("needs root")
    os.chmod(home.top, 0o755)
    out = os.path.join(home.top, "out.json")
    script = ("echo before >&2; setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "
              "'echo as another >&2; ls /nonexistent; exit 6'; s=$?; echo after >&2; exit $s")
    done = home.run("run", "--to", f"file:{out}?format=json", "--", "sh", "-c", script)
    cli.wait_for(lambda: not os.listdir(home.runtime))
    texts = [m["msg"] for m in harness.read_messages(out)]
    expect.same(done.returncode, 6, "exit status")
    expect.same((texts[:1], texts[-1:]), (["before"], ["after"]), "captured")
    rest = texts[1:-1] + [t for t in done.stderr.splitlines() if not t.startswith("hark: ")]
    expect.same(sorted(rest), ["as another", "ls: cannot access '/nonexistent': No such file or "
                               "directory"], "what another user said")


SETUID = """
#include <stdio.h>
#include <unistd.h>
int main(void) { fprintf(stderr, "uid %d\\n", geteuid()); return 7; }
"""


def setuid_program(home, expect):
    """T11: the loader ignores us there; the session says so, and the output is where it was."""
    if os.getuid() != 0 or not cli.shutil.which("setpriv"):
        raise harness.Skip("needs root")
    # where another user gets to, and such programs are let be what they are
    folder = tempfile.mkdtemp(dir="/var/tmp")
    try:
        setuid_in(folder, home, expect)
    finally:
        shutil.rmtree(folder)


def setuid_in(folder, home, expect):
    source, program = home.file("suid.c", SETUID), os.path.join(folder, "suid")
    harness.cc("-o", program, source)
    os.chown(program, 12345, 12345)
    os.chmod(program, 0o4755)
    os.chmod(folder, 0o1777)
    as_user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    for path in cli.HARK, program:
        if subprocess.run([*as_user, "test", "-x", path], check=False).returncode:
            raise harness.Skip(f"another user does not get to {path}")
    if os.statvfs(folder).f_flag & os.ST_NOSUID:
        raise harness.Skip(f"{folder} is mounted nosuid")
    home.runtime = os.path.join(folder, "runtime")
    for argv, said in (([program], True), (["sh", "-c", f"{program}; exit $?"], False)):
        done = subprocess.run([*as_user, cli.HARK, "run", "--to", "console", "--to",
                               f"file:{folder}/json?format=json", "--", *argv], env=home.env(),
                              cwd=folder, capture_output=True, text=True, check=False,
                              timeout=cli.LIMIT)
        expect.same(done.returncode, 7, f"{argv}: exit status")
        expect("uid 12345\n" in done.stderr, f"{argv}: {done.stderr!r}")
        cli.wait_for(lambda: not os.listdir(home.runtime))
        named = [m["msg"] for m in harness.read_messages(f"{folder}/json") if m["source"] == "hark"]
        expect.same(("setuid" in done.stderr, len(named)), (said, not said), f"{argv}: is it said?")
    expect.same(named, [f"started {program}, which is setuid: only deep mode hears it"], "named")


def main():
    args = harness.arguments(__doc__)
    harness.require_hark(args)
    cases = [("stack_depth", stack_depth), ("own_malloc", own_malloc),
             ("with_jemalloc", with_jemalloc)]
    if not args.native:
        for name, flags in harness.cases_of(harness.build("traps/threads.c")):
            cases.append((name, functools.partial(cut if "cut" in flags else same, name)))
        for name, _ in harness.cases_of(harness.build("traps/sandbox.c")):
            cases.append(("sandbox_" + name, cli.with_home(functools.partial(sandbox, name))))
        for how in "setuid", "chroot":
            cases.append(("changes_by_" + how,
                          cli.with_home(functools.partial(changed_rights, how))))
        cases += [(f.__name__, cli.with_home(f)) for f in (other_user, setuid_program)]
    return harness.run_tap(cases, args)


if __name__ == "__main__":
    sys.exit(main())
