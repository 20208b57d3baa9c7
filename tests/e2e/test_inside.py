#!/usr/bin/env python3
"""What the shim has to bear inside of a program: spoilt memory, long messages, other loaders.

Speaks TAP; see cli.py.
"""
# limit: 120

import os

import cli
import harness

NAMES = harness.build("../e2e/guests/names.c")
HOSTILE = harness.build("../e2e/guests/hostile.c")


def heard(home, *argv, to="json", options=(), **how):
    """hark run ARGV, its session over: what it returned, and the messages."""
    out = os.path.join(home.top, "out." + to)
    done = home.run("run", "--to", f"file:{out}?format={to}", *options, "--", *argv, **how)
    cli.wait_for(lambda: not os.listdir(home.runtime))
    return done, harness.read_messages(out) if to == "json" else out


@cli.case
def a_spoilt_control_block(home, expect):
    """Nobody reads outside of what he has, whatever stands in the shared memory."""
    done, messages = heard(home, HOSTILE, options=["--capture", "stderr,path:/tmp/hark-none*"])
    expect.same(done.returncode, 7, "exit status")
    expect.same([m["msg"] for m in messages if m["source"] == "stderr"],
                ["before", "after", "child"], "said")


@cli.case
def names_of_the_gone(home, expect):
    """A child has its parent's name until it takes another, however soon it is gone."""
    done, messages = heard(home, NAMES)
    expect.same(done.returncode, 0, "exit status")
    said = [(m["msg"], m.get("comm")) for m in messages]
    expect.same(said, [("forked", "names")] * 30 + [("borrowed", "names")] * 30 +
                [("renamed", "another")], "said, by whom")


cli.main(__doc__)
