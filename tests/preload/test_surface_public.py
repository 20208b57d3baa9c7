#!/usr/bin/env python3
# limit: 300
"""The surface test where stdio's write slots cannot be had: its public functions stand in for them,
but for the cases that the file `exceptions` names. Those lose nothing: what is not captured is on
the real descriptor. A case on the list that holds is a failure, too, so that the list stays true."""

import sys

import harness
import modes
import test_surface

if __name__ == "__main__":
    harness.mode = modes.Public()
    sys.exit(test_surface.main(["plain"]))
