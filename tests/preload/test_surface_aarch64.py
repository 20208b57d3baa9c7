#!/usr/bin/env python3
# limit: 300
"""The surface test for aarch64: programs and shim are cross-compiled and run in qemu's user mode, the
collector is this machine's own. What qemu does not carry is in the file `exceptions`."""

import sys

import harness
import modes
import test_surface

if __name__ == "__main__":
    harness.mode = modes.Aarch64()
    sys.exit(test_surface.main(["plain"]))
