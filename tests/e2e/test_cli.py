#!/usr/bin/env python3
"""The hark command as people meet it: help, refusals, exit statuses, what a program finds, tables.

Speaks TAP; see cli.py and tests/preload/harness.py for how cases run.
"""
# limit: 400

import glob
import json
import os
import re
import signal
import subprocess
import sys

import cli

VERBS = ["run", "ps", "stats", "drain", "salvage", "report", "graph", "diff", "export", "replay",
         "show"]


# ---- help ---------------------------------------------------------------------------------------

@cli.case
def bare(home, expect):
    done = home.run()
    expect.same(done.returncode, 0, "exit status")
    expect.same(done.stderr, "", "stderr")
    for verb in VERBS:
        expect(f"  hark {verb}" in done.stdout, f"{verb} is not there")
    expect("collect" not in re.findall(r"hark (\w+)", done.stdout), "shows what is internal")
    expect(len(re.findall(r"^  hark .*/nowhere", done.stdout, re.M)) == 3, "three examples")
    expect(max(map(len, done.stdout.splitlines())) <= 80, "wider than 80 columns")
    expect("\033" not in done.stdout, "colour without a terminal")
    expect.same(home.run("--help").stdout, done.stdout, "--help")


@cli.case
def version(home, expect):
    done = home.run("--version")
    expect(re.fullmatch(r"hark \d+\.\d+\.\d+\n", done.stdout), done.stdout)


@cli.case
def help_of_each_verb(home, expect):
    for verb in [*VERBS, "collect", "session"]:
        done = home.run(verb, "--help")
        expect.same(done.returncode, 0, verb)
        expect.same(done.stderr, "", verb)
        expect(done.stdout.startswith(f"usage: hark {verb}"), done.stdout[:80])
        expect(max(map(len, done.stdout.splitlines())) <= 80, f"{verb}: wider than 80 columns")
        expect.same(home.run(verb, "-h").stdout, done.stdout, "-h")


@cli.case
def help_of_run_is_the_table(home, expect):
    text = home.run("run", "--help").stdout
    for row in json.loads(home.run("show", "settings", "--json").stdout):
        if row["option"]:
            expect(f"  {row['option']}" in text, f"{row['option']} is missing")
            expect(f"({row['variable']})" in text, f"{row['variable']} is missing")


@cli.case
def help_belongs_to_the_program_behind_it(home, expect):
    done = home.run("run", "echo", "--help-me", "--level")
    expect.same(done.stdout, "--help-me --level\n", "stdout")
    done = home.run("echo", "--version")
    expect("coreutils" in done.stdout, done.stdout)


# ---- refusals -----------------------------------------------------------------------------------

@cli.case
def unknown_option(home, expect):
    expect.refused(home.run("run", "--levle", "info", "true"), 125, "--levle", "--level",
                   "hark run --help")
    expect.refused(home.run("--captur=stderr", "true"), 125, "--capture")
    expect.refused(home.run("ps", "--yaml"), 125, "--yaml", "hark ps --help")
    expect.refused(home.run("ps", "12"), 125, "12")
    expect.refused(home.run("show"), 125, "settings", "exports")
    expect.refused(home.run("show", "tables"), 125, "tables", "hooks")
    expect.refused(home.run("run"), 125, "hark run")
    expect.refused(home.run("run", "--level"), 125, "--level", "debug")
    expect.refused(home.run("stats", "x"), 125, "x", "hark ps")
    expect.refused(home.run("drain", "--timeout", "5"), 125, "--timeout 5", "500ms")
    expect.refused(home.run("salvage", "--to", "consol"), 125, "consol", "console")
    expect.refused(home.run("salvage", home.top), 1, home.top)


@cli.case
def bad_settings(home, expect):
    for option, value, *words in [
            ("--level", "inof", "info"), ("--ring", "4Q", "64K"), ("--ring", "1", "64K"),
            ("--overflow", "timeout:5", "timeout:100ms"), ("--exit-timeout", "5", "500ms"),
            ("--follow", "nubmer", "number"), ("--capture", "stdrr", "stderr"),
            ("--to", "fiel:x", "file"), ("--to", "file:x?sise=1M", "size")]:
        expect.refused(home.run("run", option, value, "true"), 125, f"{option} {value}", *words)
    expect.refused(home.run("run", "--config", "/no/such/file", "true"), 125, "/no/such/file")
    expect.refused(home.run("true", env={"HARK_RING": "4Q"}), 125, "HARK_RING", "4Q")
    expect.refused(home.run("true", env={"HARK_DEEP": "maybe"}), 125, "HARK_DEEP=maybe", "yes")
    bad = home.file("bad.yaml", "levle: info\n")
    expect.refused(home.run("true", env={"HARK_CONFIG": bad}), 125, "bad.yaml", "level")
    # an option wins, but a bad variable is still not passed over
    expect.refused(home.run("run", "--ring", "1M", "true", env={"HARK_RING": "4Q"}), 125)
    expect(not glob.glob(home.runtime + "/*"), "a session was made")


