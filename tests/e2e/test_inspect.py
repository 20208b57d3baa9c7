#!/usr/bin/env python3
"""`hark inspect`: programs built in every way, and what binutils, the loader and a run say of them."""

import atexit
import contextlib
import json
import os
import re
import shutil
import stat
import subprocess

import cli
import harness
import tap

HEARD = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int add(int a, int b) { return a + b; }
int main(int argc, char **argv)
{
	(void)argv;
	fprintf(stderr, "heard %d\\n", add(argc, 1));
	return write(2, "too\\n", 4) != 4 || !getenv("PATH");
}
"""

CXX = """
#include <iostream>
#include <vector>
int main() { std::vector<int> v(3); std::cerr << v.size() << std::endl; return 0; }
"""

GUESTS = os.path.join(harness.ROOT, "tests", "e2e", "guests")


def inspect(home, *names, status=0, **env):
    done = home.run("inspect", "--json", *names, env=env)
    if done.returncode != status:
        raise AssertionError(f"exit status {done.returncode}: {done.stderr}")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return found if len(names) > 1 else found[0]


def answers(found):
    return {key: row["verdict"] for key, row in found["verdicts"].items()}


def make(home, name, source, *flags, compiler="gcc"):
    """Compiled there; its path."""
    if not shutil.which(compiler):
        raise tap.Skip(f"{compiler} is not installed")
    suffix = ".cc" if compiler.endswith("++") else ".c"
    home.file(name + suffix, source)
    path = os.path.join(home.top, name)
    done = harness.cc("-O1", "-o", path, path + suffix, *flags, by=compiler, anywhere=True, cwd=home.top,
                      capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return path


def heard(home, path, *args, shell="/bin/sh"):
    """What hooks heard of a program that another one starts, and what they did not."""
    out = path + ".heard"
    done = home.run("run", "--to", f"file:{out}?format=raw&source=stderr", "--", shell, "-c",
                    'exec "$0" "$@"', path, *args)
    cli.wait_for(lambda: os.path.exists(out)) # who says nothing does not wait for the sinks
    with open(out, encoding="utf-8", errors="replace") as file:
        return file.read(), done.stderr


# Each: compiler, flags, what must be in the object, the verdicts on capture and stamps.
BUILDS = {
    "default": ("gcc", [], {"linkage": "dynamic", "libc": "glibc", "pie": True, "no_plt": False,
                            "relro": "partial", "bind_now": False, "stripped": False, "class": 64,
                            "instrumented": [], "sanitizers": [], "languages": [], "cet": []},
                "yes", "no"),
    "no_pie": ("gcc", ["-no-pie"], {"linkage": "dynamic", "pie": False}, "yes", "no"),
    "now": ("gcc", ["-Wl,-z,now"], {"relro": "full", "bind_now": True}, "yes", "no"),
    "no_relro": ("gcc", ["-Wl,-z,norelro"], {"relro": "none"}, "yes", "no"),
    "no_plt": ("gcc", ["-fno-plt"], {"no_plt": True, "plt_functions": 0}, "yes", "no"),
    "cet": ("gcc", ["-Wl,-z,ibt,-z,shstk"], {"cet": ["ibt", "shstk"]}, "yes", "no"),
    "static": ("gcc", ["-static"], {"linkage": "static", "libc": None, "interpreter": None,
                                    "pie": False}, "no", "no"),
    "static_pie": ("gcc", ["-static-pie"], {"linkage": "static-pie", "pie": True}, "no", "no"),
    "stripped": ("gcc", ["-s"], {"stripped": True, "functions_by_symbol": 0}, "yes", "no"),
    "debug": ("gcc", ["-g"], {"stripped": False}, "yes", "no"),
    "no_frames": ("gcc", ["-s", "-fno-asynchronous-unwind-tables"], {}, "yes", "no"),
    "pg": ("gcc", ["-pg"], {"instrumented": ["-pg"]}, "yes", "no"),
    "fentry": ("gcc", ["-pg", "-mfentry"], {"instrumented": ["-pg -mfentry"]}, "yes", "no"),
    "patchable": ("gcc", ["-fpatchable-function-entry=4,2"],
                  {"instrumented": ["-fpatchable-function-entry"]}, "yes", "no"),
    "cyg": ("gcc", ["-finstrument-functions", "-s"], {"instrumented": ["-finstrument-functions"]},
            "yes", "yes"),
    "cyg_static": ("gcc", ["-finstrument-functions", "-static"],
                   {"instrumented": ["-finstrument-functions"]}, "no", "no"),
    "xray": ("clang", ["-fxray-instrument", "-fxray-instruction-threshold=1"],
             {"instrumented": ["-fxray-instrument"]}, None, "no"),
    "asan": ("gcc", ["-fsanitize=address"], {"sanitizers": ["address"]}, None, "no"),
    "tsan": ("gcc", ["-fsanitize=thread"], {"sanitizers": ["thread"]}, None, "no"),
    "ubsan": ("gcc", ["-fsanitize=undefined"], {"sanitizers": ["undefined"]}, None, "no"),
    "clang_asan": ("clang", ["-fsanitize=address", "-s"], {"sanitizers": ["address"]}, None, "no"),
    "clang_ubsan": ("clang", ["-fsanitize=undefined"], {"sanitizers": ["undefined"]}, None, "no"),
    "musl": ("musl-gcc", [], {"linkage": "dynamic", "libc": "musl"}, "no", "no"),
    "arm": ("aarch64-linux-gnu-gcc", ["-static"], {"machine": "AArch64", "linkage": "static"}, "no",
            "no"),
}


# Those where it could be otherwise than the verdict says; the rest would be the same again.
RUN = ("default", "no_plt", "static", "static_pie", "cyg", "asan", "musl")


TOGETHER = contextlib.ExitStack()
atexit.register(TOGETHER.close)


@cli.once
def built():
    """{name: object} of all that can be built here, inspected at once: most of the work is libc, in each."""
    home = cli.Home(TOGETHER)
    paths = [make(home, name, HEARD, *row[1], compiler=row[0]) for name, row in BUILDS.items()
             if shutil.which(row[0])]
    return {os.path.basename(found["name"]): found for found in inspect(home, *paths)}


@cli.once
def hooks():
    told = subprocess.run([cli.HARK, "show", "hooks", "--json"], capture_output=True, check=True)
    return {row["name"] for row in json.loads(told.stdout)}


def build_case(name):
    compiler, _, expected, capture, stamps = BUILDS[name]

    def body(home, expect):
        if name not in built():
            raise tap.Skip(f"{compiler} is not installed")
        found = built()[name]
        path = found["name"]
        for key, value in expected.items():
            expect.same(found[key], value, key)
        if capture:
            expect.same(answers(found)["capture"], capture, "capture")
        expect.same(answers(found)["stamps"], stamps, "stamps")
        expect.same(found["program"], path, "program")
        if "san" not in name: # megabytes, of which there is little to learn
            compare_with_binutils(found, path, expect)
        expect.same(answers(found)["deep"], "partly" if name == "arm" else "yes", "deep")
        if name not in RUN:
            return
        words, passed = heard(home, path)
        if answers(found)["capture"] == "no":
            expect.same((words, passed), ("", "heard 2\ntoo\n"), "not captured")
        else:
            expect.same((words, passed), ("heard 2\ntoo\n", ""), "captured")
    body.__name__ = "build_" + name
    return body


for _name in BUILDS:
    cli.case(build_case(_name))


def lines_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True,
                          env={**os.environ, "LC_ALL": "C"}).stdout.splitlines()


def compare_with_binutils(found, path, expect):
    """Counts and identity, as readelf has them."""
    jumps = [line for line in lines_of("readelf", "-rW", path)
             if re.search(r"_JUMP_SLOT?|_JUMP_SL\b", line)]
    expect.same(found["plt_functions"], len(jumps), "plt_functions")
    frames, unwind = set(), False
    for line in lines_of("readelf", "--debug-dump=frames", path):
        unwind = ".eh_frame" in line if line.startswith("Contents of") else unwind
        if unwind and " FDE " in line:
            frames.add(re.search(r"pc=([0-9a-f]+)", line)[1])
    expect.same(found["functions_by_eh_frame"], len(frames), "functions_by_eh_frame")
    built = [line.split()[-1] for line in lines_of("readelf", "-nW", path) if "Build ID" in line]
    expect.same(found["build_id"], built[0] if built else None, "build_id")
    sections = "\n".join(lines_of("readelf", "-SW", path))
    expect.same(found["debug_file"], path if ".debug_info" in sections else None, "debug_file")
    expect.same(found["stripped"], ".symtab" not in sections, "stripped")
    undefined = {row.split()[-1].split("@")[0] for row in
                 lines_of("nm", "--target=default", "-D", "-u", path)} \
        if found["linkage"] == "dynamic" else set()
    expect.same(set(found["hooks"]), hooks() & undefined, "hooks")


# ---- languages ---------------------------------------------------------------------------------

@cli.case
def cxx(home, expect):
    found = inspect(home, make(home, "cxx", CXX, "-s", compiler="g++"))
    expect.same(found["languages"], ["C++"], "languages")
    expect(any("libstdc++" in row["path"] for row in found["libraries"]), "libstdc++ is needed")


@cli.case
def go(home, expect):
    if not shutil.which("fzf"):
        raise tap.Skip("fzf is not installed")
    found = inspect(home, "fzf")
    expect.same(found["languages"], ["Go"], "languages")
    expect.same(answers(found)["capture"], "no", "capture")
    expect("built by Go" in found["verdicts"]["capture"]["reason"], "the reason is said")
    home.run("run", "--calls", "*", "fzf", "--version")
    expect.same((home.run("report").stdout != "", answers(found)["calls"]), (True, "partly"), "calls of C")


@cli.case
def rust(home, expect):
    if not shutil.which("rustc"):
        raise tap.Skip("rustc is not installed")
    source = home.file("r.rs", 'fn main() { eprintln!("heard 2"); eprintln!("too"); }\n')
    for flags in ([], ["-Cstrip=symbols"]):
        path = os.path.join(home.top, "r" + str(len(flags)))
        harness.cc(*flags, "-o", path, source, by="rustc", anywhere=True, capture_output=True)
        found = inspect(home, path)
        expect.same(found["languages"], ["Rust"], f"languages {flags}")
        expect.same(answers(found)["capture"], "yes", "capture")
        expect.same(heard(home, path), ("heard 2\ntoo\n", ""), "captured")


@cli.case
def rust_by_its_paths(home, expect):
    """Compilers of distributions say another place than rustup's; and who looks for it, is not it."""
    for name, text, languages in (
            ("rustup", "/rustc/9fc6b431/library/std/src/io/mod.rs", ["Rust"]),
            ("debian", "/usr/src/rustc-1.63.0/library/core/src/str/pattern.rs", ["Rust"]),
            ("words", "rustc/ library/core/src/", [])):
        source = f'int puts(const char *); int main(void) {{ return puts("{text}") < 0; }}\n'
        expect.same(inspect(home, make(home, name, source))["languages"], languages, name)
    expect.same(inspect(home, harness.HARK)["languages"], [], "hark itself")


