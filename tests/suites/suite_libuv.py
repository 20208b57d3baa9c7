"""libuv's suite: processes, signals, pipes, terminals, files and sockets; each case forks itself.

It will not be root's. It says TAP itself.
"""

import os
import re
import shutil

import core


class Libuv(core.Suite):
    name = "libuv"
    source = "libuv1"
    packages = ("autoconf", "automake", "libtool")
    modes = ("file", "console", "bare")
    user = "nobody"

    def build(self):
        self.shell("sh autogen.sh && ./configure -q && make -s -j2 && make -s -j2 check TESTS=")

    def run(self, run, cases):
        work = os.path.join(run.top, "work")
        for folder in "test", ".libs":
            shutil.copytree(os.path.join(self.place, "src", folder), os.path.join(work, folder),
                            symlinks=True)
        if os.getuid() == 0:
            for folder, _, names in os.walk(work):
                for path in [folder, *(os.path.join(folder, n) for n in names)]:
                    if not os.path.islink(path):
                        shutil.chown(path, self.user)
        verdicts = {}
        for case in cases or [None]:
            said = self.call([*run.mode.prefix, "./test/run-tests", *([case] * bool(case))], run,
                             work)
            verdicts |= {name: ok + skip for ok, name, skip in re.findall(
                r"(?m)^((?:not )?ok) \d+ - (\S+)( # SKIP)?", said)}
            if case and case not in verdicts:
                verdicts[case] = "ok" if run.status == 0 else "not ok"
        return verdicts
