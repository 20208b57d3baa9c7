"""bash's own suite: a script tests/run-X for each area compares what was said to what is right.

The scripts start the shell with stdout and stderr in one file. In the mode "console" each such shell has a session of its own, so that what it says comes to that file through hark, in order.
"""

import os
import re
import shutil

import core


class Bash(core.Suite):
    name = "bash"
    source = "bash"
    modes = ("file", "bare", "console")
    limit = 120
    skipped = {"run-all", "run-minimal", "run-gprof"}

    def build(self):
        self.shell("./configure -q && make -s -j2 && make -s recho zecho printenv xcase"
                   " && cp recho zecho printenv xcase tests")

    def run(self, run, cases):
        source = os.path.join(self.place, "src")
        work = os.path.join(run.top, "tests")
        shutil.copytree(os.path.join(source, "tests"), work, symlinks=True)
        inside = run.mode.name == "console"
        shell = (" ".join(run.mode.prefix) + " " if inside else "") + "${THIS_SH}"
        names = [n for n in sorted(os.listdir(work)) if n.startswith("run-")
                 and n not in self.skipped and not n.endswith((".orig", "~"))]
        verdicts = {}
        for name in names:
            if cases is not None and name not in cases:
                continue
            path = os.path.join(work, name)
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                text = re.sub(r"(?m)^\$\{?THIS_SH\}?", lambda _: shell, file.read())
            with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
            said = self.call([*([] if inside else run.mode.prefix), "sh", name], run, work,
                             {"THIS_SH": os.path.join(source, "bash"), "BUILD_DIR": source,
                              "BASH_TSTOUT": os.path.join(run.top, "out"),
                              "PATH": ".:" + core.PATH})
            verdicts[name] = self.verdict(run, said)
        return verdicts

    @staticmethod
    def verdict(run, said):
        """What it has to say by diff, and its status."""
        said = re.sub(r"process group \(\d+\)", "process group (N)", said)
        return [run.status, [line for line in said.split("\n") if re.match(r"[<>\d]", line)]]