# ---- debug files -------------------------------------------------------------------------------

@cli.case
def debug_file_beside(home, expect):
    path = make(home, "dbg", HEARD, "-g")
    named = inspect(home, path)["functions_by_symbol"]
    os.mkdir(os.path.join(home.top, ".debug"))
    other = os.path.join(home.top, ".debug", "dbg.debug")
    for command in (["objcopy", "--only-keep-debug", path, other], ["strip", path],
                    ["objcopy", "--add-gnu-debuglink=" + other, path]):
        subprocess.run(command, check=True, cwd=home.top)
    found = inspect(home, path)
    expect.same(found["stripped"], True, "stripped")
    expect.same(found["debug_file"], other, "debug_file")
    expect.same(found["functions_by_symbol"], named, "functions are named by it")
    with open(other, "ab") as file:
        file.write(b"another")
    found = inspect(home, path)
    expect.same(found["debug_file"], None, "a debug file with another CRC")


# ---- rights ------------------------------------------------------------------------------------

@cli.case
def rights(home, expect):
    path = make(home, "rights", HEARD)
    os.chmod(path, 0o6755)
    found = inspect(home, path)
    expect.same((found["setuid"], found["setgid"]), (True, True), "bits")
    expect.same((found["raises_rights"], answers(found)["capture"]), (False, "yes"), "our own")
    os.chmod(path, 0o755)
    if os.getuid() != 0:
        raise tap.Skip("only root can give files away")
    os.chown(path, 65534, 0)
    os.chmod(path, 0o4755)
    found = inspect(home, path)
    expect.same((found["raises_rights"], answers(found)["capture"]), (True, "no"), "another's")
    expect.same(found["verdicts"]["capture"]["reason"], "is setuid", "reason")
    words, passed = heard(home, path)
    expect.same((words, passed), ("", "heard 2\ntoo\n"), "heard of a setuid program")
    expect.same(answers(found)["samples"], "no", "samples of a setuid program")


