#!/usr/bin/env python3
"""What hark costs and carries, beside the direct call, in one run. `make bench` runs it.

Each pair is measured in turn, several times; the median of each side and the median of the ratios
pair by pair are printed with the target. A figure that misses its target is marked, not hidden.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD", os.path.join(os.path.dirname(__file__), "..", "..", "build"))
HARK = os.path.join(BUILD, "hark")
SHIM = os.path.join(BUILD, "libhark-preload.so")
SAY = os.path.join(BUILD, "tests", "bench", "say")
PAIRS = int(os.environ.get("BENCH_PAIRS", "5"))
LINES = int(os.environ.get("BENCH_LINES", "1500000"))


def clean_environment():
    return {k: v for k, v in os.environ.items() if not k.startswith("HARK_") and k != "LD_PRELOAD"}


class Place:
    """A directory on a real disk for files, and one on tmpfs for sessions."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="hark-bench-", dir=os.environ.get("TMPDIR", "/var/tmp"))
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.runtime = tempfile.mkdtemp(prefix="hark-bench-", dir=shm)
        os.chmod(self.runtime, 0o700)
        self.env = dict(clean_environment(), HARK_RUNTIME_DIR=self.runtime)

    def path(self, name):
        return os.path.join(self.dir, name)

    def wait_for_end(self):
        until = time.monotonic() + 60
        while os.listdir(self.runtime):
            if time.monotonic() > until:
                sys.exit("a session did not end: " + str(os.listdir(self.runtime)))
            time.sleep(0.0005)

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.rmtree(self.runtime, ignore_errors=True)


def row(name, ours, direct, unit, verdicts):
    against = f"{direct:>10.1f}" if direct is not None else " " * 10
    ratio = f"{ours / direct:>8.3f}" if direct else " " * 8
    print(f"{name:<44} {ours:>10.1f} {against} {ratio}  {unit:<8} {verdicts}", flush=True)


def verdict(ok, target):
    return f"{'ok  ' if ok else 'MISS'} (target {target})"


def cost(place, way, hark):
    out = place.path("out.log")
    command = [SAY, way, "cost", "400"]
    if hark:
        command = [HARK, "run", "--to", f"file:{out}?format=raw", "--"] + command
        done = subprocess.run(command, env=place.env, stdout=subprocess.PIPE, check=True)
        place.wait_for_end()
    else:
        with open(out, "ab") as err:
            done = subprocess.run(command, env=place.env, stdout=subprocess.PIPE, stderr=err, check=True)
    os.path.exists(out) and os.unlink(out)
    return json.loads(done.stdout)


def calls(place):
    targets = {"write": (40, 1 / 20), "fprintf": (200, 1 / 5), "syslog": (250, None)}
    for way, (most, most_ratio) in targets.items():
        ours, direct, ratios = [], [], []
        for _ in range(PAIRS):
            direct.append(cost(place, way, False))
            ours.append(cost(place, way, True))
            ratios.append(ours[-1]["median_ns"] / direct[-1]["median_ns"])
        mine = statistics.median(o["median_ns"] for o in ours)
        theirs = statistics.median(d["median_ns"] for d in direct)
        ratio = statistics.median(ratios)
        said = verdict(mine <= most, f"{most} ns")
        if most_ratio:
            said += ", " + verdict(ratio <= most_ratio, f"1/{round(1 / most_ratio)}")
        row(f"captured {way} | direct, median", mine, theirs, "ns", said)
        tail = statistics.median(o["p999_ns"] for o in ours)
        tail_direct = statistics.median(d["p999_ns"] for d in direct)
        target = verdict(tail <= 2000, "2 us") if way == "write" else ""
        row("  p99.9, the clock's own cost included", tail, tail_direct, "ns", target)


def flood(place, fmt, threads):
    out = place.path("flood.log")
    command = [HARK, "run", "--to", f"file:{out}?format={fmt}", "--",
               SAY, "write", "flood", str(LINES), str(threads)]
    os.sync()  # what the run before left to the disk is not this run's business
    start = time.monotonic()
    subprocess.run(command, env=place.env, stdout=subprocess.DEVNULL, check=True)
    place.wait_for_end()
    took = time.monotonic() - start
    said = LINES // threads * threads
    with open(out, "rb") as f:
        arrived = sum(chunk.count(b"\n") for chunk in iter(lambda: f.read(1 << 20), b""))
    os.unlink(out)
    if arrived != said:
        sys.exit(f"{said} lines were said and {arrived} arrived")
    return said / took / 1e6


