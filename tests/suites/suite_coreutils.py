"""The suites of coreutils and of the library in it, run by automake: a file X.trs for each case.

Each case's script is run under hark; what it says, and what comes to its log, goes through hark.
"""

import os
import re
import subprocess

import core


class Coreutils(core.Suite):
    name = "coreutils"
    source = "coreutils"
    packages = ("perl",)
    modes = ("console", "bare")
    unlike = {"tests/misc/env-S": "env -i shows the variables that keep a child in its session"}

    def build(self):
        self.shell("./configure -q --disable-nls && make -s -j2 && "
                   "make -s -j2 check TESTS= SUBDIRS=. && make -s -j2 -C gnulib-tests check TESTS=")

    def run(self, run, cases):
        folder = os.path.join(self.place, "src")
        for path in results(folder):
            os.unlink(os.path.join(folder, path))
        prefix = " ".join(run.mode.prefix)
        for where, compilers in (".", {"SH_LOG_COMPILER": "/bin/bash", "TESTSUITE_PERL": "perl"}), \
                                ("gnulib-tests", {"LOG_COMPILER": ""}):
            chosen = [] if cases is None else self.chosen(where, cases)
            if cases is not None and not chosen:
                continue
            # not make and the harness: the test
            around = prefix or "".join(["env ", *(f"{k}={v} " for k, v in run.mode.env.items())])
            self.call(["make", "-k", "-j2", "check", "SUBDIRS=.", "VERBOSE=no",
                       *[f"{k}={around} {v}" for k, v in compilers.items()],
                       *(["TEST_LOGS=" + " ".join(chosen)] if chosen else [])],
                      run, os.path.join(folder, where), heard=False)
        return {path[:-4]: verdict(os.path.join(folder, path)) for path in results(folder)}

    @staticmethod
    def chosen(where, cases):
        inside = [c for c in cases if c.startswith("gnulib-tests/") == (where != ".")]
        return [c.removeprefix("gnulib-tests/") + ".log" for c in inside]


def results(folder):
    """Every X.trs below it."""
    done = subprocess.run(["find", "tests", "gnulib-tests", "-name", "*.trs"], cwd=folder,
                          capture_output=True, text=True, check=True)
    return sorted(done.stdout.split())


def verdict(path):
    with open(path, encoding="utf-8") as file:
        return re.findall(r"(?m)^:test-result: (\w+)", file.read())