@cli.case
def file_capabilities(home, expect):
    path = make(home, "caps", HEARD)
    if os.getuid() != 0 or not shutil.which("setcap"):
        raise tap.Skip("this needs root and setcap")
    if subprocess.run(["setcap", "cap_net_raw,cap_net_admin=ep", path], capture_output=True,
                      check=False).returncode:
        raise tap.Skip("this file system keeps no capabilities")
    shown = lines_of("getcap", path)[0].split()[1]
    found = inspect(home, path)
    expect.same(found["capabilities"], shown, "capabilities, as getcap has them")
    expect.same(found["raises_rights"], False, "root has them")
    other = subprocess.run([cli.HARK, "inspect", "--json", path], capture_output=True, user=65534,
                           group=65534, extra_groups=[], cwd="/", check=False)
    if other.returncode == 0:
        found = json.loads(other.stdout)
        expect.same((found["raises_rights"], answers(found)["capture"]), (True, "no"), "nobody")


# ---- scripts -----------------------------------------------------------------------------------

@cli.case
def scripts(home, expect):
    program = make(home, "interpreter", HEARD, "-static")
    first = home.file("first", f"#!{program} -x\n", 0o755)
    second = home.file("second", f"#! {first}\n", 0o755)
    plain = home.file("plain", "echo hello\n", 0o755)
    by_env = home.file("by_env", "#!/usr/bin/env -S -i A=1 python3 -u\n", 0o755)
    found = inspect(home, second)
    expect.same((found["scripts"], found["program"]), ([second, first], program), "two levels")
    expect.same(answers(found)["capture"], "no", "the interpreter decides")
    found = inspect(home, plain)
    expect.same((found["scripts"], found["program"]), ([plain], "/bin/sh"), "without a first line")
    found = inspect(home, by_env)
    expect.same(found["program"], shutil.which("python3", path=home.env()["PATH"]), "by env")
    done = home.run("inspect", home.file("lost", "#!/nonexistent/interpreter\n", 0o755))
    expect.refused(done, 126, "lost", "/nonexistent/interpreter")
    home.file("a", f"#!{home.top}/b\n", 0o755)
    done = home.run("inspect", home.file("b", f"#!{home.top}/a\n", 0o755))
    expect.refused(done, 126, "a script for a script, and so on")


