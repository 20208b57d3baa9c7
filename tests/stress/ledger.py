"""ledger.h as words of 64 bits: what was said, and what was heard of it."""

import bisect
import mmap
import time

BEAT = 0.2               # seconds, as ledger.h has it
RECOVERY_NS = 200000000  # after a trouble: hold-ups are still of our making

SLOTS, EARS, GAPS, CUTS, DOUBTS = 16, 5, 1 << 19, 1 << 16, 1 << 18
SLOTS_AT, HEARD_AT = 10, 10 + 8 * SLOTS
LAST_AT, BEGUN_AT = 16, 16 + SLOTS  # in what one ear has heard
GAPS_AT = BEGUN_AT + 4 * SLOTS
CUTS_AT = GAPS_AT + 3 * GAPS
HEARD_WORDS = CUTS_AT + 3 * CUTS
DOUBTS_AT = HEARD_AT + EARS * HEARD_WORDS
WAIT, TALK, REST, END = range(4)
MOOD, CLOSING, SINCE, UNTIL, DOUBTS_COUNT, LIVES, WORKERS, LONG_EVERY, LONG_BYTES, SHARE = range(10)
(MESSAGES, REPEATED, BACKS, NOTES, ANNOUNCED, HELD, HELD_OURS, LONGEST, LONGEST_OURS, ODD, GAPS_COUNT,
 CUTS_COUNT, SEQ, AGAIN, BYTES, LINES) = range(16)


class Ledger:
    """long: every so many messages of a slot's, one of so many bytes. share: in percent, of the time."""

    def __init__(self, path, long, share):
        self.path = path
        with open(path, "w+b") as file:
            file.truncate(8 * (DOUBTS_AT + 2 * DOUBTS))
            self.map = mmap.mmap(file.fileno(), 0)
        self.words = memoryview(self.map).cast("Q")
        self.words[LONG_EVERY], self.words[LONG_BYTES] = long
        self.words[SHARE] = share

    def slots(self):
        at = SLOTS_AT
        return [(self.words[at + 8 * i], self.words[at + 1 + 8 * i]) for i in range(SLOTS)]

    def said(self):
        return sum(returned for _, returned in self.slots())

    def heard(self, ear):
        at = HEARD_AT + ear * HEARD_WORDS
        return self.words[at:at + HEARD_WORDS]

    def rows(self, ear, first, count, width=3):
        words = self.heard(ear)[first:first + width * count].tolist()
        return list(zip(*(words[i::width] for i in range(width))))

    def last(self, ear):
        return self.heard(ear)[LAST_AT:LAST_AT + SLOTS].tolist()

    def gaps(self, ear):
        """(slot, from, to) that did not come, up to what was said."""
        gaps = self.rows(ear, GAPS_AT, min(self.heard(ear)[GAPS_COUNT], GAPS))
        return gaps + [(i, last + 1, returned) for i, (last, (_, returned)) in
                       enumerate(zip(self.last(ear), self.slots())) if last < returned]

    def cuts(self, ear):
        """(slot, number) of which only the beginning has come."""
        cuts = self.rows(ear, CUTS_AT, min(self.heard(ear)[CUTS_COUNT], CUTS))
        begun = self.rows(ear, BEGUN_AT, SLOTS, 4)
        return [(slot, number) for slot, number, _ in cuts] + \
            [(i, b[0]) for i, (b, last) in enumerate(zip(begun, self.last(ear))) if b[0] > last]

    def doubts(self):
        """Numbers whose calls did not return."""
        words = self.words[DOUBTS_AT:DOUBTS_AT + 2 * self.words[DOUBTS_COUNT]].tolist()
        doubts = set(zip(words[::2], words[1::2]))
        return doubts | {(i, b) for i, (b, r) in enumerate(self.slots()) if b != r}

    def in_burst(self, at, part):
        """A moment (time.monotonic()) near to `at` and not over yet, so far into a burst of talk."""
        if self.words[SHARE] >= 100:
            return at
        now, burst = time.monotonic(), BEAT * self.words[SHARE] / 100
        ahead = time.time() - now
        beat = (at + ahead) // BEAT * BEAT - ahead
        if beat + part * burst >= now:
            return beat + part * burst
        return now if now < beat + burst else beat + BEAT + part * burst

    def trouble(self, over):
        now = time.time_ns()
        if self.words[UNTIL] < now:
            self.words[SINCE] = now
        self.words[UNTIL] = 1 << 63 if not over else now + RECOVERY_NS

    def close(self):
        self.words.release()
        self.map.close()


def lost_in(gaps, doubts, most=20):
    """How many numbers that are in no doubt, and the first of them."""
    by_slot = {}
    for slot, number in doubts:
        by_slot.setdefault(slot, []).append(number)
    for row in by_slot.values():
        row.sort()
    count, some = 0, []
    for slot, first, last in gaps:
        row = by_slot.get(slot, [])
        within = bisect.bisect(row, last) - bisect.bisect_left(row, first)
        count += last + 1 - first - within
        if within < last + 1 - first and len(some) < most:
            some += [(slot, n) for n in range(first, min(last, first + most) + 1)
                     if (slot, n) not in doubts]
    return count, some[:most]
