#!/usr/bin/env python3
"""What somebody hostile may try: a program with more rights than its caller, a session that is none,
another's command line, a daemon that gave up its rights; and that no secret is written down.

Speaks TAP; see cli.py and tests/preload/harness.py for how cases run.
"""
# limit: 400

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile

import cli
import harness

SHIM = os.path.join(harness.BUILD, "libhark-preload.so")
NOBODY = 65534


def may_not_gain():
    """Why setuid programs cannot be tried here, or None."""
    if os.geteuid() != 0:
        return "only root can make a setuid program of another user"
    if os.statvfs("/tmp").f_flag & os.ST_NOSUID:
        return "/tmp has no setuid programs"
    return None


@contextlib.contextmanager
def open_to_all():
    """A directory that everybody may enter: those around a case's home are ours alone."""
    path = tempfile.mkdtemp(prefix="hark-cli-", dir="/tmp")
    os.chmod(path, 0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def give_rights(path):
    """The program runs as somebody else than who starts it, from now on."""
    os.chown(path, NOBODY, NOBODY)
    os.chmod(path, 0o4755)
    return path


@cli.case
def the_command_with_more_rights(home, expect):
    if why := may_not_gain():
        print(f"# skip: {why}")
        return
    with open_to_all() as top:
        path = give_rights(cli.copy_program(cli.HARK, os.path.join(top, "hark")))
        done = subprocess.run([path, "run", "echo", "out"], env=home.env(), cwd="/", text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=cli.LIMIT)
    expect.refused(done, 125, "more rights")


LINKED = """
#include <stdio.h>
int main(void) { return fprintf(stderr, "said\\n") != 5; }
"""


@cli.case
def a_program_with_more_rights(home, expect):
    """Not by LD_PRELOAD, which its loader ignores, but as by /etc/ld.so.preload."""
    if why := may_not_gain():
        print(f"# skip: {why}")
        return
    with open_to_all() as top:
        cli.copy_program(SHIM, top)
        cli.copy_program(cli.HARK, top)
        path = os.path.join(top, "linked")
        subprocess.run(["gcc", "-o", path, home.file("linked.c", LINKED), "-Wl,--no-as-needed",
                        os.path.join(top, os.path.basename(SHIM)), f"-Wl,-rpath,{top}"],
                       check=True)
        runtime, out = os.path.join(top, "runtime"), os.path.join(top, "out")
        env = home.env(HARK_RUNTIME_DIR=runtime, HARK_SINKS=f"file:{out}?format=raw")

        def run():
            return subprocess.run([path], env=env, cwd="/", stdin=subprocess.DEVNULL,
                                  check=False, capture_output=True, timeout=cli.LIMIT)
        done = run()
        expect.same((done.returncode, done.stderr), (0, b""), "without more rights")
        cli.wait_for(lambda: os.path.exists(out) and not os.listdir(runtime))
        shutil.rmtree(runtime)
        os.unlink(out)
        os.chmod(top, 0o1777)
        give_rights(path)
        done = run()
        expect.same((done.returncode, done.stderr), (0, b"said\n"), "with more rights")
        left = sorted(set(os.listdir(top)) - {"hark", "linked", os.path.basename(SHIM)})
        expect.same(left, [], "made")


@cli.case
def a_session_that_is_none(home, expect):
    """HARK_SESSION leads anywhere: nobody waits, and what is said goes where it would."""
    def says(directory):
        done = subprocess.run(["sh", "-c", "echo said >&2"], stdin=subprocess.DEVNULL, cwd=home.top,
                              env=home.env(LD_PRELOAD=SHIM, HARK_SESSION=directory), check=False,
                              capture_output=True, timeout=cli.LIMIT)
        expect.same(done.returncode, 0, f"{directory}: exit status")
        return done.stderr.splitlines()
    fake = os.path.join(home.top, "fake")
    os.mkdir(fake, 0o700)
    for name in "control", "ring":
        os.mkfifo(os.path.join(fake, name), 0o600)
    expect(b"said" in says(fake), "FIFOs")
    for name in "control", "ring":
        os.unlink(os.path.join(fake, name))
        os.symlink("/dev/zero", os.path.join(fake, name))
    expect(b"said" in says(fake), "links to devices")
    for name in "control", "ring":
        os.unlink(os.path.join(fake, name))
        home.file(os.path.join(fake, name), "short", 0o600)
    expect(b"said" in says(fake), "short files")
    expect(b"said" in says("/proc/self"), "/proc/self")
    expect(b"said" in says("/" + "d" * 1000), "a long name")


TRICKS = "\x1b]0;t\a \x9b2J \u202etxt \u2028"


@cli.case
def another_command_line(home, expect):
    """A process is free to be called like an escape sequence."""
    child = home.start("run", "--to", f"file:{home.top}/out\u202e?format=json", "--", "sh", "-c",
                       f": '{TRICKS}'; echo said >&2; read line")
    home.session(child.pid)
    sinks = cli.wait_for(lambda: "file:" in (text := home.run("stats").stdout) and text)
    texts = [home.run("ps").stdout]
    second = home.start("run", "--to", f"file:{home.top}/out2", "--", "sh", "-c",
                        f": '{TRICKS}'; read line")
    row = home.session(second.pid)
    texts.append(home.run("stats").stderr)  # says which there are
    # Before one of them can see that the other has ended.
    os.kill(row["collector_pid"], signal.SIGSTOP)
    for name in "guardian_pid", "collector_pid":
        os.kill(row[name], signal.SIGKILL)
    second.kill()
    second.wait()
    cli.wait_for(lambda: second.pid not in
                 [r["pid"] for r in harness.ask("ps", home.runtime)])
    done = cli.wait_for(lambda: (d := home.run("salvage")).returncode == 0 and d)
    texts.append(done.stdout + done.stderr)
    for text in texts:
        expect("sh -c" in text, f"the command is named: {text!r}")
    for text in [sinks, *texts]:
        bad = [c for c in text if (c < " " and c != "\n") or "\x7f" <= c < "\xa0" or
               "\u2028" <= c <= "\u202e"]
        expect.same(bad, [], f"in {text!r}")
    child.communicate("\n", timeout=cli.LIMIT)


@cli.case
def no_secret_is_written_down(home, expect):
    out = os.path.join(home.top, "out.json")
    secret = "5ecret-0f-the-env1r0nment"
    env = home.env(PASSWORD=secret, HARK_SINKS=f"file:{out}?format=json")
    child = subprocess.Popen([cli.HARK, "run", "sh", "-c", "echo said >&2; read line"], env=env,
                             cwd=home.top, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
    home.children.append(child)
    directory = home.session(child.pid)["dir"]
    cli.wait_for(lambda: harness.read_messages(out))
    expect.same(os.stat(directory).st_mode & 0o777, 0o700, "mode of the directory")
    found = {"ps": home.run("ps", "--json").stdout, "stats": home.run("stats", "--json").stdout}
    for path in [*glob.glob(directory + "/*"), out]:
        if path != out:
            expect.same(os.stat(path).st_mode & 0o777, 0o600, path)
        with open(path, "rb") as file:
            found[path] = file.read().decode("latin-1")
    expect(len(found) >= 6, f"looked at: {list(found)}")
    for name, text in found.items():
        expect(secret not in text, f"in {name}")
    child.communicate(b"\n", timeout=cli.LIMIT)


# Looks for the session among its mappings, and tries what a stranger would.
DROPS = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
rows = [line.split() for line in open("/proc/self/maps") if line.rstrip().endswith("/control")]
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print("still said", file=sys.stderr, flush=True)
for row in rows:
    begin, end = (int(x, 16) for x in row[0].split("-"))
    writable = libc.mprotect(begin, end - begin, 3) == 0
    if writable:
        ctypes.memset(begin, 0x2f, 4)
    print("writable" if writable else "readable", int(row[2], 16), flush=True)
"""


@cli.case
def a_daemon_that_gave_up_its_rights(home, expect):
    """It goes on to be heard, and cannot say what root's collector executes."""
    if os.geteuid() != 0:
        print("# skip: only root has rights to give up")
        return
    out = os.path.join(home.top, "out.json")
    script = home.file("drops.py", DROPS)
    done = home.run("run", "--to", f"file:{out}?format=json", sys.executable, "-I", script)
    expect.same(done.returncode, 0, "exit status")
    expect.same(done.stdout.split("\n"), ["readable 0", "writable 12288", ""], "mappings")
    cli.wait_for(lambda: not os.listdir(home.runtime))
    expect.same([m["msg"] for m in harness.read_messages(out)], ["still said"], "heard")


cli.main(__doc__)