def direct_flood(place, threads):
    out = place.path("flood.log")
    os.sync()
    start = time.monotonic()
    with open(out, "ab") as err:
        subprocess.run([SAY, "write", "flood", str(LINES), str(threads)], env=place.env,
                       stdout=subprocess.DEVNULL, stderr=err, check=True)
    took = time.monotonic() - start
    os.unlink(out)
    return LINES / took / 1e6


def throughput(place):
    for fmt, least in (("raw", 6), ("text", 3), ("json", None)):
        one, four, direct = [], [], []
        for _ in range(max(1, PAIRS // 2)):
            direct.append(direct_flood(place, 1))
            one.append(flood(place, fmt, 1))
            four.append(flood(place, fmt, 4))
        target = verdict(statistics.median(one) >= least, f"{least} M/s") if least else ""
        row(f"end to end into a file, {fmt} | direct", statistics.median(one),
            statistics.median(direct), "M/s", target)
        row("  4 threads | 1 thread", statistics.median(four), statistics.median(one), "M/s",
            verdict(statistics.median(four) >= statistics.median(one) * 0.95, "no slower"))


def spawn_time(command, env):
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, env)
    os.waitpid(pid, 0)
    return (time.perf_counter() - start) * 1e6


def startup(place):
    true = shutil.which("true")
    empty = place.path("empty.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", empty, "-x", "c", "/dev/null"], check=True)
    preload = dict(place.env, LD_PRELOAD=empty)
    # The session is kept by a program that waits for its standard input to end.
    keeper = subprocess.Popen([HARK, "run", "--to", f"file:{place.path('k.log')}", "--", "cat"],
                              env=place.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    while not [d for d in os.listdir(place.runtime) if d[0] != "."]:
        time.sleep(0.01)
    session = [d for d in os.listdir(place.runtime) if d[0] != "."][0]
    member = dict(place.env, LD_PRELOAD=SHIM, HARK_SESSION=os.path.join(place.runtime, session))
    joined, bare = [], []
    for _ in range(200):
        bare.append(spawn_time([true], preload))
        joined.append(spawn_time([true], member))
    keeper.stdin.close()
    keeper.wait()
    place.wait_for_end()
    extra = statistics.median(j - b for j, b in zip(joined, bare))
    row("a process joining | an empty preload", statistics.median(joined), statistics.median(bare), "us", "")
    row("  difference", extra, None, "us", verdict(extra <= 150, "150 us"))
    first, plain = [], []
    for _ in range(20):
        plain.append(spawn_time([true], preload) / 1e3)
        first.append(spawn_time([HARK, "run", "--to", f"file:{place.path('k.log')}", true],
                                place.env) / 1e3)
        place.wait_for_end()
    extra = statistics.median(f - p for f, p in zip(first, plain))
    row("the first process of a session | empty preload", statistics.median(first),
        statistics.median(plain), "ms", verdict(extra <= 5, "+5 ms"))


def switches(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        for text in open(f"/proc/{pid}/task/{task}/status"):
            if "ctxt_switches" in text:
                total += int(text.split()[1])
    return total


def silence(place):
    keeper = subprocess.Popen([HARK, "run", "--to", f"file:{place.path('s.log')}?format=json", "--", SAY,
                               "write", "flood", "300000"], env=place.env, stdout=subprocess.DEVNULL)
    keeper.wait()
    place.wait_for_end()
    keeper = subprocess.Popen([HARK, "run", "--to", f"file:{place.path('s.log')}?format=json", "--", "sh",
                               "-c", f"{SAY} write flood 300000 >/dev/null; exec cat"], env=place.env,
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    time.sleep(2)
    listed = subprocess.run([HARK, "ps", "--json"], env=place.env, stdout=subprocess.PIPE, check=True)
    pid = json.loads(listed.stdout)["collector_pid"]
    before = switches(pid)
    time.sleep(10)
    woken = switches(pid) - before
    status = {k: v for k, v in (l.split(":", 1) for l in open(f"/proc/{pid}/status"))}
    ring = shown = 0
    for text in open(f"/proc/{pid}/smaps"):
        if "-" in text.split()[0]:
            shown = text.rstrip().endswith("/ring")
        elif text.startswith("Rss:") and shown:
            ring += int(text.split()[1])
    keeper.stdin.close()
    keeper.wait()
    place.wait_for_end()
    resident = (int(status["VmRSS"].split()[0]) - ring) / 1024
    row("collector, resident beside the ring", resident, None, "MiB", verdict(resident <= 12, "12 MiB"))
    row("collector, wake-ups in 10 silent seconds", woken, None, "", verdict(woken == 0, "0"))


def main():
    place = Place()
    print(f"{'':<44} {'hark':>10} {'direct':>10} {'ratio':>8}")
    try:
        calls(place)
        throughput(place)
        startup(place)
        silence(place)
    finally:
        place.remove()


if __name__ == "__main__":
    main()
