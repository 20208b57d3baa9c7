#!/usr/bin/env python3
"""A small surface test of programs that stand on musl: they start with our preload as without, what
comes by public functions is heard, and what does not (see the file `exceptions`) goes where it went."""

import sys

import harness
import modes
import test_surface

if __name__ == "__main__":
    harness.mode = modes.Musl()
    test_surface.PROGRAMS = ["posix.c", "endings.c"]
    sys.exit(test_surface.main(["plain"]))
