#!/usr/bin/env python3
"""What the shim has to bear inside of a program: spoilt memory, long messages, other loaders.

Speaks TAP; see cli.py.
"""
# limit: 400

import os
import shutil
import signal
import socket
import subprocess

import cli
import harness

CLEARED = harness.build("../e2e/guests/cleared.c")
LONG = harness.build("../e2e/guests/long.c")
LOOKS = harness.build("../e2e/guests/looks.c")
ORDERS = harness.build("../e2e/guests/orders.c")
SHIM = os.path.join(harness.BUILD, "libhark-preload.so")
INIT = harness.build("../e2e/guests/init.c")
NAMES = harness.build("../e2e/guests/names.c")
# made anew when the layout changes: what is given as a file counts as a source
LAYOUT = os.path.join(harness.ROOT, "lib", "session", "control.h")
HOSTILE = harness.build("../e2e/guests/hostile.c", extra=["-include", LAYOUT])


def heard(home, *argv, to="json", options=(), **how):
    """hark run ARGV, its session over: what it returned, and the messages."""
    out = os.path.join(home.top, "out." + to)
    done = home.run("run", "--to", f"file:{out}?format={to}", *options, "--", *argv, **how)
    cli.wait_for(lambda: not os.listdir(home.runtime))
    return done, harness.read_messages(out) if to == "json" else out


@cli.case
def a_spoilt_control_block(home, expect):
    """Nobody reads outside of what he has, whatever stands in the shared memory."""
    done, messages = heard(home, HOSTILE, options=["--capture", "stderr,path:/tmp/hark-none*"])
    expect.same(done.returncode, 7, "exit status")
    expect.same([m["msg"] for m in messages if m["source"] == "stderr"],
                ["before", "after", "child"], "said")


@cli.case
def names_of_the_gone(home, expect):
    """A child has its parent's name until it takes another, however soon it is gone."""
    done, messages = heard(home, NAMES)
    expect.same(done.returncode, 0, "exit status")
    said = [(m["msg"], m.get("comm")) for m in messages]
    expect.same(said, [("forked", "names")] * 30 + [("borrowed", "names")] * 30 +
                [("renamed", "another")], "said, by whom")


def first_of_its_namespace(argv, env, cwd):
    """Runs it as pid 1; None where we may not."""
    unshare = ["unshare", *([] if os.geteuid() == 0 else ["-Ur"]), "-p", "-f", "--mount-proc"]
    able = subprocess.run([*unshare, "true"], capture_output=True, check=False)
    if able.returncode:
        return None
    return subprocess.run([*unshare, *argv], env=env, cwd=cwd, capture_output=True, text=True,
                          timeout=cli.LIMIT, check=False)


@cli.case
def the_first_of_a_namespace(home, expect):
    """Who gets all orphans does not get the collector, and does not wait for it."""
    native = first_of_its_namespace([INIT], home.env(), home.top)
    if not native:
        return
    expect(native.stdout.startswith("pid 1\nat first: 0\n"), f"natively {native}")
    out = os.path.join(home.top, "out.json")
    sink = f"file:{out}?format=json"
    for argv in (["env", "LD_PRELOAD=" + SHIM, "HARK_SINKS=" + sink, INIT],
                 [cli.HARK, "run", "--to", sink, "--", INIT]):
        done = first_of_its_namespace(argv, home.env(), home.top)
        expect.same((done.returncode, done.stdout, done.stderr), (3, native.stdout, ""), argv)
        expect.same(sorted(m["msg"] for m in harness.read_messages(out)),
                    ["and said", "by a shell", "orphan", "said"], "said")
        os.unlink(out)
        shutil.rmtree(home.runtime)  # the collector ended with the namespace


@cli.case
def who_begins_a_namespace(home, expect):
    """unshare(CLONE_NEWPID), and no fork yet: the first child is the program's, or it can have none."""
    unshare = ["unshare", *([] if os.geteuid() == 0 else ["-Ur"]), "-p"]
    script = ["sh", "-c", "/bin/echo one >&2; exit 3"]
    for way in [], [cli.HARK, "run", "--"], ["env", "LD_PRELOAD=" + SHIM]:
        done = subprocess.run([*unshare, *way, *script], env=home.env(), cwd=home.top,
                              capture_output=True, text=True, timeout=cli.LIMIT, check=False)
        if not way and done.returncode != 3:
            return
        said = done.stderr.splitlines()
        expect.same((done.returncode, said[-1:]), (3, ["one"]), way)
        expect.same(len(said), 2 if way else 1, f"{way}: {said}")
        expect(not way or "begins a pid namespace" in said[0], f"{way}: {said}")


def arrived(home, argv, kind, stdout=None):
    """What came to its descriptor 2, of that kind."""
    path = os.path.join(home.top, "stderr")
    if kind == "pipe":
        stderr, ours = subprocess.PIPE, None
    elif kind == "socket":
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        stderr = theirs.detach()
    else:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | (os.O_APPEND if kind == "append" else 0)
        stderr, ours = os.open(path, flags), None
    done = subprocess.run(argv, env=home.env(), cwd=home.top, stdout=stdout, stderr=stderr,
                          timeout=cli.LIMIT, check=True)
    if kind == "pipe":
        return done.stderr
    os.close(stderr)
    if ours:
        with ours, ours.makefile("rb") as file:
            return file.read()
    with open(path, "rb") as file:
        return file.read()


