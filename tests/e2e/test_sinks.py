#!/usr/bin/env python3
"""Files and peers that give trouble to a session while it talks: both sides are looked at.

Speaks TAP; see cli.py.
"""
# limit: 400

import contextlib
import glob
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time

import cli
import harness
from session import Session, lost


def read(path):
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        return file.read()
    return b""


def sink_of(session, number):
    """Sink number so-and-so as `hark stats` has it. The first is the Session's own file."""
    rows = harness.ask("stats", session.home.runtime)
    sinks = rows[0]["sinks"] if rows else []
    return sinks[number] if number < len(sinks) else {}


def start(home, *specs, **how):
    options = [word for spec in specs for word in ("--to", spec)]
    return Session(home, *options, **how)


def in_trouble(session, number=1):
    return cli.wait_for(lambda: sink_of(session, number).get("error"))


def recovered(session, number=1):
    cli.wait_for(lambda: sink_of(session, number).get("state") == "open")


def said_for_console(session, home, expect, name):
    """The console has heard of it, once."""
    told = session.child.stderr.read() if session.child.poll() is not None else ""
    lines = [line for line in told.splitlines() if name in line]
    expect(len(lines) == 1, f"the console was told {len(lines)} times of {name}: {told!r}")


# ---- files ---------------------------------------------------------------------------------------

@cli.case
def file_removed_or_renamed(home, expect):
    """logrotate's ways: what is said goes on to the file of that name after SIGHUP, and not a line is
    lost before it."""
    log, moved = os.path.join(home.top, "log"), os.path.join(home.top, "moved")
    session = start(home, f"file:{log}?format=raw")
    row = home.session(session.child.pid)
    session.do("echo one >&2")
    cli.wait_for(lambda: read(log) == b"one\n")
    os.rename(log, moved)
    session.do("echo two >&2")
    session.wait_for("two")
    cli.wait_for(lambda: read(log) + read(moved) in (b"one\ntwo\n", b"two\none\n"))
    os.kill(row["collector_pid"], signal.SIGHUP)
    cli.wait_for(lambda: os.path.exists(log))
    session.do("echo three >&2")
    cli.wait_for(lambda: read(log).endswith(b"three\n"))
    os.unlink(log)
    session.do("echo four >&2")
    session.wait_for("four")
    os.kill(row["collector_pid"], signal.SIGHUP)
    cli.wait_for(lambda: os.path.exists(log))
    session.do("echo five >&2")
    cli.wait_for(lambda: read(log).endswith(b"five\n"))
    expect.same(session.end(), 0, "exit status")
    expect.same(session.texts(), ["one", "two", "three", "four", "five"], "the other sink")


@cli.case
def directory_gone(home, expect):
    folder = os.path.join(home.top, "folder")
    os.mkdir(folder)
    log = os.path.join(folder, "log")
    session = start(home, f"file:{log}?format=raw&backoff=10ms..50ms", "console")
    row = home.session(session.child.pid)
    session.do("echo one >&2")
    cli.wait_for(lambda: read(log) == b"one\n")
    cli.shutil.rmtree(folder)
    os.kill(row["collector_pid"], signal.SIGHUP)
    session.do("echo two >&2")
    expect.same(in_trouble(session), "No such file or directory", "error")
    session.wait_for("two")
    os.mkdir(folder)
    cli.wait_for(lambda: b"two\n" in read(log))
    recovered(session)
    expect.same(session.end(), 0, "exit status")
    expect.same(session.texts(), ["one", "two"], "the other sink")
    said_for_console(session, home, expect, "folder/log")


