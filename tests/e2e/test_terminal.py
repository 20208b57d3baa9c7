#!/usr/bin/env python3
"""On a terminal: the user sees the program's order, and job control works as without hark.

With `--to console?format=raw` the screen must be the native one to the byte; with the pretty
console, which adds to each line, the words must come in the same order. Speaks TAP; see cli.py
and terminal.py.
"""
# limit: 400

import os
import re
import shutil
import signal
import time

import cli
import harness
from terminal import Terminal, plain

PLAIN = [cli.HARK, "run", "--to", "console?format=raw", "--"]
PRETTY = [cli.HARK, "run", "--"]
SHOWN_MS = 20


# ---- order --------------------------------------------------------------------------------------

WRITES = r"""
import os
for i in range(40):
    os.write(1, b"<out %d>\n" % i)
    os.write(2, b"<err %d>\n" % i)
    if i % 5 == 0:
        os.write(1, b"<and> ")
        os.write(1, b"<out>\n")
"""
STDIO = r"""
use strict; use IO::Handle; STDOUT->autoflush(1);
for my $i (1..40) { print "<out $i>\n"; print STDERR "<err $i>\n"; printf STDERR "<err more>\n" }
"""
CHILDREN = r"""
for i in 1 2 3 4 5 6 7 8; do
	/bin/echo "<out $i>"; /bin/echo "<err $i>" >&2
	sh -c "echo '<sub err $i>' >&2; echo '<sub out $i>'"
	python3 -Sc "import os; os.write(2, b'<py err $i>\n'); os.write(1, b'<py out $i>\n')"
done
"""
SCRIPT = r"""
say() { echo "<say $1>"; echo "<cry $1>" >&2; }
for i in 1 2 3 4 5 6 7 8 9 10; do
	say $i; (say sub$i); say piped$i 2>&1 | cat; say both$i >&2
	x=$(say quiet$i 2>/dev/null); echo "$x"; { say swapped$i; } 3>&1 1>&2 2>&3
done
ls '<nothing>'; echo '<end>'
"""
PROGRAMS = {
    "writes": ["python3", "-Sc", WRITES], "stdio": ["perl", "-e", STDIO],
    "children": ["sh", "-c", CHILDREN], "sh_script": ["sh", "-c", SCRIPT],
    "bash_script": ["bash", "-c", SCRIPT],
    "background": ["bash", "-c", "for i in 1 2 3 4; do (echo \"<out $i>\"; echo \"<err $i>\" >&2) &"
                                 " wait; echo '<between>'; done"],
}


def order(name, argv):
    def body(home, expect):
        with Terminal(home, argv) as tty:
            native = tty.end()
        for prefix in PLAIN, PRETTY:
            with Terminal(home, [*prefix, *argv]) as tty:
                heard = tty.end()
            expect.same(heard[0], native[0], f"{prefix}: exit status")
            words = [re.findall(rb"<[^>]*>", plain(screen)) for screen in (heard[1], native[1])]
            expect(len(words[1]) > 7, "natively it says nothing")
            expect(words[0] == words[1], f"{prefix}: {first(words[0], words[1])}")
            if prefix is PLAIN:
                lines = heard[1].split(b"\n"), native[1].split(b"\n")
                expect(heard[1] == native[1], f"not the same bytes: {first(*lines)}")
    body.__name__ = "order_of_" + name
    cli.case(body)


def first(got, want):
    at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    return f"at {at} of {len(got)}/{len(want)}: {got[at:at + 4]}, natively {want[at:at + 4]}"


for program_name, program_argv in PROGRAMS.items():
    order(program_name, program_argv)


@cli.case
def settings_of_the_terminal(home, expect):
    """What was said before the terminal changes is shown as it was then."""
    script = "for i in 1 2 3 4 5 6; do echo \"cooked $i\" >&2; stty -opost; echo \"raw $i\" >&2; " \
             "stty opost; done; echo end"
    seen = []
    for prefix in [], PLAIN:
        with Terminal(home, [*prefix, "sh", "-c", script]) as tty:
            seen.append(tty.end())
    expect(b"cooked 1\r\nraw 1\ncooked 2\r\n" in seen[0][1], f"natively {seen[0][1]!r}")
    expect.same(seen[1], seen[0], "screen")


