"""stress-ng: families that fork, exec, take signals, duplicate descriptors and write.

A moment each, with its own verification. The verdict is its exit status and what has failed.
"""

import re

import core

FAMILIES = """fork vfork exec clone daemon zombie kill signal sigsegv sigpipe sigchld
    sigpending dup close pipe eventfd epoll poll sockpair splice vm-splice tee sendfile
    file-ioctl dev seal memfd pty malloc mmap brk stack null full fp-error sigabrt
    sigsuspend wait session resched nanosleep futex pthread env access fifo itimer timerfd
    sigfd sigq procfs seccomp chdir""".split()
SHORT = "fork vfork exec kill sigsegv sigpipe sigchld dup close pipe full sigabrt".split()


class Stress(core.Suite):
    name = "stress"
    packages = ("stress-ng",)
    modes = ("file", "both", "bare")
    limit = 60
    families = FAMILIES
    extent = ("-t", "1")  # {}: the family

    def run(self, run, cases):
        verdicts = {}
        for family in self.families:
            if cases is not None and family not in cases:
                continue
            said = self.call([*run.mode.prefix, "stress-ng", "--" + family, "1",
                              *(word.format(family) for word in self.extent), "--verify",
                              "--temp-path", run.top], run, run.top)
            failed = sorted(set(re.findall(r"fail: +\[\d+\] (.*)", said)))
            verdicts[family] = [run.status, [re.sub(r"\d+", "N", line) for line in failed]]
        return verdicts
