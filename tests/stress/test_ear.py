#!/usr/bin/env python3
"""The soak's ears (ear.c) know what hark may do to a message, and what it may not. Speaks TAP."""

import contextlib
import os
import socket
import subprocess
import tempfile

import life
from ledger import ANNOUNCED, CLOSING, GAPS_COUNT, MESSAGES, ODD, REPEATED, Ledger

RUN, EAR, LONG, BYTES = "Rabc", 3, 3999, 40000  # LONG: the first of those that are long
KEYS = {"messages": MESSAGES, "repeated": REPEATED, "odd": ODD, "gaps": GAPS_COUNT,
        "announced": ANNOUNCED}


def body(slot, number):
    """As padding() in ledger.h."""
    if number % (LONG + 1) == LONG:
        return chr(ord("a") + slot) * BYTES + "."
    return chr(ord("a") + number % 26) * (number * 7919 % 97) + "."


def raw(slot, number):
    return f"{RUN} {slot} {number} {body(slot, number)}\n"


def line(text, seq, tid=7, level="info"):
    return f'{{"time":"2026-01-01T00:00:00.000000000Z","level":"{level}","msg":"{text}",' \
           f'"source":"stderr","pid":7,"tid":{tid},"comm":"x","seq":{seq}}}\n'


def json(slot, number, seq):
    return line(raw(slot, number)[:-1], seq)


def note(lost, seq):
    return line(f"{lost} messages (9 bytes) lost: a sink's queue was full", seq, level="warning")


def hear(kind, *streams):
    """The account that an ear keeps of what comes; of each connection, or of all through a pipe."""
    with contextlib.ExitStack() as stack:
        top = stack.enter_context(tempfile.TemporaryDirectory(prefix="hark-ear-"))
        ledger = Ledger(os.path.join(top, "ledger"), (LONG + 1, BYTES), 100)
        stack.callback(ledger.close)
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(os.path.join(top, "sock"))
        server.listen()
        theirs, ours = os.pipe()
        fd = theirs if kind == "fd" else server.fileno()
        ear = stack.enter_context(subprocess.Popen(
            [life.program("ear"), ledger.path, RUN, str(EAR), kind, str(fd)], pass_fds=[fd],
            stderr=subprocess.DEVNULL))
        stack.callback(ear.kill)
        os.close(theirs)
        with open(ours, "w", encoding="ascii") as pipe:
            for text in streams:
                if kind == "fd":
                    pipe.write(text)
                    continue
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(server.getsockname())
                    client.sendall(text.encode())
                    client.shutdown(socket.SHUT_WR)
                    client.recv(1)  # all was heard
        ledger.words[CLOSING] = 1
        ear.wait(60)
        heard = ledger.heard(EAR)
        account = {name: heard[at] for name, at in KEYS.items() if heard[at]}
        heard.release()
        if cuts := ledger.cuts(EAR):
            account["cuts"] = cuts
        return account


HEAD, MIDDLE, END = body(1, LONG)[:1000], body(1, LONG)[1000:2000], body(1, LONG)[2000:]
OTHER_HEAD, OTHER_END = body(2, LONG)[:1000], body(2, LONG)[1000:]
BEFORE = "".join(raw(1, n) for n in range(1, LONG))
BEFORE_OTHER = "".join(raw(2, n) for n in range(1, LONG))
BEFORE_JSON = "".join(json(1, n, n) for n in range(1, LONG))
ALL_BUT_ONE = "".join(json(1, n, n) for n in range(1, LONG - 1))
PIECES = [line(f"{RUN} 1 {LONG} {HEAD}", LONG), line(MIDDLE, LONG + 1), line(END, LONG + 2)]
BATCH = json(1, 1, 1) + note(5, 2) + json(1, 2, 3)

