#!/usr/bin/env python3
"""Real programs, natively and under hark: the same end, output, files, each stderr line once.

The programs are in programs.py; servers that need a user of their own are here. What is not
installed is skipped, and said so. Speaks TAP; see cli.py and tests/preload/harness.py.
"""
# limit: 600

import datetime
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time

import cli
import harness
import programs

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
for folder in sorted(cli.glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)[:1]:
    PATH = folder + ":" + PATH
os.environ["PATH"] = PATH


def missing(names):
    return [name for name in names if not shutil.which(name, path=PATH)]


def skip(name, reason):
    """A case that says loudly why it does nothing."""
    def body():
        return []
    cli.CASES.append((f"{name} # skip: {reason}", body))


HOLD = datetime.timedelta(milliseconds=199)  # the least that a line without end is held back


# ---- comparing ----------------------------------------------------------------------------------

def normal(text, vague):
    """A line without what differs from run to run: names of directories, and numbers if vague."""
    text = re.sub(r"/[\w/.-]*hark-test-\w+", "/DIR", text.rstrip("\r").rpartition("\r")[2])
    text = re.sub(r"\bcc\w{6}\b", "ccTEMP", text)
    if not vague:
        return text
    text = re.sub(r"\s*(0x[0-9a-f]+|\b\d+(\.\d+)?)", " N", text)
    return re.sub(r", N (bytes|[KMG]iB) \| N (bytes|[KMG]iB)/s", "", text)


def lines(data, vague):
    text = data.decode("utf-8", "replace")
    return sorted(normal(line, vague) for line in text.split("\n") if line)


def differ(what, got, want):
    more, fewer = subtract(got, want), subtract(want, got)
    return [f"{what}: not natively {more[:6]}, only natively {fewer[:6]}"] if more or fewer else []


def subtract(some, others):
    others = list(others)
    return [one for one in some if one not in others or others.remove(one)]


def compare(row, native, heard):
    wrong = []
    if heard.status != native.status:
        wrong.append(f"exit status {heard.status}, natively {native.status}")
    raw = heard.files.pop("raw.log", b"")
    wrong += differ("files", sorted(heard.files), sorted(native.files))
    for name in heard.files.keys() & native.files.keys():
        wrong += differ(name, lines(heard.files[name], row.vague),
                        lines(native.files[name], row.vague))
    if heard.stderr:
        wrong.append(f"past hark: {heard.stderr[:300]!r}")
    if not heard.settled or heard.losses():
        wrong.append(f"the session did not end, or lost something: {heard.losses()}")
    if row.sometimes:
        return wrong + ([] if heard.messages else ["nothing was heard"])
    wrong += differ("stdout", lines(heard.stdout, row.vague), lines(native.stdout, row.vague))
    want = lines(native.stderr, row.vague)
    if not want:
        wrong.append("natively it says nothing")
    wrong += differ("the raw file", lines(raw, row.vague), want)
    got = sorted(normal(m["msg"], row.vague) for m in unhurried(heard.messages)
                 if m["source"] == "stderr" and m["msg"] and not redrawn(m, native.stderr))
    return wrong + differ("the JSON file", got, want)


def unhurried(messages):
    """A line that was sent on early, since the rest of it took over 200 ms, is one again: on a busy machine a
    program that says "name ... ok" takes as long."""
    whole, begun = [], {}
    for message in messages:
        who = message["pid"], message["tid"], message["source"]
        before, now = begun.pop(who, None), datetime.datetime.fromisoformat(message["time"])
        if before and now - datetime.datetime.fromisoformat(before["time"]) > HOLD:
            before["msg"] += message["msg"]
            before["partial"] = message.get("partial", False)
        else:
            before = message
            whole.append(message)
        if before.get("partial"):
            begun[who] = before
    return whole


def redrawn(message, said):
    """One thread draws a progress bar and another one finishes the line: to hark these are two."""
    return message.get("partial") and message["msg"].encode() + b"\r" in said


def program(row):
    def body():
        env = {"PATH": PATH, "LC_ALL": "C", "GIT_PAGER": "cat"}
        argv = ["/bin/bash", "-c", row.script]
        native = harness.run_native(argv, env=env, limit=60)
        heard = harness.run_hark(argv, ["--to", "file:raw.log?format=raw"], env=env, limit=60)
        if native.status is None:
            return [f"natively it does not end: {native.stdout!r} {native.stderr!r}"]
        return compare(row, native, heard)
    absent = missing(row.needs)
    if absent:
        skip(row.name, f"{' and '.join(absent)} not installed")
    else:
        cli.CASES.append((row.name, body))


