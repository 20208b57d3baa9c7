#!/usr/bin/env python3
"""The cases that broke other tools of this kind, and which test holds each of them.

    tests/traps.py --tests          the tests that the table names
    tests/traps.py --verdicts FILE  prints the table with what came of them (`make traps`)
    tests/traps.py --write          makes the table of ARCHITECTURE.md anew (`make readme`)
    tests/traps.py                  checks all that can be told without running them; speaks TAP

tests/traps.txt is the only place that knows. The runners of cases ask numbers() here, so that a case
is named by its numbers wherever it is seen: "ok 3 - plain/thread/raise (T8)".
"""

import collections
import contextlib
import fnmatch
import functools
import glob
import io
import os
import re
import runpy
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE = os.path.join(ROOT, "tests", "traps.txt")
DOCUMENT = os.path.join(ROOT, "ARCHITECTURE.md")
WANTED = [f"{kind}{n}" for kind, last in (("T", 16), ("P", 9), ("L", 11))
          for n in range(1, last + 1)] + ["S1", "S2", "S3", "S4", "S5", "S6", "S8"]
MARKED = re.compile(r"(<!-- traps -->\n)(.*?)(<!-- end -->\n)", re.S)

# test: as tests/run names it, None where the clause cannot be tested; then patterns says why
Clause = collections.namedtuple("Clause", "text test patterns")
Trap = collections.namedtuple("Trap", "number text clauses")


@functools.cache
def table():
    """Lines "NUMBER what goes wrong" with lines "<tab>clause | test | pattern…" below them."""
    traps = []
    with open(TABLE, encoding="utf-8") as file:
        for line in file:
            if line.startswith("\t"):
                text, test, patterns = (part.strip() for part in line.split("|"))
                clause = Clause(text, None, patterns) if test == "-" else \
                    Clause(text, test, patterns.split())
                traps[-1].clauses.append(clause)
            elif line.strip() and not line.startswith("#"):
                number, text = line.split(maxsplit=1)
                traps.append(Trap(number, text.strip(), []))
    return traps


def clauses():
    return [(trap, clause) for trap in table() for clause in trap.clauses if clause.test]


def numbers(test, case):
    """The traps that a case belongs to, in the order of the table."""
    found = [trap.number for trap, clause in clauses() if clause.test == test and
             any(fnmatch.fnmatchcase(case, pattern) for pattern in clause.patterns)]
    return list(dict.fromkeys(found))


def named(script, case):
    """The case's name with its numbers. script: the path of the test."""
    found = numbers(name_of(script), case)
    return f"{case} ({', '.join(found)})" if found else case


def chosen(script, case, patterns):
    """Whether one of the patterns means the case: globs of names, or numbers of traps. Without any,
    $TRAPS says whether only those of the table are wanted."""
    found = numbers(name_of(script), case)
    if not patterns:
        return not os.environ.get("TRAPS") or bool(found)
    return any(fnmatch.fnmatch(case, p) or p in found for p in patterns)


def name_of(script):
    return os.path.relpath(os.path.abspath(script), os.path.join(ROOT, "tests"))


def tests():
    return sorted({clause.test for _, clause in clauses()})


# ---- verdicts -----------------------------------------------------------------------------------

def verdict_of(clause, verdicts):
    """(verdict, how many cases passed) of a clause. Each of its patterns must have a case, none may
    fail; where all are skipped, so is the clause. verdicts: (test, case) to word."""
    if not clause.test:
        return "not here", 0
    words = []
    for pattern in clause.patterns:
        found = [word for (test, case), word in verdicts.items()
                 if test == clause.test and fnmatch.fnmatchcase(case, pattern)]
        words += found or ["no case"]
    for bad in "no case", "failed":
        if bad in words:
            return bad, words.count("passed")
    return ("passed" if "passed" in words else "skipped"), words.count("passed")


def row_verdict(trap, results):
    """A row holds when no clause fails and a test of a running program has passed."""
    words = [word for word, _ in results]
    if "no case" in words or "failed" in words:
        return "FAILED"
    if any(word == "passed" and not clause.test.startswith("unit/")
           for clause, (word, _) in zip(trap.clauses, results)):
        return "ok"
    return "not here" if set(words) <= {"not here"} and words else "FAILED"


def read_verdicts(path):
    """What `tests/run --cases` wrote: verdict, test and case, a line each."""
    verdicts = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            word, test, case = line.rstrip("\n").split("\t")
            key = (test, case.split()[0] if case else "")
            if verdicts.get(key) != "failed":
                verdicts[key] = word
    return verdicts


def print_verdicts(path):
    verdicts = read_verdicts(path)
    total = collections.Counter()
    for trap in table():
        results = [verdict_of(clause, verdicts) for clause in trap.clauses]
        row = row_verdict(trap, results)
        total[row] += 1
        print(f"{trap.number:4}{row:9}{trap.text}")
        for clause, (word, count) in zip(trap.clauses, results):
            where = f"{clause.test} {' '.join(clause.patterns)}" if clause.test else clause.patterns
            print(f"      {word:9}{clause.text}: {where}" + (f" ({count})" if count > 1 else ""))
    print(", ".join(f"{count} {row}" for row, count in total.items()))
    return 1 if total["FAILED"] else 0


