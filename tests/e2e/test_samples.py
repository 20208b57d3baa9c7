#!/usr/bin/env python3
# limit: 400
"""hark run --sample: stacks of programs that know themselves how much of their time was spent where.

The trace is read here on its own (samples.py), and functions are named by readelf; then `hark report` must
say the same. Speaks TAP.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile

import cli
import samples
from sampling import Symbols, check_family, check_split, compile_guest, run, shares

PROBE = {}
YAMA = "/proc/sys/kernel/yama/ptrace_scope"


def refused(home):
    """Why nothing can be sampled here, or None."""
    if "why" not in PROBE:
        PROBE["why"] = home.run("run", "--sample", "cpu@99:kernel", "--data", "probe", "true").stderr or None
    return PROBE["why"]


def sampled(function):
    """A case that is left out, aloud, where the kernel refuses."""
    def body(home, expect):
        why = refused(home)
        if why:
            print(f"# {function.__name__}: left out: {why.strip()}", flush=True)
            return
        function(home, expect)
    body.__name__ = function.__name__
    return cli.case(body)


PLAIN = ["-O2", "-g"]
STATIC = ["-O2", "-g", "-static"]  # a report of it reads no debug information of libc, which takes its time
STAMPED = ["-O2", "-finstrument-functions"]
VARIANTS = {
    "plain": PLAIN,
    "no_pie": ["-O2", "-no-pie", "-fomit-frame-pointer"],
    "frame_pointers": ["-O1", "-fno-omit-frame-pointer"],
    "unoptimised": ["-O0"],
    "static": STATIC,
    "static_pie": ["-O2", "-static-pie"],
}


def shares_of(variant):
    """Seven parts and three, with frame pointers and without, wherever it is loaded, stripped."""
    def body(home, expect):
        program = compile_guest(home, variant, *VARIANTS[variant])
        symbols = Symbols(program)
        if variant in ("plain", "no_pie"):
            subprocess.run(["strip", program], check=True)
        check_split(home, expect, variant, program, symbols, 4 if variant == "plain" else 1, "cpu@1999")
    body.__name__ = "shares_of_every_kind_of_program_" + variant
    return body


for kind_of_program in VARIANTS:
    sampled(shares_of(kind_of_program))
# the second is one with frame pointers, the third is loaded as PIE and linked as static
cli.SPARE.update("shares_of_every_kind_of_program_" + kind for kind in ("unoptimised", "static_pie"))


@sampled
def as_many_as_are_due(home, expect):
    program = compile_guest(home, "split", *PLAIN)
    symbols = Symbols(program)
    check_split(home, expect, "4000 Hz", program, symbols, 1, "cpu@4000")
    _, cpu, _, found = run(home, "cpu@99", program, "1", "0.3")
    expect.same(found.period, 10101010, "the period of 99 Hz")
    expect(cpu / 1.3 < len(found.samples) * found.period < cpu * 1.3, "99 Hz")


@sampled
def the_report_says_the_same(home, expect):
    program = compile_guest(home, "split", *STATIC)
    _, cpu, _, found = run(home, "cpu@999", program, "2", "0.1")
    done = home.run("report", "--format", "json")
    expect.same((done.returncode, done.stderr), (0, ""), "report")
    rows = {row["function"]: row for row in map(json.loads, done.stdout.splitlines())}
    count = shares(found, program, Symbols(program))
    for name in ("seven", "three"):
        row = rows[name]
        expect.same((row["method"], row["samples"], row["estimated"], row["threads"]),
                    ("sample", count[name], True, 2), name)
        expect(abs(row["total_ns"] - count[name] * found.period) <= count[name] + 1, f"{row}")
        expect("calls" not in row and "min_ns" not in row, f"{name}: what nobody knows")
        expect(row["file"].endswith("split.c"), f"{row['file']}")
    total = sum(row["self_samples"] for row in rows.values())
    expect.same(total, len(found.samples), "each sample is in one function")
    text = home.run("report").stdout
    expect("~" in text and "estimated" in text, "estimates are marked")
    only = home.run("report", "--format", "json", "--filter", "seven").stdout.splitlines()
    expect(all(json.loads(line)["function"] not in ("three", "main") for line in only), "--filter")
    folded = home.run("export", "--format", "folded", "-o", "-").stdout
    own = sum(int(line.rsplit(" ", 1)[1]) for line in folded.splitlines())
    expect(abs(own - len(found.samples) * found.period) < .001 * own, f"folded: {own}")
    for kind in ("flamegraph", "pprof", "speedscope", "chrome", "perfetto", "callgrind", "ctf"):
        made = home.run("export", "--format", kind, "-o", "out." + kind)
        expect.same((made.returncode, made.stderr), (0, ""), kind)
    expect(home.run("graph").stdout.find("seven") > 0, "graph")


@sampled
def children_and_what_they_become(home, expect):
    """fork, exec and threads of children are seen from their start, without hark in them."""
    check_family(home, expect, "cpu@999", compile_guest(home, "split", *STATIC), .8)


@sampled
def nothing_is_interrupted(home, expect):
    program = compile_guest(home, "split", *PLAIN)
    done, _, _, _ = run(home, "cpu@4000", program, "2", "0.1", "wait")
    expect.same((done.returncode, "EINTR" in done.stdout), (0, False), done.stdout)


@sampled
def time_that_threads_wait(home, expect):
    program = compile_guest(home, "split", *PLAIN)
    done, cpu, _, found = run(home, "wall@999", program, "1", "0.1", "wait")
    expect.same((done.returncode, done.stderr), (0, ""), "exit status and words")
    symbols, waited = Symbols(program), 0
    for _, node, _, ns in found.waits:
        stack = found.stack(node)
        leaf = stack[0][0]
        expect(leaf in ("[waiting]", "[preempted]") or leaf.startswith("[waiting in "), leaf)
        names = {symbols.name(offset) for path, offset in stack if path == program}
        if not found.reach or "wait_for_all" in names:
            waited += ns * (leaf != "[preempted]")
    expect(waited > 400e6, f"{waited} ns of six times 100 ms")
    expect(len(found.samples) * found.period > .7 * cpu, "what runs is sampled as well")


@contextlib.contextmanager
def home_of_all(home):
    """Where other users get to, too."""
    home.top = tempfile.mkdtemp(prefix="hark-cli-", dir="/var/tmp")
    home.runtime = os.path.join(home.top, "runtime")
    os.chmod(home.top, 0o1777)
    try:
        yield
    finally:
        home.end()
        shutil.rmtree(home.top)


def ordinary():
    """How to run something as a user who may not see the kernel's side."""
    if os.getuid() != 0:
        return []
    if not shutil.which("setpriv"):
        raise cli.harness.Skip("no setpriv to become an ordinary user")
    user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    if subprocess.run([*user, cli.HARK, "--version"], capture_output=True, check=False).returncode:
        raise cli.harness.Skip("an ordinary user cannot run hark here")
    return user


