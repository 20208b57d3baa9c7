#!/usr/bin/env python3
"""The program cannot tell: how it ends, what it finds at its start, what its caller reads.

Every case runs natively and under hark, and compares. The guests are in guests/; the terminal has
tests of its own in test_terminal.py. Speaks TAP; see cli.py.
"""
# limit: 400

import os
import re
import signal
import subprocess
import time

import cli
import harness

ENTRY = harness.build("../e2e/guests/entry.c")
GUEST = harness.build("../e2e/guests/guest.c")
PORTRAIT = harness.build("identity/portrait.c")
EVERY = bool(os.environ.get("EVERY"))
STATUSES = range(256) if EVERY else [*range(0, 256, 25), 1, 2, *range(124, 131), 255]
PROMPT = 3  # seconds in which a caller's pipe must see its end on a busy machine


def hark(*options):
    return [cli.HARK, "run", *options, "--"]


def raw_status(home, argv, **how):
    """The parent's view, with the core bit and all."""
    child = subprocess.Popen(argv, env=home.env(), cwd=home.top, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how)
    _, status = os.waitpid(child.pid, 0)
    child.returncode = 0
    return status


# ---- how it ends --------------------------------------------------------------------------------

@cli.case
def every_exit_status(home, expect):
    for status in STATUSES:
        got = raw_status(home, [*hark(), "sh", "-c", f"echo {status} >&2; exit {status}"])
        expect.same(got, status << 8, f"exit {status}")


FATAL = [n for n in (range(1, 65) if EVERY else [*range(1, 32), 34, 50, 64]) if n not in (
    32, 33, signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH, signal.SIGSTOP,
    signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)]


@cli.case
def every_fatal_signal(home, expect):
    for number in FATAL:
        argv = ["sh", "-c", f"echo dying of {number} >&2; kill -{number} $$; exit 1"]
        native, heard = raw_status(home, argv), raw_status(home, [*hark(), *argv])
        expect(os.WIFSIGNALED(native) and os.WTERMSIG(native) == number, f"native {native:#x}")
        expect.same(heard, native, f"killed by {number}")


@cli.case
def every_way_to_die(home, expect):
    for word in ("fault", "illegal", "abort", "divide", "bus", "pipe", "assert", "corrupt"):
        argv = [GUEST, "die-" + word]
        native, heard = raw_status(home, argv), raw_status(home, [*hark(), *argv])
        expect(os.WIFSIGNALED(native), f"{word}: natively it lives")
        expect.same(heard, native, word)


@cli.case
def stopped_and_continued(home, expect):
    for prefix in [], hark():
        script = "kill -STOP $$; echo back >&2; read x; exit 5"
        child = subprocess.Popen([*prefix, "sh", "-c", script], env=home.env(), cwd=home.top,
                                 stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        flags = os.WUNTRACED | os.WCONTINUED
        _, status = os.waitpid(child.pid, flags)
        expect(os.WIFSTOPPED(status) and os.WSTOPSIG(status) == signal.SIGSTOP, f"{status:#x}")
        os.kill(child.pid, signal.SIGCONT)
        _, status = os.waitpid(child.pid, flags)
        expect(os.WIFCONTINUED(status), f"{prefix}: continued: {status:#x}")
        child.stdin.close()
        _, status = os.waitpid(child.pid, flags)
        child.returncode = 0
        expect.same(status, 5 << 8, f"{prefix}: its end")


@cli.case
def killed_from_outside(home, expect):
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGINT):
        out = os.path.join(home.top, f"out.{number}")
        child = subprocess.Popen([*hark("--to", f"file:{out}?format=raw"), "sh", "-c",
                                  "echo up >&2; echo ready; exec sleep 60"], env=home.env(),
                                 cwd=home.top, stdout=subprocess.PIPE)
        child.stdout.readline()
        child.send_signal(number)
        expect.same(child.wait(cli.LIMIT), -number, "status")
        child.stdout.close()
        cli.wait_for(lambda path=out: os.path.exists(path) and os.path.getsize(path))
        with open(out, "rb") as file:
            expect.same(file.read(), b"up\n", f"said before signal {number}")


# ---- what it finds ------------------------------------------------------------------------------

