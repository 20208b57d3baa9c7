#!/usr/bin/env python3
"""Wrong settings and a hostile system: refused with a word that helps, or passed through.

Under `hark run` a bad setting is exit status 125 and the program is not started; under LD_PRELOAD
alone it is one line on stderr, and the program does what it does without us. Speaks TAP; see
cli.py.
"""
# limit: 400

import contextlib
import json
import os
import re
import signal
import socket
import subprocess

import cli
import harness
from session import Session

SHIM = os.path.join(harness.BUILD, "libhark-preload.so")
ENTRY = harness.build("../e2e/guests/entry.c")
SAY = "echo started >started; echo out; echo err >&2; exit 7"

# option, value, words that the refusal must hold
WRONG = [
    ("--capture", "stdrr", ["stderr"]),
    ("--capture", "stderr,,syslog", ["stdout"]),
    ("--capture", "fd:-1", ["fd:N"]),
    ("--capture", "fd:x", ["fd:N"]),
    ("--capture", "path:", ["path:GLOB"]),
    ("--capture", "", ["stderr"]),
    ("--to", "", ["console"]),
    ("--to", "consol", ['"console"']),
    ("--to", "fiel:x", ['"file"']),
    ("--to", "tpc://localhost:1", ['"tcp"']),
    ("--to", "file", ["file:PATH"]),
    ("--to", "file:", ["file:PATH"]),
    ("--to", "file:x?sise=1M", ['"size"']),
    ("--to", "file:x?size=1Q", ["10M"]),
    ("--to", "file:x?size=-1", ["10M"]),
    ("--to", "file:x?keep=99999999999999999999", ["9999"]),
    ("--to", "file:x?keep=", ["9999"]),
    ("--to", "file:x?mode=999", ["0777"]),
    ("--to", "file:x?format=jsn", ['"json"']),
    ("--to", "file:x?level=wraning", ['"warning"']),
    ("--to", "file:x?overflow=blok", ['"block"']),
    ("--to", "file:x?sync=never", ["always"]),
    ("--to", "file:x?age=1x", ["1d"]),
    ("--to", "file:x?color=always", ["console"]),
    ("--to", "console?color=allways", ['"always"']),
    ("--to", "console?size=1M", ["file"]),
    ("--to", "file:x?queue=1", ["64K"]),
    ("--to", "file:x?format", ["="]),
    ("--to", "file:x%zz", ["%"]),
    ("--to", "tcp://", ["HOST"]),
    ("--to", "tcp://localhost", ["PORT"]),
    ("--to", "tcp://localhost:99999", ["65535"]),
    ("--to", "tcp://localhost:http", ["65535"]),
    ("--to", "unix:" + "x" * 200, ["107"]),
    ("--level", "inof", ['"info"']),
    ("--level", "8", ["debug"]),
    ("--level", "", ["debug"]),
    ("--follow", "nubmer", ['"number"']),
    ("--overflow", "bloc", ['"block"']),
    ("--overflow", "timeout", ["timeout:100ms"]),
    ("--overflow", "timeout:-1s", ["timeout:100ms"]),
    ("--ring", "4Q", ["64K"]),
    ("--ring", "1", ["64K"]),
    ("--ring", "1T", ["1G"]),
    ("--ring", "-1", ["64K"]),
    ("--ring", "18446744073709551616", ["64K"]),
    ("--ring", " 4M", ["64K"]),
    ("--stamp", "traec", ["no such mode", "trace, profile, flight"]),
    ("--stamp", "flight:1X", ["not a size", "such as flight:1M"]),
    ("--stack", "loud", ["no such level", "debug"]),
    ("--snapshots", "many", ["not a number", "0 to 1000"]),
    ("--calls", "", ["a name is missing"]),
    ("--calls", "malloc@", ["NAME@LIBRARY"]),
    ("--sample", "often", ["no such kind of samples", "cpu@999"]),
    ("--sample", "cpu@0", ["cpu@999"]),
    ("--filter", "", ["name or glob is missing", "main>load"]),
    ("--filter", "a>>b", ["beside >", "main>load"]),
    ("--filter", "a>**", ["**", "main>load"]),
    ("--notrace", "a,,b", ["name or glob is missing"]),
    ("--notrace", "f@", ["FUNCTION@MODULE"]),
    ("--depth", "deep", ["not a number", "1 to 1000000"]),
    ("--depth", "-1", ["1 to 1000000"]),
    ("--depth", "1000001", ["out of range"]),
    ("--min-time", "10", ["10us"]),
    ("--min-time", "2h", ["out of range"]),
    ("--stamp-budget", "10", ["not a percentage", "10%"]),
    ("--stamp-budget", "0%", ["out of range"]),
    ("--stamp-budget", "101%", ["out of range"]),
    ("--data", "", ["no path"]),
    ("--exit-timeout", "5", ["500ms"]),
    ("--exit-timeout", "-5s", ["500ms"]),
    ("--exit-timeout", "9999d", ["1d"]),
    ("--exit-timeout", "\x1b[31m5s", ["500ms", "\\x1b"]),
    ("--config", "/no/such/file", ["No such file"]),
    ("--config", "/", ["irectory"]),
]
ONLY_VARIABLES = [("HARK_MIRROR", "perhaps", ["yes"]), ("HARK_DEEP", "2", ["yes"]),
                  ("HARK_DISABLE", "maybe", ["yes"]), ("HARK_STRICT", "x", ["yes"])]
