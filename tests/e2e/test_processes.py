#!/usr/bin/env python3
"""Many processes, odd ones, and pids that are used again. Speaks TAP; see cli.py."""
# limit: 400

import contextlib
import os
import re
import resource
import signal
import subprocess

import cli
import harness
from session import Session, messages

SHORT = 2000 if os.environ.get("EVERY") else 200  # processes, one after the other
BUDGET_MS = 1.0        # for each, over a native one: several times the figure of a quiet machine
SPAWN = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
/* So many, one after the other; says what they took of the processor, in seconds. */
int main(int argc, char **argv)
{
	char word[20];
	struct rusage all;
	for (int i = 1; argc > 1 && i <= atoi(argv[1]); i++) {
		snprintf(word, sizeof word, "%d", i);
		pid_t pid = fork();
		if (pid == 0) {
			execl("./say", "./say", word, (char *)NULL);
			_exit(9);
		}
		waitpid(pid, NULL, 0);
	}
	getrusage(RUSAGE_CHILDREN, &all);
	printf("%f", all.ru_utime.tv_sec + all.ru_stime.tv_sec +
		     (all.ru_utime.tv_usec + all.ru_stime.tv_usec) * 1e-6);
	return 0;
}
"""
SAY = """
#include <stdio.h>
int main(int argc, char **argv) { return fprintf(stderr, "%d %s\\n", argc, argv[1]) < 0; }
"""


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def own_kb(pid):
    """Without the ring, which is mapped as it is used."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"RssAnon:\s+(\d+) kB", file.read()).group(1))


def compiled(home, name, text, *flags):
    path = os.path.join(home.top, name)
    harness.cc(*flags, "-O1", "-o", path, home.file(name + ".c", text))
    return path


