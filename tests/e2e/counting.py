"""Programs of guests/ that are built with stamps and count their own calls."""

import os
import struct
import subprocess

import cli

GUESTS = os.path.join(cli.harness.ROOT, "tests", "e2e", "guests")
COUNT = struct.Struct("<24sq")


def compiled(folder, source, name, *flags, compiler="gcc"):
    """The path of what it became. source: of guests/, or an absolute path."""
    path = os.path.join(folder, name)
    subprocess.run([compiler, "-O2", "-g", "-w", "-D_GNU_SOURCE", "-finstrument-functions", *flags,
                    "-o", path, os.path.join(GUESTS, source)], check=True)
    return path


def counts_in(path):
    """What the program counted, in the memory that it shares with nobody but us."""
    with open(path, "rb") as file:
        rows = COUNT.iter_unpack(file.read())
    return {name.rstrip(b"\0").decode(): calls for name, calls in rows if name[0]}


def two_libraries(folder):
    """The paths of two that differ in their names alone, so that they may have the same address."""
    paths = []
    for name in ("first", "second"):
        source = os.path.join(folder, f"{name}.c")
        with open(source, "w", encoding="ascii") as file:
            file.write(f"static int inner_{name}(int n) {{ return n * 2; }}\n"
                       f"int of_{name}(int n) {{ return inner_{name}(n) + 1; }}\n")
        paths.append(compiled(folder, source, f"lib{name}.so", "-O0", "-shared", "-fPIC"))
    return paths
