#!/usr/bin/env python3
# limit: 400
"""hark pack: a packed trace is read as one that is not, and another tool restores it to the byte.

Speaks TAP.
"""

import json
import os
import re
import shutil
import signal
import subprocess

import cli

GUESTS = os.path.join(cli.harness.ROOT, "tests", "e2e", "guests")
READERS = (("report", "--format", "json"), ("report",), ("graph",), ("replay", "--format", "json"),
           ("export", "--format", "chrome", "-o", "-"), ("export", "--format", "folded", "-o", "-"))


def compile_guest(home, source):
    path = os.path.join(home.top, source[:-2])
    cli.harness.cc("-O2", "-g", "-w", "-pthread", "-D_GNU_SOURCE", "-finstrument-functions", "-o",
                   path, os.path.join(GUESTS, source))
    return path


def read_all(home, data):
    """What every reader says of it."""
    return [(done.returncode, done.stdout, done.stderr.replace(data, "DATA")) for done in
            (home.run(*words, "--data", data) for words in READERS)]


def record(home, *words):
    """A trace that is whole: the collector tells the clock's rate when it ends."""
    home.run("run", "--stamp", *words)
    cli.wait_for(lambda: not home.run("ps").stdout)


def contents(home, data):
    top = os.path.join(home.top, data)
    found = {}
    for name in sorted(os.listdir(top)):
        with open(os.path.join(top, name), "rb") as file:
            found[name] = file.read()
    return found


@cli.case
def read_as_it_is(home, expect):
    """Traces with threads, messages and a death, and sums: every reader says the same."""
    said = compile_guest(home, "said.c")
    stamps = compile_guest(home, "stamps.c")
    for name, *words in (("threads", said, "threads"), ("died", said, "die"),
                         ("fork", stamps, "fork"), ("sums", stamps, "qsort")):
        mode = "profile" if name == "sums" else "trace"
        record(home, mode, "--data", name, *words)
        before, files = read_all(home, name), contents(home, name)
        expect(before[0][1], f"{name}: there is something to read")
        done = home.run("pack", "--data", name)
        expect.same((done.returncode, done.stderr), (0, ""), f"{name} is packed")
        expect(re.fullmatch(rf"{name}: [\d.]+ [KM]iB became [\d.]+ [KM]?i?B \(\d+ %\)\n",
                            done.stdout), done.stdout)
        packed = {n for n in files if n.startswith("image.") or (n == "messages" and files[n])}
        expect.same(set(contents(home, name)),
                    {n + ".zst" if n in packed else n for n in files}, f"{name}: files")
        expect.same(read_all(home, name), before, f"{name}, packed")
        expect.same(home.run("pack", "--data", name).stdout, f"{name} is packed already\n", "again")
        done = home.run("pack", "--unpack", "--json", "--data", name)
        row = json.loads(done.stdout)
        expect.same((done.returncode, row["data"], row["files"], row["after_bytes"]),
                    (0, name, len(packed), sum(map(len, files.values()))), "JSON")
        expect(row["before_bytes"] < row["after_bytes"], f"{row}")
        expect.same(contents(home, name), files, f"{name}, unpacked")


@cli.case
def another_tool_restores_it(home, expect):
    if not shutil.which("zstd"):
        return
    said = compile_guest(home, "said.c")
    record(home, "trace", said, "threads")
    before, files = read_all(home, "hark.data"), contents(home, "hark.data")
    home.run("pack")
    for name in os.listdir(os.path.join(home.top, "hark.data")):
        if name.endswith(".zst"):
            done = subprocess.run(["zstd", "-q", "-d", "--rm", name], check=False,
                                  cwd=os.path.join(home.top, "hark.data"), capture_output=True)
            expect.same((done.returncode, done.stderr), (0, b""), f"zstd -d {name}")
    expect.same(contents(home, "hark.data"), files, "restored")
    expect.same(read_all(home, "hark.data"), before, "and read")


@cli.case
def who_still_writes(home, expect):
    """A trace is left alone while its session lives, and while its program does."""
    stamps = compile_guest(home, "stamps.c")
    ledger = os.path.join(home.top, "ledger")
    child = home.start("run", "--stamp", "trace", stamps, "killed", ledger, "50000000")
    row = home.session(child.pid)
    image = os.path.join(home.top, "hark.data", "image.1")
    cli.wait_for(lambda: os.path.exists(image))
    expect.refused(home.run("pack"), 125, "hark.data", str(child.pid), "hark ps")
    for pid in (row["guardian_pid"], row["collector_pid"]):
        os.kill(pid, signal.SIGSTOP)
    for pid in (row["guardian_pid"], row["collector_pid"]):
        os.kill(pid, signal.SIGKILL)
    cli.wait_for(lambda: not cli.lives(row["guardian_pid"]) and not cli.lives(row["collector_pid"]))
    expect.refused(home.run("pack"), 125, "hark.data", str(child.pid), stamps, "session is gone")
    child.kill()
    child.wait()
    done = home.run("pack")
    expect.same((done.returncode, done.stderr), (0, ""), "packed at last")
    expect(os.path.exists(image + ".zst") and not os.path.exists(image), "it is")
    expect("died inside forever" in home.run("report").stdout, "who died")
    shutil.rmtree(home.runtime, ignore_errors=True)


@cli.case
def damaged(home, expect):
    """A packed file that is damaged or cut off: told, and the rest is read; what is damaged is not
    unpacked."""
    said = compile_guest(home, "said.c")
    home.run("run", "--stamp", "trace", said)
    home.run("pack")
    for name in ("image.1.zst", "messages.zst"):
        path = os.path.join(home.top, "hark.data", name)
        with open(path, "rb") as file:
            whole = file.read()
        for spoilt in (whole[:len(whole) // 2], b"nothing", bytes([whole[0]]) + b"?" + whole[2:],
                       whole[:30] + bytes([whole[30] ^ 1]) + whole[31:]):
            with open(path, "wb") as file:
                file.write(spoilt)
            done = home.run("replay")
            expect.same(done.returncode, 0, "exit status")
            expect("cannot be read" in done.stderr and name[:-4] in done.stderr,
                   f"{name}: {done.stderr!r}")
            done = home.run("pack", "--unpack")
            expect.same(done.returncode, 125, "exit status of --unpack")
            expect(f"{name} stays as it is" in done.stderr, done.stderr)
            home.run("pack")
        with open(path, "wb") as file:
            file.write(whole)


@cli.case
def refusals(home, expect):
    expect.refused(home.run("pack"), 125, "hark.data", "hark run --stamp trace")
    expect.refused(home.run("pack", "there"), 125, "there", "hark run --stamp trace")
    expect.refused(home.run("pack", "there", "here"), 125, "here", "--help")
    os.mkdir(os.path.join(home.top, "hark.data"))
    home.file("hark.data/trace", "hark-trace=7\nmode=trace\n")
    expect.refused(home.run("pack"), 125, "version 7")


cli.main(__doc__)