# ---- libraries ---------------------------------------------------------------------------------

def library(home, name, source, *flags):
    where = os.path.dirname(name)
    os.makedirs(os.path.join(home.top, where), exist_ok=True)
    path = os.path.join(home.top, name)
    source = home.file(os.path.basename(name) + ".c", source)
    harness.cc("-O1", "-shared", "-fPIC", "-o", path, source, *flags,
               "-Wl,-soname," + os.path.basename(name), cwd=home.top)
    return path


@cli.case
def libraries(home, expect):
    below = library(home, "deep/libbelow.so",
                    "long getpid_raw(void) { long r; __asm__ volatile(\"syscall\" : \"=a\"(r) : "
                    "\"0\"(1L) : \"rcx\", \"r11\", \"memory\"); return r; }\n")
    above = library(home, "libs/libabove.so",
                    "long getpid_raw(void); int syslog();\n"
                    "long above(void) { syslog(3, \"x\"); return getpid_raw(); }\n", "deep/libbelow.so",
                    "-Wl,--disable-new-dtags,-rpath,$ORIGIN/../deep")
    path = make(home, "user", "long above(void); int main(void) { return above() < -1; }", "libs/libabove.so",
                "-Wl,--enable-new-dtags,-rpath,${ORIGIN}/libs",
                "-Wl,-rpath-link,deep")
    found = inspect(home, path)
    rows = {row["path"]: row for row in found["libraries"]}
    expect(above in rows and below in rows, f"found by RUNPATH and RPATH: {list(rows)}")
    expect.same(rows[above]["hooks"], ["syslog"], "hooks of a library")
    expect.same(rows[below]["system_calls"]["writes"], 1, "system calls of a library")
    expect.same(answers(found)["capture"], "partly", "capture")
    expect("libbelow.so" in found["verdicts"]["capture"]["reason"], "whose they are is said")
    # moved away, it is found by LD_LIBRARY_PATH alone
    other = os.path.join(home.top, "other")
    os.rename(os.path.dirname(below), other)
    found = inspect(home, path)
    expect.same(found["missing_library"], "libbelow.so", "missing_library")
    expect.same(set(answers(found).values()), {"no"}, "verdicts on what does not start")
    expect(above in found["verdicts"]["capture"]["reason"], "who needs it is said")
    found = inspect(home, path, LD_LIBRARY_PATH="/nowhere:" + other)
    expect.same(found["missing_library"], None, "missing_library")


