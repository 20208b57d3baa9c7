#!/usr/bin/env python3
"""Hostile text, a spoilt ring, and logs that would hear themselves. Speaks TAP; see cli.py."""
# limit: 400

import json
import os
import random
import re
import subprocess

import cli
import harness
from session import Session
from terminal import Terminal

MEGABYTES = 64          # of one line without a newline: what stands for a gigabyte
MOST_MEMORY_KB = 32 << 10
LINE_LIMIT = 65536      # bytes: what is longer is sent on in parts

NASTY = [
    b"\x1b]0;a title\x07", b"\x1b[2J", b"\x1b[?1049h", b"\x1b[31;5mred", b"\x1bc", b"\x1b(0", b"\x9b31m",
    b"\x1bP+q\x1b\\", b"\x1b]52;c;cm0gLXJm\x07", b"back\x08\x08\x08space", b"bell\x07", b"vt\x0b ff\x0c",
    b"nul\x00nul", b"shift\x0e\x0f", b"del\x7f", b"\xc2\x9b2J", b"\xff\xfe\xc0\x80", b"\xed\xa0\x80",
    b"\xe2\x80\xaetxt.exe", b"%n%s%n%1$n%*d", b"%s%s%s%s%s%s%s%s%s", b"${jndi:x} `id` $(id)",
]
HARMLESS = re.compile(rb"[^\x00-\x08\x0b-\x1f\x7f]*")  # but for our own colours
COLOUR = re.compile(rb"\x1b\[[0-9;]*m|\x1b\[K")


def speak(home, name="nasty"):
    """A program that says each of them as a line of its own."""
    path = os.path.join(home.top, name)
    with open(path, "wb") as file:
        file.write(b"".join(b"<" + line + b">\n" for line in NASTY))
    return ["sh", "-c", f"cat {path} >&2"]


@cli.case
def escapes_on_a_terminal(home, expect):
    """pretty shows them harmlessly; raw passes them on, as without hark."""
    with Terminal(home, speak(home)) as tty:
        native = tty.end()[1]
    with Terminal(home, [cli.HARK, "run", "--to", "console?format=raw", "--", *speak(home)]) as tty:
        expect(tty.end()[1] == native, "raw is not what it was")
    with Terminal(home, [cli.HARK, "run", "--", *speak(home)]) as tty:
        status, screen = tty.end()
    expect.same(status, 0, "exit status")
    lines = screen.replace(b"\r\n", b"\n").split(b"\n")
    said = [line for line in lines if b"<" in line]
    expect.same(len(said), len(NASTY), "lines on the screen")
    for line, nasty in zip(said, NASTY):
        rest = COLOUR.sub(b"", line) if b"[31;5m" not in nasty else line
        text = rest.replace(b"\x1b[0m", b"")
        expect(not re.search(rb"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]|\xc2[\x80-\x9f]|"
                             rb"\x1b(?!\[[0-9;]*m|\[K)", text), f"{nasty}: {line}")
    # colours that the text brings: kept within its line, or shown as text
    blinking = said[3]
    expect(b"\x1b[31;5m" not in blinking or blinking.rstrip().endswith(b"m"), f"{blinking}")


@cli.case
def every_format_survives(home, expect):
    """In the files: raw to the byte, one line a message in the others, JSON that is JSON."""
    formats = ["raw", "text", "json", "logfmt", "rfc5424", "rfc3164", "pretty"]
    sinks = [w for f in formats for w in ("--to", f"file:{home.top}/{f}?format={f}")]
    done = home.run("run", *sinks, "--", *speak(home))
    expect.same(done.returncode, 0, "exit status")
    cli.wait_for(lambda: not os.listdir(home.runtime))
    data = {}
    for name in formats:
        with open(os.path.join(home.top, name), "rb") as file:
            data[name] = file.read()
    whole = b"".join(b"<" + line + b">\n" for line in NASTY)
    expect(data["raw"] == whole, "raw")
    for name in formats[1:]:
        expect.same(data[name].count(b"\n"), len(NASTY), f"{name}: lines")
    for line, nasty in zip(data["json"].split(b"\n"), NASTY):
        text = json.loads(line)["msg"]
        want = "<" + nasty.decode("utf-8", "replace") + ">"
        expect(text == want or "\ufffd" in want, f"json: {text!r}, not {want!r}")
    expect(b"%n%s%n%1$n%*d" in data["text"], "a format string was taken from data")


@cli.case
def a_line_without_an_end(home, expect):
    """In parts of at most 64 KiB, all of it, in bounded memory."""
    session = Session(home, "--to", f"file:{home.top}/text?format=text")
    row = home.session(session.child.pid)
    session.do(f"perl -e 'my $x = q(a) x 1048576; syswrite(STDERR, $x) for 1..{MEGABYTES}; "
               "syswrite(STDERR, qq(\\nend\\n))'")
    cli.wait_for(lambda: b'"end"' in tail(session.out), 90)
    with open(f"/proc/{row['collector_pid']}/status", encoding="ascii") as file:
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", file.read()).group(1))
    mapped = sum(os.path.getsize(os.path.join(row["dir"], f)) for f in os.listdir(row["dir"])) >> 10
    expect(peak < MOST_MEMORY_KB + mapped, f"the collector took {peak} kB, {mapped} of them mapped")
    expect.same(session.end(), 0, "exit status")
    with open(session.out, encoding="utf-8") as file:
        parts = [(len(m["msg"]), m["msg"].strip("a"), m.get("partial")) for m in map(json.loads, file)
                 if m["source"] == "stderr"][:-1]
    expect.same(sum(length for length, _, _ in parts), MEGABYTES << 20, "bytes")
    expect(all(length <= LINE_LIMIT and not more for length, more, _ in parts), "parts")
    expect(all(partial for _, _, partial in parts[:-1]), "what is cut is marked")


