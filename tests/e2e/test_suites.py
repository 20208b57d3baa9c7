#!/usr/bin/env python3
"""A little of what `make suites` runs: others' test suites, with hark and without.

Some of CPython's test modules and of stress-ng's families, as Debian ships them, each natively and
under hark, with a difference repeated before it counts. Speaks TAP; see tests/suites/core.py.
"""
# limit: 400

import os
import sys
import tempfile

import cli
import harness

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "suites"))
import core          # noqa: E402  pylint: disable=wrong-import-position
import suite_python  # noqa: E402  pylint: disable=wrong-import-position
import suite_stress  # noqa: E402  pylint: disable=wrong-import-position


def case(suite, mode):
    def body():
        said, native = [], core.repeat(suite, "native", None)
        if not native:
            return ["natively there are no verdicts"]
        return core.compare(suite, mode, native, said.append) and said
    name = f"{suite.name}_{mode}"
    why = suite.missing()
    cli.CASES.append((f"{name} # skip: {why}", lambda: []) if why else (name, body))


class Python(suite_python.Python):
    # with children, with a terminal, with files; test_posix and test_os take as long as all the others
    modules = (suite_python.SHORT if os.environ.get("EVERY") else
               ["test_popen", "test_pty", "test_syslog", "test_fileio"])


class Stress(suite_stress.Stress):
    families = suite_stress.SHORT
    extent = ("--{}-ops", "20")


core.CACHE = tempfile.gettempdir()
case(Python(), "both")
case(Stress(), "bare")
cli.main(__doc__)