@cli.case
def what_a_thread_waits_in_for_ordinary_users(home, expect):
    """The system call by name, and the program's functions, where the kernel's side is not shown."""
    with home_of_all(home):
        waits_of_ordinary_users(home, expect, ordinary())


def waits_of_ordinary_users(home, expect, user):
    probe = [*user, cli.HARK, "run", "--sample", "wall@99:kernel", "--data", "probe", "true"]
    why = subprocess.run(probe, env=home.env(), cwd=home.top, capture_output=True, text=True,
                         check=False).stderr
    if why:
        raise cli.harness.Skip(why.strip())
    if subprocess.run(["grep", "-qsv", "^0$", YAMA], check=False).returncode == 0:
        raise cli.harness.Skip(f"{YAMA} is not 0")
    program = compile_guest(home, "deep", "-O2", source="deep.c")
    data = os.path.join(home.top, "hark.data")
    command = [*user, cli.HARK, "run", "--sample", "wall@99", program, "0.02", "0"]
    with subprocess.Popen(command, env=home.env(), cwd=home.top, stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL) as child:
        home.children.append(child)

        def is_told():
            found = read_samples(data)
            return found and (found.reach or ("[waiting in read]", "") in found.files.values())
        cli.wait_for(is_told)  # it waits until we end its input
        child.stdin.close()
        child.wait(cli.LIMIT)
    found = cli.wait_for(lambda: next((s for s in [read_samples(data)] if s.ended), None))
    if found.reach:
        raise cli.harness.Skip("this user sees the kernel's side")
    symbols = Symbols(program)
    waits = [found.stack(node) for _, node, _, _ in found.waits]
    stacks = [stack for stack in waits if stack[0][0] == "[waiting in read]"]
    expect(stacks, f"{waits}")
    for stack in stacks:
        expect("main" in {symbols.name(offset) for path, offset in stack if path == program}, f"{stack}")


