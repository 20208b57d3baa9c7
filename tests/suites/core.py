"""What the suites of others share: where they are built, how they are run and compared.

A suite says of each of its cases what it thinks of it, in its own words. What counts is that it
says the same with hark as without. A case that differs is repeated both ways: one whose verdict
changes without hark, too, is unstable and reported as such; all others are failures of hark's.
"""

import collections
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(ROOT, "build")))
HARK = os.path.join(BUILD, "hark")
SHIM = os.path.join(BUILD, "libhark-preload.so")
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                     "hark-suites")
REPEATS = 3
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# How a program is run: what stands before its command, and in its environment.
Mode = collections.namedtuple("Mode", "name prefix env")


def modes(place):
    """All there are. A suite names those that say something about it."""
    file = f"file:{place}/said?format=raw"
    return {mode.name: mode for mode in (
        Mode("native", [], {}),
        Mode("file", [HARK, "run", "--to", file, "--"], {}),
        Mode("console", [HARK, "run", "--"], {}),
        Mode("both", [HARK, "run", "--capture", "stdout,stderr", "--"], {}),
        Mode("bare", [], {"LD_PRELOAD": SHIM, "HARK_SINKS": "console"}),
    )}


class Suite:
    """One suite; what it must define stands at the end."""
    name = ""
    packages = ()     # that it needs, beside those of its source package
    source = None     # Debian's source package
    modes = ("file", "console")
    user = None       # who runs it, where we are root and it must not be
    limit = 1200      # seconds that one call of run() may take
    unlike = {}       # cases that see what hark cannot hide: name to reason

    def __init__(self):
        self.place = os.path.join(CACHE, self.name)

    def missing(self):
        """Why it cannot be run here, or None."""
        lacking = [p for p in self.packages if not installed(p)]
        if lacking:
            return f"not installed: {' '.join(lacking)}"
        return None

    def prepare(self):
        """Fetches and builds it where that has not been done; returns where it is."""
        done = os.path.join(self.place, ".built")
        if not self.source:
            os.makedirs(self.place, exist_ok=True)
            return self.place
        if not os.path.exists(done):
            shutil.rmtree(self.place, ignore_errors=True)
            os.makedirs(self.place)
            fetch(self.source, os.path.join(self.place, "src"))
            self.build()
            with open(done, "wb"):
                pass
        return os.path.join(self.place, "src")

    def shell(self, script, cwd="src"):
        """A step of the build; its output is kept beside it."""
        with open(os.path.join(self.place, "build.log"), "ab") as log:
            done = subprocess.run(["bash", "-ec", script], cwd=os.path.join(self.place, cwd),
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False,
                                  env={"PATH": PATH, "HOME": self.place, "LC_ALL": "C",
                                       "FORCE_UNSAFE_CONFIGURE": "1"})
        if done.returncode:
            raise RuntimeError(f"{script!r} failed, see {log.name}")

    def call(self, argv, run, cwd, env=None, heard=True):
        """Runs argv to its end; what it said, stdout and stderr together, as text, with
        /TOP for its directory. heard: False keeps the mode's variables for what it starts."""
        if self.user and os.getuid() == 0:
            who = pwd.getpwnam(self.user)
            argv = ["setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups",
                    "--", *argv]
        environment = {"PATH": PATH, "HOME": run.top, "TMPDIR": run.top, "LANG": "C",
                       "HARK_RUNTIME_DIR": run.runtime, **(run.mode.env if heard else {}),
                       **(env or {})}
        with open(run.log, "ab+") as log:
            start = log.seek(0, os.SEEK_END)
            child = subprocess.Popen(argv, cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
                                     stdout=log, stderr=log, start_new_session=True)
            try:
                run.status = child.wait(self.limit)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                run.status = None
            log.seek(start)
            return log.read().decode("utf-8", "replace").replace(run.top, "/TOP")

    def build(self):
        """In self.place/src."""

    def run(self, run, cases):
        """Runs these cases, or all where cases is None; a verdict by name."""
        raise NotImplementedError


class Run:
    """One run: its mode, and directories of its own."""

    def __init__(self, suite, mode):
        self.top = tempfile.mkdtemp(prefix="hark-suite-")
        shm = "/dev/shm"
        self.runtime = tempfile.mkdtemp(prefix="hark-suite-",
                                        dir=shm if os.access(shm, os.W_OK) else self.top)
        if suite.user and os.getuid() == 0:
            for path in self.top, self.runtime:
                shutil.chown(path, suite.user)
        self.mode = modes(self.top)[mode]
        self.status = None
        logs = os.path.join(CACHE, "logs")
        os.makedirs(logs, exist_ok=True)
        self.log = os.path.join(logs, f"{suite.name}.{mode}.log")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.top, ignore_errors=True)
        shutil.rmtree(self.runtime, ignore_errors=True)


# ---- sources -----------------------------------------------------------------------------------

def installed(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package],
                          capture_output=True, text=True, check=False)
    return done.stdout == "installed"