@cli.case
def many_short_processes(home, expect):
    """Each is heard; none leaves a descriptor, a mapping or a directory with the collector."""
    compiled(home, "say", SAY)
    spawn = compiled(home, "spawn", SPAWN)
    native = float(subprocess.run([spawn, str(SHORT)], cwd=home.top, check=True,
                                  stderr=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout)
    session = Session(home)
    row = home.session(session.child.pid)
    session.do("echo the first >&2")
    session.wait_for("the first")
    session.do("./spawn 100 >/dev/null")
    session.do("echo warm >&2")
    session.wait_for("warm")
    before = descriptors(row["collector_pid"]), own_kb(row["collector_pid"])
    taken = float(session.do(f"./spawn {SHORT}"))
    session.do("echo the last >&2")
    session.wait_for("the last")
    cli.wait_for(lambda: descriptors(row["collector_pid"]) <= before[0], 5)
    grown = own_kb(row["collector_pid"]) - before[1]
    expect(grown < 4 * SHORT, f"the collector has grown by {grown} kB")
    expect.same(sorted(os.listdir(home.runtime)), [os.path.basename(row["dir"])], "directories")
    files = sorted(os.listdir(row["dir"]))
    expect(len(files) <= 4, f"files of the session: {files}")
    with open(f"/proc/{session.child.pid}/maps", encoding="utf-8") as file:
        maps = [line for line in file if home.runtime in line]
    expect(0 < len(maps) <= 4, f"mappings of the program: {len(maps)}")
    expect.same(session.end(), 0, "exit status")
    said = messages(session.out)
    expect([m["msg"] for m in said[102:-1]] == [f"2 {i}" for i in range(1, SHORT + 1)], "said")
    expect.same(len({m["pid"] for m in said[102:-1]}), SHORT, "pids")
    each = (taken - native) * 1000 / SHORT
    print(f"# {SHORT} processes: natively {native * 1000 / SHORT:.3f} ms each, here {each:+.3f}",
          flush=True)
    budget = max(BUDGET_MS, native * 500 / SHORT)  # half more, where all takes so long
    expect(each < budget, f"{each:.3f} ms more for each")


MAKEFILE = """
all: $(addprefix made/,$(shell seq 100))
made: ; @mkdir made
made/%: | made ; @echo "making $*" >&2; test $* -ne 77 || echo seventy-seven >&2; echo $* >$@
"""


@cli.case
def make_with_eight_jobs(home, expect):
    home.file("Makefile", MAKEFILE)
    seen = []
    for prefix in [], [cli.HARK, "run", "--to", f"file:{home.top}/said?format=text", "--"]:
        done = subprocess.run([*prefix, "make", "-j8", "-k"], cwd=home.top, env=home.env(), text=True,
                              capture_output=True, check=False, timeout=cli.LIMIT)
        seen.append((done.returncode, done.stdout.splitlines(), done.stderr.splitlines()))
        made = sorted(map(int, os.listdir(os.path.join(home.top, "made"))))
        expect.same(made, sorted(set(range(1, 101))), f"{prefix}: made")
        cli.shutil.rmtree(os.path.join(home.top, "made"))
    cli.wait_for(lambda: not os.path.isdir(home.runtime) or not os.listdir(home.runtime))
    with open(os.path.join(home.top, "said"), encoding="utf-8") as file:
        said = [line.split(None, 1)[1] for line in file]
    expect.same(seen[1][0], seen[0][0], "exit status")
    expect.same(sorted(seen[1][1]), sorted(seen[0][1]), "stdout")
    expect(len(seen[0][2]) == 101, f"natively {len(seen[0][2])} lines")
    expect(all(any(line in one for one in said) for line in seen[0][2]) and
           len(said) == len(seen[0][2]), f"said {len(said)} lines, not {[x for x in seen[0][2] if not any(x in o for o in said)]}")


# ---- pids ---------------------------------------------------------------------------------------

REUSE = r"""
use POSIX; $| = 1;
sub child { my ($pid, $work) = @_;
	open(my $last, ">", "/proc/sys/kernel/ns_last_pid") or exit 77;
	print $last $pid - 1; close $last;
	my $got = fork; if ($got == 0) { $work->(); kill 9, $$; }
	$got == $pid or exit 78; waitpid $got, 0; }
child(3000, sub { syswrite(STDERR, "the first, unfinished") });
child(3000, sub { syswrite(STDERR, "the second, by the same pid\n") });
for my $i (1 .. 20) { child(3000, sub { syswrite(STDERR, "again $i\n"); syswrite(STDERR, "rest") }) }
print STDERR "the parent\n";
"""


def in_namespace(home, *argv):
    if os.getuid() != 0:
        raise harness.Skip("needs root")
    done = subprocess.run(["unshare", "-pf", "--mount-proc", *argv], cwd=home.top, env=home.env(),
                          capture_output=True, text=True, check=False, timeout=cli.LIMIT,
                          stdin=subprocess.DEVNULL)
    if "unshare:" in done.stderr:
        raise harness.Skip(done.stderr.strip())
    return done


@cli.case
def a_pid_is_used_again(home, expect):
    """What the dead one left unfinished is not the beginning of the new one's line."""
    out = os.path.join(home.top, "out")
    script = f"{cli.HARK} run --to file:{out}?format=json -- perl -e '{REUSE}'; s=$?; " \
             f"while [ -n \"$(ls {home.runtime})\" ]; do sleep 0.01; done; exit $s"
    done = in_namespace(home, "sh", "-c", script)
    if done.returncode in (77, 78):
        raise harness.Skip(f"pids cannot be chosen here: {done.returncode}")
    expect.same((done.returncode, done.stderr), (0, ""), "the program")
    said = [(m["msg"], m.get("partial", False), m["pid"] == 3000) for m in messages(out)]
    want = [("the first, unfinished", True, True), ("the second, by the same pid", False, True)]
    for i in range(1, 21):
        want += [(f"again {i}", False, True), ("rest", True, True)]
    parent = ("the parent", False, False)  # what is left unfinished may come behind it
    expect.same([one for one in said if one != parent], want, "said")
    expect.same(said.count(parent), 1, "the parent")


@cli.case
def pid_one_of_a_container(home, expect):
    """With its end everybody else in there is killed, the collector too: all has been delivered."""
    out = os.path.join(home.top, "out")
    done = in_namespace(home, cli.HARK, "run", "--to", f"file:{out}?format=json", "--", "bash", "-c",
                        "for i in $(seq 500); do echo line $i >&2; done; (echo child >&2); "
                        "echo pid $$ >&2; exit 6")
    expect.same((done.returncode, done.stderr), (6, ""), "exit status")
    said = [m["msg"] for m in messages(out)]
    expect.same(said, [f"line {i}" for i in range(1, 501)] + ["child", "pid 1"], "said")


@cli.case
def a_namespace_within_the_session(home, expect):
    """A process whose pid means somebody else to the collector, or nobody."""
    if os.getuid() != 0:
        raise harness.Skip("needs root")
    session = Session(home)
    session.do("unshare -pf --mount-proc bash -c 'for i in $(seq 100); do echo inner $i >&2; "
               "(echo sub $i >&2); done; printf rest >&2'")
    session.do("echo the last >&2")
    session.wait_for("the last")
    expect.same(session.end(), 0, "exit status")
    said = [m["msg"] for m in messages(session.out)]
    expect.same(said, [f"{w} {i}" for i in range(1, 101) for w in ("inner", "sub")]
                + ["rest", "the last"], "said")


# ---- ends that nobody chooses ----------------------------------------------------------------------

EATS = "my @all; print STDERR qq(before\\n); syswrite(STDERR, q(rest)); " \
       "while (1) { push @all, q(x) x (1 << 20) }"


@contextlib.contextmanager
def memory_group(limit):
    """The directory of a memory control group with that limit."""
    for base, name in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                       ("/sys/fs/cgroup", "memory.max")):
        path = f"{base}/hark-test-{os.getpid()}"
        with contextlib.suppress(OSError):
            os.mkdir(path)
            try:
                if os.path.exists(f"{path}/{name}"):
                    with open(f"{path}/{name}", "w", encoding="ascii") as file:
                        file.write(str(limit))
                    yield path
                    return
            finally:
                os.rmdir(path)
    raise harness.Skip("no memory control group can be made here")