@sampled
def whoever_kills_the_sampler(home, expect):
    """The program does not notice, and what was written is read."""
    program = compile_guest(home, "split", *STATIC)
    child = home.start("run", "--sample", "cpu@999", program, "1", "0.4")
    path = os.path.join(home.top, "hark.data", "samples")
    cli.wait_for(lambda: samples_in(os.path.dirname(path)) > 120)  # the first seven() and three()
    os.kill(samples.Samples(path).pid, signal.SIGKILL)
    said = child.communicate(timeout=cli.LIMIT)[0]
    expect.same((child.returncode, said.startswith("cpu_ns")), (0, True), "the program")
    done = home.run("report", "--format", "json")
    rows = {json.loads(line)["function"] for line in done.stdout.splitlines()}
    expect({"seven", "three"} <= rows, "what was written is there")
    expect("sampler" in done.stderr, f"the report tells of it: {done.stderr}")


@sampled
def a_bare_preload_is_sampled_too(home, expect):
    program = compile_guest(home, "split", *PLAIN)
    env = home.env(LD_PRELOAD=os.path.join(cli.harness.BUILD, "libhark-preload.so"), HARK_SAMPLE="cpu@999", HARK_DATA="bare.data")
    path = os.path.join(home.top, "bare.data", "samples")

    def measure():
        done = subprocess.run([program, "2", "0.15"], env=env, cwd=home.top, text=True,
                              capture_output=True, timeout=cli.LIMIT, check=False)
        expect.same((done.returncode, done.stderr), (0, ""), "the program")
        return cli.wait_for(lambda: next((s for s in [samples.Samples(path)] if s.ended), None))
    found = cli.best(measure, lambda found: found.complete() >= .99)
    count = shares(found, program, Symbols(program))
    expect(count["seven"] + count["three"] > 150, f"{count}")
    expect(found.complete() >= .99, f"{found.complete()} are complete")


@sampled
def calls_and_samples_in_one_report(home, expect):
    """What was recorded and what was sampled of a function is never one figure."""
    program = compile_guest(home, "split", *STAMPED)
    home.run("run", "--stamp", "trace", "--sample", "cpu@999", program, "1", "0.2")
    rows = [json.loads(line) for line in
            home.run("report", "--format", "json").stdout.splitlines()]
    methods = {row["method"]: row for row in rows if row["function"] == "seven"}
    expect.same(set(methods), {"entry", "sample"}, "methods of seven()")
    part = sum(row["samples"] for row in rows if row["method"] == "sample"
               and row["function"] in ("seven", "three"))
    expect(methods.get("sample", {}).get("samples", 0) > .6 * part > 0, f"{methods}")
    estimates_are_marked_everywhere(home, expect)


