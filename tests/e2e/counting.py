"""Programs of guests/ that are built with stamps and count their own calls."""

import os
import shlex
import struct
import subprocess

import cli
import traces

GUESTS = os.path.join(cli.harness.ROOT, "tests", "e2e", "guests")
COUNT = struct.Struct("<24sq")


def compiled(folder, source, name, *flags, **how):
    """The path of what it became. source: of guests/, or an absolute path."""
    path = os.path.join(folder, name)
    cli.harness.cc("-O2", "-g", "-w", "-D_GNU_SOURCE", "-finstrument-functions", *flags, "-o", path,
                   os.path.join(GUESTS, source), **how)
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
        paths.append(compiled(folder, source, f"lib{name}.so", "-O0", "-shared", "-fPIC",
                              anywhere=True))
    return paths


def gaps(trace):
    """Why records are missing, each time."""
    return [r.detail for t in trace.threads.values() for r in t.records if r.kind == "gap"]


def on_a_small_disk(home, program, case, *options, size="300k"):
    """The trace of a run that has so much room for it. Raises Skip, or what it complained of."""
    disk, data = (os.path.join(home.top, name) for name in ("disk", "data"))
    os.makedirs(disk, exist_ok=True)
    argv = " ".join(map(shlex.quote, [cli.HARK, "run", "--stamp", "trace", *options, "--data",
                                      f"{disk}/data", program, case]))
    script = (f"mount -t tmpfs -o size={size} none {disk} && {argv}; status=$?; rm -rf {data}; "
              f"cp -r {disk}/data {data}; exit $status")
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
                          env=home.env(), cwd=home.top, capture_output=True, text=True, check=False,
                          timeout=cli.LIMIT)
    if "unshare" in done.stderr or "mount" in done.stderr:
        raise cli.harness.Skip(done.stderr.strip())
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr}"
    return traces.read(data)