def fetch(package, to):
    """Debian's source of a package, by a configuration of apt that is ours alone."""
    apt = os.path.join(CACHE, "apt")
    for folder in "lists/partial", "archives/partial", "src":
        os.makedirs(os.path.join(apt, folder), exist_ok=True)
    with open("/etc/os-release", encoding="utf-8") as file:
        release = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
    with open(os.path.join(apt, "sources.list"), "w", encoding="utf-8") as file:
        file.write("deb-src http://deb.debian.org/debian "
                   f"{release['VERSION_CODENAME']} main\n")
    with open(os.path.join(apt, "conf"), "w", encoding="utf-8") as file:
        file.write(f'Dir::Etc::sourcelist "{apt}/sources.list";\nDir::Etc::sourceparts "-";\n'
                   f'Dir::State::lists "{apt}/lists";\nDir::Cache "{apt}";\n'
                   'APT::Sandbox::User "";\n')
    script = """
        ls lists/*Sources* >/dev/null 2>&1 || apt-get -q update
        cd src && rm -rf "$1".d && mkdir "$1".d && cd "$1".d
        apt-get -q source --download-only "$1" && dpkg-source --no-check -x *.dsc "$2"
    """
    done = subprocess.run(["bash", "-ec", script, "fetch", package, to], cwd=apt, check=False,
                          env={"PATH": PATH, "HOME": CACHE, "APT_CONFIG": f"{apt}/conf"},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"no source of {package}: {done.stderr[-500:]}")


# ---- comparing ---------------------------------------------------------------------------------

def native_verdicts(suite, again):
    """As stored, or by a run that is then stored."""
    path = os.path.join(CACHE, f"{suite.name}.json")
    if not again:
        try:
            with open(path, encoding="utf-8") as file:
                return json.load(file)
        except (FileNotFoundError, ValueError):
            pass
    with Run(suite, "native") as run:
        verdicts = suite.run(run, None)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(verdicts, file, indent=1, sort_keys=True)
    os.rename(path + ".new", path)
    return verdicts


def differing(some, others):
    return sorted(name for name in some.keys() | others.keys()
                  if some.get(name) != others.get(name))


def repeat(suite, mode, cases):
    with Run(suite, mode) as run:
        return suite.run(run, cases)


def compare(suite, mode, native, say):
    """Runs it in that mode; returns the names of the cases that are hark's to mend."""
    with Run(suite, mode) as run:
        heard = suite.run(run, None)
    say(f"{suite.name} {mode}: {len(heard)} cases")
    suspects = [n for n in differing(native, heard) if n not in suite.unlike]
    for name in set(suite.unlike) & set(differing(native, heard)):
        say(f"  unlike: {name} ({suite.unlike[name]})")
    if not suspects:
        return []
    opinions = {name: {json.dumps(native.get(name))} for name in suspects}
    again = {name: [json.dumps(heard.get(name))] for name in suspects}
    for _ in range(REPEATS):
        for name, verdict in repeat(suite, "native", suspects).items():
            opinions.get(name, set()).add(json.dumps(verdict))
        for name, verdict in repeat(suite, mode, suspects).items():
            again.get(name, []).append(json.dumps(verdict))
    failed = []
    for name in suspects:
        if len(opinions[name]) > 1:
            say(f"  unstable without hark: {name} {short(opinions[name])}")
        elif set(again[name][1:]) <= opinions[name]:
            say(f"  once, and not in {REPEATS} repeats: {name} {short(again[name][:1])}")
        else:
            say(f"  DIFFERS: {name} {short(set(again[name]) - opinions[name])}, "
                f"natively {short(opinions[name])}; see {run.log}")
            failed.append(name)
    return failed


def short(verdicts):
    return " | ".join(sorted(v[:200] for v in verdicts))


def main_of(suites, wanted, args):
    """Runs those that are wanted; returns the exit status."""
    unknown = set(wanted) - set(suites)
    if unknown:
        sys.exit(f"no such suite: {' '.join(sorted(unknown))}; "
                 f"there are {' '.join(sorted(suites))}")
    if not os.access(HARK, os.X_OK):
        sys.exit(f"{HARK} is not there: run make first")
    os.makedirs(CACHE, exist_ok=True)
    failed = []
    for name in wanted or sorted(suites):
        suite = suites[name]()
        why = suite.missing()
        if why:
            print(f"{name}: skipped, {why}", flush=True)
            continue
        suite.prepare()
        native = native_verdicts(suite, args.again)
        print(f"{name} native: {len(native)} cases "
              f"{dict(collections.Counter(str(v)[:8] for v in native.values()).most_common(5))}",
              flush=True)
        for mode in args.modes or suite.modes:
            failed += [f"{name} {mode}: {case}" for case in
                       compare(suite, mode, native, lambda text: print(text, flush=True))]
    print(f"{len(failed)} differences" + "".join("\n  " + one for one in failed))
    return 1 if failed else 0
