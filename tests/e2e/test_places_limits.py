#!/usr/bin/env python3
"""Places with limits: of memory, descriptors, processes, file sizes and system calls.

Each limit is walked down until the program itself can no longer run. Speaks TAP; see places.py.
"""
# limit: 400

import cli
import harness
import places

GUEST = harness.build("../e2e/guests/guest.c")


def limited(name, value):
    return ["prlimit", f"--{name}={value}:{value}"]


def walk(home, expect, name, values, where="within"):
    """Downwards, within a session or around it, as long as the program can do natively all that it
    does. Returns what became of what it said."""
    outcomes = []
    for value in values:
        how = {where: limited(name, value)}
        native = places.run(home, [places.SPEAK], **how)
        if native.status != 7:
            break
        runs = places.compare(home, expect, f"{name}={value} {where}", [places.SPEAK],
                              native=native, **how)
        outcomes += ["heard" if runs[mode].heard else "passed" for mode in ("run", "bare")]
    expect.same(outcomes[:2], ["heard", "heard"], f"{name}={values[0]} {where}")
    return outcomes


MIB = 1 << 20


@places.case()
def memory(home, expect):
    outcomes = walk(home, expect, "as", [n * MIB for n in (64, 16, 10, 8, 7, 6, 5, 4)])
    expect(outcomes[-2:] == ["passed", "passed"], "the ring found room in less than it takes")


@places.case()
def memory_of_the_collector(home, expect):
    outcomes = walk(home, expect, "as", [n * MIB for n in (64, 32, 24, 16, 10, 8, 6)], "around")
    expect(outcomes[-2:] == ["passed", "passed"], "a collector in so little")


@places.case()
def descriptors(home, expect):
    """The shim holds none, so that the least a program can live with is enough for it."""
    expect(set(walk(home, expect, "nofile", [64, 16, 10, 8, 6, 5, 4, 3])) == {"heard"}, "passed")


@places.case()
def descriptors_of_the_collector(home, expect):
    walk(home, expect, "nofile", [64, 20, *range(13, 2, -1)], "around")


@places.case()
def descriptors_all_in_use(home, expect):
    """Not one is left when the program starts: it is the loader's end before it is ours."""
    for last in 3, 4, 5:
        opened = places.script(" ".join(f"exec {n}</dev/null;" for n in range(3, last + 1)),
                               *limited("nofile", last + 2))
        places.captured(expect, "full", places.compare(home, expect, f"3 to {last} in use",
                                                       [places.SPEAK], within=opened))


@places.case()
def file_sizes(home, expect):
    """What a program says is no file of its own: a limit on those does not silence it."""
    expect(set(walk(home, expect, "fsize", [1 << 24, 5000, 3000])) == {"heard"}, "passed")
    for value in 2999, 1, 0:  # natively it fails, or dies of SIGXFSZ
        places.captured(expect, "fsize", places.compare(
            home, expect, f"fsize={value}", [places.SPEAK], within=limited("fsize", value)))
    for value in 5000000, 100000, 3000, 1, 0:  # there is no room for a ring, or for a queue
        runs = places.compare(home, expect, f"fsize={value} around", [places.SPEAK],
                              around=limited("fsize", value))
        places.passed(expect, "fsize", runs)
        for mode in "run", "bare":
            expect.same(len(runs[mode].own()), 1, f"fsize={value} {mode}: words of hark's")


# In a user namespace of his own an ordinary user is alone, and his limit counts from there.
ALONE = ["unshare", "-Ur"]


@places.case(places.lacks_nobody(), places.lacks_run(*places.AS_NOBODY, *ALONE, "true"))
def processes(home, expect):
    """The shim starts none within a session, so nobody's fork fails because of it."""
    with places.of_nobody(home) as theirs:
        statuses = set()
        for value in 20, 3, 2, 1:
            runs = places.compare(theirs, expect, f"nproc={value}", [places.SPEAK],
                                  around=places.AS_NOBODY,
                                  within=[*ALONE, *limited("nproc", value)])
            places.captured(expect, f"nproc={value}", runs)
            statuses.add(runs["native"].status)
        expect.same(statuses, {7, 9}, "natively")


@places.case(places.lacks_run(places.ENTRY, "mdwe=1", "--", "true"))
def no_executable_memory(home, expect):
    """PR_SET_MDWE: memory that was written to never becomes executable."""
    denied = [places.ENTRY, "mdwe=1", "--"]
    for where in "within", "around":
        places.captured(expect, where, places.compare(home, expect, f"MDWE {where}",
                                                      [places.SPEAK], **{where: denied}))


# ---- system calls -------------------------------------------------------------------------------

NO_FILTERS = places.lacks_run("gcc", "-fsyntax-only", "-include", "seccomp.h", "-xc", "/dev/null")
SANDBOX = NO_FILTERS or harness.build("../e2e/guests/sandbox.c", extra=["-lseccomp"])


@places.case(NO_FILTERS)
def filters_that_kill(home, expect):
    """Behind a list of read, write and exit the program says its piece, and is heard."""
    for allowed in "least", "exits":
        runs = places.compare(home, expect, allowed, [SANDBOX, allowed])
        expect.same(runs["native"].status, 6, f"{allowed}: natively")
        places.captured(expect, allowed, runs)


@places.case(NO_FILTERS)
def programs_behind_a_filter(home, expect):
    """What starts behind it makes no call that it would not have made."""
    runs = places.compare(home, expect, "exec", [SANDBOX, "starts", GUEST, "say-single"])
    expect.same(runs["native"].status, 0, "natively")
    for mode in "run", "bare":
        expect.same(runs[mode].heard, b"before\n", f"{mode}: heard")


@places.case(NO_FILTERS)
def a_full_ring_behind_a_filter(home, expect):
    """There nobody may wait for room: what finds none goes its own way, and nothing is lost."""
    runs = places.compare(home, expect, "full", [SANDBOX, "floods"], env={"HARK_RING": "64K"})
    expect.same(runs["native"].status, 6, "natively")
    expect(len(runs["native"].said()) > 30000, "natively silent")


cli.main(__doc__)