# An empty variable is like none, and blanks separate sinks there.
NOT_AS_VARIABLE = {""}


def settings(home):
    rows = json.loads(home.run("show", "settings", "--json").stdout)
    return {row["option"]: row["variable"] for row in rows if row["option"]}


def shown(value):
    return value.replace("\x1b", "\\x1b")[:40]


@cli.case
def refused_by_option(home, expect):
    expect.same({o for o, _, _ in WRONG}, set(settings(home)) - {"--mirror", "--deep", "--arguments"}, "settings")
    for option, value, words in WRONG:
        done = home.run("run", option, value, "--", "sh", "-c", SAY)
        wrong = []
        cli.Expect(wrong).refused(done, 125, option, shown(value), *words)
        expect.complaints += [f"{option} {value}: {one}" for one in wrong]
    expect(not os.path.exists(os.path.join(home.top, "started")), "a program was started")


@cli.case
def refused_by_variable(home, expect):
    names = settings(home)
    for option, value, words in WRONG + ONLY_VARIABLES:
        if value in NOT_AS_VARIABLE:
            continue
        name = names.get(option, option)
        done = home.run("run", "--", "sh", "-c", SAY, env={name: value})
        wrong = []
        cli.Expect(wrong).refused(done, 125, name, shown(value), *words)
        expect.complaints += [f"{name}={value}: {one}" for one in wrong]
    expect(not os.path.exists(os.path.join(home.top, "started")), "a program was started")


def bare(home, argv, **env):
    return subprocess.run(argv, env=home.env(LD_PRELOAD=SHIM, **env), cwd=home.top, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=cli.LIMIT,
                          check=False, errors="replace")


def passes_through(expect, what, done, *words):
    """The program's own output and status, and one line of ours before."""
    first, _, rest = done.stderr.partition("\n")
    expect.same((done.returncode, done.stdout, rest), (7, "out\n", "err\n"), f"{what}: the program")
    expect(first.startswith("hark: ") and first.endswith("; output passes through unchanged"),
           f"{what}: first line {first!r}")
    for word in words:
        expect(word in first, f"{what}: {word!r} is not said: {first!r}")