@sampled
def a_stack_through_hundreds_of_files(home, expect):
    """More text of paths than the sampler can hold at once, of a process that runs already."""
    many, data = 300, os.path.join(home.top, "many.data")
    program = compile_guest(home, "many", "-O0", source="many_files.c")
    library = compile_guest(home, "step.so", "-O0", "-DLIBRARY", "-shared", "-fPIC",
                            source="many_files.c")
    folder = os.path.join(home.top, *["d" * 200] * 9)
    os.makedirs(folder)
    os.mkdir(data)
    copies = [shutil.copy(library, os.path.join(folder, f"{i}.so")) for i in range(many)]
    argv = [os.path.relpath(path, home.top) for path in copies]
    with subprocess.Popen([program, *argv], cwd=home.top, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as child:
        expect.same(child.stdout.readline(), "ready\n", "it runs")
        with home.start("sample", "--data", data, "--pid", str(child.pid), "--rate", "199") as sampler:
            cli.wait_for(lambda: samples_in(data) > 5)
            child.stdin.close()
            child.wait(cli.LIMIT)
            sampler.wait(cli.LIMIT)
    found = samples.Samples(os.path.join(data, "samples"))
    depths = [len({path for path, _ in found.stack(node) if path.startswith(folder)})
              for _, node, _ in found.samples]
    expect(found.ended and not found.torn, "the file is whole")
    # One or two may fall on the way in or out.
    expect(depths.count(many) >= max(5, len(depths) - 2), f"files in each stack: {depths}")


def read_samples(data):
    path = os.path.join(data, "samples")
    return samples.Samples(path) if os.path.exists(path) and os.path.getsize(path) else None


def samples_in(data):
    found = read_samples(data)
    return len(found.samples) if found else 0


@sampled
def a_file_of_any_size_is_read(home, expect):
    """What stands before the place that makes no sense, also where gigabytes are behind it."""
    program = compile_guest(home, "split", *STATIC)
    _, _, _, found = run(home, "cpu@999", program, "1", "0.05")
    path = os.path.join(home.top, "hark.data", "samples")
    whole = os.path.getsize(path)
    os.truncate(path, 5 << 30)
    done = home.run("report", "--format", "json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    expect.same(sum(row["self_samples"] for row in rows), len(found.samples), "all of them")
    expect(f"at byte {whole}" in done.stderr, f"it is told: {done.stderr}")


@sampled
def code_that_was_made_at_run_time(home, expect):
    """What the program says of it has names; what it was made of twice is one."""
    program = compile_guest(home, "made", "-O1", "-g", source="made.c")
    done, _, _, _ = run(home, "cpu@999", program)
    path = done.stdout.split()[1]
    kept = os.path.join(home.top, "hark.data", os.path.basename(path))
    try:
        rows = [json.loads(line) for line in home.run("report", "--format", "json").stdout.splitlines()]
        with open(path, "rb") as said, open(kept, "rb") as copy:
            expect.same(copy.read(), said.read(), "the trace is complete by itself")
    finally:
        os.unlink(path)
    made = {row["function"]: row for row in rows if row["module"] == "anonymous"}
    expect.same(set(made), {"int Burner.seven(int)", "three"}, "names")
    whole = sum(row["self_ns"] for row in made.values())
    expect(0.65 < made["int Burner.seven(int)"]["self_ns"] / max(1, whole) < 0.75, f"shares: {made}")
    folded = home.run("export", "--format", "folded", "-o", "-").stdout
    expect(";main;three " in folded, f"it was called by main: {folded}")
    # what is no name of such a file is not opened
    os.rename(kept, os.path.join(home.top, "hark.data", "elsewhere"))
    os.symlink(os.path.join(home.top, "hark.data", "elsewhere"), kept)
    rows = [json.loads(line) for line in home.run("report", "--format", "json").stdout.splitlines()]
    expect("[anonymous]" in {row["function"] for row in rows}, "no link is followed")


def estimates_are_marked_everywhere(home, expect):
    """The same in what is no report."""
    nodes = [json.loads(line) for line in home.run("graph", "--format", "json").stdout.splitlines()]
    for node in nodes:
        sample = node["method"] == "sample"
        expect.same(("samples" in node, node.get("estimated", False), "min_ns" in node),
                    (sample, sample, not sample), f"{node}")
    parents = {node["id"]: node for node in nodes}
    expect({node["method"] for node in nodes if node["function"] == "seven"} == {"entry", "sample"}, "both")
    expect(all(parents[node["parent"]]["method"] == node["method"] for node in nodes if node["parent"]),
           "a path is of one kind")
    lines = [line for line in home.run("graph").stdout.splitlines() if "seven" in line]
    expect.same({line.lstrip().startswith("~") for line in lines}, {True, False}, f"{lines}")
    around = [json.loads(line) for line in
              home.run("graph", "--function", "seven", "--format", "json").stdout.splitlines()]
    expect.same(sorted(row["method"] for row in around), ["entry", "sample"], "around it")
    folded = home.run("export", "--format", "folded", "-o", "-").stdout.splitlines()
    roots = {line.split(";")[0] for line in folded if ";seven" in line}
    expect.same(roots, {"split", "split (sampled)"}, "folded")
    chrome = json.loads(home.run("export", "--format", "chrome", "-o", "-").stdout)
    names = {event["args"]["name"] for event in chrome["traceEvents"] if event["name"] == "thread_name"}
    expect("split (sampled)" in names and "split" in names, f"{names}")
    grind = home.run("export", "--format", "callgrind", "-o", "-").stdout
    expect("seven (sampled)" in grind, "callgrind")


@cli.case
def what_is_no_specification(home, expect):
    for spec in ("cpu", "cpu@", "cpu@0", "cpu@10001", "gpu@99", "cpu@99hz", "1"):
        done = home.run("run", "--sample", spec, "true")
        expect.same(done.returncode, 125, spec)
        expect(spec in done.stderr and "cpu@RATE" in done.stderr, done.stderr)
    expect(not os.path.exists(os.path.join(home.top, "hark.data")), "nothing was made")


if __name__ == "__main__":
    cli.main(__doc__)
