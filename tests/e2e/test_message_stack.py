#!/usr/bin/env python3
"""Messages with the functions that they were said from (--stack). Speaks TAP."""
# limit: 400

import json
import os
import re

import cli

GUESTS = os.path.join(cli.harness.ROOT, "tests", "e2e", "guests")
CHAIN = ["inner", "outer", "main"]


def built(home, *flags, source="callpath.c", name="program", optimise="-O2"):
    path = os.path.join(home.top, name)
    cli.harness.cc(optimise, "-g", "-pthread", "-Wall", "-Wextra", "-Werror", "-Wno-unused-value",
                   "-o", path, os.path.join(GUESTS, source), *flags)
    return path


def listened(home, *command, options=("--stack", "error"), env=None):
    """The messages; the session is over."""
    out = os.path.join(home.top, "out.json")
    if os.path.exists(out):
        os.unlink(out)
    home.run("run", *options, "--to", f"file:{out}?format=json", "--", *command, env=env or {})
    cli.wait_for(lambda: not os.path.isdir(home.runtime) or not os.listdir(home.runtime))
    with open(out, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def said(home, *command, late=True, **how):
    """The same. Where names came too late, on a machine with much else to do, it is said again."""
    for _ in range(5):
        found = listened(home, *command, **how)
        if not late or not any(re.search(r"libc.*\+0x|program\+0x", frame) for m in found
                               for frame in m.get("stack", [])[-2:]):
            break
    return found


def functions(message):
    return [re.sub(r" \(.*", "", frame) for frame in message.get("stack", [])]


def stacks(home, *command, **how):
    return [(m["msg"][:30], functions(m)) for m in said(home, *command, **how)]


@cli.case
def ways(home, expect):
    """each way to speak, from main › outer › inner; file and line"""
    program = built(home)
    for way, text in (("write", "error: said by write"), ("fprintf", "error: said by fprintf 1"),
                      ("perror", "error: said by perror: Success"), ("syslog", "said by syslog"),
                      ("writev", "error: in parts")):
        found = said(home, program, way)
        expect.same([m["msg"] for m in found], [text], way)
        names = functions(found[0])
        if names and names[0] == "put":
            names = names[1:]
        expect.same(names, CHAIN, way)
        expect(all(re.search(r" \(callpath\.c:\d+\)$", f) for f in found[0]["stack"]), found)
    expect.same(list(found[0])[-1], "stack", "the last key")


@cli.case
def calls_are_recorded_too(home, expect):
    """--calls '*' takes return addresses on the way: what the stack is copied to has the true ones."""
    program = built(home)
    options = ("--stack", "error", "--calls", "*", "--data", os.path.join(home.top, "data"))
    for way in "write", "fprintf", "perror", "syslog", "writev":
        expect.same(stacks(home, program, way, options=options), stacks(home, program, way), way)


@cli.case
def lines(home, expect):
    """which of a program's messages have one"""
    program = built(home)
    expect.same(stacks(home, program, "below"), [("warning: that is less", []), ("nothing", [])],
                "less severe")
    expect.same([bool(s) for _, s in stacks(home, program, "below", options=("--stack", "warning"))],
                [True, False], "from warnings on")
    expect.same(stacks(home, program, "write", options=()), [("error: said by write", [])], "off")
    expect.same([bool(s) for _, s in stacks(home, program, "write", options=(),
                                            env={"HARK_STACK": "error"})], [True], "by the variable")
    for way, text in (("pieces", "error: in pieces"), ("tail", "error: without an end"),
                      ("long", "error: long xxxxxxxxxxxxxxxxxx")):
        found = stacks(home, program, way)
        expect.same(found[0][0], text, way)
        expect.same(found[0][1][-3:], CHAIN, way)
        expect.same([s for _, s in found[1:]], [[] for _ in found[1:]], way)
    expect.same([bool(s) for _, s in stacks(home, program, "many")], [False, True, False, True],
                "lines of one write")


@cli.case
def places(home, expect):
    """threads, handlers, deep recursion, coroutines, forked children"""
    program = built(home, "-fomit-frame-pointer")
    expect.same(stacks(home, program, "thread")[0][1][-3:], ["inner", "outer", "in_thread"], "thread")
    for command in (("handler",), ("altstack",), ("thread", "altstack")):
        names = stacks(home, program, *command)[0][1]
        expect("on_signal" in names, names)
        expect("interrupted" in names and names.index("on_signal") < names.index("interrupted"), names)
        expect.same(names[-1], "in_thread" if command[0] == "thread" else "main", "the outermost")
    names = stacks(home, program, "deep", "20")[0][1]
    expect.same([n for n in names if n != "put"], 21 * ["deeper"] + ["main"], "recursion")
    names = stacks(home, program, "deep", "5000")[0][1]
    expect.same((names[-1], len(names) > 100), ("[deeper]", True), "recursion beyond all bounds")
    expect("in_coroutine" in stacks(home, program, "coroutine")[0][1], "coroutine")
    found = said(home, program, "fork")
    expect.same([functions(m)[-3:] for m in found], [CHAIN, CHAIN], "parent and child")
    expect.same(len({m["pid"] for m in found}), 2, "processes")


@cli.case
def deaths(home, expect):
    """who is gone when he is asked where he was"""
    program = built(home)
    plugin = built(home, "-shared", "-fPIC", source="callpath_plug.c", name="plug.so")
    for way in ("abort", "kill"):
        found = stacks(home, program, way)
        expect.same(found[0][1][-3:], CHAIN, way)
    expect.same(stacks(home, program, "plugin", plugin)[0][1], ["plugged_in", "main"], "a plugin")


@cli.case
def builds(home, expect):
    """other languages; without symbols"""
    names = stacks(home, built(home, source="callpath.cc", name="shop"))[0][1]
    own = [n for n in names if "std::" not in n.split("(")[0].split("<")[0]]
    expect.same(own[-1], "main", names)
    expect(any("shop::Till::refuse" in n for n in own), names)
    expect(any("shop::each<int>" in n for n in own), names)
    program = built(home, "-s", name="stripped")
    names = stacks(home, program, "write")[0][1]
    expect.same([n.split("+")[0] for n in names[-3:]], ["stripped", "stripped", "main"],
                "module+offset; the program's beginning tells where main() is")
    expect(all(re.fullmatch(r"stripped\+0x[0-9a-f]+", n) for n in names[-3:-1]), names)
    names = stacks(home, built(home, "-s", "-rdynamic", name="dynamic"), "write")[0][1]
    expect.same(names[-3:], CHAIN, "by .dynsym")
    names = stacks(home, built(home, "-no-pie", "-fcf-protection=none", name="fixed"), "write")[0][1]
    expect.same(names[-3:], CHAIN, "not PIE")


@cli.case
def small_ring(home, expect):
    """where there is no room for stacks, the messages come all the same"""
    program = built(home)
    loop = f"for i in $(seq 40); do {program} write; done"
    found = said(home, "sh", "-c", loop, options=("--stack", "error", "--ring", "64K"))
    expect.same([m["msg"] for m in found], 40 * ["error: said by write"], "messages")


@cli.case
def changed(home, expect):
    """hark set PID stack=…: in a session that began without, and off again; what is refused"""
    program = built(home)
    out = os.path.join(home.top, "out.json")
    child = home.start("run", "--to", f"file:{out}?format=json", "--", "sh", "-c",
                       f"while read x; do {program} $x; echo; done")
    home.session(child.pid)
    seen = []

    def level(*change):
        if change:
            done = home.run("set", str(child.pid), *change)
            expect.same((done.returncode, done.stdout, done.stderr), (0, "", ""), change)
        return json.loads(home.run("stats", "--json", str(child.pid)).stdout)["stack"]

    def stack(way):
        for _ in range(5):  # names may come too late, on a machine with much else to do
            child.stdin.write(way + "\n")
            child.stdin.flush()
            child.stdout.readline()
            expect.same(home.run("drain", "--timeout", "30s", str(child.pid)).returncode, 0, "drain")
            with open(out, encoding="utf-8") as file:
                new = [json.loads(line) for line in file][len(seen):]
            seen.extend(new)
            names = functions(new[0])
            if not names or names[-1] == "main":
                break
        return names[-3:]

    expect.same((level(), stack("write")), ("none", []), "as it began")
    expect("stacks" not in home.run("stats").stdout, "none, as text")
    expect.same((level("stack=warning"), stack("write")), ("warning", CHAIN), "stack=warning")
    expect("stacks     of messages of level warning or worse\n" in home.run("stats").stdout, "as text")
    expect.same((level("stack=crit"), stack("write")), ("crit", []), "stack=crit")
    expect.same((level("stack=err"), stack("write")), ("error", CHAIN), "stack=err")
    expect.same((level("stack=off"), stack("write")), ("none", []), "stack=off")
    for wrong in ("stack=", "stack=loud", "stack=7"):
        expect.refused(home.run("set", str(child.pid), wrong), 125, "stack", "warning")
    expect.same(level(), "none", "after what was refused")
    child.stdin.close()
    child.wait(cli.LIMIT)


@cli.case
def traces(home, expect):
    """read back from a trace"""
    program = built(home, "-finstrument-functions")
    home.run("run", "--stack", "error", "--stamp", "trace", "--to", "file:log", program, "write")
    cli.wait_for(lambda: not os.path.isdir(home.runtime) or not os.listdir(home.runtime))
    for verb in (("report", "--messages"), ("replay",)):
        rows = [json.loads(line) for line in home.run(*verb, "--format", "json").stdout.splitlines()]
        found = [row for row in rows if row.get("msg") == "error: said by write"]
        expect.same((len(found), len(found[0]["stack"]) >= 3), (1, True), verb)
        expect(f"from {found[0]['stack'][-1]}\n" in home.run(*verb).stdout, verb)


@cli.case
def python(home, expect):
    """an unmodified program"""
    found = said(home, "python3", "-c", "import os; os.write(2, b'error: said by python\\n')")
    expect.same(found[0]["msg"], "error: said by python", "message")
    expect(len(found[0]["stack"]) > 5, found)
    expect(not found[0]["stack"][-1].startswith("["), found)


if __name__ == "__main__":
    cli.main(__doc__)