for each in programs.ROWS:
    program(each)


# ---- syslog -------------------------------------------------------------------------------------

def redis_syslog():
    script = "redis-server --port 0 --unixsocket $PWD/sock --save '' --syslog-enabled yes " \
             "--syslog-ident cache --syslog-facility local3 >/dev/null & p=$!; " \
             "until redis-cli -s sock ping 2>/dev/null | grep -q PONG; do sleep 0.02; done; " \
             "redis-cli -s sock shutdown nosave; wait $p"
    heard = harness.run_hark(["/bin/bash", "-c", script], env={"PATH": PATH})
    said = [m for m in heard.messages if m["source"] == "syslog"]
    wrong = [f"exit status {heard.status}"] if heard.status else []
    # before it has read its settings, it says so under the name and facility that libc chooses
    about = {(m["ident"], m["facility"]) for m in said if "ready to accept" in m["msg"].lower()}
    return wrong + ([f"heard {[m['msg'] for m in said]} as {about}"]
                    if about != {("cache", "local3")} else [])


if missing(["redis-server", "redis-cli"]):
    skip("redis_syslog", "redis is not installed")
else:
    cli.CASES.append(("redis_syslog", redis_syslog))


@cli.case
def logger_by_syslog(home, expect):
    out = os.path.join(home.top, "out.json")
    python = "import syslog; syslog.openlog('tester', syslog.LOG_PID, syslog.LOG_MAIL); " \
             "syslog.syslog(syslog.LOG_ERR, 'by syslog'); syslog.syslog('and again')"
    done = home.run("run", "--to", f"file:{out}?format=json", "python3", "-c", python)
    expect.same((done.returncode, done.stderr), (0, ""), "python3")
    said = [(m["ident"], m["facility"], m["level"], m["msg"]) for m in harness.read_messages(out)]
    expect.same(said, [("tester", "mail", "error", "by syslog"),
                       ("tester", "mail", "info", "and again")], "said")


# ---- servers that drop privileges ----------------------------------------------------------------

class Unprivileged:
    """A place of some other user's, for programs that refuse to be root's."""

    def __init__(self, user):
        self.entry = pwd.getpwnam(user)
        self.top = tempfile.mkdtemp(prefix="hark-test-", dir="/tmp")
        self.runtime = tempfile.mkdtemp(prefix="hark-test-", dir="/dev/shm")
        for path in self.top, self.runtime:
            os.chown(path, self.entry.pw_uid, self.entry.pw_gid)

    def run(self, argv, **env):
        env = {**harness.environment(self.runtime, self.top), "PATH": PATH, **env}
        return subprocess.run(argv, cwd=self.top, env=env, stdin=subprocess.DEVNULL, timeout=120,
                              capture_output=True, check=False, user=self.entry.pw_uid,
                              group=self.entry.pw_gid, extra_groups=[])

    def close(self):
        until = time.monotonic() + 30
        while os.listdir(self.runtime) and time.monotonic() < until:
            time.sleep(0.01)
        left = os.listdir(self.runtime)
        shutil.rmtree(self.top, ignore_errors=True)
        shutil.rmtree(self.runtime, ignore_errors=True)
        return [f"the session did not end: {left}"] if left else []


POSTGRES = r"""
[ -d data ] || initdb -D data -U me --no-sync >initdb.out || exit 1
opts="-c listen_addresses= -c unix_socket_directories=$PWD -c fsync=off -c log_min_messages=info"
pg_ctl -D data -o "$opts" -l server.log -w start >/dev/null; echo "start $?"
psql -h $PWD -U me -d postgres -Atc 'select 6 * 7'
psql -h $PWD -U me -d postgres -c 'select nothing'
echo "psql $?"; psql -h $PWD -U me -d nothing -c 'select 1'; echo "psql $?"
pg_ctl -D data -m fast -w stop >/dev/null; echo "stop $?"
grep -c 'ready to accept\|shut down' server.log
postgres -D data $opts -c logging_collector=off & p=$!
until psql -h $PWD -U me -d postgres -Atc 'select 1' 2>/dev/null; do sleep 0.05; done
kill -INT $p; wait $p; echo "status $?"
"""


