#!/usr/bin/env python3
"""Sessions as the hark command shows them: deep mode, ps, stats, drain, salvage, the shim's verb.

Speaks TAP; see cli.py and tests/preload/harness.py for how cases run.
"""
# limit: 400

import glob
import json
import os
import pty
import re
import select
import signal
import subprocess

import cli


# ---- deep mode ----------------------------------------------------------------------------------

STATIC = """
#include <unistd.h>
int main(void) { return write(2, "from a static program\\n", 22) != 22 || isatty(2); }
"""


def static_program(home):
    source = home.file("static.c", STATIC)
    path = os.path.join(home.top, "static")
    cli.harness.cc("-static", "-o", path, source)
    return path


@cli.case
def static_is_heard(home, expect):
    out = os.path.join(home.top, "out.json")
    path = static_program(home)
    done = home.run("run", "--to", f"file:{out}?format=json", path)
    expect.same(done.returncode, 0, "exit status")
    expect.same(done.stderr, f"hark: {path} is static: only deep mode hears it; "
                "listening through a pipe\n", "stderr")
    cli.wait_for(lambda: cli.harness.read_messages(out))
    heard = [m["msg"] for m in cli.harness.read_messages(out)]
    expect.same(heard, ["from a static program"], "heard")


@cli.case
def console_outlives_the_descriptor(home, expect):
    """Nobody has what descriptor 2 was: the console is kept for whoever has its other end."""
    done = home.run("run", "--deep", "sh", "-c",
                    "/bin/true; sleep 0.3; echo late >&2")  # whose end lets the collector look
    expect.same(done.stderr, "late\n", "stderr")