@cli.case
def unknown_variables(home, expect):
    done = home.run("true", env={"HARK_RIGN": "1M", "HARK_XYZZY": "1"})
    expect.same(done.returncode, 0, "exit status")
    expect.same(sorted(done.stderr.splitlines()),
                ["hark: HARK_RIGN: unknown variable; did you mean HARK_RING?",
                 "hark: HARK_XYZZY: unknown variable"], "warnings")
    done = home.run("run", cli.HARK, "run", "true", env={"HARK_XYZZY": "1"})
    expect.same(done.stderr.count("HARK_XYZZY"), 1, "said again in a session within")


# ---- exit statuses ------------------------------------------------------------------------------

@cli.case
def the_programs_own(home, expect):
    expect.same(home.run("sh", "-c", "exit 7").returncode, 7, "exit 7")
    expect.same(home.run("--", "sh", "-c", "exit 8").returncode, 8, "exit 8")
    expect.same(home.run("run", "--deep", "--", "sh", "-c", "exit 9").returncode, 9, "exit 9")
    expect.same(home.run("sh", "-c", "kill -TERM $$").returncode, -signal.SIGTERM, "SIGTERM")
    # without its first line, a script is the shell's, as with execvp(3)
    path = home.file("script", "exit 6\n", 0o755)
    expect.same(home.run(path).returncode, 6, "a script without #!")


@cli.case
def not_found(home, expect):
    expect.refused(home.run("no-such-program-here"), 127, "no-such-program-here")
    expect.refused(home.run("./nothing"), 127, "./nothing")
    expect.refused(home.run("run", ""), 127)
    expect.refused(home.run("stast"), 127, "hark stats")
    expect(not glob.glob(home.runtime + "/*"), "a session was made")


@cli.case
def cannot_be_executed(home, expect):
    expect.refused(home.run("/tmp"), 126, "/tmp")
    expect.refused(home.run(home.file("plain", "x")), 126, "plain")
    expect.refused(home.run(home.file("lost", "#!/no/such/thing\n", 0o755)), 126,
                   "/no/such/thing")
    expect.refused(home.run(home.file("torn", "\177ELF", 0o755)), 126, "torn", "damaged")
    expect(not glob.glob(home.runtime + "/*"), "a session was made")


# ---- becoming PROG ------------------------------------------------------------------------------

LOOK = """
import json, os
print(json.dumps({
    "pid": os.getpid(),
    "fds": sorted(os.listdir("/proc/self/fd")),
    "signals": [l for l in open("/proc/self/status") if l.startswith("Sig") and l[3] in "PBI"],
    "umask": os.umask(0), "cwd": os.getcwd(),
    "env": {k: v for k, v in os.environ.items()},
}))
"""


def look(home, command, extra):
    """What a program sees of itself, started with a mask, an ignored signal and a umask."""
    def prepare():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGPIPE})
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        os.umask(0o117)
    child = subprocess.Popen([*command, sys.executable, "-c", LOOK], env=home.env(**extra),
                             cwd=home.top, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             preexec_fn=prepare)
    out, _ = child.communicate(timeout=cli.LIMIT)
    seen = json.loads(out)
    seen["pid"] -= child.pid
    return seen


@cli.case
def nothing_but_the_environment(home, expect):
    extra = {"LD_PRELOAD": "libm.so.6", "A": "b", "HARK_LEVEL": "info"}
    native, heard = look(home, [], extra), look(
        home, [cli.HARK, "run", "--level", "notice", "--to", "console", "--to", "file:a b",
               "--mirror"], extra)
    # without it, nobody reads HARK_LEVEL
    env, before = heard.pop("env"), native.pop("env")
    expect.same(heard, native, "what it sees of itself")
    preload = env.pop("LD_PRELOAD").split(":")
    expect.same(os.path.basename(preload[0]), "libhark-preload.so", "LD_PRELOAD begins with")
    expect.same(preload[1:], [before.pop("LD_PRELOAD")], "LD_PRELOAD goes on with")
    expect(env.pop("HARK_SESSION").startswith(home.runtime + "/"), "HARK_SESSION")
    expect.same(env.pop("HARK_SINKS"), "console file:a%20b", "HARK_SINKS")
    expect.same((env.pop("HARK_LEVEL"), before.pop("HARK_LEVEL")), ("notice", "info"), "level")
    expect.same(env.pop("HARK_MIRROR"), "1", "HARK_MIRROR")
    expect.same(env, before, "the rest of the environment")