@cli.case
def end_before_the_prompt(home, expect):
    with Terminal(home, ["bash", "--norc", "--noprofile", "-i"], PS1="ready> ",
                  HISTFILE="/dev/null") as tty:
        at = tty.wait_for("ready> ")
        for i in range(10):
            for prefix in PLAIN, PRETTY:
                command = " ".join(prefix).replace("?", "\\?")
                tty.type(f"{command} sh -c 'echo out {i}; echo last words {i} >&2; exit {i}'\n")
                end = tty.wait_for("ready> ", tty.wait_for("exit [0-9]+'\r\n", at))
                said = plain(tty.screen[at:end]).split(f"exit {i}'\r\n".encode())[-1]
                expect(re.search(rb"(?s)out %d\r\n.*last words %d\r\n(\x1b\S+)?ready> $" % (i, i),
                                 said), f"{i}: {said!r}")
                at = end
        tty.type("exit\n")
        expect.same(tty.end()[0], 9, "exit status")


@cli.case
def prompts_and_unfinished_lines(home, expect):
    """A question on stderr is on the screen before the answer is typed."""
    ask = "printf 'your name? ' >&2; read name; echo \"hello $name\" >&2; exit 4"
    for prefix in [], PLAIN, PRETTY:
        with Terminal(home, [*prefix, "sh", "-c", ask]) as tty:
            tty.wait_for(r"your name\? ")
            tty.type("you\n")
            tty.wait_for("hello you")
            status, screen = tty.end()
            expect.same(status, 4, f"{prefix}: exit status")
            expect.same(plain(screen).count(b"your name?"), 1, f"{prefix}: times asked: {screen!r}")
        with Terminal(home, [*prefix, "bash", "-c", "read -p 'more? ' x; echo \"<$x>\""]) as tty:
            tty.wait_for(r"more\? ")
            tty.type("yes\n")
            tty.wait_for("<yes>")
            expect.same(tty.end()[0], 0, f"{prefix}: exit status")


@cli.case
def a_shell_that_edits_lines(home, expect):
    """bash's line editor echoes on stderr: each letter is seen, and only once."""
    for prefix in PLAIN, PRETTY:
        with Terminal(home, [*prefix, "bash", "--norc", "--noprofile", "-i"],
                      PS1="at your service> ", HISTFILE="/dev/null", INPUTRC="/dev/null") as tty:
            at = tty.wait_for("at your service> ")
            for letter in "echo a b":
                tty.type(letter)
                at = tty.wait_for(re.escape(letter), at)
            tty.type("c\x7f\x7f!\n")
            at = tty.wait_for("\na !\r\n", at)
            at = tty.wait_for("at your service> ", at)
            tty.type("ls /nonexistent; exit 3\n")
            tty.wait_for("cannot access", at)
            expect.same(tty.end()[0], 3, f"{prefix}: exit status")


@cli.case
def python_prompt(home, expect):
    for prefix in PLAIN, PRETTY:
        with Terminal(home, [*prefix, "python3", "-q"], PYTHONSTARTUP="") as tty:
            at = tty.wait_for(">>> ")
            tty.type("1 + 41\n")
            at = tty.wait_for("42\r\n", at)
            at = tty.wait_for(">>> ", at)
            tty.type("1/0\n")
            at = tty.wait_for("ZeroDivisionError: division by zero\r\n", at)
            at = tty.wait_for(">>> ", at)
            tty.type("exit(6)\n")
            expect.same(tty.end()[0], 6, f"{prefix}: exit status")


@cli.case
def progress_bars(home, expect):
    script = "for i in 1 2 3 4 5; do printf '\\rdone %d of 5' $i >&2; done; echo >&2; echo end"
    seen = []
    for prefix in [], PLAIN, PRETTY:
        with Terminal(home, [*prefix, "sh", "-c", script]) as tty:
            seen.append(tty.end()[1])
    expect.same(seen[1], seen[0], "raw console")
    expect(plain(seen[2]).endswith(b"done 5 of 5\r\nend\r\n"), f"pretty console: {seen[2]!r}")


