"""GNU hello: its configure script, its build and its own checks, as somebody would build it.

The verdicts are what configure found, its files, and what the build left.
"""

import os
import re
import shutil

import core


class Hello(core.Suite):
    name = "hello"
    source = "hello"
    modes = ("file", "console", "both", "bare")
    limit = 300

    def run(self, run, cases):
        work = os.path.join(run.top, "hello")
        shutil.copytree(os.path.join(self.place, "src"), work, symlinks=True)
        script = "./configure && make && make check && ./hello"
        said = self.call([*run.mode.prefix, "sh", "-c", script], run, work,
                         {"FORCE_UNSAFE_CONFIGURE": "1"})
        verdicts = {"status": run.status, "files": tree(work)}
        found = re.findall(r"(?m)^checking (.*)\.\.\. (.*)$", said)
        verdicts |= {f"configure: {what}": answer for what, answer in found}
        verdicts |= {f"check: {name}": word for word, name in
                     re.findall(r"(?m)^(PASS|FAIL|SKIP|ERROR): (\S+)", said)}
        for name in "config.h", "Makefile":
            with open(os.path.join(work, name), encoding="utf-8") as file:
                verdicts[name] = file.read().replace(run.top, "/TOP")
        return verdicts if cases is None else {n: verdicts.get(n) for n in cases}


def tree(work):
    return sorted(os.path.relpath(os.path.join(folder, name), work)
                  for folder, _, names in os.walk(work) for name in names)
