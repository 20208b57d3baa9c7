#!/usr/bin/env python3
"""Library calls on aarch64 (--calls): the programs of tests/e2e/test_calls.py, cross-compiled and run in
qemu's user mode; the collector is this machine's own. qemu does not carry out what stamps tell a
forked child by, so a shim of the test build does. Speaks TAP.
"""

import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import cli  # noqa: E402  pylint: disable=wrong-import-position
import modes  # noqa: E402  pylint: disable=wrong-import-position
import traces  # noqa: E402  pylint: disable=wrong-import-position

GUESTS = os.path.join(HERE, "..", "e2e", "guests")
SHIM = os.path.join(modes.BUILD, "aarch64", "testing", "libhark-preload.so")
GCC, GXX = "aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++"
BUILT = tempfile.TemporaryDirectory(prefix="hark-calls-aarch64-")


def compiled(out, source, *flags):
    """In BUILT, where the way to a library is the same in each run."""
    cli.harness.cc("-O2", "-w", "-D_GNU_SOURCE", "-I", cli.harness.ROOT, "-o", out,
                   os.path.join(GUESTS, source), *flags, cwd=BUILT.name,
                   by=GXX if source.endswith(".cc") else GCC)
    return out


@cli.once
def folder(*way):
    """With the library that all call; its name in BUILT."""
    top = "leaf" + "".join(way)
    os.mkdir(os.path.join(BUILT.name, top))
    compiled(os.path.join(top, "libleaf.so"), "leaf.c", "-shared", "-fPIC", *way)
    return top


@cli.once
def program(source, *way):
    top = folder(*(f for f in way if f.startswith("-m")))
    return compiled(os.path.join(tempfile.mkdtemp(dir=BUILT.name), "program"), source, *way,
                    "-L" + top, "-lleaf", f"-Wl,-rpath,$ORIGIN/../{top}", "-pthread")


class Emulated(modes.Aarch64):
    shim = SHIM
    processor = ()

    def listening(self, argv):
        return [*self.qemu, *self.processor, "-E", "LD_PRELOAD=" + self.shim,
                "-E", "HARK_TESTPOINT=wipe_on_fork:on", *argv]


def run(home, expect, *argv, calls="*", processor=(), seen=True):
    """(rows that it printed, the trace); leaf_* are compared: all of them are seen, or none."""
    mode, data = Emulated(), os.path.join(tempfile.mkdtemp(dir=home.top), "data")
    mode.processor = processor
    env = home.env(HARK_CALLS=calls, HARK_DATA=data)
    done = subprocess.run(mode.heard(list(argv), ["--to", "console"]), env=env, cwd=home.top, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=cli.LIMIT,
                          check=False)
    expect.same((done.returncode, done.stderr), (0, ""), f"{argv[1:]}: status")
    rows = {name: int(count) for name, count in map(str.split, done.stdout.splitlines())}
    trace = traces.read(data)
    of_library = ({name: n for name, n in counts.items() if name.startswith("leaf_")}
                  for counts in (trace.calls(), rows))
    got, said = of_library
    expect(said, f"{argv[1:]}: nothing was counted")
    expect.same(got, said if seen else {}, f"{argv[1:]}: calls")
    return rows, trace


def endings(trace):
    return [how for thread in trace.threads.values() for _, name, how in trace.walk(thread)
            if name.startswith("leaf_")]


@cli.case
def arguments_and_results(home, expect):
    """Everything that the ABI has, PIE and bound when it is called first, or neither."""
    for way in ("-Wl,-z,lazy",), ("-no-pie", "-fno-pie", "-Wl,-z,now"):
        _, trace = run(home, expect, program("calls.c", *way), "everything", "10")
        expect.same(set(endings(trace)), {"returned"}, f"{way}: how calls ended")


@cli.case
def ways_to_leave(home, expect):
    """longjmp, threads that end and are cancelled, handlers on stacks of their own, deep calls."""
    for case, times in (("leaps", "35"), ("threads", "1"), ("cancels", "5"), ("interrupted", "21"),
                        ("deep", "500")):
        run(home, expect, program("calls.c"), case, times)
    # by a processor that signs no address: a signature may by chance be none to be seen (plt_place.c)
    run(home, expect, program("complaints.c"), "asks", "9", processor=("-cpu", "cortex-a57"))


@cli.case
def forks(home, expect):
    """A child's calls are its own. vfork, which is a fork in this emulator, has a child that calls nothing."""
    _, trace = run(home, expect, program("calls.c"), "forks", "6", calls="leaf_*")
    expect.same(len(set(thread.image for thread in trace.threads.values())), 4, "processes that called")
    expect.same(set(endings(trace)), {"returned"}, "how calls ended")


@cli.case
def without_a_plt(home, expect):
    """Slots that code reads into a register are left alone; all others, and the program, are as ever."""
    mode_of = {"everything": "calls.c", "20": "throws.cc"}
    if os.environ.get("EVERY"):  # what is left alone in everything is left alone there
        mode_of |= {"leaps": "calls.c", "cancels": "calls.c"}
    for case, source in mode_of.items():
        argv = (case, "5") if source == "calls.c" else (case,)
        run(home, expect, program(source, "-fno-plt"), *argv, seen=False)


@cli.case
def stacks_that_nobody_knows_of(home, expect):
    """Coroutines, some by code of the program's own, and stacks that are copied away and back."""
    for case in "coroutines", "own_stacks", "copies":
        run(home, expect, program("calls.c"), case, "10")


@cli.case
def exceptions(home, expect):
    """They find their way by our unwind tables."""
    if not shutil.which(GXX):
        raise cli.harness.Skip("needs a C++ compiler for aarch64")
    one = [("-static-libgcc",)] if os.environ.get("EVERY") else []  # of the two of what comes next
    for way in (), *one, ("-static-libgcc", "-static-libstdc++"):
        _, trace = run(home, expect, program("throws.cc", *way), "40", "looks")
        expect("unwound" in endings(trace), f"{way}: no call was left by an exception")


@cli.case
def who_looks_at_the_stack(home, expect):
    """sees as many frames as without us, where no signature can be like none by chance."""
    old = ("-cpu", "cortex-a72")
    alone = subprocess.run([*modes.Aarch64.qemu, *old, program("calls.c"), "backtraces", "5"], check=True,
                           capture_output=True, text=True).stdout
    rows, _ = run(home, expect, program("calls.c"), "backtraces", "5", processor=old)
    expect.same(f"frames {rows['frames']}", next(r for r in alone.splitlines() if "frames" in r),
                "frames")


@cli.case
def signed_return_addresses(home, expect):
    """and marked targets of branches: a processor that checks finds nothing."""
    way = ("-mbranch-protection=standard", "-march=armv8.3-a")
    for case in "everything", "leaps", "cancels":
        run(home, expect, program("calls.c", *way), case, "7", processor=("-cpu", "max"))
    if shutil.which(GXX):
        run(home, expect, program("throws.cc", *way), "20", processor=("-cpu", "max"))


if __name__ == "__main__":
    if not all(shutil.which(n) or os.path.exists(n) for n in (GCC, modes.Aarch64.qemu[0], SHIM)):
        print("1..0 # skip needs a compiler for aarch64 and qemu-user: make deps")
        sys.exit(0)
    cli.main(__doc__)
