#!/usr/bin/env python3
# limit: 400
"""Library calls of programs as they are (--calls): exact counts, and nothing that the program could tell.

A program counts its calls of a library; the trace, read by traces.py, has them all. Speaks TAP.
"""

import ast
import collections
import json
import os
import shutil
import signal
import subprocess
import tempfile

import cli
import traces

GUESTS = os.path.join(cli.harness.ROOT, "tests", "e2e", "guests")
TESTING = os.path.join(cli.harness.BUILD, "testing", "hark")
MACHINE = os.uname().machine
BUILT = tempfile.TemporaryDirectory(prefix="hark-calls-")
WAYS = {
    "pie": (),
    "no-pie": ("-no-pie", "-fno-pie"),
    "lazy": ("-Wl,-z,lazy",),
    "now": ("-Wl,-z,now",),
    "no-plt": ("-fno-plt", "-Wl,-z,now"),
    "ibt": ("-fcf-protection=full", "-Wl,-z,ibtplt"),
    "stripped": ("-s",),
}


@cli.once
def compiled(source, *flags):
    """Its object, once for each way to compile it: most ways differ in how they are linked."""
    out = os.path.join(tempfile.mkdtemp(dir=BUILT.name), "object.o")
    cli.harness.cc("-O2", "-w", "-D_GNU_SOURCE", "-I", cli.harness.ROOT, *flags, "-c", "-o", out,
                   os.path.join(GUESTS, source))
    return out


def linked(source, out, *flags):
    """A program, or with -shared a library, linked beside its like; its path. In BUILT, where a way to its
    library is the same in each run."""
    compiling = [f for f in flags if f == "-fPIC" or f.startswith(("-fno-p", "-fcf-"))]
    cli.harness.cc("-o", out, compiled(source, *compiling), *flags, cwd=BUILT.name,
                   by="g++" if source.endswith(".cc") else "gcc")
    return out


@cli.once
def leaf():
    """The library that all call: how they are linked with it."""
    os.mkdir(os.path.join(BUILT.name, "leaf"))
    linked("leaf.c", os.path.join(BUILT.name, "leaf", "libleaf.so"), "-shared", "-fPIC")
    return "-Lleaf", "-lleaf", "-Wl,-rpath,$ORIGIN/../leaf"


@cli.once
def program(way, name):
    source = {"calls": "calls.c", "throws": "throws.cc", "loader": "complaints.c",
              "plug": "plug.c", "vforks": "vforks.c"}[name]
    if name == "plug":
        way = ("-shared", "-fPIC",
               *(f for f in way if f.startswith("-Wl,-z") or f == "-fno-plt"))
    return linked(source, os.path.join(tempfile.mkdtemp(dir=BUILT.name), name), *way,
                  *leaf(), "-pthread")


class Build:
    """The programs and the plug-in, linked in one way, each when it is asked for first."""

    def __init__(self, way=()):
        self.way = way

    def __getitem__(self, name):
        return program(self.way, name)


def called(home, globs, *command, status=0, mode=None):
    """Runs it: (what it counted, the trace). stdout says a name and a number a line."""
    data = os.path.join(home.top, "data")
    more = ("--stamp", mode) if mode else ()
    done = home.run("run", "--calls", globs, *more, "--data", data, *command)
    assert (done.returncode, done.stderr) == (status, ""), (command, done.returncode, done.stderr)
    rows = (line.split() for line in done.stdout.splitlines())
    return {name: int(calls) for name, calls in rows}, traces.read(data)


def leaves(trace):
    return {name: calls for name, calls in trace.calls().items() if name.startswith("leaf_")}


def of_library(counted):
    return {name: calls for name, calls in counted.items() if name.startswith("leaf_")}


def endings(trace):
    return collections.Counter(row[2] for thread in trace.threads.values()
                               for row in trace.walk(thread))


def depths(trace, name):
    return [row[0] for thread in trace.threads.values() for row in trace.walk(thread) if row[1] == name]


