"""The MirBSD Korn shell's suite, check.t, on Debian's own mksh; nearly each case is a process."""

import os
import re

import core


class Mksh(core.Suite):
    name = "mksh"
    source = "mksh"
    packages = ("mksh", "perl", "ed")
    modes = ("file", "bare", "console")
    limit = 300
    unlike = {"xxx-exec-environment-2": "it compares the environments of two shells, each of which "
              "bears the name of its own session"}

    def run(self, run, cases):
        source = os.path.join(self.place, "src")
        inside = run.mode.name == "console"
        # A script in every mode, so that $0 is the same. In this one, each shell of the suite has a
        # session of its own, and what it says is read back.
        shell = os.path.join(run.top, "shell")
        with open(shell, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec {" ".join(run.mode.prefix * inside)} /bin/mksh "$@"\n')
        os.chmod(shell, 0o755)
        prefix = [] if inside else run.mode.prefix
        said = self.call([*prefix, "perl", os.path.join(source, "check.pl"), "-s",
                          os.path.join(source, "check.t"), "-p", shell, "-v",
                          "-C", "shell:legacy-no,int:32,smksh"], run, run.top)
        verdicts = {name: word for word, name in
                    re.findall(r"(?m)^(pass|FAIL|skip) \S+?:(\S+)", said)}
        return verdicts if cases is None else {n: verdicts.get(n) for n in cases}
