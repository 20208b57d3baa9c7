#!/usr/bin/env python3
"""Functions that a compiler has put into others, as debug information tells of them: in the stacks of samples and
of messages, they are functions of their own. Speaks TAP."""

import json
import os

import cli
import sampling

SEVEN, THREE, TURN = "work::Burner<7>::burn(long long)", "work::Burner<3>::burn(long long)", "turn"


def build(home, name, source, *flags):
    path = os.path.join(home.top, name)
    cli.harness.cc(*flags, "-o", path, os.path.join(sampling.GUESTS, source))
    return path


def line_of(source, text):
    with open(os.path.join(sampling.GUESTS, source), encoding="utf-8") as file:
        return next(n for n, line in enumerate(file, 1) if line.rstrip().endswith(f"// {text}"))


def rows(home, data):
    done = home.run("report", "--data", data, "--format", "json")
    return {row["function"]: row for row in map(json.loads, done.stdout.splitlines())}


@cli.case
def shares(home, expect):
    """seven parts and three of what is inlined into main()"""
    program = build(home, "inlined", "inlined.cc", "-O2", "-g")

    def measure():
        _, _, _, found = sampling.run(home, "cpu@999", program, "0.4", data="with.data")
        return found, rows(home, "with.data")

    def share(found):
        seven, three = (found[name]["samples"] for name in (SEVEN, THREE))
        return seven / (seven + three)

    def good(measured):
        return len(measured[0].samples) > 200 and not measured[0].gaps and abs(share(measured[1]) - .7) < .03
    found, with_debug = cli.best(measure, good)
    total = sum(row["self_samples"] for row in with_debug.values())
    expect.same(total, len(found.samples), "each sample is in one function")
    expect(abs(share(with_debug) - .7) < .03, f"share {share(with_debug)}")
    expect(with_debug[TURN]["self_samples"] > .8 * total, f"turn() itself: {with_debug[TURN]}")
    expect(with_debug["main"]["samples"] > .95 * total, "all is below main()")
    expect(with_debug[TURN]["file"].endswith("inlined.cc"), with_debug[TURN])
    expect(with_debug[TURN]["line"] in range(20, 26), with_debug[TURN])
    folded = home.run("export", "--data", "with.data", "--format", "folded", "-o", "-").stdout
    expect(f"main;{SEVEN};{TURN}" in folded.replace(" (sampled)", ""), folded)
    for kind in ("flamegraph", "pprof", "speedscope", "chrome", "perfetto", "callgrind", "ctf"):
        made = home.run("export", "--data", "with.data", "--format", kind, "-o", "out." + kind)
        words = [line for line in made.stderr.splitlines() if "missing" not in line] # on a busy machine
        expect.same((made.returncode, words), (0, []), kind)
    only = home.run("report", "--data", "with.data", "--format", "json", "--filter", SEVEN.split("(", maxsplit=1)[0] + "*")
    names = {json.loads(line)["function"] for line in only.stdout.splitlines()}
    expect(SEVEN in names and THREE not in names and "main" not in names, f"--filter: {names}")


@cli.case
def without_debug_information(home, expect):
    """there is main() and nothing else"""
    program = build(home, "plain", "inlined.cc", "-O2")
    def measure():
        _, _, _, found = sampling.run(home, "cpu@999", program, "0.2", data="plain.data")
        return found, rows(home, "plain.data")
    found, plain = cli.best(measure, lambda m: m[1]["main"]["samples"] > .9 * len(m[0].samples))
    expect(not any(name.startswith("work::") for name in plain), plain)
    expect(plain["main"]["samples"] > .9 * len(found.samples), plain)


@cli.case
def messages(home, expect):
    """each is where it calls the one before"""
    source, out = "said_inlined.cc", os.path.join(home.top, "out.json")
    expected = [f"void deep::say<4>() ({source}:{line_of(source, 'say: write')})",
                f"deep::Caller::call(int) ({source}:{line_of(source, 'call: say')})",
                f"main ({source}:{line_of(source, 'main: call')})"]
    for flags, stack in ((["-O2", "-g"], expected), (["-O2"], ["main (program)"])):
        program = build(home, "program", source, *flags)

        def listened():
            home.run("run", "--stack", "error", "--to", f"file:{out}?format=json", program)
            cli.wait_for(lambda: not os.path.isdir(home.runtime) or not os.listdir(home.runtime))
            with open(out, encoding="utf-8") as file:
                message, = map(json.loads, file)
            os.unlink(out)
            return message["stack"]
        # names may come too late, on a machine with much else to do
        expect.same(cli.best(listened, lambda found, wanted=stack: found == wanted), stack, flags)


if __name__ == "__main__":
    cli.main(__doc__)
