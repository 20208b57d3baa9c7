"""ledger.h as words of 64 bits: what was said, and what was heard of it."""

import bisect
import mmap
import time

RECOVERY_NS = 200000000  # after a trouble: hold-ups are still of our making

SLOTS, EARS, GAPS, DOUBTS = 32, 5, 1 << 16, 1 << 18
HEARD_WORDS = 16 + SLOTS + 6 * GAPS
HEARD_AT, DOUBTS_AT = 8 + 8 * SLOTS, 8 + 8 * SLOTS + EARS * HEARD_WORDS
WAIT, TALK, REST, END = range(4)
MOOD, CLOSING, SINCE, UNTIL, DOUBTS_COUNT, LIVES, WORKERS = range(7)
(MESSAGES, REPEATED, BACKS, NOTES, ANNOUNCED, HELD, HELD_OURS, LONGEST, LONGEST_OURS, ODD, GAPS_COUNT,
 CUTS_COUNT, SEQ, AGAIN, BYTES, OTHERS) = range(16)


class Ledger:
    def __init__(self, path):
        self.path = path
        with open(path, "w+b") as file:
            file.truncate(8 * (DOUBTS_AT + 2 * DOUBTS))
            self.map = mmap.mmap(file.fileno(), 0)
        self.words = memoryview(self.map).cast("Q")

    def slots(self):
        return [(self.words[8 + 8 * i], self.words[9 + 8 * i]) for i in range(SLOTS)]

    def said(self):
        return sum(returned for _, returned in self.slots())

    def heard(self, ear):
        at = HEARD_AT + ear * HEARD_WORDS
        return self.words[at:at + HEARD_WORDS]

    def doubts(self):
        """Numbers whose calls did not return."""
        words = self.words[DOUBTS_AT:DOUBTS_AT + 2 * self.words[DOUBTS_COUNT]].tolist()
        doubts = set(zip(words[::2], words[1::2]))
        return doubts | {(i, b) for i, (b, r) in enumerate(self.slots()) if b != r}

    def trouble(self, over):
        now = time.time_ns()
        if self.words[UNTIL] < now:
            self.words[SINCE] = now
        self.words[UNTIL] = 1 << 63 if not over else now + RECOVERY_NS

    def close(self):
        self.words.release()
        self.map.close()


def count_within(doubts, gaps):
    """How many of them."""
    by_slot = {}
    for slot, first, last in gaps:
        by_slot.setdefault(slot, []).append((first, last))
    count = 0
    for slot, number in doubts:
        row = by_slot.get(slot, [])
        at = bisect.bisect(row, (number, 1 << 64)) - 1
        count += at >= 0 and row[at][0] <= number <= row[at][1]
    return count
