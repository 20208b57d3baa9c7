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
	__attribute__((tls_model("initial-exec"))) = { .seen = STAMP_ASK, .profiling = STAMP_ASK };

#define LIKELY(what) __builtin_expect(!!(what), 1)
#define HERE() ((uintptr_t)__builtin_frame_address(0))
#define AFTER() ((uintptr_t)__builtin_extract_return_addr(__builtin_return_address(0)))

static inline bool open_gate(const struct stamp *s)
{
	return s->seen == atomic_load_explicit(stamp_gate, memory_order_relaxed);
}

/* 0 is what a forked child finds, which has to look again. */
static inline bool off(void)
{
	uint32_t word = atomic_load_explicit(stamp_gate, memory_order_relaxed);

	return word && !(word & STAMP_MODE);
}

/* Room for a short record, and the time; NULL where the slow half has to see to it. */
static inline uint8_t *take(struct stamp *s, uintptr_t bytes, uint64_t *now)
{
	uint8_t *at = solo_take(&s->at, bytes);

	*now = clock_ticks(true);
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

HOOKED void __cyg_profile_func_enter(void *function, void *call_site)
{
	struct stamp *s = &stamp;
	uintptr_t sp = HERE(), site = (uintptr_t)call_site, after = AFTER();
	uintptr_t offset = (uintptr_t)function - s->home;
	struct stamp_frame *f = s->top + 1;
	uint32_t kind = TRACE_ENTRY;
	uint64_t now;

	if (LIKELY(open_gate(s) && f < s->limit && stamp_below(f - 1, site, sp, after))) {
		if (!LIKELY(offset < s->home_bytes)) {
			offset = (uintptr_t)function - s->near;
			kind = offset < s->near_bytes ? TRACE_ENTRY_NEAR : TRACE_NOTHING;
		}
		uint8_t *at = kind ? take(s, 8, &now) : NULL;
		if (LIKELY(at)) {
			uint64_t record = TRACE_SHORT(kind, now) | (uint64_t)offset << 32;
			memcpy(at, &record, sizeof record);
			open_frame(s, f, (uintptr_t)function, site, sp, after);
			return;
		}
	}
	if (!off() && !stamp_profile_enter((uintptr_t)function, site, sp, after))
		stamp_enter((uintptr_t)function, site, sp, after);
}

HOOKED void __cyg_profile_func_exit(void *function, void *call_site)
{
	struct stamp *s = &stamp;
	uintptr_t sp = HERE(), site = (uintptr_t)call_site, after = AFTER();
	struct stamp_frame *f = s->top;
	uint64_t now;

	if (LIKELY(open_gate(s) && stamp_is(f, (uintptr_t)function, site, sp, after))) {
		uint8_t *at = take(s, 4, &now);
		if (LIKELY(at)) {
			uint32_t record = TRACE_SHORT(TRACE_EXIT, now);
			memcpy(at, &record, sizeof record);
			s->top = f - 1;
			return;
		}
	}
	if (!off() && !stamp_profile_exit((uintptr_t)function, site, sp, after))
		stamp_exit((uintptr_t)function, site, sp, after);
}
