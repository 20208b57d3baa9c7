#!/usr/bin/env python3
# limit: 120
"""The unit tests that have been built for aarch64, in qemu's user mode: some by `make check`, more by
`make cross`. Above all those of the ring, whose layout two machines of a session share."""

import glob
import os
import subprocess
import sys

BUILD = os.environ.get("BUILD", "build")
QEMU = ["/usr/bin/qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]


def main():
    programs = sorted(p for p in glob.glob(BUILD + "/aarch64/tests/unit/test_*")
                      if "." not in os.path.basename(p))
    if not programs or not os.path.exists(QEMU[0]):
        print("1..0 # skip needs a compiler for aarch64 and qemu-user: make deps")
        return 0
    number = failed = 0
    for program in programs:
        done = subprocess.run(["timeout", "-s", "KILL", "40", *QEMU, program],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        cases = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "not ok "))]
        if done.returncode or not cases:
            print("\n".join("# " + line for line in (done.stdout + done.stderr).splitlines()))
        if not cases or (done.returncode and not any(c.startswith("not") for c in cases)):
            cases.append(f"not ok 0 - ended with {done.returncode}")
        for case in cases:
            number += 1
            verdict, _, name = case.partition(" - ")
            print(f"{verdict.rstrip('0123456789')}{number} - {os.path.basename(program)}: {name}")
            failed += verdict.startswith("not")
    print(f"1..{number}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
