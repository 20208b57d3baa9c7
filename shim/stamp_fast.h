/*
 * stamp_fast.h - the common case of a stamp, for those who make them: stamp.c for instrumented functions,
 * calls.c for calls of libraries.
 *
 * A stamp is: read the clock, store one word or two, remember the open call. No lock, no system call, no
 * copy. Order makes it whole against everything that may interrupt it: room is taken by one instruction,
 * so a signal handler that calls functions gets room behind ours; then the time is read; then, if
 * nobody came in between, the record is stored by one instruction. Whoever is killed before that leaves
 * zeros, which readers skip. An open call is remembered before its entry is stored, and until its exit is:
 * a handler that leaves by longjmp in between leaves one too many, which its stack pointer tells later, and
 * never one that only the trace knows of. Whatever is not the common case is the slow half's.
 */
#ifndef HARK_SHIM_STAMP_FAST_H
#define HARK_SHIM_STAMP_FAST_H

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/solo.h"
#include "shim/shim.h"
#include "shim/stamp.h"

#define STAMP_INLINE __attribute__((always_inline)) static inline
#define LIKELY(what) __builtin_expect(!!(what), 1)

static inline uint32_t stamp_gate_word(void)
{
	return atomic_load_explicit(stamp_gate, memory_order_relaxed);
}

/* 0 is what a forked child finds, which has to look again. */
static inline bool stamp_gate_off(void)
{
	uint32_t word = stamp_gate_word();

	return word && !(word & STAMP_MODE);
}

/* Room for a short record, and the time; NULL where the slow half has to see to it. */
static inline uint8_t *stamp_take(struct stamp *s, uintptr_t bytes, bool counter, uint64_t *now)
{
	uint8_t *at = solo_take(&s->at, bytes);

	*now = clock_ticks(counter);
	if (LIKELY(at < s->end && *now >> STAMP_EPOCH_BITS == s->epoch &&
		   *(uint8_t *volatile *)&s->at == at + bytes))
		return at;
	/* Unless somebody took what is behind it: a window with a hole would not be used again. */
	solo_give(&s->at, at + bytes, at);
	return NULL;
}

static inline void stamp_open_frame(struct stamp *s, struct stamp_frame *f, uintptr_t function,
				    uintptr_t site, uintptr_t sp, uintptr_t after)
{
	/* A handler that came between the frame and the top has used the same frame: no stack pointer is
	 * there then (stamp_close_frame), and one that comes before we look holds it for open. */
	do {
		f->function = function;
		f->sp = sp;
		f->site = site;
		f->after = after;
		*(struct stamp_frame *volatile *)&s->top = f;
	} while (!LIKELY(*(volatile uintptr_t *)&f->sp == sp));
}

/* What an entry bears beside the time; 0: it is in neither module. */
static inline uint64_t stamp_entry_of(const struct stamp *s, uintptr_t function)
{
	uintptr_t offset = function - s->home;

	if (LIKELY(offset < s->home_bytes))
		return (uint64_t)offset << 32 | TRACE_ENTRY;
	offset = function - s->near;
	return offset < s->near_bytes ? (uint64_t)offset << 32 | TRACE_ENTRY_NEAR : 0;
}

/* The common case, once for each clock. False: this is for the slow half. */
STAMP_INLINE bool stamp_fast_enter(struct stamp *s, uint32_t seen, bool counter, uintptr_t function,
				   uintptr_t site, uintptr_t sp, uintptr_t after)
{
	struct stamp_frame *f = s->top + 1;
	uint64_t now, record;

	if (!LIKELY(seen == stamp_gate_word() && f < s->limit &&
		    stamp_below(f - 1, site, sp, after)))
		return false;
	record = stamp_entry_of(s, function);
	uint8_t *at = record ? stamp_take(s, sizeof record, counter, &now) : NULL;
	if (!LIKELY(at))
		return false;
	record |= TRACE_SHORT(0, now);
	stamp_open_frame(s, f, function, site, sp, after);
	atomic_signal_fence(memory_order_seq_cst);
	memcpy(at, &record, sizeof record);
	return true;
}

STAMP_INLINE bool stamp_fast_leave(struct stamp *s, uint32_t seen, bool counter, uintptr_t function,
				   uintptr_t site, uintptr_t sp, uintptr_t after)
{
	struct stamp_frame *f = s->top;
	uint32_t record;
	uint64_t now;

	if (!LIKELY(seen == stamp_gate_word() && stamp_is(f, function, site, sp, after)))
		return false;
	uint8_t *at = stamp_take(s, sizeof record, counter, &now);
	if (!LIKELY(at))
		return false;
	record = TRACE_SHORT(TRACE_EXIT, now);
	memcpy(at, &record, sizeof record);
	atomic_signal_fence(memory_order_seq_cst);
	stamp_close_frame(s, f);
	return true;
}

#endif