ECHO = """
import os, termios, tty
tty.setraw(0)
os.write(2, b"ready")
while (c := os.read(0, 1)) != b"q":
    os.write(2, c)
"""


def type_and_wait(home, expect, prefix):
    """How many ms each of sixty letters took to the screen, the shortest first."""
    with Terminal(home, [*prefix, "python3", "-Sc", ECHO]) as tty:
        at = tty.wait_for("ready")
        taken = []
        for i in range(60):
            letter = "abcdefghij"[i % 10]
            started = time.monotonic()
            tty.type(letter)
            at = tty.wait_for(letter, at)
            taken.append((time.monotonic() - started) * 1000)
        tty.type("q")
        expect.same(tty.end()[0], 0, f"{prefix}: exit status")
    return sorted(taken)


@cli.case
def a_byte_is_shown_at_once(home, expect):
    """Within 20 ms of the key, for the middle one of sixty."""
    for prefix in PLAIN, PRETTY:
        taken = cli.best(lambda prefix=prefix: type_and_wait(home, expect, prefix),
                         lambda taken: taken[30] < SHOWN_MS)
        print(f"# a byte on the screen: {taken[30]:.2f} ms, at most {taken[-1]:.2f}", flush=True)
        expect(taken[30] < SHOWN_MS, f"{prefix}: {taken}")


@cli.case
def what_is_drawn_reaches_the_terminal(home, expect):
    """A prompt in colour, a line that is redrawn, the cursor moved: undecorated, as it was said, and
    before the line has an end. A file gets the last state of it."""
    draw = r"printf '\033[1;32mcolour\033[0m> ' >&2; read x; " \
           r"for i in 1 2 3 4 5; do printf '\rdone %d of 5\033[K' $i >&2; sleep 0.02; done; " \
           r"printf '\n' >&2; printf '\033[?25lhidden\033[?25h' >&2; read x; exit 3"
    log = os.path.join(home.top, "log")
    to_file = [*PRETTY[:2], "--to", "console", "--to", f"file:{log}?format=json", "--"]
    for prefix in PLAIN, PRETTY, to_file:
        with Terminal(home, [*prefix, "sh", "-c", draw]) as tty:
            at = tty.wait_for("\x1b\\[1;32mcolour\x1b\\[0m> ")
            tty.type("\n")
            at = tty.wait_for("done 5 of 5", at)
            at = tty.wait_for("\x1b\\[\\?25lhidden\x1b\\[\\?25h", at)
            tty.type("\n")
            status, screen = tty.end()
        expect.same(status, 3, f"{prefix}: exit status")
        expect.same(plain(screen).count(b"colour>"), 1, f"{prefix}: times asked")
        start = screen.split(b"\x1b[1;32m")[0]
        expect.same(start, b"", f"{prefix}: before the prompt")
    cli.wait_for(lambda: not os.listdir(home.runtime))
    said = [m["msg"] for m in harness.read_messages(log)]
    drawn = [text for text in said if "done" in text]
    expect.same(len(drawn), 1, f"redrawn lines in the file: {said}")
    expect("done 5 of 5" in drawn[-1] and "done 1" not in drawn[-1], f"its last state: {said}")


@cli.case
def fzf_on_the_terminal(home, expect):
    """It draws on stderr by system calls of its own, so it is heard through a pseudo-terminal."""
    if not shutil.which("fzf"):
        raise harness.Skip("fzf is not installed")
    for prefix in [], PRETTY:
        script = "x=$(seq 1000 | \"$@\" fzf --height 5 --no-mouse); echo \"<$? $x>\""
        with Terminal(home, ["bash", "-c", script, "bash", *prefix]) as tty:
            at = tty.wait_for("\x1b\\[6n")  # where is the cursor?
            tty.type("\x1b[1;1R")
            at = tty.wait_for("1000/1000", at)
            tty.type("77")
            at = tty.wait_for("28/1000", at)  # that have two sevens
            tty.type("7")
            at = tty.wait_for("1/1000", at)
            tty.type("\r")
            tty.wait_for("<0 777>", at)
            expect.same(tty.end()[0], 0, f"{prefix}: exit status")


# ---- job control --------------------------------------------------------------------------------

