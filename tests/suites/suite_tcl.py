"""Tcl's suite on Debian's tclsh: pipelines, channels, sockets, events, files, one by one."""

import os
import re
import shutil

import core

FILES = """exec.test io.test ioCmd.test iogt.test pid.test socket.test event.test fCmd.test
    fileName.test cmdAH.test main.test process.test chan.test chanio.test stack.test unixFCmd.test
    unixNotfy.test unixInit.test unixFile.test subst.test source.test encoding.test env.test
    timer.test thread.test""".split()

VERDICT = r"(?m)^(?:\+\+\+\+|====) (\S+) .*?(PASSED|FAILED|SKIPPED)"


class Tcl(core.Suite):
    name = "tcl"
    source = "tcl8.6"
    packages = ("tcl8.6",)
    modes = ("file", "both", "bare")
    limit = 200
    unlike = {f"env:env-{n}": "a child without environment shows the variables that keep it in its "
              "session" for n in ("2.1", "2.2", "2.3", "2.4", "3.1", "4.1", "4.3", "4.4", "4.5")}

    def run(self, run, cases):
        work = os.path.join(run.top, "tests")
        shutil.copytree(os.path.join(self.place, "src", "tests"), work, symlinks=True)
        verdicts = {}
        for name in FILES:
            stem = name.removesuffix(".test")
            chosen = [c.partition(":")[2] for c in cases or () if c.startswith(stem + ":")]
            if (cases is not None and not chosen) or not os.path.exists(os.path.join(work, name)):
                continue
            match = ["-match", " ".join(chosen)] if chosen and "" not in chosen else []
            said = self.call([*run.mode.prefix, "tclsh8.6", "all.tcl", "-singleproc", "1", "-file",
                              name, "-verbose", "bps", *match], run, work)
            verdicts[f"{stem}:"] = run.status
            verdicts |= {f"{stem}:{case}": word for case, word in
                         re.findall(VERDICT, said)}
        return verdicts