CONDITIONS = {
    "plain": [],
    "sigchld-ignored": ["ignore=17"],
    "sigchld-blocked": ["block=17"],
    "all-blocked": ["block-all"],
    "sigpipe-ignored": ["ignore=13"],
    "job-control-ignored": ["ignore=1", "ignore=2", "ignore=3", "ignore=20", "ignore=22"],
    "real-time-ignored": ["ignore=34", "ignore=64", "block=35"],
    "pending": ["pending=10", "pending=17"],
    "files-20": ["files=20"],
    "memory": ["memory=512"],
    "stack": ["stack=512"],
    "umask": ["umask=0177"],
    "umask-none": ["umask=0777"],
    "descriptors": ["open=4", "open=9", "open=10", "open=11", "open=63"],
    "stdin-closed": ["close=0"],
    "stdout-closed": ["close=1"],
    "both-closed": ["close=0", "close=1"],
    "nonblocking": ["nonblocking=2"],
    "nice": ["nice=7", "slack=123456"],
    "reaper": ["reaper=1"],
    "death-signal": ["death=10"],
    "no-new-privileges": ["no-new-privileges=1"],
    "no-write-execute": ["no-write-execute"],
    "timer": ["timer=50"],
    "inherited-child": ["child=3"],
}
# deep mode gives another descriptor 2, so only what is not about that is the same
FACTS = ["descriptors", "signals", "relatives", "process"]


def portrait(name, conditions):
    """What a program sees of itself, and what it says, with a file as the sink and with none: by turns,
    unless all is asked for."""
    def body():
        wrong = []
        for number, fact in enumerate(FACTS, len(name)):
            sinks = [[], ["--to", "console", "--to", "file:log?format=raw"]]
            if not EVERY:
                del sinks[number % 2]
            enter = [ENTRY, *conditions, "--"]
            native = harness.run_native([*enter, PORTRAIT, fact])
            if native.status != 0 or not native.stated():
                return [f"natively: {native.status} {native.stderr!r} {native.stated()}"]
            for options in sinks:
                heard = harness.run_native([*enter, *hark(*options), PORTRAIT, fact])
                log = heard.files.pop("log", None)
                said = heard.stderr.replace(b"by syslog\n", b"")  # natively not on stderr
                got = (heard.status, mute(heard.stated()), heard.stdout, said)
                want = (native.status, mute(native.stated()), native.stdout, native.stderr)
                if got != want:
                    wrong.append(f"{fact} {options}: {differ(got, want)}")
                if options and log.replace(b"by syslog\n", b"") != native.stderr:
                    wrong.append(f"{fact}: the file has {log!r}")
                if not heard.settled:
                    wrong.append(f"{fact} {options}: the session did not end")
        return wrong
    cli.CASES.append((f"at_its_start_{name}", body))


def mute(lines):
    """Without what differs from run to run."""
    return [re.sub(r"^(wait|timer 0:) [1-9]\d*", r"\1 N", line) for line in lines]


def differ(got, want):
    for one, other in zip(got, want):
        if isinstance(one, list) and one != other:
            return (f"{[x for x in one if x not in other][:5]}, natively "
                    f"{[x for x in other if x not in one][:5]}")
        if one != other:
            return f"{str(one)[-300:]}, natively {str(other)[-300:]}"
    return ""


for condition_name, words in CONDITIONS.items():
    portrait(condition_name, words)


@cli.case
def without_a_clock(home, expect):
    """T10: seccomp's strict mode and PR_SET_TSC kill who reads the clock: we do not, and the rest arrives."""
    strict = harness.build("../e2e/guests/strict.c")
    out = os.path.join(home.top, "out")
    for what in "seccomp", "tsc":
        for way in "prctl", "syscall":
            argv = [strict, what, way]
            native = subprocess.run(argv, capture_output=True, check=False, timeout=cli.LIMIT)
            heard = subprocess.run([*hark("--to", f"file:{out}?format=raw"), *argv], env=home.env(),
                                   cwd=home.top, capture_output=True, check=False,
                                   timeout=cli.LIMIT)
            expect.same((heard.returncode, heard.stderr), (native.returncode, b""), f"{what} {way}")
            expect.same(native.returncode, 3, f"{what} {way}: natively")
            cli.wait_for(lambda: os.path.exists(out) and not os.listdir(home.runtime))
            with open(out, "rb") as file:
                expect.same(file.read(), native.stderr, f"{what} {way}: what arrived")
            os.unlink(out)


@cli.case
def errno_is_zero(home, expect):
    for options in [], ["--to", "file:x"], ["--to", "unix:nobody", "--exit-timeout", "0"]:
        done = home.run("run", *options, "--", GUEST, "say-errno")
        expect.same(done.stdout, "0 0\n", f"{options}: errno in a constructor and at main")