def tail(path):
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 4096))
            return file.read()
    except FileNotFoundError:
        return b""


@cli.case
def a_spoilt_ring(home, expect):
    """Whatever stands in it: the collector lives, goes on, and the program's end is its own."""
    rng = random.Random(5)
    spoils = {"random": lambda old: rng.randbytes(len(old)), "zero": lambda old: bytes(len(old)),
              "ones": lambda old: b"\xff" * len(old),
              "flip": lambda old: bytes(b ^ (rng.random() < 0.01) << 3 for b in old)}
    for spoil, spoilt in spoils.items():
        session = Session(home, "--ring", "64K")
        row = home.session(session.child.pid)
        for i in range(6):
            session.do("for i in $(seq 100); do echo line $i of some that are there >&2; done")
            ring = os.path.join(row["dir"], "ring")
            with open(ring, "r+b", buffering=0) as file:
                size = os.path.getsize(ring)
                start = rng.randrange(4096, size - 4096) if i % 2 else size // 2
                file.seek(start)
                old = file.read(4096)
                file.seek(start)
                file.write(spoilt(old))
        session.child.stdin.close()
        expect.same(session.child.wait(cli.LIMIT), 0, f"{spoil}: exit status")
        now = harness.ask("ps", home.runtime)
        expect(not now or now[0]["collector_pid"] == row["collector_pid"],
               f"{spoil}: the collector died")
        cli.wait_for(lambda: not os.listdir(home.runtime))
        for m in harness.read_messages(session.out):
            expect("seq" in m and "msg" in m, f"{spoil}: {m}")
        os.unlink(session.out)


# ---- hark and itself -----------------------------------------------------------------------------

@cli.case
def own_output_is_not_heard(home, expect):
    """The sink is the very file that descriptor 2 is; all of hark's commands within a session."""
    log = os.path.join(home.top, "log")
    with open(log, "ab") as file:
        done = subprocess.run(
            [cli.HARK, "run", "--to", f"file:{log}?format=text", "--", "bash", "-c",
             "for i in $(seq 50); do echo line $i >&2; done; exit 3"],
            env=home.env(), cwd=home.top, stderr=file, stdout=subprocess.DEVNULL, check=False,
            timeout=cli.LIMIT)
    cli.wait_for(lambda: not os.listdir(home.runtime))
    with open(log, encoding="utf-8") as file:
        said = [line.split()[-2:] for line in file]
    expect.same((done.returncode, said), (3, [["line", str(i)] for i in range(1, 51)]), "the file")


def whole(home):
    """The sessions that have a collector and a guardian."""
    return [row for row in harness.ask("ps", home.runtime)
            if row["collector_pid"] and row["guardian_pid"]]


@cli.case
def collector_is_without_the_shim(home, expect):
    """However the session began."""
    shim = os.path.join(harness.BUILD, "libhark-preload.so")
    for argv, env in (([cli.HARK, "run", "--"], {}), ([], {"LD_PRELOAD": shim}),
                      ([cli.HARK, "run", "--"], {"LD_PRELOAD": shim})):
        child = subprocess.Popen([*argv, "sh", "-c", "echo up >&2; read x"],
                                 env=home.env(**env, HARK_SINKS="file:log?format=raw"), cwd=home.top,
                                 stdin=subprocess.PIPE)
        child.stdout = child.stdin
        home.children.append(child)
        # both at once: the command itself is heard, in a session of its own
        sessions = 2 if argv and env else 1
        rows = cli.wait_for(lambda n=sessions: len(found := whole(home)) >= n and found)
        expect.same(len(rows), sessions, f"{argv} {env}: sessions")
        for pid in (row[who] for row in rows for who in ("collector_pid", "guardian_pid")):
            with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
                expect("libhark-preload" not in file.read(), f"{argv} {env}: {pid} listens to itself")
        child.stdin.close()
        child.wait(cli.LIMIT)
        cli.wait_for(lambda: not os.listdir(home.runtime))


@cli.case
def complaints_of_hark_within_a_session(home, expect):
    """What a hark command says as a program of a session is its output, once; what its collector says
    to the console, which is the outer session's descriptor, does not go round."""
    session = Session(home)
    session.do(f"{cli.HARK} run --to unix:nobody --exit-timeout 200ms -- sh -c 'echo inner >&2'")
    session.do(f"{cli.HARK} run --to fiel:x true")
    session.do("echo the last >&2")
    session.wait_for("the last")
    # the inner session could not deliver: what it has is recovered, so that nothing is left
    cli.wait_for(lambda: len(harness.ask("ps", home.runtime)) == 1)
    home.run("salvage", "--to", "file:rest")
    expect.same(session.end(), 0, "exit status")
    texts = session.texts()
    expect.same(sum("fiel" in t for t in texts), 1, f"a command's complaint: {texts}")
    expect(len(texts) < 6, f"it goes round: {texts[:10]}")


cli.main(__doc__)
