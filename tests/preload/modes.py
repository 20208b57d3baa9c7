"""In which other ways the surface test is run: what stands in for the compiler, for `hark run`, and
for the machine; and which cases of the test are not expected to hold then.

Used by harness.py, which asks its one `mode`, and by the runners test_surface_*.py, which set it.
"""

import fnmatch
import os
import re
import shutil

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(ROOT, "tests", "preload")
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(ROOT, "build")))


def exceptions():
    """{mode: [(pattern, why)]}"""
    rows, why = {}, None
    with open(os.path.join(HERE, "exceptions"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and line[0] != "#":
                mode, pattern, reason = line.split(None, 2)
                why = why if reason.strip() == "likewise" else reason.strip()
                rows.setdefault(mode, []).append((pattern, why))
    return rows


class Mode:
    """As on the machine that hark was built on."""
    name = None                     # in the file of exceptions
    needs = []                      # programs and files; where one is missing, the test is skipped
    compilers = ["gcc"], ["g++"]
    environment = {}
    hark = os.path.join(BUILD, "hark")
    folder = os.path.join(BUILD, "tests", "preload")  # of the programs
    comm = None                     # of every process, where it is not the program's name
    skips = False                   # exceptions are skipped; else they must fail, but lose nothing
    daily = ()                      # families of which no case is spare (see tap.py)
    turns = 1                       # of the others, one of so many is not

    def native(self, argv):
        return argv

    def without_noise(self, stderr):
        return stderr

    def heard(self, argv, options):
        return [self.hark, "run", *options, "--", *argv]

    def __init__(self):
        self.exceptions = exceptions().get(self.name, [])

    def exception(self, case):
        """Why the case FAMILY/NAME is not expected to hold; None: it is."""
        return next((why for pattern, why in self.exceptions
                     if fnmatch.fnmatchcase(case, pattern)), None)

    def idle_exceptions(self, cases):
        """Those that no case is called by."""
        return [pattern for pattern, _ in self.exceptions if not fnmatch.filter(cases, pattern)]

    def missing(self):
        """What keeps the test from running here; None: nothing."""
        return next((n for n in self.needs if not (shutil.which(n) or os.path.exists(n))), None)


class Public(Mode):
    """The write slots of stdio are not to be had, as with another libc."""
    name = "public"
    environment = {"HARK_TESTPOINT": "stdio_public:on"}
    hark = os.path.join(BUILD, "testing", "hark")
    daily = "stdio", "stdio_unlocked", "stdio_wide", "lastwords"
    turns = 6


class Joined(Mode):
    """Not started by `hark run`, which would make its own preload known: the session is begun for the
    shell, which then becomes the program."""
    shim = None
    script = """
hark=$1 to=$2; shift 2
HARK_SESSION=$(HARK_SINKS=$to "$hark" session --pid $$ --answer-fd 4 4>&1 >/dev/null 3>&-)
export HARK_SESSION
exec "$@"
"""

    def heard(self, argv, options):
        if options[:1] != ["--to"] or len(options) != 2:
            raise ValueError(f"no such options in this mode: {options}")
        return ["/bin/sh", "-c", self.script, "sh", self.hark, options[1], *self.listening(argv)]

    def listening(self, argv):
        return ["/usr/bin/env", "LD_PRELOAD=" + self.shim, *argv]


class Aarch64(Joined):
    """The program and the shim are of another machine and run in qemu's user mode; the collector is
    of this one."""
    name = "aarch64"
    compilers = ["aarch64-linux-gnu-gcc"], None
    folder = os.path.join(BUILD, "aarch64", "tests", "preload")
    shim = os.path.join(BUILD, "aarch64", "libhark-preload.so")
    comm = "qemu-aarch64"
    skips = True
    turns = 12
    qemu = ["/usr/bin/qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]
    needs = [compilers[0][0], qemu[0], shim]

    def native(self, argv):
        return [*self.qemu, *argv]

    def without_noise(self, stderr):
        """What qemu itself says when a program dies."""
        return re.sub(rb"qemu: uncaught target signal [^\n]*\n", b"", stderr)

    def listening(self, argv):
        return [*self.qemu, "-E", "LD_PRELOAD=" + self.shim, *argv]


class Musl(Joined):
    """The program stands on musl, and gets the shim that was built with glibc."""
    name = "musl"
    compilers = ["musl-gcc"], None
    folder = os.path.join(BUILD, "musl", "tests", "preload")
    shim = os.path.join(BUILD, "libhark-preload.so")
    needs = ["musl-gcc"]