@cli.case
def own_pid_and_parent(home, expect):
    child = subprocess.Popen([*hark(), "sh", "-c", "echo $$ $PPID; sh -c 'echo $PPID'"],
                             env=home.env(), cwd=home.top, stdout=subprocess.PIPE, text=True)
    out, _ = child.communicate(timeout=cli.LIMIT)
    expect.same(out, f"{child.pid} {os.getpid()}\n{child.pid}\n", "$$ $PPID, a child's $PPID")


# ---- what its caller reads ----------------------------------------------------------------------

def merged(home, argv):
    """As in x=$(cmd 2>&1): all the bytes, the status, and how long the end of file took."""
    reading, writing = os.pipe()
    child = subprocess.Popen(argv, env=home.env(), cwd=home.top, stdin=subprocess.DEVNULL,
                             stdout=writing, stderr=writing)
    os.close(writing)
    data, ended = b"", None
    while piece := os.read(reading, 1 << 16):
        data += piece
    eof = time.monotonic()
    os.close(reading)
    status = child.wait(cli.LIMIT)
    ended = time.monotonic()
    return data, status, eof - ended


@cli.case
def exact_bytes_in_order(home, expect):
    for word in ("nul", "invalid", "unfinished", "long", "single", "every-byte"):
        argv = [GUEST, "say-" + word]
        native, heard = merged(home, argv), merged(home, [*hark(), *argv])
        expect(native[0], f"{word}: natively it says nothing")
        expect.same(heard[1], native[1], f"{word}: exit status")
        expect(heard[0] == native[0],
               f"{word}: {len(heard[0])} bytes {heard[0][:200]!r}\n"
               f"natively {len(native[0])} {native[0][:200]!r}")


MIXED = r"""
for i in 1 2 3 4 5 6 7 8 9 10; do
	echo out $i; echo err $i >&2; /bin/echo child out $i; /bin/echo child err $i >&2
	printf 'un'; printf 'fin' >&2; printf 'ished\n'
done
ls /nonexistent; (echo sub >&2; echo shell); perl -e 'print STDERR "a"; syswrite STDOUT, "b\n"'
"""


@cli.case
def order_in_one_pipe(home, expect):
    argv = ["sh", "-c", MIXED]
    native, heard = merged(home, argv), merged(home, [*hark(), *argv])
    expect.same(heard[1], native[1], "exit status")
    expect.same(heard[0].split(b"\n"), native[0].split(b"\n"), "lines")


@cli.case
def substitution_ends_at_once(home, expect):
    script = 'x=$("$@" 2>&1; echo "=$?"); printf "%s" "$x"'
    for command in (["sh", "-c", "echo a; echo b >&2; exit 3"], ["true"],
                    ["sh", "-c", "printf x >&2"], [GUEST, "say-long"]):
        done = [subprocess.run(["bash", "-c", script, "bash", *prefix, *command], env=home.env(),
                               cwd=home.top, stdout=subprocess.PIPE, timeout=cli.LIMIT,
                               check=False).stdout for prefix in ([], hark())]
        expect(done[0], f"{command}: natively nothing")
        expect.same(done[1], done[0], str(command))
    _, status, late = cli.best(lambda: merged(home, [*hark(), "sh", "-c", "echo a >&2"]),
                               lambda seen: seen[2] < PROMPT)
    expect.same(status, 0, "exit status")
    expect(late < PROMPT, f"end of file {late:.1f} s after the end")


@cli.case
def nested_substitution(home, expect):
    script = 'x=$(hark run sh -c \'y=$(echo in >&2; hark run sh -c "echo deep >&2" 2>&1); ' \
             'echo "y=$y" >&2\' 2>&1); echo "[$x]"'
    done = subprocess.run(["bash", "-c", script.replace("hark", cli.HARK)], env=home.env(),
                          cwd=home.top, capture_output=True, text=True, timeout=cli.LIMIT,
                          check=False)
    expect.same((done.stdout, done.stderr), ("[in\ny=deep]\n", ""), "what is read back")