@cli.case
def a_umask_that_leaves_nothing(home, expect):
    """The program has its own; what hark makes can be opened again, by who is not root, too."""
    runtime, data = os.path.join(home.top, "place"), os.path.join(home.top, "data")
    look = f"umask; stat -c %a {runtime} $HARK_SESSION/*"
    done = home.run("sh", "-c", f"umask 777; exec {cli.HARK} run --stamp trace --data {data} sh -c '{look}'",
                    env={"HARK_RUNTIME_DIR": runtime})
    mask, *modes = done.stdout.split()
    expect.same((mask, done.stderr), ("0777", ""), "the program's umask, and what was said")
    expect(len(modes) > 3 and all(mode[0] in "67" for mode in modes), f"modes: {modes}")
    expect.same(oct(os.stat(data).st_mode & 0o777), "0o700", "the trace's mode")


@cli.case
def disabled(home, expect):
    done = home.run("sh", "-c", "echo ${LD_PRELOAD-none} ${HARK_SESSION-none}",
                    env={"HARK_DISABLE": "1"})
    expect.same(done.stdout, "none none\n", "stdout")


@cli.case
def keeps_its_name(home, expect):
    done = home.run("sh", "-c", "echo $0", "-sh")
    expect.same(done.stdout, "-sh\n", "$0")
    done = home.run("cat", "/proc/self/cmdline")
    expect.same(done.stdout, "cat\0/proc/self/cmdline\0", "argv")


# ---- the tables ---------------------------------------------------------------------------------

def table(name):
    """The rows of a .def file, as the strings in each."""
    with open(os.path.join(cli.harness.ROOT, name), encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    return text


@cli.case
def shown_settings(home, expect):
    rows = json.loads(home.run("show", "settings", "--json").stdout)
    variables = re.findall(r'"(HARK_\w+)"', table("lib/config/settings.def"))
    expect.same([r["variable"] for r in rows], variables, "variables")
    text = home.run("show", "settings").stdout
    for row in rows:
        expect(set(row) == {"key", "option", "metavar", "variable", "default", "accepted", "doc",
                            "repeatable"}, f"fields: {sorted(row)}")
        expect(row["variable"] in text, f"{row['variable']} is not in the text")


@cli.case
def shown_sinks_and_formats(home, expect):
    rows = json.loads(home.run("show", "sinks", "--json").stdout)
    kinds = re.findall(r'^SINK\(\w+, "(\w+)"', table("lib/sink/sinks.def"), re.M)
    expect.same([r["name"] for r in rows], kinds, "sinks")
    keys = set(re.findall(r"^SINK_KEY\((\w+),", table("lib/config/sink_keys.def"), re.M))
    expect.same({k["name"] for r in rows for k in r["keys"]}, keys, "keys")
    rows = json.loads(home.run("show", "formats", "--json").stdout)
    names = re.findall(r"^FORMAT\((\w+),", table("lib/format/formats.def"), re.M)
    expect.same([r["name"] for r in rows], names, "formats")
    text = home.run("show", "formats").stdout
    expect.same([line.split()[0] for line in text.splitlines()], names, "formats as text")


@cli.case
def shown_hooks(home, expect):
    rows = json.loads(home.run("show", "hooks", "--json").stdout)
    defined = table("shim/hooks.def")
    names = [a or b for a, b in re.findall(
        r"^HOOK(?:\([^,]+, (\w+),|_ALIAS\((\w+),)", defined, re.M)]
    expect.same([r["name"] for r in rows], names, "hooks")
    expect.same(len(home.run("show", "hooks").stdout.splitlines()), len(names), "lines of text")


@cli.case
def shown_exports(home, expect):
    rows = json.loads(home.run("show", "exports", "--json").stdout)
    expect.same({row["name"] for row in rows},
                set("chrome perfetto folded flamegraph pprof speedscope callgrind ctf".split()),
                "exports")
    expect.same([row["name"] for row in rows if row["directory"]], ["ctf"], "directories")
    text = home.run("show", "exports").stdout
    for row in rows:
        expect(f"{row['name']} " in text and row["doc"] in text, row["name"])
        expect(row["name"] in home.run("export", "--help").stdout, f"{row['name']} in the help")


@cli.case
def manual_pages(home, expect):
    for section in "17":
        page = home.run("show", f"man{section}").stdout
        expect(f".Dt HARK {section}\n" in page, page[:100])
        for row in json.loads(home.run("show", "settings", "--json").stdout):
            if row["option"] or section == "7":
                expect(f"Ev {row['variable']}" in page, f"hark({section}): {row['variable']}")


@cli.case
def a_full_disk_is_noticed(home, expect):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([cli.HARK, "show", "hooks"], env=home.env(), stdout=full,
                              stderr=subprocess.PIPE, check=False)
    expect.same(done.returncode, 125, "exit status")
    expect(b"standard output" in done.stderr, done.stderr)


cli.main(__doc__)
