"""GNU make's suite: each case runs make and compares its output and its messages, byte by byte."""

import os
import re
import shutil

import core


class Make(core.Suite):
    name = "make"
    source = "make-dfsg"
    packages = ("autoconf", "automake", "autopoint", "gettext", "perl")
    modes = ("file", "bare", "console")
    limit = 400

    def build(self):
        self.shell("autoreconf -fi && ./configure -q && make -s -j2")

    def run(self, run, cases):
        work = os.path.join(run.top, "make")
        shutil.copytree(os.path.join(self.place, "src"), work, symlinks=True)
        tests = os.path.join(work, "tests")
        if run.mode.name == "console":
            # each make with a session of its own, in the place of the program
            real = os.path.join(work, "real", "make")
            os.mkdir(os.path.dirname(real))
            os.rename(os.path.join(work, "make"), real)
            with open(os.path.join(work, "make"), "w", encoding="utf-8") as file:
                file.write(f'#!/bin/sh\nexec {" ".join(run.mode.prefix)} {real} "$@"\n')
            os.chmod(os.path.join(work, "make"), 0o755)
        prefix = [] if run.mode.name == "console" else run.mode.prefix
        said = self.call([*prefix, "perl", "./run_make_tests.pl", "-srcdir", work, "-make",
                          "../make", *(cases or [])], run, tests)
        # between name and verdict may stand what make said on stderr
        return dict(re.findall(r"(?ms)^(\w+/\S+) \.{3,}.*?(ok +\(\d+ p|FAILED \(\S+ p|N/A)", said))
