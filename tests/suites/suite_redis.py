"""Redis's suite on Debian's server: servers that fork, log, write files and are killed."""

import os
import re
import shutil

import core

UNITS = """unit/printver unit/type/string unit/type/list unit/type/hash unit/expire unit/multi
    unit/pubsub unit/dump unit/aofrw unit/other unit/limits unit/shutdown unit/querybuf
    unit/oom-score-adj unit/acl unit/introspection unit/scripting unit/networking
    integration/aof integration/rdb integration/logging integration/convert-zipmap-hash-on-load
    integration/redis-cli integration/redis-benchmark integration/dismiss-mem""".split()

VERDICT = r"(?m)^\[(ok|err|exception|skip|ignore)\]: (.*?)(?: \(\d+ ms\))?$"


class Redis(core.Suite):
    name = "redis"
    source = "redis"
    packages = ("redis-server", "redis-tools", "tcl8.6")
    modes = ("file", "both", "bare")
    user = "nobody"
    limit = 300

    def run(self, run, cases):
        work = os.path.join(run.top, "redis")
        os.makedirs(os.path.join(work, "src"))
        shutil.copytree(os.path.join(self.place, "src", "tests"), os.path.join(work, "tests"))
        for name in "runtest", "redis.conf", "sentinel.conf":
            shutil.copy(os.path.join(self.place, "src", name), work)
        for name in "server", "cli", "benchmark", "check-aof", "check-rdb", "sentinel":
            os.symlink(f"/usr/bin/redis-{name}", os.path.join(work, "src", "redis-" + name))
        if os.getuid() == 0:
            for folder, _, names in os.walk(work):
                for path in [folder, *(os.path.join(folder, n) for n in names)]:
                    if not os.path.islink(path):
                        shutil.chown(path, self.user)
        verdicts = {}
        for unit in UNITS:
            if cases is not None and not any(c.startswith(unit + ":") for c in cases):
                continue
            said = self.call([*run.mode.prefix, "./runtest", "--clients", "1", "--single", unit],
                             run, work)
            said = re.sub(r"\x1b\[[\d;]*m", "", said)
            verdicts |= {f"{unit}:{re.sub('[0-9.]+', 'N', case)}": word for word, case in
                         re.findall(VERDICT, said)}
            verdicts[unit + ":"] = run.status
        return verdicts
