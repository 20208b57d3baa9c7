/*
 * stamp.c - what the compiler's instrumentation calls at each end of every function.
 *
 * A stamp is: read the clock, store one word or two, remember the open call. No lock, no system call, no
 * copy. Order makes it whole against everything that may interrupt it: room is taken by one instruction,
 * so a signal handler that calls functions gets room behind ours; then the time is read; then, if
 * nobody came in between, the record is stored by one instruction. Whoever is killed before that leaves
 * zeros, which readers skip. Whatever is not the common case is the slow half's.
 */
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/solo.h"
#include "shim/hook.h"
#include "shim/real.h"
#include "shim/shim.h"
#include "shim/stamp.h"

_Thread_local struct stamp stamp
	__attribute__((tls_model("initial-exec"))) = {
	.seen = STAMP_ASK, .seen_by_clock = STAMP_ASK, .profiling = STAMP_ASK
};

#define ALWAYS_INLINE __attribute__((always_inline)) static inline
#define LIKELY(what) __builtin_expect(!!(what), 1)
#define HERE() ((uintptr_t)__builtin_frame_address(0))
#define AFTER() ((uintptr_t)__builtin_extract_return_addr(__builtin_return_address(0)))

static inline uint32_t gate(void) { return atomic_load_explicit(stamp_gate, memory_order_relaxed); }

/* 0 is what a forked child finds, which has to look again. */
static inline bool off(void)
{
	uint32_t word = gate();

	return word && !(word & STAMP_MODE);
}

/* Room for a short record, and the time; NULL where the slow half has to see to it. */
static inline uint8_t *take(struct stamp *s, uintptr_t bytes, bool counter, uint64_t *now)
{
	uint8_t *at = solo_take(&s->at, bytes);

	*now = clock_ticks(counter);
	if (LIKELY(at < s->end && *now >> STAMP_EPOCH_BITS == s->epoch &&
		   *(uint8_t *volatile *)&s->at == at + bytes))
		return at;
	return NULL;
}

static inline void open_frame(struct stamp *s, struct stamp_frame *f, uintptr_t function,
			      uintptr_t site, uintptr_t sp, uintptr_t after)
{
	/* A handler that came between the frame and the top has used the same frame. Its stack pointer is
	 * another one. */
	do {
		f->function = function;
		f->sp = sp;
		f->site = site;
		f->after = after;
		*(struct stamp_frame *volatile *)&s->top = f;
	} while (!LIKELY(*(volatile uintptr_t *)&f->sp == sp));
}

/* What an entry bears beside the time; 0: it is in neither module. */
static inline uint64_t entry_of(const struct stamp *s, uintptr_t function)
{
	uintptr_t offset = function - s->home;

	if (LIKELY(offset < s->home_bytes))
		return (uint64_t)offset << 32 | TRACE_ENTRY;
	offset = function - s->near;
	return offset < s->near_bytes ? (uint64_t)offset << 32 | TRACE_ENTRY_NEAR : 0;
}

/* The common case, once for each clock. False: this is for the slow half. */
ALWAYS_INLINE bool enter(struct stamp *s, uint32_t seen, bool counter, uintptr_t function,
			 uintptr_t site, uintptr_t sp, uintptr_t after)
{
	struct stamp_frame *f = s->top + 1;
	uint64_t now, record;

	if (!LIKELY(seen == gate() && f < s->limit && stamp_below(f - 1, site, sp, after)))
		return false;
	record = entry_of(s, function);
	uint8_t *at = record ? take(s, sizeof record, counter, &now) : NULL;
	if (!LIKELY(at))
		return false;
	record |= TRACE_SHORT(0, now);
	memcpy(at, &record, sizeof record);
	open_frame(s, f, function, site, sp, after);
	return true;
}

ALWAYS_INLINE bool leave(struct stamp *s, uint32_t seen, bool counter, uintptr_t function,
			 uintptr_t site, uintptr_t sp, uintptr_t after)
{
	struct stamp_frame *f = s->top;
	uint32_t record;
	uint64_t now;

	if (!LIKELY(seen == gate() && stamp_is(f, function, site, sp, after)))
		return false;
	uint8_t *at = take(s, sizeof record, counter, &now);
	if (!LIKELY(at))
		return false;
	record = TRACE_SHORT(TRACE_EXIT, now);
	memcpy(at, &record, sizeof record);
	s->top = f - 1;
	return true;
}

/* Apart, and called last of all: so the hooks need no register that they would have to save first. */
__attribute__((noinline)) static void enter_otherwise(uintptr_t function, uintptr_t site,
						      uintptr_t sp, uintptr_t after)
{
	if (!off() && !enter(&stamp, stamp.seen_by_clock, false, function, site, sp, after) &&
	    !stamp_profile_enter(function, site, sp, after))
		stamp_enter(function, site, sp, after);
}

__attribute__((noinline)) static void leave_otherwise(uintptr_t function, uintptr_t site,
						      uintptr_t sp, uintptr_t after)
{
	if (!off() && !leave(&stamp, stamp.seen_by_clock, false, function, site, sp, after) &&
	    !stamp_profile_exit(function, site, sp, after))
		stamp_exit(function, site, sp, after);
}

HOOKED void __cyg_profile_func_enter(void *function, void *call_site)
{
	uintptr_t called = (uintptr_t)function, site = (uintptr_t)call_site;

	if (!LIKELY(enter(&stamp, stamp.seen, true, called, site, HERE(), AFTER())))
		enter_otherwise(called, site, HERE(), AFTER());
}

HOOKED void __cyg_profile_func_exit(void *function, void *call_site)
{
	uintptr_t called = (uintptr_t)function, site = (uintptr_t)call_site;

	if (!LIKELY(leave(&stamp, stamp.seen, true, called, site, HERE(), AFTER())))
		leave_otherwise(called, site, HERE(), AFTER());
}
