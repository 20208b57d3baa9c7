#!/usr/bin/env python3
"""The hark command as people meet it: help, refusals, exit statuses, the tables, live sessions.

Speaks TAP; see tests/preload/harness.py for how cases run.
"""
# limit: 120

import contextlib
import glob
import json
import os
import pty
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

HARK = harness.HARK
VERBS = ["run", "ps", "stats", "drain", "salvage", "show"]
LIMIT = 15  # seconds that anything here may take


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
            for pipe in (child.stdin, child.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()
        # The collectors end by themselves; their directory goes when they have.
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: not glob.glob(self.runtime + "/*"), 5)


def wait_for(look, limit=LIMIT):
    until = time.monotonic() + limit
    while not (found := look()):
        if time.monotonic() > until:
            raise TimeoutError("it did not come")
        time.sleep(0.005)
    return found


CASES = []


def case(function):
    def body():
        with contextlib.ExitStack() as stack:
            complaints = []
            function(Home(stack), Expect(complaints))
            return complaints
    CASES.append((function.__name__, body))
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


# ---- help ---------------------------------------------------------------------------------------

@case
def bare(home, expect):
    done = home.run()
    expect.same(done.returncode, 0, "exit status")
    expect.same(done.stderr, "", "stderr")
    for verb in VERBS:
        expect(f"  hark {verb}" in done.stdout, f"{verb} is not there")
    expect("collect" not in re.findall(r"hark (\w+)", done.stdout), "shows what is internal")
    expect(len(re.findall(r"^  hark .*/nowhere", done.stdout, re.M)) == 3, "three examples")
    expect(max(map(len, done.stdout.splitlines())) <= 80, "wider than 80 columns")
    expect("\033" not in done.stdout, "colour without a terminal")
    expect.same(home.run("--help").stdout, done.stdout, "--help")


@case
def version(home, expect):
    done = home.run("--version")
    expect(re.fullmatch(r"hark \d+\.\d+\.\d+\n", done.stdout), done.stdout)


@case
def help_of_each_verb(home, expect):
    for verb in [*VERBS, "collect", "session"]:
        done = home.run(verb, "--help")
        expect.same(done.returncode, 0, verb)
        expect.same(done.stderr, "", verb)
        expect(done.stdout.startswith(f"usage: hark {verb}"), done.stdout[:80])
        expect(max(map(len, done.stdout.splitlines())) <= 80, f"{verb}: wider than 80 columns")
        expect.same(home.run(verb, "-h").stdout, done.stdout, "-h")


@case
def help_of_run_is_the_table(home, expect):
    text = home.run("run", "--help").stdout
    for row in json.loads(home.run("show", "settings", "--json").stdout):
        if row["option"]:
            expect(f"  {row['option']}" in text, f"{row['option']} is missing")
            expect(f"({row['variable']})" in text, f"{row['variable']} is missing")


@case
def help_belongs_to_the_program_behind_it(home, expect):
    done = home.run("run", "echo", "--help-me", "--level")
    expect.same(done.stdout, "--help-me --level\n", "stdout")
    done = home.run("echo", "--version")
    expect("coreutils" in done.stdout, done.stdout)


# ---- refusals -----------------------------------------------------------------------------------

@case
def unknown_option(home, expect):
    expect.refused(home.run("run", "--levle", "info", "true"), 125, "--levle", "--level",
                   "hark run --help")
    expect.refused(home.run("--captur=stderr", "true"), 125, "--capture")
    expect.refused(home.run("ps", "--yaml"), 125, "--yaml", "hark ps --help")
    expect.refused(home.run("ps", "12"), 125, "12")
    expect.refused(home.run("show"), 125, "settings", "exports")
    expect.refused(home.run("show", "tables"), 125, "tables", "hooks")
    expect.refused(home.run("run"), 125, "hark run")
    expect.refused(home.run("run", "--level"), 125, "--level", "debug")
    expect.refused(home.run("stats", "x"), 125, "x", "hark ps")
    expect.refused(home.run("drain", "--timeout", "5"), 125, "--timeout 5", "500ms")
    expect.refused(home.run("salvage", "--to", "consol"), 125, "consol", "console")
    expect.refused(home.run("salvage", home.top), 1, home.top)


