#!/usr/bin/env python3
# limit: 600
"""Capture follows the open file, not the number, and the program cannot tell.

What descriptor 2 was when the session started is captured, with its duplicates; whatever else gets
the number is left alone. The oracle is a native run: what reaches the real stderr there is what
must be reported; stdout, exit status, every file and every statement must be the same. The
programs are in identity/, the scripts in identity/scripts.py.
"""

import collections
import functools
import os
import sys

import harness

sys.path.insert(0, os.path.join(harness.HERE, "identity"))
import scripts  # pylint: disable=wrong-import-position

KINDS = list(harness.CHANNELS)
# Flags of the cases (case.h): `quiet`, natively nothing reaches the real stderr; `helper`, another
# case runs it; in returns.c, the kinds of descriptor 2 that it is for.


# ---- comparing ---------------------------------------------------------------------------------

def compare(native, heard, unordered=False, private=(), text=True):
    """What is not as it is natively. private: beginnings of statements that are judged elsewhere;
    text=False: what was said is, too."""
    wrong = []
    if not native.settled or native.status is None:
        return ["natively it does not end"]
    if heard.status != native.status:
        wrong.append(f"exit status {heard.status}, natively {native.status}")
    want = [s for s in native.stated() if not s.startswith(private)]
    got = [s for s in heard.stated() if not s.startswith(private)]
    if want != got:
        wrong.append("stated: " + first_difference(want, got))
    if heard.stdout != native.stdout:
        wrong.append(f"stdout {heard.stdout[:500]!r}\nnatively {native.stdout[:500]!r}")
    for name in sorted(native.files.keys() | heard.files.keys()):
        if native.files.get(name) != heard.files.get(name):
            wrong.append(f"file {name}: {(heard.files.get(name) or b'none')[:300]!r}"
                         f"\nnatively {(native.files.get(name) or b'none')[:300]!r}")
    if heard.stderr:
        wrong.append(f"on the real descriptor: {heard.stderr[:300]!r}")
    if not heard.settled:
        wrong.append("the session did not end, or somebody keeps descriptor 2 or 3 open")
    if heard.losses():
        wrong.append(f"lost: {heard.losses()}")
    if text:
        want = [line for line, _ in native.lines()]
        got = heard.texts("stderr")
        if unordered:
            want, got = sorted(want), sorted(got)
        if want != got:
            wrong.append("captured: " + first_difference(want, got))
    return wrong


def first_difference(want, got):
    at = next((i for i, pair in enumerate(zip(want, got)) if pair[0] != pair[1]),
              min(len(want), len(got)))
    return (f"{len(want)} natively, {len(got)} under hark, different at {at}:"
            f"\nnatively {want[at:at + 3]!r}\nhere     {got[at:at + 3]!r}")


def both(argv, args, stderr="pipe", **how):
    """A native run, and one under hark or, with --native, a second native one made to look so."""
    native = harness.run_native(argv, stderr=stderr, **how)
    if not args.native:
        return native, harness.run_hark(argv, stderr=stderr, **how)
    again = harness.run_native(argv, stderr=stderr, **how)
    again.messages = [{"source": "stderr", "msg": text} for text, _ in again.lines()]
    again.stderr = b""
    return native, again


def trouble(native):
    """A program that could not do what it is for proves nothing."""
    return [line for line in native.stated() + native.stdout.decode("utf-8", "replace").split("\n")
            if "GAVE UP" in line or "WRONG" in line]


# ---- the cases ---------------------------------------------------------------------------------

def check_program(args, program, name, flags):
    """T1, T3, T4: a program's case with a pipe as descriptor 2."""
    native, heard = both([program, name], args)
    wrong = trouble(native) + trouble(heard)
    if not native.stderr and "quiet" not in flags:
        wrong.append("natively it says nothing")
    wrong += compare(native, heard, private=("kept ",))
    if not args.native:
        wrong += [f"errno was not kept: {line}" for line in heard.stated()
                  if line.startswith("kept ") and not line.endswith(": 77")]
    return wrong


def check_script(args, interpreter, script, unordered):
    """T2 and the rest of T3."""
    return compare(*both([*interpreter, script], args), unordered=unordered)