def postgres():
    user = "postgres" if "postgres" in {e.pw_name for e in pwd.getpwall()} else "nobody"
    seen, wrong, kept = [], [], tempfile.mkdtemp(prefix="hark-test-", dir="/tmp")
    # initdb works for long: what it made under hark serves the native run, too
    for prefix in [cli.HARK, "run", "--to", "file:said?format=raw"], []:
        place = Unprivileged(user)
        try:
            if os.path.exists(kept + "/data"):
                shutil.move(kept + "/data", place.top)
            done = place.run([*prefix, "bash", "-c", POSTGRES])
            said = done.stderr
            if prefix:
                with open(os.path.join(place.top, "said"), "rb") as file:
                    said += file.read()
                shutil.move(place.top + "/data", kept)
        finally:
            wrong += place.close()
        if prefix and not re.search(rb"(?m)^initdb: warning: ", said):
            wrong.append(f"initdb is not heard: {said!r}")
        said = re.sub(rb"(?m)^initdb: .*\n", b"", said)
        said = re.sub(rb"(?m)^.*?(LOG|FATAL|HINT): ", rb"\1: ", said)
        # whether a client comes too early, or is still there at the end, is a matter of speed
        said = re.sub(rb"(?m)^(FATAL:  (terminating connection|the database system is)|"
                      rb"LOG:  could not send).*\n", b"", said)
        seen.append((done.returncode, done.stdout, lines(said, True)))
    shutil.rmtree(kept)
    heard, native = seen
    if native[0] or b"42\n" not in native[1]:
        return [f"natively: {native}"]
    if heard[:2] != native[:2]:
        wrong.append(f"{heard[:2]}, natively {native[:2]}")
    return wrong + differ("said", heard[2], native[2])


def reachable_by_others():
    path = os.path.abspath(cli.HARK)
    while path != "/":
        if not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True


if missing(["postgres", "initdb", "psql", "pg_ctl"]):
    skip("postgres", "postgresql is not installed")
elif os.getuid() != 0 or not reachable_by_others():
    skip("postgres", "only root can run it as another user, who must reach the build directory")
else:
    cli.CASES.append(("postgres", postgres))

SSHD = r"""
mount -t tmpfs none /run && mkdir /run/sshd || exit 77
ssh-keygen -q -t ed25519 -N '' -f key; ssh-keygen -q -t ed25519 -N '' -f id
cp id.pub keys; chmod 600 keys
port=$(python3 -c 'import socket as s; a = s.socket(); a.bind(("127.0.0.1", 0))
print(a.getsockname()[1])')
printf '%s\n' "HostKey $PWD/key" "AuthorizedKeysFile $PWD/keys" "StrictModes no" "UsePAM no" \
	"PidFile none" "ListenAddress 127.0.0.1:$port" "PermitRootLogin yes" >conf
$PREFIX $(command -v sshd) -D -e -f conf & p=$!
until ssh-keyscan -p $port 127.0.0.1 2>/dev/null | grep -q ssh; do sleep 0.05; done
ssh -p $port -i id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
	root@127.0.0.1 'echo remote out; echo remote err >&2; exit 5'; echo "ssh $?"
kill $p; wait $p; echo "status $?"
"""


@cli.case
def sshd_on_loopback(home, expect):
    if missing(["sshd", "ssh", "ssh-keyscan", "unshare"]) or os.getuid() != 0:
        print("# skip: no sshd, or not root")
        return
    seen = []
    for prefix in "", f"{cli.HARK} run --to file:{home.top}/said?format=raw":
        done = subprocess.run(["unshare", "-m", "bash", "-c", SSHD], cwd=home.top, timeout=60,
                              env=home.env(PREFIX=prefix, PATH=PATH), capture_output=True,
                              check=False, stdin=subprocess.DEVNULL)
        seen.append((done.returncode, done.stdout, done.stderr))
        for name in "key", "id", "keys", "conf":
            with cli.contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(home.top, name))
    if seen[0][0] == 77 or b"ssh 5\n" not in seen[0][1]:
        print(f"# skip: sshd does not run here: {seen[0]}".replace("\n", " ")[:300])
        return
    expect.same(seen[1][:2], seen[0][:2], "exit status and output")
    with open(os.path.join(home.top, "said"), encoding="utf-8") as file:
        said = file.read()
    expect("Server listening on 127.0.0.1" in said, f"said: {said!r}")
    expect("Accepted publickey for root" in said, f"its children: {said!r}")
    expect(b"remote err\n" in seen[1][2], f"the remote command's stderr: {seen[1][2]!r}")


cli.main(__doc__)
