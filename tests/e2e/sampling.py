"""What tests of samples share: a program that knows how much of its time was spent where (guests/split.c),
and what its samples must say of it."""
import bisect
import os
import subprocess
import tempfile

import cli
import samples

GUESTS = os.path.join(cli.harness.ROOT, "tests", "e2e", "guests")
BUILT = tempfile.TemporaryDirectory(prefix="hark-sampling-")


@cli.once
def built(source, *flags):
    out = os.path.join(tempfile.mkdtemp(dir=BUILT.name), "program")
    cli.harness.cc("-w", "-D_GNU_SOURCE", "-pthread", *flags, "-o", out,
                   os.path.join(GUESTS, source))
    return out


def compile_guest(home, name, *flags, source="split.c"):
    """A copy of its own for each who asks."""
    return cli.copy_program(built(source, *flags), os.path.join(home.top, name))


class Symbols:
    def __init__(self, path):
        said = subprocess.run(["readelf", "-lsW", path], capture_output=True, text=True, check=True).stdout
        lines = [line.split() for line in said.splitlines()]
        base = min(int(words[2], 16) for words in lines if words[:1] == ["LOAD"])
        self.rows = sorted((int(words[1], 16) - base, words[7]) for words in lines
                           if len(words) > 7 and words[3] == "FUNC" and words[6] != "UND")

        self.starts = [at for at, _ in self.rows]

    def name(self, offset):
        found = bisect.bisect_right(self.starts, offset)
        return self.rows[found - 1][1] if found else "?"


def run(home, spec, *argv, env=None, data="hark.data"):
    """Its own words, and its samples once they are whole."""
    done = home.run("run", "--sample", spec, "--data", data, *argv, env=env or {})
    path = os.path.join(home.top, data, "samples")

    def whole():
        found = samples.Samples(path)
        return found if found.ended else None
    said = [line.split() for line in done.stdout.splitlines()]
    cpu = sum(int(words[1]) for words in said if words[0] == "cpu_ns")
    tids = {int(words[1]) for words in said if words[0] == "tid"}
    return done, cpu, tids, cli.wait_for(whole)


def check_family(home, expect, spec, program, least):
    """Threads, and what comes by fork, by exec and without an environment, are seen from their start.
    least: of the samples that are due."""
    script = f"{program} 2 0.1; ({program} 1 0.1; exec env -i {program} 1 0.1)"

    def due(measured):
        _, cpu, _, found = measured
        return len(found.samples) * found.period / max(1, cpu)
    measured = cli.best(lambda: run(home, spec, "sh", "-c", script), lambda m: least < due(m) < 1.4)
    _, _, tids, found = measured
    expect.same(len(tids), 4, "threads that speak")
    expect(tids <= set(found.by_tid()), f"{found.by_tid()}, not {tids}")
    expect(least < due(measured) < 1.4, f"{due(measured)} of what are due")
    names = {comm for _, _, comm in found.threads.values()}
    expect("split" in names, f"names of threads: {names}")


def shares(found, program, symbols):
    """Samples with the function in the stack, once each: those of seven() and three()."""
    count = {"seven": 0, "three": 0, "work": 0}
    for _, node, _ in found.samples:
        names = {symbols.name(offset) for path, offset in found.stack(node) if path == program}
        for name in names & count.keys():
            count[name] += 1
    return count


def check_split(home, expect, what, program, symbols, threads, spec, seconds="0.2"):
    def measure():
        measured = run(home, spec, program, str(threads), seconds)
        return *measured, shares(measured[3], program, symbols)

    def good(measured):
        _, cpu, _, found, count = measured
        return (.9 < len(found.samples) * found.period / max(1, cpu) < 1.1 and found.complete() >= .99 and
                .65 < count["seven"] / max(1, count["seven"] + count["three"]) < .75)
    done, cpu, tids, found, count = cli.best(measure, good)
    expect.same(done.returncode, 0, f"{what}: exit status")
    burnt = count["seven"] + count["three"]
    expect(burnt and .64 < count["seven"] / burnt < .76, f"{what}: shares {count}")
    # On a busy machine the host takes time that nobody samples: `make bench` is stricter.
    got = len(found.samples) * found.period / max(1, cpu)
    expect(.85 < got < 1.15, f"{what}: {got:.3f} of the samples that are due")
    expect(found.complete() >= .99, f"{what}: {found.complete():.4f} of the stacks are complete")
    first = [path for path, _ in found.stack(found.samples[0][1])]
    expect.same(first.count("[unknown caller]"), 0, f"{what}: nobody calls a program that begins: {first}")
    expect(tids <= set(found.by_tid()), f"{what}: threads {found.by_tid()}, not {tids}")
    expect(count["work"] > .95 * burnt, f"{what}: work() is not below all: {count}")