@case
def bad_settings(home, expect):
    for option, value, *words in [
            ("--level", "inof", "info"), ("--ring", "4Q", "64K"), ("--ring", "1", "64K"),
            ("--overflow", "timeout:5", "timeout:100ms"), ("--exit-timeout", "5", "500ms"),
            ("--follow", "nubmer", "number"), ("--capture", "stdrr", "stderr"),
            ("--to", "fiel:x", "file"), ("--to", "file:x?sise=1M", "size")]:
        expect.refused(home.run("run", option, value, "true"), 125, f"{option} {value}", *words)
    expect.refused(home.run("run", "--config", "/no/such/file", "true"), 125, "/no/such/file")
    expect.refused(home.run("true", env={"HARK_RING": "4Q"}), 125, "HARK_RING", "4Q")
    expect.refused(home.run("true", env={"HARK_DEEP": "maybe"}), 125, "HARK_DEEP=maybe", "yes")
    bad = home.file("bad.yaml", "levle: info\n")
    expect.refused(home.run("true", env={"HARK_CONFIG": bad}), 125, "bad.yaml", "level")
    # an option wins, but a bad variable is still not passed over
    expect.refused(home.run("run", "--ring", "1M", "true", env={"HARK_RING": "4Q"}), 125)
    expect(not glob.glob(home.runtime + "/*"), "a session was made")


@case
def unknown_variables(home, expect):
    done = home.run("true", env={"HARK_RIGN": "1M", "HARK_XYZZY": "1"})
    expect.same(done.returncode, 0, "exit status")
    expect.same(sorted(done.stderr.splitlines()),
                ["hark: HARK_RIGN: unknown variable; did you mean HARK_RING?",
                 "hark: HARK_XYZZY: unknown variable"], "warnings")
    done = home.run("run", HARK, "run", "true", env={"HARK_XYZZY": "1"})
    expect.same(done.stderr.count("HARK_XYZZY"), 1, "said again in a session within")


# ---- exit statuses ------------------------------------------------------------------------------

@case
def the_programs_own(home, expect):
    expect.same(home.run("sh", "-c", "exit 7").returncode, 7, "exit 7")
    expect.same(home.run("--", "sh", "-c", "exit 8").returncode, 8, "exit 8")
    expect.same(home.run("run", "--deep", "--", "sh", "-c", "exit 9").returncode, 9, "exit 9")
    expect.same(home.run("sh", "-c", "kill -TERM $$").returncode, -signal.SIGTERM, "SIGTERM")
    # without its first line, a script is the shell's, as with execvp(3)
    path = home.file("script", "exit 6\n", 0o755)
    expect.same(home.run(path).returncode, 6, "a script without #!")


@case
def not_found(home, expect):
    expect.refused(home.run("no-such-program-here"), 127, "no-such-program-here")
    expect.refused(home.run("./nothing"), 127, "./nothing")
    expect.refused(home.run("run", ""), 127)
    expect.refused(home.run("stast"), 127, "hark stats")
    expect(not glob.glob(home.runtime + "/*"), "a session was made")


@case
def cannot_be_executed(home, expect):
    expect.refused(home.run("/tmp"), 126, "/tmp")
    expect.refused(home.run(home.file("plain", "x")), 126, "plain")
    expect.refused(home.run(home.file("lost", "#!/no/such/thing\n", 0o755)), 126,
                   "/no/such/thing")
    expect.refused(home.run(home.file("torn", "\177ELF", 0o755)), 126, "torn", "damaged")
    expect(not glob.glob(home.runtime + "/*"), "a session was made")


# ---- becoming PROG ------------------------------------------------------------------------------

LOOK = """
import json, os
print(json.dumps({
    "pid": os.getpid(),
    "fds": sorted(os.listdir("/proc/self/fd")),
    "signals": [l for l in open("/proc/self/status") if l.startswith("Sig") and l[3] in "PBI"],
    "umask": os.umask(0), "cwd": os.getcwd(),
    "env": {k: v for k, v in os.environ.items()},
}))
"""


def look(home, command, extra):
    """What a program sees of itself, started with a mask, an ignored signal and a umask."""
    def prepare():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGPIPE})
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        os.umask(0o117)
    child = subprocess.Popen([*command, sys.executable, "-c", LOOK], env=home.env(**extra),
                             cwd=home.top, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             preexec_fn=prepare)
    out, _ = child.communicate(timeout=LIMIT)
    seen = json.loads(out)
    seen["pid"] -= child.pid
    return seen


