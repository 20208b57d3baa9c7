#!/usr/bin/env python3
# limit: 600
"""Every public way to put text on descriptor 2 or into syslog is captured: once, whole, and rightly.

The programs are in surface/, a table of cases each. A case runs natively with a pipe as descriptor
2: what arrives there, line by line, is what hark must report on stderr. What must be reported of
syslog, the program states on descriptor 3. Under hark nothing may arrive on the real descriptor;
exit status, stdout and everything else that the program states must be the same.
"""

import collections
import functools
import os
import re
import sys
import threading

import harness

# What the flags of a case mean (case.h).
FLAGS = {
    "file": "only with these kinds of descriptor 2, the first being that of the native run",
    "pipe": "likewise",
    "tty": "likewise",
    "socket": "likewise",
    "silent": "writes nothing on stderr",
    "stated": "the lines differ from run to run: each is stated on descriptor 3",
    "interrupted": "stated, and handlers of signals mix the order within a thread",
    "pieces": "stated, and natively the pieces of a line mix with those of other lines",
    "others": "processes other than the first speak, too",
    "unordered": "the order of the lines is not the program's doing",
    "joined": "one line may come as several messages, the earlier ones partial",
    "addresses": "holds addresses, which differ from run to run",
    "either": "no hook need see it: captured or on the real descriptor, but once",
    "bypass": "libc's last words: on the real descriptor as ever, and reported once",
    "dynamic": "needs the C++ runtime as a shared library",
    "late": "may reach the sinks after the program's end",
}
KINDS = ["file", "pipe", "tty", "socket"]
ADDRESS = re.compile(r"0x[0-9a-f]+")
PROGRAMS = ["stdio.c", "stdio_unlocked.c", "stdio_wide.c", "reporters.c", "lastwords.c", "fd.c",
            "syslog.c", "thread.c", "process.c", "endings.c", "late.c", "cxx.cc"]


# ---- what was expected and what came -----------------------------------------------------------

def normal(text, flags):
    return ADDRESS.sub("0x", text) if "addresses" in flags else text


def difference(what, want, got):
    """A sentence about the first place where two lists differ; [] when they do not."""
    if want == got:
        return []
    at = next((i for i, pair in enumerate(zip(want, got)) if pair[0] != pair[1]),
              min(len(want), len(got)))
    return [f"{what}: {len(want)} wanted, {len(got)} there, different at {at}:"
            f"\nwanted {want[at:at + 3]!r}\nthere  {got[at:at + 3]!r}"]


def joined(pairs):
    """(text, partial) pairs as lines, the partial ones put together."""
    return "".join(text if partial else text + "\n" for text, partial in pairs).split("\n")


def check_oracle(native, flags):
    """A case that says nothing natively would prove nothing."""
    wrong = []
    if not flags <= set(FLAGS):
        wrong.append(f"unknown flags {flags - set(FLAGS)}")
    if b"GAVE UP" in native.report:
        wrong.append(native.report.decode())
    if native.status is None or not native.settled:
        wrong.append("natively it does not end")
    if ("silent" in flags) != (native.stderr == b""):
        wrong.append(f"natively it writes {native.stderr[:100]!r}")
    if "silent" in flags and not native.report:
        wrong.append("it says and states nothing")
    if "stated" in flags and "pieces" not in flags:
        lines = sorted(text for text, _ in native.lines())
        stated = sorted(e["msg"] for e in native.expected() if e["source"] == "stderr")
        wrong += difference("stated against written", stated, lines)
    return wrong


def check_same(native, heard):
    """What the program and its caller can see is as without hark."""
    wrong = []
    if heard.status != native.status:
        wrong.append(f"exit status {heard.status}, natively {native.status}")
    wrong += difference("stated on descriptor 3", native.stated(), heard.stated())
    if heard.stdout != native.stdout:
        wrong.append(f"stdout {heard.stdout[:200]!r}, natively {native.stdout[:200]!r}")
    if not heard.settled:
        wrong.append("the session did not end, or somebody keeps descriptor 2 open")
    if heard.losses():
        wrong.append(f"lost: {heard.losses()}")
    return wrong


