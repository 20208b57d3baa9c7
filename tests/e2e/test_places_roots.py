#!/usr/bin/env python3
"""Places in the file system: another root, no /proc, no /dev/shm, nothing writable, no directory.

Speaks TAP; see places.py.
"""
# limit: 400

import os
import re
import shutil
import subprocess

import cli
import places

SAY = 'echo out; echo one >&2; /bin/sh -c "echo two >&2"; /bin/ls /nonexistent; exit 7'
AS_MOUNTER = [*places.MOUNTS, "true"]
NOT_ANOTHER_ROOT = places.lacks_run(*places.MOUNTS, "sh", "-c", "chroot / true")


def make_root(home, *libraries):
    """A root with a shell, a guest, what they need and these; nothing else."""
    root = os.path.join(home.top, "root")
    programs = [shutil.which(name) for name in ("sh", "ls", "env")] + [places.SPEAK]
    for folder in "bin", "tmp", "proc", "dev", "old", "work":
        os.makedirs(os.path.join(root, folder))
    for program in programs:
        cli.copy_program(program, os.path.join(root, "bin"))
        listed = subprocess.run(["ldd", program], capture_output=True, check=True, text=True)
        for library in [*re.findall(r"(/\S+) \(0x", listed.stdout), *libraries]:
            there = root + library
            os.makedirs(os.path.dirname(there), exist_ok=True)
            cli.copy_program(library, there)
    return root


def into_root(root):
    """Ways there: by chroot(2), and with a mount of it as the root."""
    yield "chroot", [*places.MOUNTS, "chroot", root]
    yield "pivot_root", [*places.MOUNTS, *places.script(
        f"mount --rbind {root} {root} && cd {root} && pivot_root . old && "
        "exec /bin/env PATH=/bin /bin/sh -c 'cd /work && exec \"$@\"' sh \"$@\"")]


@places.case(NOT_ANOTHER_ROOT)
def another_root(home, expect):
    """Neither the session nor the shim are there: the loader has nothing to complain of."""
    root = make_root(home)
    for name, way in into_root(root):
        for argv in ["/bin/sh", "-c", SAY], ["/bin/env", "-i", "/bin/sh", "-c", SAY], \
                ["/bin/speak"]:
            runs = places.compare(home, expect, f"{name} {argv[0]}", argv, within=way)
            places.passed(expect, name, runs)
            expect.same(runs["run"].own(), [], f"{name}: words of hark's")


@places.case(NOT_ANOTHER_ROOT)
def another_root_for_a_part(home, expect):
    """Who goes there is not heard any more, who stays is."""
    root = make_root(home)
    text = f"echo before >&2; chroot {root} /bin/sh -c 'echo there >&2'; echo after >&2; exit 4"
    runs = places.compare(home, expect, "a part", ["sh", "-c", text], within=places.MOUNTS)
    for mode in "run", "bare":
        expect.same(runs[mode].heard, b"before\nafter\n", mode)


@places.case(NOT_ANOTHER_ROOT)
def another_root_under_our_feet(home, expect):
    """A program goes there itself: it is heard, and what libc starts for it is not disturbed."""
    code = f"import os; os.system('echo one >&2'); os.chroot({make_root(home)!r}); os.chdir('/'); " \
           "os.write(2, b'two\\n'); os.system('echo three >&2; echo $LD_PRELOAD')"
    runs = places.compare(home, expect, "itself", [cli.sys.executable, "-ISc", code],
                          within=places.MOUNTS, modes=["run"])
    expect.same(runs["run"].heard, b"one\ntwo\n", "heard")
    expect.same(runs["run"].stderr, b"three\n", "passed")
    expect.same(runs["run"].stdout, b"\n", "LD_PRELOAD")


@places.case(NOT_ANOTHER_ROOT)
def other_preloads_go_there(home, expect):
    """Ours is taken out, others stay."""
    other = subprocess.run(["gcc", "-print-file-name=libm.so.6"], capture_output=True, check=True,
                           text=True).stdout.strip()
    root = make_root(home, other)
    for given in other, f"{other}:{places.SHIM}", f"{places.SHIM} {other}":
        heard = places.run(home, ["/bin/env"], mode="run",
                           within=["env", f"LD_PRELOAD={given}", *places.MOUNTS, "chroot", root])
        found = [line for line in heard.stdout.decode().splitlines()
                 if line.startswith("LD_PRELOAD")]
        expect.same((found, heard.stderr), ([f"LD_PRELOAD={other}"], b""), given)


@places.case(places.lacks_run(*AS_MOUNTER))
def session_out_of_sight(home, expect):
    """The shim is there, the session is not: no second one begins in its place."""
    hide = places.script(f"mount -t tmpfs hidden {home.runtime}")
    argv = ["env", "A=b", "sh", "-c", SAY]
    native = places.run(home, argv)
    runs = places.compare(home, expect, "hidden", argv, native=native,
                          within=[*places.MOUNTS, *hide])
    places.passed(expect, "hidden", runs)


