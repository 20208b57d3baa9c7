/*
 * ledger.h - the soak's own account of what was said and what was heard, kept outside of hark.
 *
 * A file that all of the soak's processes map: talkers (chorus.c) count before and after each call, ears
 * (ear.c) count what comes out of each sink, and test_soak.py, which knows this layout as words of
 * 64 bits, compares. It outlives every way to die.
 *
 * A slot is a voice: one thread at a time speaks with it, numbering its messages; when its owner died,
 * another takes over and notes the number that was being said as doubtful.
 */
#ifndef TESTS_STRESS_LEDGER_H
#define TESTS_STRESS_LEDGER_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 16, EARS = 5, GAPS = 1 << 19, CUTS = 1 << 16, DOUBTS = 1 << 18, LONGEST = 40000 };
#define BEAT_NS UINT64_C(200000000)

enum mood { WAIT, TALK, REST, END };

struct slot {
	_Atomic uint64_t begun, returned; /* numbers of messages */
	uint64_t spare[6];
};

struct gap {
	uint64_t slot, from, to; /* numbers that did not come */
};

/* Of a long message, the beginning may come without the rest, and the rest later in lines of its own. */
struct begun {
	uint64_t number, tid; /* 0: none is open */
	uint64_t bytes;       /* of its padding have come */
	uint64_t ended;       /* the last that came in pieces */
};

struct heard {
	uint64_t messages, repeated; /* the first time; again */
	uint64_t backs;         /* times the stream went back */
	uint64_t notes;         /* said by hark */
	uint64_t announced;     /* lost because a queue was full, as the notes say */
	uint64_t held[2], longest_ns[2]; /* over 100 ms; [1]: during trouble of our making */
	uint64_t odd;           /* lines that nobody has said so */
	uint64_t gaps_count, cuts_count;
	uint64_t seq;           /* the furthest */
	uint64_t again;         /* repeats that had to be: the file they were in has been removed */
	uint64_t bytes;
	uint64_t lines;         /* of JSON that hark did not say itself, each once */
	uint64_t last[SLOTS];   /* the furthest number */
	struct begun begun[SLOTS];
	struct gap gaps[GAPS], cuts[CUTS]; /* of a cut message, `to` is its thread */
};

struct ledger {
	_Atomic uint64_t mood;
	_Atomic uint64_t closing;       /* nothing comes any more: ears may end where there is no more */
	_Atomic uint64_t trouble_since_ns, trouble_until_ns; /* CLOCK_REALTIME */
	_Atomic uint64_t doubts_count;
	_Atomic uint64_t lives;         /* workers that were started */
	_Atomic uint64_t workers;       /* that are there */
	uint64_t long_every, long_bytes; /* messages of a slot's, and how long they are */
	uint64_t share;                 /* of each beat, in percent, in which is talked */
	struct slot slots[SLOTS];
	struct heard heard[EARS];
	struct { uint64_t slot, number; } doubts[DOUBTS];
};

static inline struct ledger *ledger_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *at = mmap(NULL, sizeof(struct ledger), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd < 0 || at == MAP_FAILED)
		exit(2);
	close(fd);
	return at;
}

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* A long message's rest bears no number: its letter tells whose it is. */
static inline size_t padding(const struct ledger *l, uint64_t slot, uint64_t number, int *letter)
{
	bool is_long = number % l->long_every == l->long_every - 1;

	*letter = 'a' + (int)(is_long ? slot : number % 26);
	return is_long ? l->long_bytes : number * 7919 % 97;
}

#endif