@cli.case
def background_child_keeps_it_open(home, expect):
    """The reader waits for the child that still has the pipe, natively and here."""
    argv = ["sh", "-c", "(read x; echo last words >&2) & echo first >&2"]
    for prefix in [], hark():
        child = subprocess.Popen([*prefix, "sh", "-c", "exec 3<&0; " + argv[2].replace(
            "read x", "read x <&3")], env=home.env(), cwd=home.top, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        expect.same(child.wait(cli.LIMIT), 0, "exit status")
        expect.same(child.stderr.readline(), b"first\n", "said at once")
        child.stdin.write(b"\n")
        child.stdin.close()
        expect.same(child.stderr.read(), b"last words\n", "said later")
        child.stderr.close()


# ---- daemons ------------------------------------------------------------------------------------

DAEMONS = ["null", "close", "closefrom", "close-range", "cloexec", "raw", "freopen", "libc",
           "waited"]


def pid_in(path):
    def look():
        try:
            with open(path, encoding="ascii") as file:
                text = file.read()
        except FileNotFoundError:
            return None
        return int(text) if text.endswith("\n") else None
    return cli.wait_for(look)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def daemon(word):
    def body(home, expect):
        said = {}
        for name, prefix in (("natively", []), ("console", hark()),
                             ("both", hark("--to", "console", "--to", "file:log?format=raw"))):
            mark = os.path.join(home.top, name)
            reading, writing = os.pipe()
            child = subprocess.Popen([*prefix, GUEST, "daemon-" + word, mark], env=home.env(),
                                     cwd=home.top, stdout=writing, stderr=writing)
            os.close(writing)
            pid = pid_in(mark)
            started = time.monotonic()
            said[name] = b""
            while piece := os.read(reading, 4096):
                said[name] += piece
            late = time.monotonic() - started
            os.close(reading)
            there = alive(pid)
            expect.same(child.wait(cli.LIMIT), 0, f"{name}: exit status")
            expect(there, f"{name}: the end of file came only with the daemon's end")
            expect(late < PROMPT, f"{name}: end of file {late:.1f} s after it was up")
            if there:
                os.kill(pid, signal.SIGKILL)
        for name in "console", "both":
            expect.same(said[name], said["natively"], f"{name}: said")
        with open(os.path.join(home.top, "log"), "rb") as file:
            expect.same(file.read(), said["natively"], "the file sink")
    body.__name__ = "daemon_" + word.replace("-", "_")
    cli.case(body)


for daemon_word in DAEMONS:
    daemon(daemon_word)


# ---- readers that leave -------------------------------------------------------------------------

@cli.case
def head_ends_yes(home, expect):
    script = '"$@" yes | head -n 2; echo ${PIPESTATUS[*]}'
    done = [subprocess.run(["bash", "-c", script, "bash", *prefix], env=home.env(), cwd=home.top,
                           stdout=subprocess.PIPE, timeout=cli.LIMIT, text=True, check=False).stdout
            for prefix in (["env"], hark())]
    expect.same(done[0], "y\ny\n141 0\n", "natively")
    expect.same(done[1], done[0], "here")


@cli.case
def reader_of_stderr_leaves(home, expect):
    """What a program says to nobody ends it, as it would have ended."""
    for argv in (["sh", "-c", "while echo x >&2; do :; done"],
                 ["perl", "-e", "1 while print STDERR qq(x\n)"],
                 ["sh", "-c", "trap '' PIPE; while echo x >&2; do :; done"]):
        for prefix in ["env"], hark():
            child = subprocess.Popen([*prefix, *argv], env=home.env(), cwd=home.top,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            child.stderr.readline()
            child.stderr.close()
            try:
                status = child.wait(cli.LIMIT)
            except subprocess.TimeoutExpired:
                status = "it goes on for ever"
                child.kill()
                child.wait()
            if prefix == ["env"]:
                native = status
        expect.same(status, native, str(argv))


@cli.case
def closed_stdout_and_stderr(home, expect):
    script = "echo out; echo $? >>status; echo err >&2; echo $? >>status; ls /nonexistent; " \
             "echo $? >>status"
    for redirect in (">&-", "2>&-", ">&- 2>&-", ">/dev/full"):
        seen = []
        for prefix in "", f"{cli.HARK} run ":
            done = subprocess.run(["bash", "-c", f"{prefix}sh -c '{script}' {redirect}; cat status;"
                                                 " rm status"],
                                  env=home.env(), cwd=home.top, capture_output=True, text=True,
                                  timeout=cli.LIMIT, check=False)
            seen.append((done.stdout, done.stderr))
        expect(seen[0][0], f"{redirect}: natively nothing")
        expect.same(seen[1], seen[0], redirect)


cli.main(__doc__)