@case
def nothing_but_the_environment(home, expect):
    extra = {"LD_PRELOAD": "libm.so.6", "A": "b", "HARK_LEVEL": "info"}
    native, heard = look(home, [], extra), look(
        home, [HARK, "run", "--level", "notice", "--to", "console", "--to", "file:a b",
               "--mirror"], extra)
    # without it, nobody reads HARK_LEVEL
    env, before = heard.pop("env"), native.pop("env")
    expect.same(heard, native, "what it sees of itself")
    preload = env.pop("LD_PRELOAD").split(":")
    expect.same(os.path.basename(preload[0]), "libhark-preload.so", "LD_PRELOAD begins with")
    expect.same(preload[1:], [before.pop("LD_PRELOAD")], "LD_PRELOAD goes on with")
    expect(env.pop("HARK_SESSION").startswith(home.runtime + "/"), "HARK_SESSION")
    expect.same(env.pop("HARK_SINKS"), "console file:a%20b", "HARK_SINKS")
    expect.same((env.pop("HARK_LEVEL"), before.pop("HARK_LEVEL")), ("notice", "info"), "level")
    expect.same(env.pop("HARK_MIRROR"), "1", "HARK_MIRROR")
    expect.same(env, before, "the rest of the environment")


@case
def disabled(home, expect):
    done = home.run("sh", "-c", "echo ${LD_PRELOAD-none} ${HARK_SESSION-none}",
                    env={"HARK_DISABLE": "1"})
    expect.same(done.stdout, "none none\n", "stdout")


@case
def keeps_its_name(home, expect):
    done = home.run("sh", "-c", "echo $0", "-sh")
    expect.same(done.stdout, "-sh\n", "$0")
    done = home.run("cat", "/proc/self/cmdline")
    expect.same(done.stdout, "cat\0/proc/self/cmdline\0", "argv")


# ---- deep mode ----------------------------------------------------------------------------------

STATIC = """
#include <unistd.h>
int main(void) { return write(2, "from a static program\\n", 22) != 22 || isatty(2); }
"""


def static_program(home):
    source = home.file("static.c", STATIC)
    path = os.path.join(home.top, "static")
    subprocess.run(["gcc", "-static", "-o", path, source], check=True)
    return path


@case
def static_is_heard(home, expect):
    out = os.path.join(home.top, "out.json")
    path = static_program(home)
    done = home.run("run", "--to", f"file:{out}?format=json", path)
    expect.same(done.returncode, 0, "exit status")
    expect.same(done.stderr, f"hark: {path} is static: only deep mode hears it; "
                "listening through a pipe\n", "stderr")
    wait_for(lambda: harness.read_messages(out))
    expect.same([m["msg"] for m in harness.read_messages(out)], ["from a static program"], "heard")