def shell(home):
    tty = Terminal(home, ["bash", "--norc", "--noprofile", "-i"], PS1="ready> ",
                   HISTFILE="/dev/null", HARK=" ".join(PLAIN))
    tty.wait_for("ready> ")
    return tty


@cli.case
def interrupt(home, expect):
    for prefix in "", "$HARK ":
        with shell(home) as tty:
            tty.type(f"{prefix}bash -c 'trap \"echo caught >&2; exit 7\" INT; echo up >&2; "
                     "while :; do sleep 0.05; done'\n")
            at = tty.wait_for("up\r\n")
            tty.type("\x03")
            at = tty.wait_for("caught", at)
            at = tty.wait_for("ready> ", at)
            tty.type("echo status $?\n")
            at = tty.wait_for("status [0-9]+\r\n", at)
            expect(tty.screen[:at].endswith(b"status 7\r\n"), f"caught: {tty.screen[-100:]!r}")
            tty.type(f"{prefix}sleep 60\n")
            at = tty.wait_for("60\r\n", at)
            cli.wait_for(lambda tty=tty: foreground(tty) == "sleep")
            tty.type("\x03")
            at = tty.wait_for("ready> ", at)
            tty.type("echo status $?\n")
            at = tty.wait_for("status [0-9]+\r\n", at)
            expect(tty.screen[:at].endswith(b"status 130\r\n"), f"dead: {tty.screen[-100:]!r}")


def foreground(tty):
    """The name of the program whose group the terminal belongs to."""
    try:
        with open(f"/proc/{os.tcgetpgrp(tty.master)}/comm", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return None


@cli.case
def stop_and_foreground(home, expect):
    for prefix in "", "$HARK ":
        with shell(home) as tty:
            tty.type(f"{prefix}bash -c 'echo up >&2; read x; echo got $x >&2; exit 3'\n")
            at = tty.wait_for("up\r\n")
            tty.type("\x1a")
            at = tty.wait_for("Stopped", at)
            at = tty.wait_for("ready> ", at)
            tty.type("jobs; fg\n")
            at = tty.wait_for("Stopped", at)
            cli.wait_for(lambda tty=tty: foreground(tty) == "bash")
            at = tty.wait_for("exit 3'\r\n", at)
            at = tty.wait_for("exit 3'\r\n", at)
            tty.type("it\n")
            at = tty.wait_for("got it\r\n", at)
            at = tty.wait_for("ready> ", at)
            tty.type("echo status $?\n")
            at = tty.wait_for("status [0-9]+\r\n", at)
            expect(tty.screen[:at].endswith(b"status 3\r\n"), f"{prefix}: {tty.screen[-100:]!r}")


@cli.case
def background_and_kill(home, expect):
    for prefix in "", "$HARK ":
        with shell(home) as tty:
            tty.type(f"{prefix}sh -c 'echo up >&2; kill -STOP $$; echo on >&2; exec sleep 60' &\n")
            at = tty.wait_for("up\r\n")
            tty.type("until jobs | grep -q Stopped; do sleep 0.02; done; echo se''en\n")
            at = tty.wait_for("seen\r\n", at)
            tty.type("bg\n")
            at = tty.wait_for("on\r\n", at)
            tty.type("kill %1; wait %1; echo status $?\n")
            at = tty.wait_for("status [0-9]+\r\n", at)
            expect(tty.screen[:at].endswith(b"status 143\r\n"), f"{prefix}: {tty.screen[-200:]!r}")


@cli.case
def hang_up(home, expect):
    """The terminal goes: so does the program, by the same signal."""
    for prefix in [], PLAIN:
        tty = Terminal(home, [*prefix, "sh", "-c", "echo up >&2; while :; do read x; done"])
        try:
            tty.wait_for("up")
        finally:
            os.close(tty.master)
            status = None
            with cli.contextlib.suppress(TimeoutError):
                status = cli.wait_for(lambda pid=tty.pid: os.waitpid(pid, os.WNOHANG)[1])
            if status is None:
                os.kill(tty.pid, signal.SIGKILL)
                os.waitpid(tty.pid, 0)
        expect.same(status, signal.SIGHUP, f"{prefix}: status")


cli.main(__doc__)