def exact(home, expect, programs, case, *more):
    counted, trace = called(home, "*", programs["calls"], case, *more)
    expect(counted, f"{case}: nothing was counted")
    expect.same(leaves(trace), of_library(counted), f"{case}: calls")
    return counted, trace


def loader(home, expect, *command):
    counted, trace = called(home, "*", Build(("-Wl,-z,now",))["loader"], *command)
    expect.same(leaves(trace), counted, "calls")


@cli.case
def S6_every_way_to_link(home, expect):
    """Lazy and immediate binding, without a PLT, with branch targets marked, stripped, PIE or not: all
    arguments and results, exceptions, and a library that comes and goes."""
    for name, way in WAYS.items():
        if name == "ibt" and MACHINE != "x86_64":
            continue
        programs = Build(way)
        for command in ((programs["calls"], "everything", "20"), (programs["throws"], "50"),
                        (programs["calls"], "loads", "6", programs["plug"])):
            counted, trace = called(home, "*", *command)
            expect(counted, f"{name}: {command[1]}: nothing was counted")
            expect.same(leaves(trace), of_library(counted), f"{name}: {command[1:]}: calls")


@cli.case
def S6_libraries_that_come_and_go(home, expect):
    """dlopen, dlsym, a call, dlclose, fifty times."""
    programs = Build()
    exact(home, expect, programs, "loads", "50", programs["plug"])


@cli.once
def binds():
    """(the program, its plug-in)"""
    top = tempfile.mkdtemp(dir=BUILT.name)
    beside = "-L.", "-Wl,-rpath,$ORIGIN"
    for out, *flags in (("libchosen.so", "-DCHOSEN", "-shared"), ("libhold.so", "-DHOLD", "-shared"),
                        ("plug.so", "-DPLUG", "-shared", "-Wl,-z,lazy", *beside, "-lchosen", "-lhold"),
                        ("binds", "-rdynamic", "-pthread", *beside, "-lchosen")):
        cli.harness.cc("-O2", "-w", "-D_GNU_SOURCE", "-fPIC", "-o", out,
                       os.path.join(GUESTS, "binds.c"), *flags, cwd=top)
    return os.path.join(top, "binds"), os.path.join(top, "plug.so")


def bound(home, expect, how):
    main, plug = binds()
    counted, trace = called(home, "*", main, how, plug, "9")
    expect.same(leaves(trace), counted, f"{how}: calls")
    return trace


@cli.case
def S6_slots_that_are_being_bound(home, expect):
    """A handler comes meanwhile, and calls by the same slot, or has us look at the slots: what is written
    behind our back then is found."""
    for how in "binding", "looking":
        bound(home, expect, how)


@cli.case
def S7_modules_that_go_while_somebody_leaves(home, expect):
    """A thread returns, or jumps, out of a call of a module that is being unloaded, and goes on."""
    for how, end in (("returning", "returned"), ("jumping", "unwound")):
        trace = bound(home, expect, how)
        ends = [row[2] for thread in trace.threads.values() for row in trace.walk(thread)
                if row[1] == "leaf_hold"]
        expect.same(ends, [end] * 9, f"{how}: how calls ended")


@cli.case
def what_the_loader_complains_of(home, expect):
    """dlerror() says what it would without us, whatever we ask the loader in between."""
    loader(home, expect, "complains", "20")


@cli.case
def T8_little_stack(home, expect):
    """A function's first call, which tells the trace of it, takes less than 2 KiB, its own and ours."""
    loader(home, expect, "shallow", "2048")


@cli.case
def S5_exceptions(home, expect):
    """Thrown through the library's functions, caught near and far, thrown again; destructors call, too."""
    programs = Build()
    counted, trace = called(home, "*", programs["throws"], "300")
    expect.same(leaves(trace), of_library(counted), "calls")
    expect(endings(trace)["unwound"] > 300, "calls that were left")


