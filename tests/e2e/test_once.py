#!/usr/bin/env python3
"""What tests compile with (tests/compile/once.c): the same is not compiled twice, and what is taken is what
the compiler would make now. Speaks TAP.
"""

import os
import subprocess
import threading

import cli

COMPILER = """#!/bin/sh
echo "$*" >>{top}/log
[ ! -e {top}/says ] || cat {top}/says >&2
exec gcc "$@"
"""


class Once:
    """One of its own, with a compiler that keeps a log, in a folder with a program of two files."""

    def __init__(self, home):
        self.home, self.top, self.log = home, home.top, os.path.join(home.top, "log")
        os.mkdir(os.path.join(self.top, "tests"))
        self.program = cli.copy_program(cli.harness.ONCE, os.path.join(self.top, "tests"))
        self.compiler = home.file("cc", COMPILER.format(top=self.top), 0o755)
        home.file("p.c", '#include "h.h"\nint main(void) { return VALUE; }\n')
        home.file("h.h", "#define VALUE 3\n")

    def run(self, *words, once=(), folder="", status=0):
        """Whether it was compiled, and what was said."""
        before = self.runs()
        done = subprocess.run([self.program, *once, self.compiler, "-o", "p", *words],
                              cwd=os.path.join(self.top, folder), capture_output=True, text=True,
                              env=self.home.env(), check=False)
        assert done.returncode == status, done
        return self.runs() - before, done.stderr

    def runs(self):
        if not os.path.exists(self.log):
            return 0
        with open(self.log, encoding="utf-8") as file:
            return len(file.readlines())

    def value(self, folder=""):
        return subprocess.run([os.path.join(self.top, folder, "p")], check=False).returncode


@cli.case
def the_same_once(home, expect):
    once = Once(home)
    expect.same(once.run("p.c"), (1, ""), "the first time")
    os.unlink(home.top + "/p")
    expect.same((once.run("p.c"), once.value()), ((0, ""), 3), "the second time")
    expect.same(once.run("-O2", "p.c"), (1, ""), "with another option")
    expect.same(once.run("p.c"), (0, ""), "without it")
    with open(once.compiler, "a", encoding="ascii") as file:
        file.write("# another one\n")
    expect.same(once.run("p.c"), (1, ""), "by another compiler")


@cli.case
def whatever_is_read(home, expect):
    """A header, a source, a library, an object, a file of the linker's."""
    once = Once(home)
    once.run("p.c")
    home.file("h.h", "#define VALUE 4\n")
    expect.same((once.run("p.c"), once.value()), ((1, ""), 4), "another header")
    expect.same((once.run("p.c"), once.value()), ((0, ""), 4), "the same again")
    home.file("p.c", "int v(void); int main(void) { return v(); }\n")
    home.file("v.map", "{ local: w; };\n")
    for number in 5, 6:
        home.file("v.c", f"int v(void) {{ return {number}; }}\n")
        subprocess.run(["gcc", "-shared", "-o", "libv.so", "v.c"], cwd=home.top, check=True)
        words = "p.c", "-L.", "-lv", "-Wl,-rpath,$ORIGIN", "-Wl,--version-script=v.map"
        expect.same([once.run(*words)[0] for _ in range(2)], [1, 0], f"library {number}")
        expect.same(once.value(), number, "what it gives")
    home.file("v.map", "{ local: u; };\n")
    expect.same([once.run(*words)[0] for _ in range(2)], [1, 0], "another script of the linker's")


@cli.case
def paths_where_they_matter(home, expect):
    """Debug information and __FILE__ say where sources are; nothing else does."""
    once = Once(home)
    for folder in "one", "two":
        os.mkdir(os.path.join(home.top, folder))
        for name in "p.c", "h.h":
            cli.copy_program(os.path.join(home.top, name), os.path.join(home.top, folder))
    named = '#include "h.h"\nconst char *name = __FILE__;\nint main(void) { return VALUE; }\n'
    expect.same([once.run("p.c", folder=f)[0] for f in ("one", "two")], [1, 0], "without")
    expect.same([once.run("-g", "p.c", folder=f)[0] for f in ("one", "two", "two")], [1, 1, 0], "-g")
    expect.same([once.run("-g", "p.c", folder=f, once=["--anywhere"])[0] for f in ("one", "two")],
                [1, 0], "--anywhere")
    for folder in "one", "two":
        home.file(folder + "/p.c", named)
        expect.same(once.run(f"{home.top}/{folder}/p.c")[0], 1, "__FILE__")
        with open(home.top + "/p", "rb") as file:
            expect(f"{home.top}/{folder}/p.c".encode() in file.read(), f"__FILE__ in {folder}")


@cli.case
def what_is_said_is_said_again(home, expect):
    once = Once(home)
    home.file("says", "careful\n")
    expect.same([once.run("p.c") for _ in range(2)], [(1, "careful\n"), (0, "careful\n")], "a warning")
    home.file("p.c", "int main(void) { return undeclared; }\n")
    for _ in range(2):
        runs, said = once.run("p.c", status=1)
        expect((runs, "undeclared" in said) == (1, True), f"an error: {runs} {said}")


@cli.case
def nothing_to_be_kept(home, expect):
    """No folder to keep it in, a file there that is torn, and many at a time: it is compiled."""
    once = Once(home)
    kept = os.path.join(home.top, "compiled")
    home.file("compiled", "in its way")
    expect.same([once.run("p.c")[0] for _ in range(2)], [1, 1], "without a folder")
    os.unlink(kept)
    once.run("p.c")
    (name,) = os.listdir(kept)
    with open(os.path.join(kept, name), "r+b") as file:
        file.truncate(5000)
    expect.same((once.run("p.c")[0], once.value()), (1, 3), "torn")
    os.unlink(os.path.join(kept, name))
    for folder in "abcd":
        os.mkdir(os.path.join(home.top, folder))
    threads = [threading.Thread(target=once.run, args=("../p.c",), kwargs={"folder": f}) for f in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect.same([once.value(folder) for folder in "abcd"], [3] * 4, "at a time")
    expect.same([len(name) for name in os.listdir(kept)], [16], "what is kept")


if not os.access(cli.harness.ONCE, os.X_OK):
    print("1..0 # skip build/tests/once is not there: make check")
else:
    cli.main(__doc__)