@cli.case
def on_a_terminal_it_stays_one(home, expect):
    path = static_program(home)
    master, slave = pty.openpty()
    child = subprocess.Popen([cli.HARK, path], env=home.env(), cwd=home.top, stdin=slave,
                             stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    data = b""
    while select.select([master], [], [], cli.LIMIT)[0]:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        data += piece
    os.close(master)
    expect.same(child.wait(cli.LIMIT), 1, "isatty(2)")
    expect(b"through a pseudo-terminal" in data, data)
    expect(b"from a static program\r\n" in data, f"one \\r\\n: {data!r}")


@cli.case
def asked_for_it_says_nothing(home, expect):
    done = home.run("run", "--deep", "sh", "-c", "echo heard >&2")
    expect.same(done.stderr, "heard\n", "stderr")


@cli.case
def deaf_children_are_named_once(home, expect):
    """A program that no hook hears is named, once, where hark may speak; nowhere else."""
    static_program(home)
    deaf = {"./static": "is static", "/usr/bin/fzf": "is built by Go, which makes system calls by "
            "itself"}
    deaf = {path: why for path, why in deaf.items()
            if os.access(os.path.join(home.top, path), os.X_OK)}
    script = "".join(f"{path} --version; " for path in deaf) * 3 + \
        "ls /nonexistent; python3 -Sc 'import os; os.spawnlp(0, \"static\", \"static\")'; " \
        "env -i ./static; nothing-there; exit 5"
    done = home.run("run", "--to", "console", "--to", "file:json?format=json", "--to",
                    "file:raw?format=raw", "--", "bash", "-c", script,
                    env={"PATH": f"{home.top}:/usr/bin:/bin"})
    expect.same(done.returncode, 5, "exit status")
    cli.wait_for(lambda: not os.listdir(home.runtime))
    with open(os.path.join(home.top, "raw"), encoding="utf-8") as file:
        for name, text in (("raw", file.read()), ("the console", done.stderr)):
            expect("ls: cannot access" in text and "hark" not in text and "started" not in text,
                   f"{name}: {text!r}")
    said = [m for m in cli.harness.read_messages(os.path.join(home.top, "json"))
            if m["source"] == "hark"]
    expect.same(sorted((m["msg"], m["level"]) for m in said),
                sorted((f"started {path}, which {why}: only deep mode hears it", "notice")
                       for path, why in deaf.items()), "named")
    out = os.path.join(home.top, "deep")
    home.run("run", "--deep", "--to", f"file:{out}?format=json", "--", "bash", "-c", "./static; true")
    cli.wait_for(lambda: not os.listdir(home.runtime))
    expect.same([m["msg"] for m in cli.harness.read_messages(out)], ["from a static program"],
                "in deep mode")


# ---- live sessions ------------------------------------------------------------------------------

SAY_AND_WAIT = "while read line; do echo $line >&2; echo done; done"


def say(child, line):
    child.stdin.write(line + "\n")
    child.stdin.flush()
    return child.stdout.readline()


@cli.case
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
    text = cli.wait_for(lambda: next((t for t in [home.run("stats", str(child.pid)).stdout]
                                      if "messages   1 (3 bytes)\n" in t and
                                      "open, 1 message (" in t), None))
    expect(not re.search(r"\b1 (messages|bytes|processes|times|reconnects)\b", text), text)
    expect(re.search(r"^session .* 1 process now$", text, re.M), text)
    say(child, "ERROR two")
    expect.same(home.run("drain", "--timeout", "30s", str(child.pid)).returncode, 0, "drain")
    expect.same([m["msg"] for m in cli.harness.read_messages(out)], ["one", "ERROR two"], "drained")

    def counted():
        stats = json.loads(home.run("stats", "--json", str(child.pid)).stdout)
        return stats if stats["messages"] == 2 and stats["sinks"][0]["written_messages"] else None
    stats = cli.wait_for(counted)
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
    expect.same(child.wait(cli.LIMIT), 0, "exit status")
    cli.wait_for(lambda: not os.path.exists(row["dir"]))
    expect.refused(home.run("drain", str(child.pid)), 125, str(child.pid))


@cli.case
def a_sink_in_trouble(home, expect):
    child = home.start("run", "--to", f"unix:{home.top}/nobody", "--exit-timeout", "0", "sh", "-c",
                       SAY_AND_WAIT)
    home.session(child.pid)
    say(child, "hello")

    def in_trouble():
        stats = json.loads(home.run("stats", "--json", str(child.pid)).stdout)
        return stats["sinks"] and stats["sinks"][0]["error"] and stats["sinks"][0]
    sink = cli.wait_for(in_trouble)
    expect.same(sink["state"], "backoff", "state")
    expect.same(sink["error"], "No such file or directory", "error")
    child.stdin.close()
    expect.same(child.wait(cli.LIMIT), 0, "exit status")


def kill_collector(row):
    """Both at once: the one would start the other again."""
    os.kill(row["collector_pid"], signal.SIGSTOP)
    os.kill(row["guardian_pid"], signal.SIGKILL)
    os.kill(row["collector_pid"], signal.SIGKILL)


@cli.case
def salvage(home, expect):
    child = home.start("run", "--to", f"unix:{home.top}/nobody", "sh", "-c",
                       "read x; echo said before death >&2; kill -9 $$")
    row = home.session(child.pid)
    expect.refused(home.run("salvage", row["dir"]), 1, "alive", str(child.pid))
    os.kill(row["collector_pid"], signal.SIGSTOP)
    child.stdin.write("\n")
    child.stdin.flush()
    expect.same(child.wait(cli.LIMIT), -signal.SIGKILL, "the program's end")
    kill_collector(row)
    cli.wait_for(lambda: not any(cli.lives(row[key]) for key in ("collector_pid", "guardian_pid")))
    # a pair that was just beginning might still be on its way, for three seconds
    first = cli.wait_for(lambda: home.run("true").stderr)
    second = home.run("true").stderr
    expect("hark salvage" in first, f"not announced: {first!r}")
    expect("hark salvage" not in second, f"announced again: {second!r}")
    done = home.run("salvage", "--to", "file:rest?format=json", row["dir"])
    expect.same(done.returncode, 0, "exit status")
    expect(done.stdout.startswith("recovered 1 message (17 bytes) of sh -c read x;"),
           done.stdout + done.stderr)
    messages = cli.harness.read_messages(os.path.join(home.top, "rest"))
    expect.same([m["msg"] for m in messages], ["said before death"], "recovered")
    expect(not os.path.exists(row["dir"]), "what was delivered is still there")


@cli.case
def given_up_with_sinks_out_of_reach(home, expect):
    """The program ends as it would; what could not be delivered is announced, and not lost."""
    done = home.run("run", "--exit-timeout", "100ms", "--to", f"unix:{home.top}/nobody", "--",
                    "sh", "-c", "echo kept >&2; exit 7")
    expect.same((done.returncode, done.stderr), (7, ""), "the program")
    cli.wait_for(lambda: home.run("ps", "--json").stdout == "")
    expect("hark salvage" in home.run("true").stderr, "not announced")
    done = home.run("salvage")
    expect.same(done.returncode, 1, "nobody is there yet")
    expect("not with the sinks yet" in done.stderr, done.stderr)
    # elsewhere, which is no better: all is still there
    expect.same(home.run("salvage", "--to", f"unix:{home.top}/none").returncode, 1, "nor there")
    done = home.run("salvage", "--to", "file:rest?format=json")
    expect.same(done.returncode, 0, "exit status")
    messages = cli.harness.read_messages(os.path.join(home.top, "rest"))
    expect.same([m["msg"] for m in messages], ["kept"], "recovered")


@cli.case
def collectors_that_cannot_begin(home, expect):
    """Each successor fails: that is given up, said by the program's own write, and salvaged."""
    log = os.path.join(home.top, "log")
    with open(os.path.join(home.top, "stderr"), "w+", encoding="utf-8") as stderr:
        child = subprocess.Popen([cli.HARK, "run", "--to", f"file:{log}?format=raw", "sh", "-c",
                                  SAY_AND_WAIT], env=home.env(), cwd=home.top, text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
        home.children.append(child)
        row = home.session(child.pid)
        queue = os.path.join(row["dir"], "queue.0")
        os.rename(queue, queue + ".away")
        os.mkdir(queue)
        os.kill(row["collector_pid"], signal.SIGKILL)
        say(child, "in the ring")
        cli.wait_for(lambda: home.run("ps", "--json").stdout == "")
        say(child, "by itself")
        stderr.seek(0)
        warning, rest = stderr.read().split("\n", 1)
        expect(warning.startswith("hark: the collector is gone"), warning)
        expect.same(rest, "by itself\n", "written by the program")
        child.stdin.close()
        expect.same(child.wait(cli.LIMIT), 0, "exit status")
    done = home.run("salvage", row["dir"])
    expect.refused(done, 1, "cannot be salvaged", "the queue of file:")
    os.rmdir(queue)
    os.rename(queue + ".away", queue)
    expect.same(home.run("salvage", row["dir"]).returncode, 0, "salvage")
    with open(log, encoding="utf-8") as file:
        expect.same(file.read(), "in the ring\n", "salvaged")


@cli.case
def a_session_within_a_session(home, expect):
    inner, outer = (os.path.join(home.top, name) for name in ("inner", "outer"))
    script = f"{cli.HARK} run --to file:{inner} sh -c 'echo inner >&2'; echo outer >&2"
    done = home.run("run", "--to", f"file:{outer}", "sh", "-c", script)
    expect.same((done.returncode, done.stderr), (0, ""), "hark run")
    for path in inner, outer:
        cli.wait_for(lambda path=path: os.path.exists(path) and os.path.getsize(path))
        with open(path, encoding="utf-8") as file:
            text = file.read()
        expect(text.endswith(f"{os.path.basename(path)}\n") and text.count("\n") == 1, text)


@cli.case
def the_inner_one_shows_in_order(home, expect):
    """To one file, stdout as well: an inner collector writes for itself, not into the outer ring."""
    both = os.path.join(home.top, "both")
    loop = "for i in 1 2 3; do echo err $i >&2; echo out $i; done"
    script = f"{cli.HARK} run sh -c '{loop}'; echo last >&2; echo end"
    done = home.run("run", "sh", "-c", f"exec >{both} 2>&1; exec {cli.HARK} run sh -c \"$0\"",
                    script)
    expect.same((done.returncode, done.stdout, done.stderr), (0, "", ""), "hark run")
    with open(both, encoding="utf-8") as file:
        said = file.read().splitlines()
    want = [f"{what} {i}" for i in "123" for what in ("err", "out")]
    expect.same(said, want + ["last", "end"], "said")


@cli.case
def no_room_to_join(home, expect):
    """Where the ring cannot be mapped, hark says so, but never in a file of the program's own."""
    fail = "(ulimit -v 40000; exec ls /nonexistent %s); cat err"
    why = "ls: cannot access '/nonexistent': No such file or directory\n"
    done = home.run("run", "--ring", "64M", "sh", "-c", fail % "2>err")
    expect.same((done.stdout, done.stderr), (why, ""), "redirected")
    done = home.run("run", "--ring", "64M", "sh", "-c", fail % "; rm -f err")
    said = done.stderr.splitlines(keepends=True)
    expect(said[0].startswith("hark: cannot join the session"), f"as it is: {said}")
    expect.same(said[1], why, "as it is")


# ---- for the shim -------------------------------------------------------------------------------

def ask_session(home, **env):
    """`hark session` as the shim calls it for us: the process and what it answered."""
    reading, writing = os.pipe()
    child = home.run("session", "--answer-fd", str(writing), "--pid", str(os.getpid()), env=env,
                     pass_fds=[writing])
    os.close(writing)
    with os.fdopen(reading) as answer:
        return child, answer.read()


@cli.case
def session_refuses(home, expect):
    done, answer = ask_session(home, HARK_SINKS="fiel:x")
    expect.refused(done, 1, "HARK_SINKS=fiel:x", "file", "output passes through unchanged")
    expect.same(answer, "", "answer")
    done, answer = ask_session(home, HARK_SINKS="fiel:x", HARK_STRICT="1")
    expect.refused(done, 125, "HARK_SINKS=fiel:x", "HARK_STRICT=1")
    expect.same(answer, "", "answer")
    expect.refused(home.run("session"), 125, "--answer-fd")
    expect(not glob.glob(home.runtime + "/*"), "a session was made")


@cli.case
def session_answers(home, expect):
    # The program to be listened to: it ends when we let it.
    program = subprocess.Popen(["cat"], stdin=subprocess.PIPE, env=home.env())
    cli.wait_for(lambda: cli.command_line(program.pid))  # Popen returns within its execve
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
    program.wait(cli.LIMIT)
    cli.wait_for(lambda: not os.path.exists(directory))


cli.main(__doc__)