def check_stderr(native, heard, flags):
    """The lines of the native run are the messages, and nothing is on the descriptor."""
    want = [(normal(text, flags), not done) for text, done in native.lines()]
    got = [(normal(m.get("msg", ""), flags), m.get("partial", False))
           for m in heard.messages if m["source"] == "stderr"]
    real = [(normal(text, flags), not done) for text, done in heard.lines()]
    if "bypass" in flags:
        wrong = difference("real stderr", want[-1:], real)
        return wrong + difference("last words", [t for t, _ in want], [t for t, _ in got])
    if "either" in flags:
        return difference("captured and real", sorted(want), sorted(got + real))
    wrong = difference("real stderr", [], real)
    if "stated" in flags:
        return wrong  # check_stated() looks at the rest
    if "joined" in flags:
        wrong += difference("joined", joined(want), joined(got))
    elif "unordered" in flags:
        wrong += difference("messages", sorted(want), sorted(got))
    else:
        wrong += difference("messages", want, got)
    return wrong


def check_stated(heard, flags):
    """What the program stated was reported, each thread's in its order."""
    def rows(objects, keys):
        by_thread = collections.defaultdict(list)
        for item in objects:
            by_thread[item.get("tid") if "tid" in keys else None].append(
                tuple(item.get(key) for key in keys))
        return by_thread

    wrong = []
    for source, keys in (("syslog", ("level", "facility", "ident", "msg", "pid", "tid")),
                         ("stderr", ("msg", "pid", "tid"))):
        if source == "stderr" and not {"stated", "others"} & flags:
            continue
        stated = [e for e in heard.expected() if e["source"] == source]
        got = [m for m in heard.messages if m["source"] == source]
        # A statement may leave out what it cannot know.
        loose = [e for e in stated if not set(keys) <= set(e)]
        for want in loose:
            found = next((m for m in got if all(m.get(k) == v for k, v in want.items())), None)
            if found is None:
                wrong.append(f"stated, not reported: {want}\namong {got[:3]}")
            else:
                got.remove(found)
        stated = [e for e in stated if e not in loose]
        if source == "stderr" and "stated" not in flags:
            texts = {e["msg"] for e in stated}
            got = [m for m in got if m.get("msg") in texts]
        want, there = rows(stated, keys), rows(got, keys)
        for tid in want.keys() | there.keys():
            pair = want[tid], there[tid]
            if "interrupted" in flags:
                pair = sorted(pair[0]), sorted(pair[1])
            wrong += difference(f"{source} of thread {tid}", *pair)
    if {"stated", "others", "interrupted"} & flags == {"stated"}:
        order = [(e["tid"], e["source"], e["msg"]) for e in heard.expected()]
        got = [(m["tid"], m["source"], m["msg"]) for m in heard.messages]
        for tid in {row[0] for row in order}:
            wrong += difference("order over all sources", [r for r in order if r[0] == tid],
                                [r for r in got if r[0] == tid])
    return wrong


def check_messages(heard, program, flags):
    """What every message must have, whatever it says."""
    wrong = []
    comm = harness.mode.comm or os.path.basename(program)[:15]
    for message in heard.messages:
        if message["source"] not in ("stderr", "syslog", "hark"):
            wrong.append(f"source: {message}")
        if "others" not in flags and message.get("pid") != heard.pid:
            wrong.append(f"pid is not {heard.pid}: {message}")
        if "others" not in flags and message.get("comm") != comm:
            wrong.append(f"comm is not {comm}: {message}")
    numbers = [m.get("seq") for m in heard.messages]
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        wrong.append(f"seq has gaps: {numbers[:20]}")
    if "late" not in flags and heard.at_exit != len(heard.messages):
        wrong.append(f"at exit {heard.at_exit} messages, later {len(heard.messages)}")
    return wrong[:5]


def check_nothing_lost(native, heard):
    """Of an exception: whatever has not been captured is on the real descriptor, nothing is twice,
    and the program cannot tell."""
    def letters(lines):
        return collections.Counter("".join(text for text, _ in lines))

    got = letters([(m.get("msg", ""), True) for m in heard.messages if m["source"] == "stderr"])
    wrong = check_same(native, heard)
    if got + letters(heard.lines()) != letters(native.lines()):
        wrong.append(f"captured {heard.texts('stderr')}, on the descriptor {heard.lines()}, "
                     f"wanted {native.lines()}")
    return wrong


# ---- the cases ---------------------------------------------------------------------------------