# ---- what can be told beforehand ----------------------------------------------------------------

def path_of(test):
    for path in (f"tests/{test}", f"tests/{test}.c"):
        if os.path.exists(os.path.join(ROOT, path)):
            return path
    return None


def table_complaints():
    seen = [trap.number for trap in table()]
    if seen != WANTED:
        yield f"the rows are {seen}, not {WANTED}"
    for trap in table():
        if not trap.clauses:
            yield f"{trap.number}: no test"
    for trap, clause in clauses():
        if not path_of(clause.test):
            yield f"{trap.number}: there is no test {clause.test}"
        if not clause.patterns:
            yield f"{trap.number}: {clause.text}: no case"


def listed(path):
    """(exit status, what it says) of a script that is asked for its cases: in this process, which loads
    but once what they all need. Our own modules, which keep a script's cases, it has anew."""
    known, paths, argv = set(sys.modules), list(sys.path), sys.argv
    path = os.path.join(ROOT, path)
    sys.argv = [path, "--list"]
    sys.path.insert(0, os.path.dirname(path))
    said, status = io.StringIO(), 0
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        status = end.code
    except Exception as error:  # pylint: disable=broad-except  # it is to be told whose it is
        return 1, f"{type(error).__name__}: {error}"
    finally:
        sys.path[:], sys.argv = paths, argv
        for name in set(sys.modules) - known:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(ROOT + "/"):
                del sys.modules[name]
    return status, said.getvalue()


def case_complaints():
    """Each pattern has a case. (Programs of C name theirs in the source.)"""
    for test in tests():
        path = path_of(test)
        if not path:
            continue
        if path.endswith(".py"):
            status, said = listed(path)
            names = [line.split()[0] for line in said.splitlines() if line]
            if status:
                yield f"{path} --list: {said.strip()[-300:]}"
        else:
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                names = re.findall(r"^static void (\w+)\(void \*\*", file.read(), re.M) or [""]
        for trap, clause in clauses():
            for pattern in clause.patterns if clause.test == test else []:
                if not fnmatch.filter(names, pattern):
                    yield f"{trap.number}: {test} has no case {pattern}"


def mentions():
    """A number that a test names is one of the table."""
    for path in glob.glob(os.path.join(ROOT, "tests", "*", "**", "*.*"), recursive=True):
        if not path.endswith((".py", ".c", ".cc", ".h")):
            continue
        with open(path, encoding="utf-8") as file:
            for number in re.findall(r"\b[TPL]\d{1,2}\b(?=/|\*|: | and )", file.read()):
                if number not in WANTED:
                    yield f"{os.path.relpath(path, ROOT)}: there is no {number}"


def rows_of_document():
    yield "| | case | where it is provoked |\n|---|---|---|\n"
    for trap in table():
        where = dict.fromkeys(f"`{path_of(clause.test)}`" for clause in trap.clauses if clause.test)
        text = trap.text.replace("|", "\\|")
        yield f"| {trap.number} | {text} | {', '.join(where) or 'not here'} |\n"


def made_anew(text):
    return MARKED.sub(lambda m: m[1] + "".join(rows_of_document()) + m[3], text)


def document_complaints():
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    if len(MARKED.findall(text)) != 1:
        yield "ARCHITECTURE.md: the table of the traps is not there once"
    if made_anew(text) != text:
        yield "ARCHITECTURE.md: the table is not that of tests/traps.txt: make readme"


def check():
    cases = {"every row has its tests": table_complaints, "every clause has its cases": case_complaints,
             "no test names another number": mentions,
             "ARCHITECTURE.md's table is this one": document_complaints}
    print(f"1..{len(cases)}")
    failed = 0
    for at, (name, complain) in enumerate(cases.items(), 1):
        complaints = list(complain())
        for complaint in complaints:
            print("#", complaint)
        print("not ok" if complaints else "ok", at, "-", name)
        failed += bool(complaints)
    return 1 if failed else 0


def main():
    if sys.argv[1:] == ["--tests"]:
        # a program of C is what it is built as
        print("\n".join(path_of(test) if test.endswith(".py") else f"build/tests/{test}"
                        for test in tests()))
        return 0
    if sys.argv[1:2] == ["--verdicts"]:
        return print_verdicts(sys.argv[2])
    if sys.argv[1:] == ["--write"]:
        with open(DOCUMENT, encoding="utf-8") as file:
            text = file.read()
        with open(DOCUMENT, "w", encoding="utf-8") as file:
            file.write(made_anew(text))
        return 0
    return check()


if __name__ == "__main__":
    sys.exit(main())