@cli.case
def libraries_as_the_loader_finds_them(home, expect):
    places = os.environ["PATH"] + ":/usr/sbin:/sbin"
    names = [shutil.which(name, path=places)
             for name in ("python3", "git", "gdb", "nginx", "ssh", "bash", "redis-server")]
    for found in inspect(home, *filter(None, names)):
        told = subprocess.run(["ldd", found["program"]], capture_output=True, text=True,
                              check=False).stdout
        wanted = {os.path.realpath(path) for path in re.findall(r"(/\S+) \(0x", told)}
        expect.same({row["path"] for row in found["libraries"]}, wanted, found["name"])


# ---- system calls ------------------------------------------------------------------------------

@cli.case
def system_calls(home, expect):
    wanted = {0: (0, 0, "yes"), 1: (1, 0, "partly"), 2: (0, 1, "partly"), 3: (0, 0, "yes")}
    with open(os.path.join(GUESTS, "system_calls.c"), encoding="ascii") as file:
        source = file.read()
    for kind, (writes, unknown, answer) in wanted.items():
        path = make(home, f"sys{kind}", source, f"-DKIND={kind}", "-fno-inline-functions")
        found = inspect(home, path)
        calls = found["system_calls"]
        # `any` is there in all of them, and nobody knows who calls it
        expect.same((calls["writes"], calls["unknown"], calls["certain"]),
                    (writes, max(unknown, 1), True), f"kind {kind}")
        there = sum(line.endswith("\tsyscall") for line in
                    (line.rstrip() for line in lines_of("objdump", "-d", path)))
        expect.same(calls["instructions"], there, f"instructions of kind {kind}")
        expect(answer in ("yes", answers(found)["capture"]), f"verdict on kind {kind}")
    words, passed = heard(home, os.path.join(home.top, "sys1"))
    expect.same((words, passed), ("done\n", "inline\n"), "what is heard of inline calls")


@cli.case
def system_calls_of_real_programs(home, expect):
    large = ["git", "valgrind.bin"] if os.environ.get("EVERY") else []
    names = [name for name in (*large, "bash", "strace", "tac", "nl") if shutil.which(name)]
    for found in inspect(home, *names):
        told = [line.rstrip() for line in lines_of("objdump", "-d", found["program"])]
        expect.same(found["system_calls"]["instructions"],
                    sum(line.endswith("\tsyscall") for line in told), found["name"])