@cli.case
def passed_through_when_bare(home, expect):
    names = settings(home)
    for option, value, words in WRONG + ONLY_VARIABLES:
        name = names.get(option, option)
        if value in NOT_AS_VARIABLE or name == "HARK_DISABLE":
            continue
        done = bare(home, ["sh", "-c", SAY], **{name: value})
        passes_through(expect, f"{name}={value}", done, name, shown(value), *words)
        if name == "HARK_STRICT":
            continue
        os.unlink(os.path.join(home.top, "started"))
        done = bare(home, ["sh", "-c", SAY], HARK_STRICT="1", **{name: value})
        expect.same((done.returncode, done.stdout, done.stderr.count("\n")), (125, "", 1),
                    f"{name}={value}: strict")
        expect(name in done.stderr, f"{name}: strict: {done.stderr!r}")
        expect(not os.path.exists(os.path.join(home.top, "started")), f"{name}: strict: started")


@cli.case
def said_once_for_all_children(home, expect):
    done = bare(home, ["sh", "-c", "sh -c true; sh -c 'sh -c true'; echo err >&2"],
                HARK_LEVEL="inof")
    expect(1 <= done.stderr.count("hark: "), "not said at all")
    expect.same(done.stderr.splitlines()[-1], "err", "the program's own")


@cli.case
def unknown_variables_once(home, expect):
    done = bare(home, ["sh", "-c", "sh -c 'echo a >&2'; sh -c 'echo b >&2'; exit 7"],
                HARK_LEVLE="info")
    expect.same(done.returncode, 7, "exit status")
    expect.same(done.stderr, "hark: HARK_LEVLE: unknown variable; did you mean HARK_LEVEL?\na\nb\n",
                "stderr")


@cli.case
def bad_configuration_files(home, expect):
    for text, *words in (("levle: info\n", "level"), ("level: [info\n", "hark.yaml:1", "level"),
                         ("- a\n", "hark.yaml"), ("level: inof\n", "info"), ("ring: 1\n", "64K"),
                         ("to: [fiel:x]\n", "file"),
                         ("\x00\x01", "hark.yaml"), ("a: &a [*a]\n", "hark.yaml"),
                         ("level: info\nlevel: debug\n", "level")):
        path = home.file("hark.yaml", text)
        wrong = []
        done = home.run("run", "--config", path, "--", "sh", "-c", SAY)
        cli.Expect(wrong).refused(done, 125, *words)
        expect.complaints += [f"{text!r}: {one}" for one in wrong]
        done = bare(home, ["sh", "-c", SAY], HARK_CONFIG=path)
        passes_through(expect, repr(text), done, *words)


# ---- programs -----------------------------------------------------------------------------------

@cli.case
def programs_that_are_none(home, expect):
    home.file("plain", "x")
    os.mkdir(os.path.join(home.top, "folder"))
    os.symlink("circle", os.path.join(home.top, "circle"))
    home.file("lost", "#!/no/such/interpreter\n", 0o755)
    for program, status in (("./nothing", 127), ("nothing-in-path", 127), ("./plain", 126),
                            ("./folder", 126), ("/", 126), ("./plain/x", 127), ("./circle", 126),
                            ("./lost", 126), ("x" * 5000, (126, 127))):
        for options in [], ["--to", "file:log"]:
            done = home.run("run", *options, "--", program)
            allowed = status if isinstance(status, tuple) else (status,)
            expect(done.returncode in allowed, f"{program[:20]}: exit status {done.returncode}")
            expect(re.fullmatch(r"hark: [^\n]+\n", done.stderr), f"{program[:20]}: {done.stderr!r}")
    expect(not cli.glob.glob(home.runtime + "/*"), "a session is left")


# ---- sinks in trouble ----------------------------------------------------------------------------

def stats(home, pid):
    found = harness.parse_objects(home.run("stats", "--json", str(pid)).stdout.encode())
    return found[0] if found else None