CASES = {
    # what is well
    "whole": (("listen", raw(1, 1) + raw(2, 1) + raw(1, 2)), {"messages": 3}),
    "in three pieces": (("listen", BEFORE_JSON + "".join(PIECES)), {"messages": LONG}),
    "its pieces come again": (("listen", BEFORE_JSON + "".join(PIECES), PIECES[1] + PIECES[2]),
                              {"messages": LONG}),
    "its beginning comes again": (("listen", BEFORE_JSON + PIECES[0], "".join(PIECES)),
                                  {"messages": LONG}),
    "its beginning is lost": (("fd", BEFORE_JSON + PIECES[1] + PIECES[2]), {"messages": LONG - 1}),
    "among bytes": (("listen", BEFORE + f"{RUN} 1 {LONG} " + HEAD + raw(2, 1) + MIDDLE + raw(2, 2)
                     + END + "\n"), {"messages": LONG + 2}),
    "two among bytes": (("listen", BEFORE + BEFORE_OTHER + f"{RUN} 1 {LONG} " + HEAD +
                         f"{RUN} 2 {LONG} " + OTHER_HEAD + MIDDLE + END + "\n" + OTHER_END + "\n"),
                        {"messages": 2 * LONG}),
    "a rest among bytes comes again": (
        ("listen", BEFORE + f"{RUN} 1 {LONG} " + HEAD + MIDDLE + raw(2, 1) + END + "\n",
         END + "\n" + raw(1, LONG + 1)), {"messages": LONG + 2}),
    # The one before was in doubt: its writer was killed.
    "in pieces after one that did not come": (("listen", ALL_BUT_ONE + "".join(PIECES)),
                                              {"messages": LONG - 1, "gaps": 1}),
    "in pieces, and on": (("listen", BEFORE_JSON + "".join(PIECES) + json(1, LONG + 1, LONG + 3)),
                          {"messages": LONG + 1}),
    "a batch comes again": (("listen", BATCH, BATCH),
                            {"messages": 2, "repeated": 2, "announced": 5}),
    # On a terminal: killed in the middle of a number, which is odd. The batch's first is in that line.
    "a batch after half a number": (("fd", BATCH + json(1, 3, 40)[:-4] + BATCH + json(1, 3, 40)),
                                    {"messages": 3, "repeated": 2, "announced": 5}),
    "half a number that was before": (
        ("fd", BATCH + json(1, 3, 10)[:-3] + BATCH + json(1, 3, 10)),
        {"messages": 3, "repeated": 2, "announced": 5, "odd": 1}),
    # what is not
    "one is lost": (("listen", raw(1, 1) + raw(1, 3)), {"messages": 2, "gaps": 1}),
    "one is torn": (("listen", raw(1, 1) + raw(1, 2)[:-5] + "\n" + raw(1, 3)),
                    {"messages": 2, "gaps": 1, "cuts": [(1, 2)]}),
    "one is short": (("listen", raw(1, 1) + raw(1, 2)[:-4] + ".\n" + raw(1, 3)),
                     {"messages": 2, "gaps": 1, "cuts": [(1, 2)]}),
    "a piece is missing": (("listen", BEFORE_JSON + PIECES[0] + PIECES[2]),
                           {"messages": LONG - 1, "cuts": [(1, LONG)], "odd": 1}),
    "a piece is missing among bytes": (
        ("listen", BEFORE + f"{RUN} 1 {LONG} " + HEAD + raw(2, 1) + END + "\n"),
        {"messages": LONG, "cuts": [(1, LONG)], "odd": 1}),
    "the rest does not come": (("listen", BEFORE_JSON + PIECES[0] + PIECES[1]),
                               {"messages": LONG - 1, "cuts": [(1, LONG)]}),
    "the rest does not come, and on": (
        ("listen", BEFORE_JSON + PIECES[0] + json(1, LONG + 1, LONG + 3)),
        {"messages": LONG, "gaps": 1, "cuts": [(1, LONG)]}),
    "a rest among bytes that was not before": (("listen", BEFORE + END + "\n"),
                                               {"messages": LONG - 1, "odd": 1}),
    "a rest of nothing": (("listen", BATCH + PIECES[2]),
                          {"messages": 2, "announced": 5, "odd": 1}),
    "another thread's rest": (("listen", BEFORE_JSON + PIECES[0] + line(END, LONG + 1, tid=8)),
                              {"messages": LONG - 1, "cuts": [(1, LONG)], "odd": 1}),
    "another voice's rest": (("listen", BEFORE_JSON + PIECES[0] + line(OTHER_END, LONG + 1)),
                             {"messages": LONG - 1, "cuts": [(1, LONG)], "odd": 1}),
    "nobody has said it": (("fd", line("what?", 1)), {"odd": 1}),
    "the order is another": (("listen", json(1, 1, 2) + json(2, 1, 1)), {"messages": 2, "odd": 1}),
}


def main():
    print(f"1..{len(CASES)}")
    for number, (name, (said, want)) in enumerate(CASES.items(), 1):
        got = hear(*said)
        if got != want:
            print(f"# heard {got}, expected {want}")
        print("ok" if got == want else "not ok", number, "-", name, flush=True)


main()
