"""Runs the cases of a test several at a time and speaks TAP; what the runners written in Python share.

A case is a name and a function that returns its complaints, [] when all is well. It may be chosen by
its name or by the number of a trap that it holds (see traps.py). Where cases are combinations, some are
spare: what they hold is held by others, too, and they run only when they are asked for, or all are
($EVERY).
"""

import argparse
import gc
import os
import queue
import sys
import threading

import traps


def arguments(description):
    """The command line that all the runners share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("-j", type=int, default=2 * len(os.sched_getaffinity(0)), metavar="JOBS")
    parser.add_argument("-l", "--list", action="store_true", help="name the cases, run none")
    parser.add_argument("--native", action="store_true",
                        help="without hark: check that the cases themselves hold water")
    parser.add_argument("patterns", nargs="*",
                        help="run only cases matching one of these globs, or a trap's number")
    return parser.parse_args()


def run_tap(cases, args, spare=frozenset()):
    """cases: (name, function) pairs. A function returns its complaints, [] when all is well.
    Runs them args.j at a time, prints TAP in order, returns the exit status. spare: names of cases."""
    all_of_them = args.patterns or args.list or os.environ.get("TRAPS") or os.environ.get("EVERY")
    cases = [c for c in cases if (all_of_them or c[0] not in spare) and
             traps.chosen(sys.argv[0], c[0], args.patterns)]
    if args.list:
        print("\n".join(traps.named(sys.argv[0], name) for name, _ in cases))
        return 0
    print(f"1..{len(cases)}")
    failed = 0
    gc.disable()  # hundreds of thousands of messages or records, and hardly a cycle
    results = in_parallel([function for _, function in cases], args.j)
    for number, ((name, _), (complaints, skipped)) in enumerate(zip(cases, results), 1):
        for complaint in complaints:
            print("# " + str(complaint)[:2000].replace("\n", "\n#   "))
        verdict = f"{'not ok' if complaints else 'ok'} {number} - "
        why = f" # skip {skipped}" if skipped else ""
        print(verdict + traps.named(sys.argv[0], name) + why, flush=True)
        failed += bool(complaints)
    return 1 if failed else 0


def in_parallel(functions, jobs):
    """What guarded() has of each, in their order, each as soon as it is there. (concurrent.futures
    would take longer to load than many a test takes.)"""
    results = [queue.SimpleQueue() for _ in functions]
    pairs = iter(list(zip(functions, results)))

    def work():
        for function, result in pairs:
            result.put(guarded(function))

    for _ in range(min(jobs, len(functions))):
        threading.Thread(target=work, daemon=True).start()
    return (result.get() for result in results)


class Skip(Exception):
    """Raised by a case that cannot be provoked here; says why."""


def guarded(function):
    """Its complaints, and why it was skipped."""
    try:
        return function(), None
    except Skip as skip:
        return [], str(skip)
    except Exception as error:  # pylint: disable=broad-except  # a case, not the test, fails
        return [f"{type(error).__name__}: {error}"], None