@cli.case
def S5_unwinders_that_nobody_hears_of(home, expect):
    """Linked into the program, or into a part of it; in a sandbox, where no return address is put back:
    libgcc finds its way, and the frame that catches."""
    for way in (), ("-static-libgcc",), ("-static-libgcc", "-static-libstdc++"):
        for how in "plain", "looks", "forbids":
            counted, trace = called(home, "leaf_*", Build(way)["throws"], "23", how)
            expect.same(leaves(trace), of_library(counted), f"{way} {how}: calls")
    loader(home, expect, "asks", "9")


@cli.case
def S5_longjmp(home, expect):
    """Out of the library's functions, up to seven deep: those are left, all others return."""
    counted, trace = exact(home, expect, Build(), "leaps", "70")
    expect.same(endings(trace)["unwound"], counted["leaf_back"], "calls that were left")
    _, trace = exact(home, expect, Build(), "settles", "70")
    expect.same(depths(trace, "leaf_pair"), [1] * 70, "who calls from where another was left has an exit")


@cli.case
def S5_vfork(home, expect):
    """What the child called for good is not open in its parent."""
    counted, trace = called(home, "*", Build()["vforks"])
    expect.same(leaves(trace), counted, "calls")
    expect.same(depths(trace, "leaf_pair"), [1] * 20, "who calls from where another was left has an exit")


@cli.case
def S5_coroutines(home, expect):
    """Stacks that are changed by swapcontext, and by code of the program's own."""
    programs = Build()
    _, trace = exact(home, expect, programs, "coroutines", "20")
    expect.same(set(endings(trace)), {"returned"}, "how calls ended")
    exact(home, expect, programs, "own_stacks", "50")


@cli.case
def S5_stacks_that_are_copied(home, expect):
    """Pieces of the stack go elsewhere and come back: by a program of its own making, and by greenlets."""
    if MACHINE == "x86_64":
        exact(home, expect, Build(), "copies", "30")
    greenlets = (
        "import greenlet\n"
        "main, said = greenlet.getcurrent(), []\n"
        "def body(depth, turns=5):\n"
        "    if depth:\n"
        "        return body(depth - 1)\n"
        "    for i in range(turns):\n"
        "        try:\n"
        "            said.append(sorted([i], key=lambda v: (main.switch(v), v)[1]))\n"
        "        except ValueError:\n"
        "            said.append('thrown')\n"
        "def down(n):\n"
        "    return down(n - 1) if n else [g.switch() for g in some if not g.dead]\n"
        "some = [greenlet.greenlet(body) for _ in range(8)]\n"
        "for n, g in enumerate(some):\n"
        "    g.switch(n * 3)\n"
        "some[3].throw(ValueError())\n"
        "for i in range(9):\n"
        "    down(i)\n"
        "print(len(said), sum(g.dead for g in some))\n")
    data = os.path.join(home.top, "data")
    done = home.run("run", "--calls", "*", "--data", data, "/usr/bin/python3", "-c", greenlets)
    expect.same((done.returncode, done.stdout, done.stderr), (0, "40 8\n", ""), "greenlets")


@cli.case
def S5_returns_that_come_twice(home, expect):
    """Ruby's callcc goes back into calls that have returned already."""
    ruby = shutil.which("ruby")
    if not ruby:
        raise cli.harness.Skip("ruby is not installed")
    script = ("require 'continuation'\n"
              "$tries = 0\n"
              "v = 'abc'.gsub(/./) { |m| callcc { |k| $back ||= k }; m.upcase }\n"
              "s = 0\n"
              "[3, 1, 2].each { |n| callcc { |k| $in ||= k }; s += n }\n"
              "$tries += 1\n"
              "$back.call if $tries == 1\n"
              "$in.call if $tries < 4\n"
              "p v, s, $tries\n")
    command = (ruby, "--disable-gems", "-W0", "-e", script)
    native = subprocess.run(command, capture_output=True, text=True, check=True, env=home.env())
    done = home.run("run", "--calls", "*", "--data", os.path.join(home.top, "data"), "--", *command)
    expect.same((done.returncode, done.stdout, done.stderr[:1000]), (0, native.stdout, ""), "callcc")