@cli.case
def sinks_that_cannot_be_opened(home, expect):
    """The other sinks go on; what the program says and how it ends is its own."""
    home.file("plain", "x")
    os.mkdir(os.path.join(home.top, "folder"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        refused = unused.getsockname()[1]
        for spec in ("file:/no/such/folder/log", "file:folder", "file:plain/log",
                     "file:/proc/version", "unix:nowhere", "unix:plain", "unixgram:nowhere",
                     f"tcp://127.0.0.1:{refused}", f"udp://127.0.0.1:{refused}",
                     "tcp://no-such-host.invalid:1"):
            good = os.path.join(home.top, "good")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(good)
            done = home.run("run", "--exit-timeout", "200ms", "--to", spec, "--to",
                            f"file:{good}?format=json", "--to", "console", "--", "sh", "-c", SAY)
            expect.same((done.returncode, done.stdout), (7, "out\n"), spec)
            expect(done.stderr.split("\n")[0] == "err" or "err\n" in done.stderr,
                   f"{spec}: the console: {done.stderr!r}")
            said = [m["msg"] for m in harness.read_messages(good) if m["source"] == "stderr"]
            expect.same(said, ["err"], f"{spec}: the other file")


@cli.case
def a_sink_that_recovers(home, expect):
    """The directory comes later: everything is written there then."""
    child = home.start("run", "--to", "file:later/log?format=raw&backoff=10ms..50ms", "--",
                       "sh", "-c", "while read x; do echo $x >&2; echo done; done")
    home.session(child.pid)
    for line in "one", "two":
        child.stdin.write(line + "\n")
        child.stdin.flush()
        child.stdout.readline()
    cli.wait_for(lambda: any(s["error"] for s in stats(home, child.pid)["sinks"]))
    expect.same(stats(home, child.pid)["sinks"][0]["error"], "No such file or directory", "error")
    os.mkdir(os.path.join(home.top, "later"))
    log = os.path.join(home.top, "later", "log")
    cli.wait_for(lambda: os.path.exists(log) and os.path.getsize(log) == 8)
    cli.wait_for(lambda: stats(home, child.pid)["sinks"][0]["state"] == "open")
    child.stdin.close()
    expect.same(child.wait(cli.LIMIT), 0, "exit status")


# ---- the machine --------------------------------------------------------------------------------

@contextlib.contextmanager
def small_disk(home, size):
    """A tmpfs of that size, or None where it cannot be."""
    path = os.path.join(home.top, "small")
    os.mkdir(path)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", path],
                          capture_output=True, check=False) if os.getuid() == 0 else None
    if not done or done.returncode:
        print("# skip: a tmpfs cannot be mounted here")
        yield None
        return
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=False)
        os.rmdir(path)