@places.case(places.lacks_run(*AS_MOUNTER))
def no_null_device(home, expect):
    """The caller's pipes end with whoever has them, not with the session (P6)."""
    gate = os.path.join(home.top, "gate")
    os.mkfifo(gate)
    lock = os.open(gate, os.O_RDWR)
    # A shell would want a null device for what it leaves in the background.
    code = "import os\nos.write(1, b'out\\n')\nif not os.fork():\n" \
           f" for fd in 0, 1, 2: os.close(fd)\n open({gate!r}, 'rb', 0).read(1)\n"
    way = [*places.MOUNTS, *places.script("mount -t tmpfs none /dev && ! test -e /dev/null")]
    child = subprocess.Popen([*way, cli.HARK, "run", "--to", f"file:{home.top}/out", "--",
                              cli.sys.executable, "-ISc", code], env=home.env(PATH=places.PATH),
                             cwd=home.top, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    try:
        expect.same(child.communicate(timeout=20)[0], b"out\n", "until the pipe's end")
    except subprocess.TimeoutExpired:
        expect.same("kept open", "let go", "the caller's pipe")
    finally:
        os.write(lock, b".")
        child.communicate()
    expect.same(child.returncode, 0, "status")
    expect.same(places.settle(home), [], "left")
    os.close(lock)


@places.case(places.lacks_run(*AS_MOUNTER))
def session_in_a_place_of_its_own(home, expect):
    """Begun inside of the namespace, on a file system that nobody else sees."""
    os.makedirs(home.runtime, 0o700)
    around = [*places.MOUNTS, *places.script(f"mount -t tmpfs -o mode=700 own {home.runtime}")]
    places.captured(expect, "own", places.compare(home, expect, "own", [places.SPEAK],
                                                  around=around))


def narrow(home, shm, tmp):
    """Without HARK_RUNTIME_DIR, with these options for /dev/shm and /tmp. What the test itself needs
    is moved out of there; what it is called stays true."""
    kept = home.top + ".kept"
    lines = [f"mkdir -p {kept}", f"mount -t tmpfs kept {kept}", f"mkdir {kept}/build {kept}/home",
             f"mount --bind {places.harness.BUILD} {kept}/build",
             f"mount --bind {home.top} {kept}/home"]
    # over /tmp, then the two again where they were
    lines += ["exec 9</", f"exec 8<{kept}", "mount -t tmpfs small /tmp",
              f"mkdir -p {home.top} {places.harness.BUILD}",
              f"mount --bind /proc/self/fd/8/build {places.harness.BUILD}",
              f"mount --bind /proc/self/fd/8/home {home.top}",
              f"mount -o remount,bind,{tmp} /tmp", f"mount -t tmpfs -o {shm} small /dev/shm",
              "exec 8<&- 9<&-", f"cd {home.top}/work", "unset HARK_RUNTIME_DIR XDG_RUNTIME_DIR"]
    return [*places.MOUNTS, *places.script(" && ".join(lines))]


@places.case(places.lacks_run(*AS_MOUNTER))
def no_shared_memory(home, expect):
    """/dev/shm cannot be written to: /tmp serves as well."""
    try:
        runs = places.compare(home, expect, "/tmp", [places.SPEAK],
                              around=narrow(home, "ro", "rw"))
        places.captured(expect, "/tmp", runs)
        places.captured(expect, "/dev/shm", places.compare(
            home, expect, "/dev/shm", [places.SPEAK], around=narrow(home, "rw,mode=1777", "ro")))
    finally:
        os.rmdir(home.top + ".kept")


@places.case(places.lacks_run(*AS_MOUNTER))
def nothing_to_write_to(home, expect):
    """No place for a session: that is said once."""
    try:
        runs = places.compare(home, expect, "nothing", [places.SPEAK],
                              around=narrow(home, "ro", "ro"))
        for mode in "run", "bare":
            words = runs[mode].own()
            expect(len(words) == 1 and re.search("/dev/shm.*/tmp", words[0]), f"{mode}: {words}")
    finally:
        os.rmdir(home.top + ".kept")


@places.case(places.lacks_run(*AS_MOUNTER))
def a_full_file_system(home, expect):
    """64 MiB of tmpfs, of which more and more is free: nothing is lost and nobody is killed."""
    os.makedirs(home.runtime, 0o700)
    outcomes, native = set(), places.run(home, [places.SPEAK])
    for free_kb in 0, 40, 200, 600, 1200, 2000, 3000, 5000, 8000, 40000:
        fill = (f"mount -t tmpfs -o mode=700,size=64M full {home.runtime} && "
                f"fallocate -l $((64 * 1048576 - {free_kb} * 1024)) {home.runtime}/.filled")
        around = [*places.MOUNTS, *places.script(fill)]
        runs = places.compare(home, expect, f"{free_kb} KiB", [places.SPEAK], around=around,
                              native=native)
        for mode in "run", "bare":
            outcomes.add("heard" if runs[mode].heard else "passed")
            expect.same(len(runs[mode].own()), 0 if runs[mode].heard else 1, f"{free_kb}: words")
    expect.same(outcomes, {"heard", "passed"}, "from one end to the other")


@places.case(places.lacks_run(*AS_MOUNTER, "umount", "-l", "/proc") if places.ROOT else
             "a user namespace may not take /proc away")
def no_proc(home, expect):
    off = [*places.MOUNTS, *places.script("umount -l /proc")]
    for where in "around", "within":
        places.captured(expect, where, places.compare(home, expect, f"no /proc {where}",
                                                      [places.SPEAK], **{where: off}))


@places.case()
def no_directory(home, expect):
    """The working directory is gone, as are HOME and everything else of the environment."""
    gone = places.script('mkdir gone && cd gone && rmdir ../gone')
    argv = ["sh", "-c", "echo one >&2; env true; echo two >&2; exit 3"]
    for where in "around", "within":
        places.captured(expect, where, places.compare(home, expect, f"no directory {where}", argv,
                                                      **{where: gone}))
    homeless = ["env", "-u", "HOME", "-u", "TMPDIR", "-u", "PATH", "-u", "TERM"]
    places.captured(expect, "HOME", places.compare(home, expect, "no HOME", [places.SPEAK],
                                                   around=homeless))


cli.main(__doc__)