@cli.case
def order_of_what_passes(home, expect):
    """What the kernel writes by itself comes where the program said it, whatever it is called by."""
    for kind in "pipe", "file", "append", "socket":
        native, under = (arrived(home, [*way, ORDERS], kind).decode().splitlines()
                         for way in ([], [cli.HARK, "run", "--"]))
        expect("by another way" in native and native[-1] == "back", f"natively {native}")
        at = next((i for i, pair in enumerate(zip(native, under)) if pair[0] != pair[1]), None)
        expect(native == under, f"{kind}: {len(native)} lines, {len(under)} came; different at "
               f"{at}: {native[at - 1:at + 3] if at else native[-3:]}, "
               f"came {under[at - 1:at + 3] if at else under[-3:]}")


@cli.case
def what_looks_at_the_file(home, expect):
    """Who asks for its length, moves in it, cuts it or ends it finds there what was said before."""
    found = os.path.join(home.top, "found")
    for kind in "file", "append", "socket", "pipe":
        runs = []
        for way in [], [cli.HARK, "run", "--"]:
            with open(found, "wb") as stdout:
                came = arrived(home, [*way, LOOKS], kind, stdout=stdout)
            with open(found, encoding="ascii") as file:
                runs.append((came.decode().splitlines(), file.read().splitlines()))
        expect(runs[0][0] and runs[0][1], f"{kind}: natively nothing")
        for what, native, under in zip(("arrived", "found"), *runs):
            expect.same(under, native, f"{kind}: {what}")


@cli.case
def a_cleared_environment(home, expect):
    """What libc starts by itself is heard, and the program's own environment is as it left it."""
    done, messages = heard(home, CLEARED)
    expect.same((done.returncode, done.stdout), (0, "1 4 read\nnothing\n1\n"), "the program")
    expect.same([m["msg"] for m in messages], ["by system", "by popen"], "said")


@cli.case
def another_loader(home, expect):
    """A program of another libc runs as ever, and so do its relatives before and after it."""
    source = home.file("musl.c", '#include <stdio.h>\n#include <stdlib.h>\nint main(void) {'
                       ' fprintf(stderr, "musl\\n");'
                       ' printf("%s\\n", getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "none");'
                       ' return 5; }')
    subprocess.run(["musl-gcc", "-o", os.path.join(home.top, "musl"), source], check=True)
    home.file("script", "#!./musl\n", 0o755)
    for command in "./musl", "PATH=.:$PATH musl", "./script", "exec ./musl", \
            "env -i ./musl", "/usr/bin/python3 -c 'import os; os.execv(\"musl\", [\"musl\"])'", \
            "/usr/bin/python3 -c 'import subprocess, sys; sys.exit(subprocess.call([\"./musl\"]))'":
        done, messages = heard(home, "sh", "-c", "echo before >&2; " + command)
        expect.same((done.returncode, done.stdout, done.stderr), (5, "none\n", "musl\n"), command)
        expect.same([m["msg"] for m in messages if m["source"] != "hark"], ["before"], command)
        os.unlink(os.path.join(home.top, "out.json"))


def alphabet(count):
    return ("abcdefghijklmnopqrstuvwxyz" * (count // 26 + 1))[:count]


@cli.case
def long_texts(home, expect):
    """One call is one stretch, also where it is larger than the ring; a message is one message."""
    for ring in "4M", "64K":
        for way, count in (("write", 400000), ("writev", 400000), ("fprintf", 400000),
                           ("syslog", 200000)):
            done, path = heard(home, LONG, way, str(count), to="raw", options=["--ring", ring])
            with open(path, encoding="utf-8") as file:
                text = file.read().rstrip("\n")
            os.unlink(path)
            expect.same(done.returncode, 0, f"{way}: exit status")
            expect(text == alphabet(count), f"{way} with {ring}: {len(text)} came")
        _, messages = heard(home, LONG, "syslog", "200000", options=["--ring", ring])
        os.unlink(os.path.join(home.top, "out.json"))
        expect.same([(len(m["msg"]), m["ident"], "partial" in m) for m in messages],
                    [(200000, "long", False)], f"a message with {ring}")


@cli.case
def killed_in_the_middle(home, expect):
    """The collector stands still, the ring is full, and the one who waits for room is killed."""
    for way in "write", "writev", "fprintf", "syslog":
        out = os.path.join(home.top, "out-" + way)
        child = home.start("run", "--ring", "64K", "--to", f"file:{out}?format=json",
                           "--to", f"file:{out}.raw?format=raw", "--", LONG, way, "200000")
        row = home.session(child.pid)
        os.kill(row["collector_pid"], signal.SIGSTOP)
        child.stdin.write("!")
        child.stdin.flush()

        def waits(pid=child.pid):
            with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
                return file.read().startswith("202 ")  # futex
        cli.wait_for(waits)
        child.kill()
        child.wait()
        os.kill(row["collector_pid"], signal.SIGCONT)
        cli.wait_for(lambda: not os.listdir(home.runtime))
        messages = harness.read_messages(out)
        text = "".join(m["msg"] for m in messages if m["source"] != "hark")
        expect(30000 < len(text) < 100000 and text == alphabet(len(text)),
               f"{way}: {len(text)} came")
        last = [m for m in messages if m["source"] != "hark"][-1]
        expect("partial" in last, f"{way}: not partial")
        with open(out + ".raw", encoding="utf-8") as file:
            expect.same(file.read().splitlines()[0], text, f"{way}: bytes")


cli.main(__doc__)