@cli.case
def file_size_limit(home, expect):
    """RLIMIT_FSIZE of the collector: EFBIG, and no SIGXFSZ."""
    log = os.path.join(home.top, "log")
    session = start(home, f"file:{log}?format=raw&backoff=10ms..50ms", "console")
    row = home.session(session.child.pid)
    session.do("echo one >&2")
    cli.wait_for(lambda: read(log) == b"one\n")
    other = os.path.getsize(session.out)
    expect(other < 4000, f"the other file has {other} bytes")
    resource.prlimit(row["collector_pid"], resource.RLIMIT_FSIZE, (8000, resource.RLIM_INFINITY))
    session.do("seq -f %.0f_and_so_on 1 1000 >&2; echo two >&2")
    expect.same(in_trouble(session), "File too large", "error")
    resource.prlimit(row["collector_pid"], resource.RLIMIT_FSIZE,
                     (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    cli.wait_for(lambda: read(log).endswith(b"two\n"))
    session.wait_for("two")
    expect.same(harness.ask("ps", home.runtime)[0]["collector_pid"], row["collector_pid"],
                "the collector lives")
    expect.same(session.end(), 0, "exit status")
    lines = ["one"] + [f"{i}_and_so_on" for i in range(1, 1001)] + ["two"]
    expect(read(log).decode().splitlines() == lines, "not every line once, in order")
    expect(session.texts() == lines, "the other file")


@cli.case
def read_only_file_system(home, expect):
    disk = os.path.join(home.top, "disk")
    os.mkdir(disk)
    mounted = os.getuid() == 0 and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True,
        check=False).returncode
    if not mounted:
        raise harness.Skip("a tmpfs cannot be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        session = start(home, f"file:{disk}/log?format=raw&backoff=10ms..50ms", "console")
        session.do("echo one >&2")
        expect.same(in_trouble(session), "Read-only file system", "error")
        session.wait_for("one")
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        cli.wait_for(lambda: read(f"{disk}/log") == b"one\n")
        expect.same(session.end(), 0, "exit status")
        said_for_console(session, home, expect, "disk/log")
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


@cli.case
def two_sessions_one_file(home, expect):
    """Whole lines only, each once, in each one's order, over the rotations of both."""
    log = os.path.join(home.top, "log")
    argv = [cli.HARK, "run", "--to", f"file:{log}?format=raw&size=64K&keep=1000", "--", "perl", "-e",
            'for (1..12000) { syswrite STDERR, "$ARGV[0] $_ " . "x" x ($_ % 97) . ".\\n" }']
    children = [subprocess.Popen([*argv, name], env=home.env(), cwd=home.top) for name in "ab"]
    home.children += children
    for child in children:
        child.stdin = child.stdout = open(os.devnull, "rb")  # pylint: disable=consider-using-with
        expect.same(child.wait(30), 0, "exit status")
    cli.wait_for(lambda: not os.listdir(home.runtime))
    names = [log] + glob.glob(log + ".*")
    expect(len(names) > 5, f"it did not rotate: {names}")
    lines = [line for name in names for line in read(name).split(b"\n")[:-1]]
    expect(all(read(name).endswith(b"\n") for name in names), "a file ends within a line")
    torn = [line for line in lines if not re.fullmatch(rb"[ab] \d+ x*\.", line)]
    expect(not torn, f"{len(torn)} torn lines: {torn[:3]}")
    for name in b"a", b"b":
        numbers = sorted(int(line.split()[1]) for line in lines if line[:1] == name)
        expect(numbers == list(range(1, 12001)), f"{name}: {len(numbers)} lines")
    # one rotates: not two renames for one full file
    small = [name for name in names if name != log and os.path.getsize(name) < 1 << 15]
    expect(len(small) <= 2, f"rotated before they were full: {small} of {len(names)}")


# ---- peers ---------------------------------------------------------------------------------------

class Peer:
    """A socket that listens when told to; each connection is a bytearray."""

    def __init__(self, home, kind):
        self.kind, self.path = kind, os.path.join(home.top, "peer")
        self.socket, self.port = None, 0
        if kind == "tcp":
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        self.spec = f"tcp://127.0.0.1:{self.port}" if kind == "tcp" else f"unix:{self.path}"

    def listen(self, room=None):
        """room: bytes that the kernel may keep for us"""
        if self.kind == "tcp":
            self.socket = socket.create_server(("127.0.0.1", self.port))
            if room:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(self.path)
            self.socket.listen()
        self.socket.settimeout(cli.LIMIT)

    def accept(self):
        connection, _ = self.socket.accept()
        connection.settimeout(cli.LIMIT)
        return connection

    def refuse(self):
        self.socket.close()


def until(connection, text):
    data = b""
    while text not in data:
        piece = connection.recv(1 << 16)
        if not piece:
            break
        data += piece
    return data


def peer_comes_and_goes(kind, home, expect):
    """Absent, there, closing in the middle of a record, refusing, back: each connection begins with a
    whole line, and nothing is lost."""
    peer = Peer(home, kind)
    session = start(home, f"{peer.spec}?format=text&backoff=10ms..50ms")
    session.do("echo one >&2")
    absent = in_trouble(session)
    expect(absent in ("Connection refused", "No such file or directory"), f"absent: {absent}")
    peer.listen()
    first = peer.accept()
    seen = [until(first, b"one\n")]
    session.do("seq -f 'number %.0f of those that follow each other' 1 20000 >&2; echo two >&2")
    # what is taken ends within a line; what was sent behind it is lost to this connection
    seen[0] += first.recv(1001, socket.MSG_WAITALL)
    peer.refuse()
    first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    first.close()
    expect(in_trouble(session) is not None, "not noticed")
    session.wait_for("two")
    peer.listen()
    second = peer.accept()
    seen.append(until(second, b" two\n"))
    session.do("echo three >&2")
    seen.append(until(second, b"three\n"))
    expect.same(session.end(), 0, "exit status")
    second.close()
    peer.refuse()
    lines = [part[:part.rfind(b"\n") + 1].decode().splitlines() for part in (seen[0], seen[1])]
    for name, part in zip(("first", "second"), lines):
        wrong = [line for line in part
                 if not re.search(r" (one|two|number \d+ of those that follow each other)$", line)]
        expect(part and not wrong, f"{name} connection, torn: {wrong[:3]}")
    numbers = [int(m) for m in re.findall(r"number (\d+) of", "\n".join(lines[0] + lines[1]))]
    # the peer's own kernel may have taken what the peer then did not: one gap, where it closed
    have, closed_at = set(numbers), max(map(int, re.findall(r"number (\d+) of", "\n".join(lines[0]))))
    gap = sorted(set(range(1, 20001)) - have)
    expect(not gap or (kind == "tcp" and gap == list(range(closed_at + 1, closed_at + 1 + len(gap)))),
           f"{len(gap)} are missing, {gap[:3]} to {gap[-3:]}, closed at {closed_at}")
    expect(numbers[-1] == 20000 and sorted(numbers[-9000:]) == numbers[-9000:], "order")
    expect.same(lost(session.out), 0, "lost")


@cli.case
def tcp_peer_comes_and_goes(home, expect):
    peer_comes_and_goes("tcp", home, expect)


@cli.case
def unix_peer_comes_and_goes(home, expect):
    peer_comes_and_goes("unix", home, expect)


@cli.case
def slow_peer(home, expect):
    """Its queue is bounded; what does not fit is counted and announced, to it too; the file goes on."""
    peer = Peer(home, "tcp")
    peer.listen(room=1 << 16)
    session = start(home, f"{peer.spec}?format=text&queue=64K&overflow=drop")
    connection = peer.accept()
    session.do("seq -f 'number %.0f of those that nobody takes in time' 1 80000 >&2; echo all >&2")
    session.wait_for("all")  # the file has it while the peer has read nothing
    sink = sink_of(session, 1)
    expect(sink["queued_bytes"] <= 65536, f"queue: {sink}")
    expect(sink["lost_messages"] > 0, f"nothing was lost: {sink}")
    got = bytearray()

    def take():
        while piece := connection.recv(1 << 20):
            got.extend(piece)
    taking = threading.Thread(target=take, daemon=True)
    taking.start()
    cli.wait_for(lambda: sink_of(session, 1)["queued_bytes"] == 0 and b" lost: " in got)
    session.do("echo done >&2")
    cli.wait_for(lambda: got.endswith(b"done\n"))
    missing = sink_of(session, 1)["lost_messages"]
    expect.same(session.end(), 0, "exit status")
    taking.join(cli.LIMIT)
    lines = got.decode().splitlines()
    numbers = [int(n) for line in lines for n in re.findall(r"number (\d+) of", line)]
    announced = sum(int(n) for line in lines for n in re.findall(r"(\d+) messages .* lost", line))
    said = 80000 + 2  # and "all", "done"
    arrived = len(numbers) + sum(line.endswith((" all", " done")) for line in lines)
    expect.same(arrived + announced, said, "arrived and announced as lost")
    expect.same(missing, announced, "hark stats")
    expect(numbers == sorted(set(numbers)), "order")
    connection.close()
    peer.refuse()


@cli.case
def full_disk_under_the_console(home, expect):
    """The program would have had its errors and gone on: it does not stand still, and what is lost is counted."""
    lines, out = 60000, os.path.join(home.top, "out")
    talk = f"import os\nfor i in range({lines}): os.write(2, b'number %d of what is far too much for it\\n' % i)"
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([cli.HARK, "run", "--ring", "64K", "--exit-timeout", "100ms", "--to", "console?queue=64K",
                               "--to", f"file:{out}?format=json", "python3", "-c", talk],
                              env=home.env(), cwd=home.top, stderr=full, timeout=cli.LIMIT, check=False)
    expect.same(done.returncode, 0, "exit status")
    messages = cli.wait_for(lambda: [m for m in harness.read_messages(out) if m["source"] == "hark"] and
                            harness.read_messages(out))
    expect.same(sum(m["source"] == "stderr" for m in messages), lines, "the other sink has all")
    lost = sum(int(m["msg"].split()[0]) for m in messages if " lost: " in m["msg"])
    expect(lines / 2 < lost < lines, f"{lost} of {lines} announced as lost")


@cli.case
def nobody_waits_for_a_console_that_refuses(home, expect):
    """Who asks for the file's length waits until what was said before is there; here it never will be."""
    talk = "import os, time\nt = time.monotonic()\n" \
           "for i in range(60): os.write(2, b'%d\\n' % i); os.fstat(2)\nprint(time.monotonic() - t)"

    def measure():
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([cli.HARK, "run", "--exit-timeout", "100ms", "python3", "-c", talk], text=True,
                                  env=home.env(), cwd=home.top, stdout=subprocess.PIPE, stderr=full,
                                  timeout=cli.LIMIT, check=True)
        return float(done.stdout)
    took = cli.best(measure, lambda seconds: seconds < 0.4)
    expect(took < 0.4, f"it waited {took:.3f} s for what cannot be shown")


@cli.case
def name_that_does_not_resolve(home, expect):
    """It is looked up apart: the session neither waits for it nor loses anything else."""
    session = start(home, "tcp://no-such-host.invalid:1?backoff=10ms..50ms", "console",
                    HARK_EXIT_TIMEOUT="200ms")
    started = time.monotonic()
    session.do("echo one >&2")
    session.wait_for("one")
    expect(time.monotonic() - started < 5, "it waited for the name")
    error = in_trouble(session)
    expect(re.search("resolve|name|Name|host", error), f"error: {error}")
    # --exit-timeout bounds what the end waits for it
    session.child.stdin.close()
    expect.same(session.child.wait(cli.LIMIT), 0, "exit status")
    expect.same(session.texts(), ["one"], "the other sink")
    said_for_console(session, home, expect, "no-such-host.invalid")
    # nothing is left of it but what no sink has had
    cli.wait_for(lambda: not harness.ask("ps", home.runtime))
    rest = os.path.join(home.top, "rest")
    expect.same(home.run("salvage", "--to", f"file:{rest}").returncode, 0, "salvage")
    expect.same((harness.read_messages(rest)[-1]["msg"], os.listdir(home.runtime)), ("one", []), "the rest")


cli.main(__doc__)
