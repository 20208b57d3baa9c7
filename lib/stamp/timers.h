/*
 * timers.h - public timers: where their figures are, and what an interval adds to them.
 *
 * For hark.c, in other people's programs: no lock, no malloc, no descriptor kept, async-signal-safe.
 */
#ifndef HARK_STAMP_TIMERS_H
#define HARK_STAMP_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/stamp/trace.h"

/* A process's place for timers, all zeros at first. Children inherit it, and notice. */
struct timers {
	_Atomic(struct trace_timers *) page; /* that has room, perhaps */
};

struct trace_timer *timers_claim(struct timers *timers, uint32_t pid, const char *name,
				 const char *trace, _Atomic uint32_t *files);
	/* New figures for a timer of this process. trace: the directory in which they survive it, ""
	 * for none; where that has no room, they live in memory. files: how many such files there are.
	 * NULL: there is no memory, either. */
void timers_disclaim(struct trace_timer *timer);
	/* nobody else has seen it, and nobody will use it */
bool timers_owned(const struct trace_timer *timer, uint32_t pid);
	/* whether it is of this process, and not of the one that forked it */
void timers_add(struct trace_timer *timer, uint64_t begin, uint64_t end, uint32_t tid);
	/* ticks; one that ends before it begins took no time */
bool timers_interval(const struct trace_timer *timer, unsigned slot, uint64_t *begin,
		     uint64_t *took, uint32_t *tid, uint32_t *number);
	/* Of its last ones: false where nothing is there, or it is being written. Also for copies, which
	 * may hold anything. */

#endif