@cli.case
def out_of_memory(home, expect):
    """The kernel kills the program: what it had said is there."""
    with memory_group(64 << 20) as group:
        session = Session(home)
        session.do("echo the first >&2")
        session.wait_for("the first")
        got = session.do(f"bash -c 'echo $$ >{group}/cgroup.procs; exec perl -e \"{EATS}\"'; "
                         "printf 'status %d ' $?")
        expect.same(got, f"status {128 + signal.SIGKILL}", "killed")
        session.wait_for("rest")  # its end is noticed beside the ring, and orders nothing there
        session.do("echo the last >&2")
        session.wait_for("the last")
        expect.same(session.end(), 0, "exit status")
        said = [(m["msg"], m.get("partial", False)) for m in messages(session.out)
                if not m["msg"].startswith("bash: ")]
        expect.same(said, [("the first", False), ("before", False), ("rest", True),
                           ("the last", False)], "said")


@cli.case
def killed_for_its_time(home, expect):
    """RLIMIT_CPU: the kernel's own SIGKILL."""
    session = Session(home)
    got = session.do("perl -e 'print STDERR qq(before\\n); syswrite(STDERR, q(rest)); "
                     "my $limit = pack(q(QQ), 1, 1); syscall(302, 0, 0, $limit, 0) == 0 or die; "
                     "1 while 1'; printf 'status %d ' $?")
    expect.same(got, f"status {128 + signal.SIGKILL}", "killed")
    session.wait_for("rest")
    session.do("echo the last >&2")
    session.wait_for("the last")
    expect.same(session.end(), 0, "exit status")
    said = [(m["msg"], m.get("partial", False)) for m in messages(session.out)
            if not m["msg"].startswith("bash: ")]
    expect.same(said, [("before", False), ("rest", True), ("the last", False)], "said")


@cli.case
def daemon_followed_by_number(home, expect):
    """Capture ends where 2 goes to /dev/null, unless the number is followed."""
    script = "echo before >&2; exec 2>/dev/null; echo after >&2; ls /nonexistent"
    for follow in "file", "number":
        session = Session(home, "--follow", follow)
        session.do(f"sh -c '{script}'")
        expect.same(session.end(), 0, f"{follow}: exit status")
        want = ["before"] if follow == "file" else [
            "before", "after", "ls: cannot access '/nonexistent': No such file or directory"]
        expect.same(session.texts(), want, follow)
        os.unlink(session.out)


# ---- places with less ------------------------------------------------------------------------------

def under_limits(home, limits, argv, user=None):
    def impose():
        for which, value in limits.items():
            resource.setrlimit(which, (value, value))
        if user:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
    return subprocess.run(argv, env=home.env(), cwd=home.top, capture_output=True, text=True,
                          check=False, timeout=cli.LIMIT, preexec_fn=impose,
                          stdin=subprocess.DEVNULL)


@cli.case
def no_more_processes(home, expect):
    """RLIMIT_NPROC: no collector can be started; the program runs, and one line says so."""
    if os.getuid() != 0:
        raise harness.Skip("needs another user without processes")
    os.chmod(home.top, 0o777)
    user = 61234
    argv = ["perl", "-e", "print STDERR qq(err\\n); exit 7"]
    for prefix in [cli.HARK, "run", "--"], ["env", "LD_PRELOAD=" + os.path.join(
            harness.BUILD, "libhark-preload.so")]:
        done = under_limits(home, {resource.RLIMIT_NPROC: 1}, [*prefix, *argv], user)
        lines = done.stderr.splitlines()
        refused = prefix[0] == cli.HARK and done.returncode == 125 and len(lines) == 1
        ran = done.returncode == 7 and lines[-1:] == ["err"] and len(lines) <= 2
        expect(refused or ran, f"{prefix[0]}: {done.returncode} {done.stderr!r}")


@cli.case
def without_shared_memory(home, expect):
    """No /dev/shm and a /tmp that cannot be written: another place, or one line and the program."""
    if os.getuid() != 0:
        raise harness.Skip("needs root")
    script = "mount -t tmpfs -o ro none /dev/shm && mount -t tmpfs -o ro none /run && " \
             "mkdir -p ro && mount -t tmpfs -o ro none ro && unset HARK_RUNTIME_DIR && exec \"$@\""
    for place in "/tmp", "ro":
        for prefix in [cli.HARK, "run", "--"], ["env", "LD_PRELOAD=" + os.path.join(
                harness.BUILD, "libhark-preload.so")]:
            done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *prefix, "perl",
                                   "-e", "print STDERR qq(err\\n); exit 7"], capture_output=True,
                                  env=home.env(TMPDIR=place), cwd=home.top, text=True, check=False,
                                  timeout=cli.LIMIT)
            lines = done.stderr.splitlines()
            expect(done.returncode == 7 and lines[-1:] == ["err"] and len(lines) <= 2,
                   f"{place} {prefix[0]}: {done.returncode} {done.stderr!r}")


cli.main(__doc__)