# ---- what cannot be inspected ------------------------------------------------------------------

@cli.case
def bad_files(home, expect):
    path = make(home, "good", HEARD)
    with open(path, "rb") as file:
        good = file.read()
    bad = os.path.join(home.top, "bad")

    def spoilt(data, mode=0o755):
        with open(bad, "wb") as file:
            file.write(data)
        os.chmod(bad, mode)
        return home.run("inspect", bad)

    for length in (5, 63, 100, 700, 3000, len(good) - 64):
        expect.refused(spoilt(good[:length]), 126, bad)
    expect.refused(spoilt(good[:-1]), 126, "is truncated")
    expect.refused(spoilt(good[:16] + b"\xff" * 48), 126, "damaged")
    expect.refused(spoilt(good, 0o644), 126, "Permission denied")
    expect.refused(home.run("inspect", home.top), 126, "cannot be executed")
    expect.refused(home.run("inspect", "hark-nonexistent"), 127, "not found in PATH")
    expect.refused(home.run("inspect", "/nonexistent/x"), 127, "not found")
    expect.refused(home.run("inspect"), 125, "needs a program")
    expect.refused(home.run("inspect", "--jsom", "ls"), 125, "--jsom")
    # one that is bad keeps no other one back
    first, second = inspect(home, bad, path, status=126)
    expect(sorted(first) == ["error", "name"] and first["name"] == bad, f"an object: {first}")
    expect.same(second["path"], path, "what comes behind")


@cli.case
def a_library_is_no_program(home, expect):
    path = library(home, "libx.so", "int x;\n")
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    found = inspect(home, path)
    expect.same(set(answers(found).values()), {"no"}, "verdicts")
    expect("library" in found["verdicts"]["deep"]["reason"], "the reason is said")


# ---- how it is said ----------------------------------------------------------------------------

@cli.case
def said_for_people(home, expect):
    path = make(home, "evil \033[31m'name", HEARD)
    done = home.run("inspect", path)
    expect("\033" not in done.stdout, "no escape sequence in a pipe, not even in a name")
    expect(re.search(r"(?m)^  capture  yes    speaks through glibc, where hooks hear it$",
                     done.stdout), "the verdict")
    expect(re.search(r"(?m)^  stamps   no     was not built with -finstrument-functions$",
                     done.stdout), "why not")
    widest = max(len(line) for line in done.stdout.splitlines() if home.top not in line)
    expect(widest <= 100, f"lines of {widest} columns")
    done = home.run("inspect", path, env={"CLICOLOR_FORCE": "1"})
    expect("\033[32myes" in done.stdout, "colour when asked for")


@cli.case
def keys_are_documented(home, expect):
    with open(os.path.join(harness.ROOT, "tools", "inspect_keys.def"), encoding="utf-8") as file:
        keys = re.findall(r"(?m)^KEY\((\w+),", file.read())
    expect.same(list(inspect(home, "sh")), keys, "keys in their order")
    page = home.run("show", "man7").stdout
    expect(all(f'.It Li "{key}"' in page for key in keys), "hark(7) lists them")


@cli.case
def commands_work(home, expect):
    path = make(home, "it's fine", HEARD)
    for ability, row in inspect(home, path)["verdicts"].items():
        if not row["command"]:
            continue
        command = os.path.dirname(cli.HARK) + "/" + row["command"]
        done = subprocess.run(["sh", "-c", command], env=home.env(), cwd=home.top, text=True,
                              capture_output=True, timeout=cli.LIMIT, check=False)
        expect.same((done.returncode, "heard 2" in done.stderr), (0, True), ability)


@cli.case
def run_says_the_same(home, expect):
    path = make(home, "static", HEARD, "-static")
    reason = inspect(home, path)["verdicts"]["capture"]["reason"]
    expect(f"{path} {reason}: only deep mode hears it" in home.run("run", path).stderr,
           "run's reason for deep mode")


if __name__ == "__main__":
    cli.main(__doc__)