@cli.case
def full_disk(home, expect):
    with small_disk(home, "256k") as disk:
        if not disk:
            return
        good, filler = os.path.join(home.top, "good"), os.path.join(disk, "filler")
        child = home.start(
            "run", "--to", f"file:{disk}/log?format=raw&queue=64K&overflow=drop&backoff=10ms..50ms",
            "--to", f"file:{good}?format=raw", "--", "sh", "-c",
            "while read n; do seq -f 'line %.0f of many, and rather long, so it fills' $n >&2; "
            "echo done; done")
        home.session(child.pid)
        full = os.open(filler, os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while os.write(full, b"x" * 4096):
                pass
        os.close(full)

        def say(count):
            child.stdin.write(f"{count}\n")
            child.stdin.flush()
            child.stdout.readline()
        say(10000)
        cli.wait_for(lambda: os.path.exists(good) and os.path.getsize(good) > 400000)
        cli.wait_for(lambda: stats(home, child.pid)["sinks"][0]["error"])
        seen = stats(home, child.pid)
        expect.same(seen["sinks"][0]["error"], "No space left on device", "error")
        expect(seen["sinks"][1]["error"] is None, "the other sink is in trouble, too")
        cli.wait_for(lambda: stats(home, child.pid)["lost"]["sink"] > 0)
        cli.wait_for(lambda: b" lost: " in read(good))
        os.unlink(filler)
        cli.wait_for(lambda: stats(home, child.pid)["sinks"][0]["state"] == "open")
        say(3)
        cli.wait_for(lambda: read(f"{disk}/log").count(b"line 3 of") >= 1 and
                     b" lost: " in read(f"{disk}/log"))
        child.stdin.close()
        expect.same(child.wait(cli.LIMIT), 0, "exit status")
        # a raw sink takes pieces as they come: the loss may be announced in the middle of a line
        said = re.sub(rb"hark: \d+ messages? \(\d+ bytes\) lost: [^\n]*\n", b"", read(good))
        lines = said.decode().splitlines()
        expect.same(sum(line.startswith("line ") for line in lines), 10003, "in the good file")
        cli.wait_for(lambda: not os.listdir(home.runtime))


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def number_of(line):
    """Of a line that is whole."""
    found = re.fullmatch(rb'\{"time":.*"msg":"line (\d+) of many".*\}', line)
    return int(found.group(1)) if found else line


def filled(path, but):
    """A file that leaves no more than that of its disk."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    os.truncate(path, os.path.getsize(path) - but)


@cli.case
def full_disk_and_a_moved_file(home, expect):
    """The disk is full in the middle of a line, and the log is renamed. The line goes on where it was
    begun once there is room; where that is gone, the next file has all of it."""
    for way in "there is room", "the collector is killed", "it is removed":
        with small_disk(home, "8M") as disk:
            if not disk:
                return
            log, moved, filler = f"{disk}/log", f"{disk}/moved", f"{disk}/filler"
            session = Session(home, "--to", f"file:{log}?format=json&backoff=10ms..50ms")
            child = session.child.pid
            row = home.session(child)
            filled(filler, but=256 << 10)
            session.do("seq -f 'line %.0f of many' 5000 >&2")
            cli.wait_for(lambda: any(sink["error"] for sink in stats(home, child)["sinks"]))
            os.rename(log, moved)
            begun = read(moved)
            session.do("seq -f 'line %.0f of many' 5001 5010 >&2")
            if way == "the collector is killed":
                os.kill(row["collector_pid"], signal.SIGKILL)
                cli.wait_for(lambda: home.session(child)["collector_pid"] != row["collector_pid"])
            cli.wait_for(lambda: os.path.exists(log))
            if way == "it is removed":
                os.unlink(moved)
                begun = begun[:begun.rfind(b"\n") + 1]
            os.unlink(filler)
            cli.wait_for(lambda: b"line 5010 of many" in read(log))
            expect.same(session.end(), 0, f"{way}: exit status")
            first = begun if way == "it is removed" else read(moved)
            expect(len(begun) > 1 << 17 and first.startswith(begun), f"{way}: the moved file")
            expect(first.endswith(b"\n"), f"{way}: it ends in {first[-80:]!r}")
            got = [number_of(line) for line in (first + read(log)).splitlines()]
            expect(got == list(range(1, 5011)), f"{way}: {len(got)} lines, not whole or not in "
                   f"order: {[g for g in got if not isinstance(g, int)][:3]}")
            os.unlink(session.out)


@cli.case
def full_runtime_directory(home, expect):
    with small_disk(home, "64k") as disk:
        if not disk:
            return
        home.runtime = disk
        env = {"XDG_RUNTIME_DIR": "/nonexistent"}
        no_session(home, expect, env, disk, "No space left on device", "HARK_RING")
        expect(not os.listdir(disk), f"left behind: {os.listdir(disk)}")


@cli.case
def no_room_for_a_queue(home, expect):
    """There is for the ring: it is the collector that fails, and says so before the program runs."""
    with small_disk(home, "2M") as disk:
        if not disk:
            return
        home.runtime = disk
        env = {"XDG_RUNTIME_DIR": "/nonexistent", "HARK_SINKS": f"file:{home.top}/log"}
        no_session(home, expect, env, "the queue of file:", disk, "No space left on device",
                   "HARK_RUNTIME_DIR")
        expect(not os.listdir(disk), f"left behind: {os.listdir(disk)}")
        expect(not os.path.exists(f"{home.top}/log"), "something was written")


def no_session(home, expect, env, *words):
    """It cannot be begun: said in one line, and the program does what it does without us."""
    strict = {**env, "HARK_STRICT": "1"}
    passes_through(expect, "run", home.run("run", "--", "sh", "-c", SAY, env=env), *words)
    passes_through(expect, "bare", bare(home, ["sh", "-c", SAY], **env), *words)
    os.unlink(os.path.join(home.top, "started"))
    expect.refused(home.run("run", "--", "sh", "-c", SAY, env=strict), 125, "STRICT", *words)
    expect.refused(bare(home, ["sh", "-c", SAY], **strict), 125, "STRICT", *words)
    expect(not os.path.exists(os.path.join(home.top, "started")), "strict: the program was started")


@cli.case
def runtime_directories_that_are_no_use(home, expect):
    """The first usable one is taken; what belongs to others is not."""
    loose = os.path.join(home.top, "loose")
    os.mkdir(loose)
    os.chmod(loose, 0o777)
    fallback = os.path.join(home.top, "xdg")
    os.mkdir(fallback, 0o700)
    home.file("plain", "x")
    for bad in loose, os.path.join(home.top, "plain"), "/proc/hark", "/no/such/place":
        home.runtime = bad
        done = home.run("run", "--", "sh", "-c", "echo $HARK_SESSION; echo err >&2; exit 7",
                        env={"XDG_RUNTIME_DIR": fallback})
        expect.same((done.returncode, done.stderr), (7, "err\n"), bad)
        expect(done.stdout.startswith(fallback + "/hark/"), f"{bad}: {done.stdout!r}")
    home.runtime = os.path.join(fallback, "hark")


@cli.case
def limits_of_the_process(home, expect):
    """Where a session cannot be made, it is said; the program runs as it would have."""
    program = ["perl", "-e", "$| = 1; print qq(out\\n); print STDERR qq(err\\n); exit 7"]

    def under(condition, *prefix):
        done = subprocess.run([ENTRY, condition, "--", *prefix, *program], env=home.env(),
                              text=True, cwd=home.top, check=False, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=cli.LIMIT)
        return done.returncode, done.stdout, done.stderr
    few = [f"files={n}" for n in range(5, 16)]
    for condition in *few, "file-size=0", "file-size=100000", "file-size=3000000", "memory=20":
        expect.same(under(condition), (7, "out\n", "err\n"), f"{condition}, natively")
        for prefix in [cli.HARK, "run", "--"], ["env", f"LD_PRELOAD={SHIM}"]:
            status, out, err = under(condition, *prefix)
            heard = (status, out) == (7, "out\n") and re.fullmatch(r"([^\n]+\n)?err\n", err)
            expect(heard, f"{condition}, {prefix[0]}: {status} {out!r} {err!r}")
            if prefix[0] == cli.HARK and heard:
                wanted = (125, "") if err.startswith("hark: ") else (7, "out\n")
                strict = under(condition, "env", "HARK_STRICT=1", *prefix)
                expect.same(strict[:2], wanted, f"{condition}, strict: {strict[2]!r}")
    if os.path.isdir(home.runtime):
        cli.wait_for(lambda: not os.listdir(home.runtime))


@cli.case
def half_an_installation(home, expect):
    """The shim without its command, and the command without its shim."""
    for name in "hark", "libhark-preload.so":
        alone = os.path.join(home.top, "only-" + name)
        os.mkdir(alone)
        cli.copy_program(os.path.join(harness.BUILD, name), alone)
    done = subprocess.run([f"{home.top}/only-hark/hark", "run", "--", "sh", "-c", SAY], text=True,
                          env=home.env(), cwd=home.top, capture_output=True, check=False)
    expect.refused(done, 125, "libhark-preload.so", "installed")
    shim = f"{home.top}/only-libhark-preload.so/libhark-preload.so"
    done = subprocess.run(["sh", "-c", SAY], env=home.env(LD_PRELOAD=shim), cwd=home.top, text=True,
                          capture_output=True, check=False)
    passes_through(expect, "the shim alone", done, "hark command")


cli.main(__doc__)