def check_returns(args, program, name, kind):
    """T5: the same results on the same kind of descriptor, and what they say is captured."""
    native, heard = both([program, name], args, stderr=kind)
    wrong = trouble(native)
    partly = [line for line in heard.stated() if line.startswith("partly ")]
    wrong += compare(native, heard, private=("partly ",), text=False)
    got = b"".join(m["msg"].encode() + (b"" if m.get("partial") else b"\n")
                   for m in heard.messages if m["source"] == "stderr")
    if args.native:
        got = native.stderr
    elif partly:
        return wrong + check_partly(partly[0], native, got)
    if kind in ("file", "pipe", "tty", "socket") and got != native.stderr:
        wrong.append(f"captured {len(got)} bytes {got[-200:]!r}"
                     f"\nnatively {len(native.stderr)} bytes {native.stderr[-200:]!r}")
    if kind in ("closed", "readonly", "broken") and got:
        wrong.append(f"captured what could not be written: {got[:200]!r}")
    return wrong


def check_partly(line, native, got):
    """partly RESULT errno ERRNO good BYTES: EFAULT, or the beginning that could be read; what was
    said to be written is captured, no more and no less."""
    words = line.split()
    result, errno, good = int(words[1]), int(words[3]), int(words[5])
    wrong = []
    if (result, errno) not in ((-1, 14), (good, 0)):
        wrong.append(f"{line}\nnatively {native.stated()}")
    if got != b"g" * max(result, 0):
        wrong.append(f"{line}, but captured {got[:200]!r}")
    return wrong


def check_portrait(args, program, name, kind):
    """T6, and of T7 what a program sees of itself."""
    native, heard = both([program, name], args, stderr=kind)
    wrong = trouble(native)
    wrong += compare(native, heard, private=("identity ",), text=False)
    for run in native, heard:
        there = {line for line in run.stated() if line.startswith("identity ")}
        made = {f"identity {run.stderr_stat.st_dev} {run.stderr_stat.st_ino}"}
        if there and there != made:
            wrong.append(f"descriptor 2 is {there}, was {made}")
    return wrong


def program_cases(args):
    for trap, source in (("T1", "replace.c"), ("T1", "stream.cc"), ("T3", "back.c"),
                         ("T3", "relatives.c"),
                         ("T4", "errno.c")):
        family = os.path.splitext(source)[0]
        variants = ["plain", "fortify"] if source == "errno.c" else ["plain"]
        for variant in variants:
            program = harness.build("identity/" + source, variant)
            for name, flags in harness.cases_of(program):
                if "helper" not in flags:
                    yield (f"{trap}/{variant}/{family}/{name}",
                           functools.partial(check_program, args, program, name, flags))


def script_cases(args):
    for name, language, script in scripts.SCRIPTS:
        for interpreter in scripts.INTERPRETERS[language]:
            if os.access(interpreter[0], os.X_OK):
                label = os.path.basename(interpreter[0]) + "".join(interpreter[1:-1])
                yield (f"T2/{label}/{name}",
                       functools.partial(check_script, args, interpreter, script,
                                         (name, language) in scripts.SOMETIMES))


def kind_cases(args):
    program = harness.build("identity/returns.c")
    for name, flags in harness.cases_of(program):
        for kind in [k for k in KINDS if k in flags]:
            yield (f"T5/{kind}/{name}",
                   functools.partial(check_returns, args, program, name, kind))
    program = harness.build("identity/portrait.c")
    for name, _ in harness.cases_of(program):
        for kind in ("file", "pipe", "tty", "socket", "null"):
            yield (f"T6/{kind}/{name}",
                   functools.partial(check_portrait, args, program, name, kind))


def spare(names):
    """See tap.py. replace.c closes in each of some ways and opens in each of others: as on a board of
    five colours, a fifth of the pairs meets them all. bash as sh differs little from itself, and the
    shells' scripts are the same. What calls return does so on a file and on a pipe; of terminals and
    sockets, each has half of it."""
    pairs = collections.defaultdict(list)
    for name in names:
        if name.startswith("T1/plain/replace/"):
            pairs[name.partition("+")[0]].append(name)
    posix = [name for name in names if name.startswith("T2/bash--posix/")]
    dash = [name for name in names if name.startswith("T2/dash/")]
    left = [name for row, ways in enumerate(pairs.values()) for at, name in enumerate(ways)
            if (row + at) % 5]
    halves = [name for which, kind in enumerate(("tty", "socket")) for name in
              [name for name in names if name.startswith(f"T5/{kind}/")][which::2]]
    return {*left, *halves, *dash[::2], *dash[1::4], *posix[1::2], *posix[::4]}


def main():
    args = harness.arguments(__doc__)
    harness.require_hark(args)
    cases = [*program_cases(args), *script_cases(args), *kind_cases(args)]
    return harness.run_tap(cases, args, spare([name for name, _ in cases]))


if __name__ == "__main__":
    sys.exit(main())