@case
def on_a_terminal_it_stays_one(home, expect):
    path = static_program(home)
    master, slave = pty.openpty()
    child = subprocess.Popen([HARK, path], env=home.env(), cwd=home.top, stdin=slave,
                             stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    data = b""
    while select.select([master], [], [], LIMIT)[0]:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        data += piece
    os.close(master)
    expect.same(child.wait(LIMIT), 1, "isatty(2)")
    expect(b"through a pseudo-terminal" in data, data)
    expect(b"from a static program\r\n" in data, f"one \\r\\n: {data!r}")


@case
def asked_for_it_says_nothing(home, expect):
    done = home.run("run", "--deep", "sh", "-c", "echo heard >&2")
    expect.same(done.stderr, "heard\n", "stderr")


# ---- the tables ---------------------------------------------------------------------------------

def table(name):
    """The rows of a .def file, as the strings in each."""
    with open(os.path.join(harness.ROOT, name), encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    return text


@case
def shown_settings(home, expect):
    rows = json.loads(home.run("show", "settings", "--json").stdout)
    variables = re.findall(r'"(HARK_\w+)"', table("lib/config/settings.def"))
    expect.same([r["variable"] for r in rows], variables, "variables")
    text = home.run("show", "settings").stdout
    for row in rows:
        expect(set(row) == {"key", "option", "metavar", "variable", "default", "accepted", "doc",
                            "repeatable"}, f"fields: {sorted(row)}")
        expect(row["variable"] in text, f"{row['variable']} is not in the text")


@case
def shown_sinks_and_formats(home, expect):
    rows = json.loads(home.run("show", "sinks", "--json").stdout)
    kinds = re.findall(r'^SINK\(\w+, "(\w+)"', table("lib/sink/sinks.def"), re.M)
    expect.same([r["name"] for r in rows], kinds, "sinks")
    keys = set(re.findall(r"^SINK_KEY\((\w+),", table("lib/config/sink_keys.def"), re.M))
    expect.same({k["name"] for r in rows for k in r["keys"]}, keys, "keys")
    rows = json.loads(home.run("show", "formats", "--json").stdout)
    names = re.findall(r"^FORMAT\((\w+),", table("lib/format/formats.def"), re.M)
    expect.same([r["name"] for r in rows], names, "formats")
    text = home.run("show", "formats").stdout
    expect.same([line.split()[0] for line in text.splitlines()], names, "formats as text")


@case
def shown_hooks(home, expect):
    rows = json.loads(home.run("show", "hooks", "--json").stdout)
    defined = table("shim/hooks.def")
    names = [a or b for a, b in re.findall(
        r"^HOOK(?:\([^,]+, (\w+),|_ALIAS\((\w+),)", defined, re.M)]
    expect.same([r["name"] for r in rows], names, "hooks")
    expect.same(len(home.run("show", "hooks").stdout.splitlines()), len(names), "lines of text")


@case
def shown_exports(home, expect):
    expect.same(json.loads(home.run("show", "exports", "--json").stdout), [], "exports")
    expect(home.run("show", "exports").stdout.startswith("no "), "says that there are none")


@case
def manual_pages(home, expect):
    for section in "17":
        page = home.run("show", f"man{section}").stdout
        expect(f".Dt HARK {section}\n" in page, page[:100])
        for row in json.loads(home.run("show", "settings", "--json").stdout):
            if row["option"] or section == "7":
                expect(f"Ev {row['variable']}" in page, f"hark({section}): {row['variable']}")


@case
def a_full_disk_is_noticed(home, expect):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([HARK, "show", "hooks"], env=home.env(), stdout=full,
                              stderr=subprocess.PIPE, check=False)
    expect.same(done.returncode, 125, "exit status")
    expect(b"standard output" in done.stderr, done.stderr)


# ---- live sessions ------------------------------------------------------------------------------

SAY_AND_WAIT = "while read line; do echo $line >&2; echo done; done"


def say(child, line):
    child.stdin.write(line + "\n")
    child.stdin.flush()
    return child.stdout.readline()


@case
def ps_and_stats(home, expect):
    out = os.path.join(home.top, "out.json")
    child = home.start("run", "--ring", "1M", "--to", f"file:{out}?format=json", "sh", "-c",
                       SAY_AND_WAIT)
    row = home.session(child.pid)
    expect.same(sorted(row), ["collector_pid", "command", "dir", "guardian_pid", "pid", "started"],
                "fields of ps")
    expect.same(row["command"], f"sh -c {SAY_AND_WAIT}", "command")
    expect(os.path.isdir(row["dir"]), row["dir"])
    expect(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", row["started"]), row["started"])
    say(child, "one")
    say(child, "ERROR two")
    expect.same(home.run("drain", str(child.pid)).returncode, 0, "drain")
    expect.same([m["msg"] for m in harness.read_messages(out)], ["one", "ERROR two"], "drained")

    def counted():
        stats = json.loads(home.run("stats", "--json", str(child.pid)).stdout)
        return stats if stats["messages"] == 2 and stats["sinks"][0]["written_messages"] else None
    stats = wait_for(counted)
    expect.same(stats["bytes"], len("one") + len("ERROR two"), "bytes")
    expect.same(set(stats["lost"]), {"full", "overwritten", "torn", "corrupt", "sink", "too_long"},
                "reasons")
    expect.same(set(stats["lost"].values()) | set(stats["lost_bytes"].values()), {0}, "lost")
    expect.same((stats["queue_depth"], stats["ring_bytes"], stats["restarts"]), (0, 1 << 20, 0),
                "ring")
    sink, = stats["sinks"]
    expect.same(sink["spec"], f"file:{out}?format=json", "spec")
    expect.same((sink["state"], sink["error"], sink["written_messages"], sink["queued_bytes"]),
                ("open", None, 2, 0), "sink")
    expect.same(sink["written_bytes"], os.path.getsize(out), "written_bytes")
    text = home.run("stats", str(child.pid)).stdout
    expect(f"file:{out}" in text and "2 (" in text and "nothing" in text, text)
    expect(str(child.pid) in home.run("ps").stdout, "ps as text")
    # any process of the session names it
    expect.same(home.run("stats", "--json", str(row["collector_pid"])).returncode, 0, "collector")
    expect.refused(home.run("stats", "1"), 125, "process 1", "hark ps")
    child.stdin.close()
    expect.same(child.wait(LIMIT), 0, "exit status")
    wait_for(lambda: not os.path.exists(row["dir"]))
    expect.refused(home.run("drain", str(child.pid)), 125, str(child.pid))


@case
def a_sink_in_trouble(home, expect):
    child = home.start("run", "--to", f"unix:{home.top}/nobody", "--exit-timeout", "0", "sh", "-c",
                       SAY_AND_WAIT)
    home.session(child.pid)
    say(child, "hello")

    def in_trouble():
        stats = json.loads(home.run("stats", "--json", str(child.pid)).stdout)
        return stats["sinks"] and stats["sinks"][0]["error"] and stats["sinks"][0]
    sink = wait_for(in_trouble)
    expect.same(sink["state"], "backoff", "state")
    expect.same(sink["error"], "No such file or directory", "error")
    child.stdin.close()
    expect.same(child.wait(LIMIT), 0, "exit status")


def kill_collector(row):
    """Both at once: the one would start the other again."""
    os.kill(row["collector_pid"], signal.SIGSTOP)
    os.kill(row["guardian_pid"], signal.SIGKILL)
    os.kill(row["collector_pid"], signal.SIGKILL)


@case
def salvage(home, expect):
    child = home.start("run", "--to", f"unix:{home.top}/nobody", "sh", "-c",
                       "read x; echo said before death >&2; kill -9 $$")
    row = home.session(child.pid)
    expect.refused(home.run("salvage", row["dir"]), 1, "alive", str(child.pid))
    os.kill(row["collector_pid"], signal.SIGSTOP)
    child.stdin.write("\n")
    child.stdin.flush()
    expect.same(child.wait(LIMIT), -signal.SIGKILL, "the program's end")
    kill_collector(row)
    wait_for(lambda: not any(os.path.exists(f"/proc/{row[key]}") and
                             open(f"/proc/{row[key]}/stat", encoding="utf-8").read()
                             .rpartition(")")[2].split()[0] != "Z"
                             for key in ("collector_pid", "guardian_pid")))
    first, second = home.run("true").stderr, home.run("true").stderr
    expect("hark salvage" in first, f"not announced: {first!r}")
    expect("hark salvage" not in second, f"announced again: {second!r}")
    done = home.run("salvage", "--to", "file:rest?format=json", row["dir"])
    expect.same(done.returncode, 0, "exit status")
    expect(done.stdout.startswith("recovered 1 message (17 bytes) of sh -c read x;"),
           done.stdout + done.stderr)
    messages = harness.read_messages(os.path.join(home.top, "rest"))
    expect.same([m["msg"] for m in messages], ["said before death"], "recovered")
    expect(not os.path.exists(row["dir"]), "what was delivered is still there")


# ---- for the shim -------------------------------------------------------------------------------

def ask_session(home, **env):
    """`hark session` as the shim calls it for us: the process and what it answered."""
    reading, writing = os.pipe()
    child = home.run("session", "--answer-fd", str(writing), "--pid", str(os.getpid()), env=env,
                     pass_fds=[writing])
    os.close(writing)
    with os.fdopen(reading) as answer:
        return child, answer.read()


@case
def session_refuses(home, expect):
    done, answer = ask_session(home, HARK_SINKS="fiel:x")
    expect.refused(done, 1, "HARK_SINKS=fiel:x", "file", "output passes through unchanged")
    expect.same(answer, "", "answer")
    done, answer = ask_session(home, HARK_SINKS="fiel:x", HARK_STRICT="1")
    expect.refused(done, 125, "HARK_SINKS=fiel:x", "HARK_STRICT=1")
    expect.same(answer, "", "answer")
    expect.refused(home.run("session"), 125, "--answer-fd")
    expect(not glob.glob(home.runtime + "/*"), "a session was made")


@case
def session_answers(home, expect):
    # The program to be listened to: it ends when we let it.
    program = subprocess.Popen(["cat"], stdin=subprocess.PIPE, env=home.env())
    reading, writing = os.pipe()
    # the collector's console: a pipe would stay open as long as the program lives
    with open(os.path.join(home.top, "console"), "w+", encoding="utf-8") as console:
        done = home.run("session", "--answer-fd", str(writing), "--pid", str(program.pid),
                        pass_fds=[writing], stderr=console)
        console.seek(0)
        expect.same((done.returncode, console.read()), (0, ""), "hark session")
    os.close(writing)
    with os.fdopen(reading) as answer:
        directory = answer.read()
    expect(os.path.dirname(directory) == home.runtime, f"answer: {directory!r}")
    row = home.session(program.pid)
    expect.same((row["dir"], row["command"]), (directory, "cat"), "session")
    program.stdin.close()
    program.wait(LIMIT)
    wait_for(lambda: not os.path.exists(directory))


def main():
    args = harness.arguments(__doc__)
    if args.native:
        print("1..0 # skip nothing here runs without hark")
        return 0
    harness.require_hark(args)
    return harness.run_tap(CASES, args)


sys.exit(main())