@cli.case
def S5_threads_that_leave(home, expect):
    """64 threads that return or call pthread_exit; threads that are cancelled in a call."""
    programs = Build()
    for case, times in (("threads", "4"), ("threads", "5"), ("cancels", "40")):
        exact(home, expect, programs, case, times)


@cli.case
def S5_handlers(home, expect):
    """Signal handlers that call, on the stack and on one of their own."""
    programs = Build()
    for times in ("12", "13"):
        _, trace = exact(home, expect, programs, "interrupted", times)
        expect.same(set(endings(trace)), {"returned"}, "how calls ended")


def interrupted_at(point, home, expect):
    """Stopped there, and sent a signal whose handler looks at the stack and calls: all return, exactly."""
    data = os.path.join(home.top, "data")
    child = subprocess.Popen([TESTING, "run", "--calls", "leaf_*", "--data", data,
                              Build()["calls"], "held", "3"], cwd=home.top, text=True,
                             env=home.env(HARK_TESTPOINT=point + ":stop"), stdout=subprocess.PIPE)
    home.children.append(child)
    stopped = os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    expect.same((stopped.si_code, stopped.si_status), (os.CLD_STOPPED, signal.SIGSTOP), point)
    child.send_signal(signal.SIGUSR1)
    child.send_signal(signal.SIGCONT)
    out, _ = child.communicate(timeout=60)
    expect.same(child.returncode, 0, f"{point}: exit status")
    counted = {name: int(n) for name, n in map(str.split, out.splitlines())}
    expect.same(counted.get("leaf_plain"), 3 * 2 + 1, f"{point}: calls, and the handler's")
    expect.same(leaves(traces.read(data)), counted, f"{point}: calls")


if MACHINE == "x86_64":
    @cli.case
    def T8_handlers_in_our_midst(home, expect):
        """Where a frame is half made, and where return addresses were put back."""
        for point in ("plt_framed", "plt_bared"):
            interrupted_at(point, home, expect)


@cli.case
def forks_and_depth(home, expect):
    """fork and vfork; a recursion that goes through the library, 3,000 deep."""
    programs = Build()
    exact(home, expect, programs, "forks", "20")
    _, trace = exact(home, expect, programs, "deep", "3000")
    expect.same(set(endings(trace)), {"returned"}, "how calls ended")


@cli.case
def nobody_sees_us_on_the_stack(home, expect):
    """backtrace() has the same frames as without hark, and calls go on to be timed."""
    programs = Build(("-rdynamic",))
    native = subprocess.run([programs["calls"], "backtraces", "9"], capture_output=True, text=True,
                            check=True)
    counted, trace = called(home, "*", programs["calls"], "backtraces", "9")
    expect.same(counted, {name: int(n) for name, n in map(str.split, native.stdout.splitlines())},
                "as without hark")
    expect.same(leaves(trace), of_library(counted), "calls")
    expect.same(set(endings(trace)), {"returned"}, "how calls ended, one in the place of another too")


STEPS = r"""
import gdb
for setting in "pagination off", "confirm off", "breakpoint pending on":
    gdb.execute("set " + setting)
gdb.execute("break down")
gdb.execute("run")
gdb.execute("continue")
gdb.execute("continue")
gdb.execute("delete")
ours, lost = 0, set()
while True:
    gdb.execute("stepi", to_string=True)
    names, frame, pc = [], gdb.newest_frame(), gdb.newest_frame().pc()
    while frame and len(names) < 60:
        names.append(frame.name())
        frame = frame.older()
    ours += "libhark" in (gdb.solib_name(pc) or "")
    if "main" not in names:
        lost.add((names[0], gdb.execute("x/i $pc", to_string=True).split("\t")[1].split()[0]))
    if names[0] == "main":
        break
gdb.execute("kill")
print("STEPS", ours, sorted(lost))
"""