class Case:
    def __init__(self, program, name, flags):
        self.program, self.name, self.flags = program, name, flags
        self.label = f"{os.path.splitext(os.path.basename(program))[0]}/{name}"
        self.kinds = [k for k in KINDS if k in flags] or KINDS
        self.lock = threading.Lock()

    @functools.cached_property
    def oracle(self):
        kind = "pipe" if "pipe" in self.kinds else self.kinds[0]
        return harness.run_native([self.program, self.name], stderr=kind)

    def native(self):
        with self.lock:  # one run serves all kinds
            return self.oracle

    def check_native(self):
        """Holds the case water? It says something, and twice the same."""
        first = self.native()
        wrong = check_oracle(first, self.flags)
        if not {"stated", "unordered", "addresses"} & self.flags:
            second = harness.run_native([self.program, self.name], stderr=self.kinds[0])
            wrong += difference("another run", first.lines(), second.lines())
            wrong += difference("another status", [first.status], [second.status])
        return wrong

    def check(self, kind):
        native = self.native()
        wrong = check_oracle(native, self.flags)
        if wrong:
            return wrong
        heard = harness.run_hark([self.program, self.name], stderr=kind)
        excepted = harness.mode.exception(self.label)
        wrong = self.check_heard(native, heard)
        if not excepted:
            return wrong
        if not wrong:
            return [f"holds, and is among the exceptions: {excepted}"]
        return check_nothing_lost(native, heard)

    def check_heard(self, native, heard):
        return (check_same(native, heard) + check_stderr(native, heard, self.flags)
                + check_stated(heard, self.flags)
                + check_messages(heard, self.program, self.flags))


def compile_program(source, variant):
    """With what else it needs: late.c is linked with a library, and loads it once more."""
    if source != "late.c":
        return harness.build("surface/" + source, variant)
    flags = ["-shared", "-fPIC", "-Wl,-soname,liblate.so"]
    pic = "fortify" if variant == "fortify" else "plain"
    library = harness.build("surface/late_library.c", pic, flags, "liblate.so")
    plugin = harness.build("surface/late_library.c", pic, flags, "late.plugin.so")
    program = harness.build("surface/late.c", variant,
                            ["-Wl,--no-as-needed", library, "-Wl,-rpath," + os.path.dirname(library)])
    beside = program + ".plugin.so"
    if not os.path.exists(beside):
        os.symlink(plugin, beside)
    return program


CHECKED = {"stdio", "stdio_unlocked", "stdio_wide", "reporters", "syslog", "lastwords", "cxx"}


def is_daily(variant, family, kind, index):
    """Whether a combination is no spare one (see tap.py). Every case is met in its plain variant on its
    first kind of descriptor 2. Every sixth is met on one more, by turns, so that nearly every family meets
    all kinds: a hook does not look at the kind. What checked functions and code at a fixed place change is
    looked at in every fourth or twelfth.
    """
    if harness.mode.name:
        return family in harness.mode.daily or index % harness.mode.turns == 0
    if variant == "plain":
        return kind == 0 or (index % 6 == 0 and kind == 1 + index // 6 % 3)
    return index % 12 == 0 or (variant == "fortify" and family in CHECKED and index % 4 == 0)


def cases(args, variants):
    """(name, function) of every variant, kind and case, and the names of those that are spare. The
    plain variant meets every kind of descriptor 2, the others a file."""
    wanted, labels, spare = [], set(), set()
    for variant in variants:
        for source in PROGRAMS:
            if source.endswith(".cc") and not harness.mode.compilers[True]:
                continue
            if variant == "static-cxx" and not source.endswith(".cc"):
                continue
            program = compile_program(source, variant)
            family = os.path.splitext(source)[0]
            for index, (name, flags) in enumerate(harness.cases_of(program)):
                if variant == "static-cxx" and "dynamic" in flags:
                    continue
                case = Case(program, name, flags)
                labels.add(case.label)
                every = variant == "plain" and not harness.mode.name
                kinds = case.kinds if every else case.kinds[:1]
                if harness.mode.skips and harness.mode.exception(case.label):
                    continue
                if args.native:
                    wanted.append((f"{variant}/{family}/{name}", case.check_native))
                    continue
                for kind in kinds:
                    label = variant if kind == case.kinds[0] else f"{variant}-{kind}"
                    wanted.append((f"{label}/{family}/{name}",
                                   functools.partial(case.check, kind)))
                    if not is_daily(variant, family, kinds.index(kind), index):
                        spare.add(wanted[-1][0])
    if harness.mode.name:
        idle = [f"no case is called {pattern}" for pattern in harness.mode.idle_exceptions(labels)]
        wanted.append(("exceptions", lambda: idle))
    return wanted, spare


def main(variants=tuple(harness.VARIANTS)):
    args = harness.arguments(__doc__)
    missing = harness.mode.missing()
    if missing:
        print(f"1..0 # skip {missing} is not there: make deps")
        return 0
    harness.require_hark(args)
    wanted, spare = cases(args, variants)
    return harness.run_tap(wanted, args, spare)


if __name__ == "__main__":
    sys.exit(main())
