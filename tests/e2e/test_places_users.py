#!/usr/bin/env python3
"""Places of other users and namespaces, and the environments that sudo, systemd and containers make.

Speaks TAP; see places.py.
"""
# limit: 400

import os

import cli
import places

SPEAK = [places.SPEAK]
SAY = ["sh", "-c", "echo out; echo one >&2; env sh -c 'echo two >&2'; exit 5"]

# ---- namespaces ---------------------------------------------------------------------------------

# Where one that is not root can make them, he becomes root of a user namespace to do so.
NAMESPACES = {
    "user": ["-Ur"], "unmapped user": ["-U"], "network": ["-n"], "mounts": ["-m"], "ipc": ["-i"],
    "host name": ["-u"], "cgroup": ["-C"], "pid": ["-pf"], "pid and /proc": ["-pf", "--mount-proc"],
    "all": ["-UrmnCiupf", "--mount-proc"], "time": ["-T", "--boottime", "100000"],
}


def unshare(options):
    own = [] if places.ROOT or any("U" in option for option in options) else ["-Ur"]
    return ["unshare", *own, *options]


def pid_one(options):
    return any("p" in option for option in options if not option.startswith("--"))


@places.case(places.lacks_command("unshare"))
def namespaces_within(home, expect):
    """A part of the session, its first process or all that follows, in namespaces of its own. By turns, a
    program that says all by itself and one whose children speak."""
    for number, (name, options) in enumerate(NAMESPACES.items()):
        way = unshare(options)
        why = places.lacks_run(*way, "true")
        if why:
            print(f"# skip: {name}: {why}")
            continue
        for argv in places.turn(number, SPEAK, SAY):
            places.captured(expect, name, places.compare(home, expect, f"{name} {argv[0]}", argv,
                                                         within=way))


@places.case(places.lacks_command("unshare"))
def namespaces_around(home, expect):
    for name, options in NAMESPACES.items():
        # where the program is the first of its namespace, the collector ends with it: below
        way = unshare(options)
        if not pid_one(options) and not places.lacks_run(*way, "true"):
            places.captured(expect, name, places.compare(home, expect, name, SAY, around=way))


@places.case(places.lacks_run(*unshare(["-pf", "--mount-proc"]), "true"))
def the_first_of_a_namespace(home, expect):
    """The kernel ends the collector together with the program: by then all has arrived. Only the
    session's directory stays, which nobody is left to remove."""
    for number, options in enumerate((["-pf"], ["-pf", "--mount-proc"], ["-Urpf", "--mount-proc"])):
        way = unshare(options)
        if places.lacks_run(*way, "true"):
            continue
        for mode in "run", "bare":
            place = {"HARK_RUNTIME_DIR": f"{home.top}/{mode}.{number}"}
            runs = places.compare(home, expect, f"pid 1 {options}", SAY, around=way, modes=[mode],
                                  env=place)
            places.captured(expect, f"pid 1 {options}", runs)


@places.case(places.lacks_run(*unshare(["-pf", "--mount-proc"]), "true"))
def many_in_a_namespace(home, expect):
    """Whose numbers are those of others outside: each of them is heard to its end."""
    argv = ["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sh -c 'echo a $0 >&2; printf b >&2; "
            "echo $0 >&2' $i; done"]
    places.captured(expect, "many", places.compare(
        home, expect, "many", argv, within=unshare(["-pf", "--mount-proc"])))


# ---- other users --------------------------------------------------------------------------------

AS_NOBODY = places.AS_NOBODY


@places.case(places.lacks_nobody())
def an_ordinary_user(home, expect):
    with places.of_nobody(home) as theirs:
        places.captured(expect, "ordinary", places.compare(theirs, expect, "ordinary", SPEAK,
                                                           around=AS_NOBODY))


@places.case(places.lacks_root(), places.lacks_nobody())
def another_user(home, expect):
    """The session is root's: who becomes another passes his output through, as do his children."""
    with places.of_nobody(home) as theirs:
        for argv in SPEAK, SAY, ["env", "-i", "/bin/sh", "-c", SAY[2]]:
            runs = places.compare(theirs, expect, f"nobody {argv[0]}", argv, within=AS_NOBODY)
            places.passed(expect, argv[0], runs)
            expect.same(runs["run"].own() + runs["bare"].own(), [], "words of hark's")


