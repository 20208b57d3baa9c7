#!/usr/bin/env python3
"""What the shim has to bear inside of a program: spoilt memory, long messages, other loaders.

Speaks TAP; see cli.py.
"""
# limit: 120

import os

import cli
import harness

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


cli.main(__doc__)
