/*
 * stamp_sieve.h - what a thread knows of the functions that it calls, where a session has rules.
 *
 * For stamp_filter.c, which looks functions up, and the slow files that enter them. One thread's own, so
 * that counting costs nothing. A signal handler may come between any two instructions, and change all
 * of this by the slow half: what stamp_filter.c has found stays readable, and it looks whether it still
 * holds.
 */
#ifndef HARK_SHIM_STAMP_SIEVE_H
#define HARK_SHIM_STAMP_SIEVE_H

#include "lib/session/rules.h"
#include "shim/stamp.h"

enum {
	SIEVE_HEARD,       /* recorded as the rules say */
	SIEVE_MUTED,       /* by the budget; none of its calls is on the stack */
	SIEVE_MUTING,      /* one is, that many frames up, from this on */
};

struct sieve_slot {
	uintptr_t function; /* 0: free */
	uint32_t fits;
	uint32_t muted;     /* SIEVE_… */
	uint64_t calls;     /* recorded */
	uint64_t before;    /* of them, when the budget was looked at last */
};

/* Whoever was interrupted may be looking into a table when it is replaced by a larger one: it is one
 * pointer, and stays mapped. */
struct sieve_table {
	uint32_t mask, used;
	struct sieve_slot slots[];
};

struct sieve {
	struct sieve_table *table;
	uint32_t word;      /* control->stamp: `hark set` is seen at once */
	struct filter_rules rules;
	uint64_t min_ticks; /* 0: no call is too short */
	int64_t left;       /* calls to record until the budget is looked at */

	uint64_t min_ns;
	uint32_t number;    /* of the rules */
	uint32_t names;     /* stamp_names_changed, of which the slots are true */
	uint32_t muted_seen; /* of the process's list */
	uint64_t cpu_ns;    /* of the thread, when the budget was looked at last */
};

static inline struct sieve_slot *sieve_slot(struct sieve_table *table, uintptr_t function)
	/* its slot, or the free one where it would be */
{
	uint32_t i = (uint32_t)((function * UINT64_C(0x9e3779b97f4a7c15)) >> 40);

	for (;; i++) {
		struct sieve_slot *slot = &table->slots[i & table->mask];
		if (slot->function == function || !slot->function)
			return slot;
	}
}

/* The rules of the process, and what it has muted. */
enum { SIEVE_MUTED_MOST = 256, BUDGET_CALLS = 4096 };

struct sieve_process {
	const struct rules *_Atomic rules; /* NULL: none */
	uint32_t number;
	_Atomic uint32_t muted_count;
	_Atomic uintptr_t muted[SIEVE_MUTED_MOST];
	_Atomic uint64_t spent_ns; /* on recording */
};
extern struct sieve_process sieve_process;

void sieve_mute(struct sieve_slot *slot);
	/* The calling thread does not record it any more, and says so. */

#endif