@places.case(places.lacks_root(), places.lacks_nobody())
def another_user_for_a_part(home, expect):
    text = f"echo root >&2; {' '.join(AS_NOBODY)} sh -c 'echo nobody >&2; env true'; " \
           "echo again >&2; exit 4"
    with places.of_nobody(home) as theirs:
        runs = places.compare(theirs, expect, "a part", ["sh", "-c", text])
        for mode in "run", "bare":
            expect.same(runs[mode].heard, b"root\nagain\n", mode)


@places.case(places.lacks_root())
def who_gives_up_his_rights(home, expect):
    """Without a new program: the session stays mapped and he is heard. His children are not."""
    code = "import os; os.write(2, b'root\\n'); os.setgroups([]); os.setresgid(*[65534] * 3); " \
           "os.setresuid(*[65534] * 3); os.write(2, b'nobody\\n'); pid = os.fork(); " \
           "pid or (os.write(2, b'child\\n'), os._exit(3)); os.waitpid(pid, 0); " \
           "os.system('echo shell >&2'); os._exit(6)"
    runs = places.compare(home, expect, "setresuid", ["/usr/bin/python3", "-ISc", code])
    expect.same(runs["native"].status, 6, f"natively {runs['native'].stderr!r}")
    for mode in "run", "bare":
        expect.same(runs[mode].heard, b"root\nnobody\nchild\n", mode)


@places.case(places.lacks_root(), places.lacks_command("su"),
             places.lacks_run("su", "-s", "/bin/sh", "nobody", "-c", "true"))
def su(home, expect):
    """What it says by itself is root's; behind it nothing is heard."""
    words = "echo out; echo one >&2; sh -c 'echo two >&2'; exit 5"
    with places.of_nobody(home) as theirs:
        runs = places.compare(theirs, expect, "su", ["su", "-s", "/bin/sh", "nobody", "-c", words],
                              env={"HARK_CAPTURE": "stderr"})
        places.passed(expect, "su", runs)


# ---- environments -------------------------------------------------------------------------------

@places.case()
def empty_environments(home, expect):
    for name, way in {
            "env -i": ["env", "-i"], "unset": ["env", "-u", "LD_PRELOAD", "-u", "HARK_SESSION"],
            "like sudo": ["env", "-i", "PATH=/usr/bin:/bin", "LOGNAME=root", "USER=root",
                          "HOME=/root", "SUDO_USER=me", "SUDO_UID=1000", "SUDO_COMMAND=speak"],
            "exec -c": ["bash", "-c", 'exec -c "$@"', "bash"]}.items():
        for argv in SPEAK, ["/bin/sh", "-c", SAY[2]]:
            runs = places.compare(home, expect, f"{name} {argv[0]}", argv, within=way)
            places.captured(expect, name, runs)


@places.case()
def like_a_service(home, expect):
    """As systemd starts one: stdin is /dev/null, stdout and stderr a socket or nothing at all."""
    service = ["env", "-i", "PATH=/usr/bin:/bin", "JOURNAL_STREAM=9:12345", "INVOCATION_ID=0123",
               "SYSTEMD_EXEC_PID=1", f"HARK_RUNTIME_DIR={home.runtime}"]
    for number, closed in enumerate(([], [0], [1], [0, 1], [0, 2], [1, 2], [0, 1, 2])):
        way = [*service, places.ENTRY, *(f"close={fd}" for fd in closed), "umask=077",
               "ignore=13", "--"]
        # hark itself without them, in each of its ways; who leaves them out later is any program
        runs = places.compare(home, expect, f"closed {closed} around", SAY, around=way)
        for modes in places.turn(number, ["run"], ["bare"]):
            places.compare(home, expect, f"closed {closed} within", SAY, within=way, modes=modes,
                           native=runs["native"])


@places.case()
def sessions_and_jobs(home, expect):
    ways = (["setsid", "-w"], ["nice", "-n", "5"], ["timeout", "15"], ["nohup"], ["chrt", "-b", "0"],
            ["taskset", "1"], ["ionice", "-c", "3"], ["setarch", "-R"], ["setpriv", "--no-new-privs"],
            ["flock", home.top])
    for number, way in enumerate(ways):
        if places.lacks_command(way[0]) or places.lacks_run(*way, "true"):
            continue
        native = places.run(home, SPEAK, within=way)
        for where, modes in ("around", ["run"]), ("within", ["run"]), \
                *places.turn(number, ("around", ["bare"]), ("within", ["bare"])):
            places.compare(home, expect, f"{way[0]} {where}", SPEAK, modes=modes, native=native,
                           **{where: way})


cli.main(__doc__)