if MACHINE == "x86_64" and shutil.which("gdb"):
    @cli.case
    def unwinders_at_every_instruction(home, expect):
        """gdb finds main() from each of ours, but for the last ones of an exit, when its frame is gone."""
        script = os.path.join(home.top, "steps.py")
        with open(script, "w", encoding="ascii") as file:
            file.write(STEPS)
        shim = os.path.join(cli.harness.BUILD, "libhark-preload.so")
        env = home.env(HARK_CALLS="leaf_*", HARK_DATA=os.path.join(home.top, "data"))
        command = ["gdb", "-q", "-nx", "-batch", "-ex", "set startup-with-shell off", "-ex",
                   f"set environment LD_PRELOAD {shim}", "-x", script, "--args", Build()["calls"], "deep", "3"]
        done = subprocess.run(command, env=env, cwd=home.top, text=True, capture_output=True,
                              check=False, timeout=cli.LIMIT)
        said = [line for line in done.stdout.splitlines() if line.startswith("STEPS")]
        assert len(said) == 1, done.stdout[-500:] + done.stderr[-1000:]
        _, ours, lost = said[0].split(" ", 2)
        expect(int(ours) > 300, f"{ours} instructions")
        short = {"plt_leave_slowly": ("add", "mov", "pop", "ret"), "exit": ("test", "je")}
        lost = [(f, i) for f, i in ast.literal_eval(lost)
                if f != "plt_leave" and i not in short.get(f, ())]
        expect.same(lost, [], "where main() was not found")


@cli.case
def which_functions(home, expect):
    """Globs of names and of libraries; other modes; the report says what it is."""
    programs = Build()
    counted, trace = called(home, "leaf_p*,strcmp@nowhere", programs["calls"], "everything", "5")
    expect.same(trace.calls(), {n: counted[n] for n in ("leaf_plain", "leaf_pair")}, "by name")
    counted, trace = called(home, "*@libleaf*", programs["calls"], "everything", "5")
    expect.same(trace.calls(), counted, "by library")
    counted, trace = called(home, "leaf_*", programs["calls"], "everything", "5", mode="profile")
    expect.same(trace.calls(), counted, "in profile mode")
    called(home, "leaf_*", programs["calls"], "everything", "5", mode="flight")
    done = home.run("report", "--format", "json", "--data", os.path.join(home.top, "data"))
    rows = {row["function"]: row for row in map(json.loads, done.stdout.splitlines())}
    expect.same((rows["leaf_plain"]["method"], rows["leaf_plain"]["module"],
                 rows["leaf_plain"]["calls"]), ("call", "libleaf.so", 5), "the report's row")


@cli.case
def what_is_refused(home, expect):
    for value in ("", "a,,b", "malloc@", "a@b@c", "x" * 2000):
        done = home.run("run", f"--calls={value}", "true")
        expect.same(done.returncode, 125, f"exit status of {value[:20]!r}")
        expect("NAME@LIBRARY" in done.stderr, done.stderr)


@cli.case
def real_programs(home, expect):
    """bash, python3 and git under --calls '*': same output, same exit status."""
    commands = {
        "bash": ("bash", "-c", "for i in 1 2; do (exit $i); echo $?; done; ls / | wc -l; exit 7"),
        "python3": ("python3", "-c", "import ssl\nprint(len(ssl.RAND_bytes(4)))\n"
                                     "import threading\nt = threading.Thread(target=print, args=(5,))\n"
                                     "t.start(); t.join(); raise SystemExit(3)"),
        "git": ("git", "-C", cli.harness.ROOT, "--version"),
    }
    for name, command in commands.items():
        native = subprocess.run(command, capture_output=True, text=True, check=False,
                                stdin=subprocess.DEVNULL, env=home.env())
        data = os.path.join(home.top, name)
        done = home.run("run", "--calls", "*", "--data", data, "--", *command)
        expect.same((done.returncode, done.stdout, done.stderr),
                    (native.returncode, native.stdout, native.stderr), name)
        rows = home.run("report", "--format", "json", "--data", data).stdout.splitlines()
        expect(len(rows) > 20, f"{name}: only {len(rows)} functions were called")


cli.main(__doc__)
