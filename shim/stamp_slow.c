/*
 * stamp_slow.c - stamps that are not the common case: the first of a thread, in another module, on a
 * stack that was left by longjmp; and the end. Where records go, stamp_room.c knows.
 *
 * Runs on the program's thread, perhaps in a signal handler, so: system calls only, no malloc, no lock. Signals
 * wait until it is done; in a sandbox, which may not know that call, what their handlers call meanwhile is
 * counted as lost.
 *
 * Whether an open call is still open, the stack pointer tells. Stacks grow down, so whoever is called now
 * from a live function has a lower one than that function; frames at or below the new one are gone.
 */
#include "shim/stamp.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/base/clock.h"
#include "lib/base/solo.h"
#include "lib/base/sysio.h"
#include "shim/shim.h"

enum { FAR_STACK = 64 << 10 }; /* so far above the outermost call there is another stack */

/* ---- stacks ----------------------------------------------------------------------------------- */

/* Another frame. Beyond the most that there may be, calls are only counted. */
static bool has_frame(struct stamp *s)
{
	if (s->top + 1 < s->limit)
		return true;
	if (s->deeper || !stamp_stack_grow(s->stack)) {
		s->deeper++;
		return false;
	}
	s->limit = s->stack->frames + s->stack->room;
	return true;
}

/* The record first: a segment that begins with it says how many calls were open before. */
static void unwound(struct stamp *s, uint32_t count, uint64_t now)
{
	bool profile = s->mode == STAMP_PROFILE;
	uint32_t told = 0;

	/* The innermost may be hidden, or too short: there is nothing to tell of them. */
	for (; !profile && count && (stamp_take_back(s->top, now) || !stamp_told(s->top));
	     count--) {
		s->top->hidden = 0;
		stamp_close_frame(s, s->top);
	}
	for (struct stamp_frame *f = s->top; f > s->top - count; f--)
		told += !profile && stamp_told(f);
	if (!s->sieve)
		told += s->deeper; /* they have no frames, and are further in than what is gone */
	s->deeper = 0;
	uint32_t left = s->sieve ? (s->top - count)->depth : stamp_depth(s) - count;
	if (told && !profile)
		stamp_long(TRACE_UNWOUND, 0, now, (uint32_t[]){ told, left }, 2);
	for (; count; count--) {
		if (profile && !s->top->hidden)
			stamp_profile_left(s->top, now);
		s->top->hidden = 0;
		stamp_close_frame(s, s->top);
	}
}

/* How many of the innermost frames cannot be open any more when a function is entered. */
static uint32_t gone_at_entry(const struct stamp *s, uintptr_t site, uintptr_t sp, uintptr_t after)
{
	const struct stamp_frame *f = s->top, *bottom = s->stack->frames;
	uint32_t count = 0;

	while (f > bottom && f->sp < sp)
		f--, count++;
	/* Those at the same height are inlined into one another, unless this very stamp was made before. */
	for (const struct stamp_frame *g = f; g > bottom && g->sp == sp; g--)
		if (g->after == after || g->site != site)
			count = (uint32_t)(s->top - g) + 1;
	return count;
}

/* On a stack that we know nothing of (a handler's, a coroutine's), above all that is open: nothing that
 * is open has ended by that. */
static bool elsewhere(const struct stamp *s, uintptr_t sp)
{
	return s->top > s->stack->frames && sp > s->stack->frames[1].sp + FAR_STACK;
}

static uint32_t gone_at_exit(const struct stamp *s, uintptr_t function, uintptr_t site,
			     uintptr_t sp, uintptr_t after, bool *found)
{
	const struct stamp_frame *f = s->top;

	for (; f > s->stack->frames; f--)
		if (stamp_is(f, function, site, sp, after))
			break;
	*found = f > s->stack->frames;
	/* Who is not open himself still tells that those below him are gone. */
	if (!*found)
		for (f = s->top; f > s->stack->frames && f->sp < sp;)
			f--;
	return (uint32_t)(s->top - f);
}

/* ---- the two hooks ---------------------------------------------------------------------------- */

/* Signals wait for the slow half to be done, where that may be asked for: then nothing is lost. */
static void hold_signals(struct stamp *s)
{
	uint64_t all = UINT64_MAX;

	s->held = !shim.sandboxed && sysio_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all,
						(long)&s->mask, sizeof all, 0, 0) == 0;
}

static void release_signals(struct stamp *s)
{
	uint64_t mask = s->mask;

	if (s->held)
		sysio_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof mask, 0, 0);
}

bool stamp_slow_begin(struct stamp *s)
{
	if (stamp_given_up(s))
		return false;
	if (s->busy) {
		s->lost++;
		return false;
	}
	/* First this: a handler that comes before it finds nothing begun, and loses nothing. */
	hold_signals(s);
	s->busy = true;
	stamp_ask(s); /* nor may a handler go the fast way meanwhile, where signals cannot be held */
	if (stamp_image() && !s->stopped)
		return true;
	s->busy = false;
	release_signals(s);
	return false;
}

/* Which of the fast halves may go on from here. */
uint32_t *stamp_fast_way(struct stamp *s)
{
	if (s->sieve)
		return &s->filtering;
	if (s->mode == STAMP_PROFILE)
		return &s->profiling;
	return shim.session.ring.counter ? &s->seen : &s->seen_by_clock;
}

void stamp_slow_end(struct stamp *s)
{
	if (s->lost) {
		uint64_t count = s->lost;
		s->lost = 0;
		if (s->mode != STAMP_PROFILE)
			stamp_long(TRACE_GAP, TRACE_GAP_NESTED, stamp_now(), (uint32_t *)&count, 2);
	}
	uint32_t untold = s->stopped || s->mode == STAMP_PROFILE ? 0 : stamp_untold();
	if (untold)
		stamp_long(TRACE_GAP, untold, stamp_now(), (uint32_t[2]){ 0 }, 2);
	if (!s->stopped && !s->deeper && !clock_frozen())
		*stamp_fast_way(s) = s->known;
	s->busy = false;
	release_signals(s);
}

/* The first module is at home, whichever else was called last is near. */
static uint32_t choose(struct stamp *s, struct stamp_module module)
{
	bool home = !s->home_number || module.number == s->home_number;
	uint32_t *number = home ? &s->home_number : &s->near_number;

	if (*number != module.number) {
		*number = module.number;
		stamp_long(home ? TRACE_HOME : TRACE_NEAR, 0, 0, number, 1);
	}
	*(home ? &s->home : &s->near) = module.base;
	*(home ? &s->home_bytes : &s->near_bytes) = module.bytes;
	return home ? TRACE_ENTRY : TRACE_ENTRY_NEAR;
}

static void far(enum trace_long type, struct stamp_module module, uintptr_t function, uint64_t now)
{
	uint64_t offset = function - module.base;
	uint32_t body[3] = { module.number, (uint32_t)offset, (uint32_t)(offset >> 32) };

	stamp_long(type, 0, now, body, 3);
}

/* Room for a short record of what happens now, with the time in full before it where its low bits would
 * mean another one. A segment that has to be begun for it begins later, perhaps much later: then so is
 * now. */
static uint32_t *room_for(struct stamp *s, unsigned words, uint64_t *now)
{
	for (;;) {
		if (*now >> STAMP_EPOCH_BITS != s->epoch)
			stamp_long(TRACE_TIME, 0, *now, NULL, 0);
		uint32_t *record = stamp_words(words);
		if (!record || (*now >= s->begun && *now >> STAMP_EPOCH_BITS == s->epoch))
			return record;
		solo_give(&s->at, (uint8_t *)(record + words), (uint8_t *)record);
		*now = stamp_now();
	}
}

/* The record, if it is a short one. */
static uint8_t *write_entry(struct stamp *s, uintptr_t function, uint64_t now)
{
	struct stamp_module module = stamp_module(function);

	if (!module.number || module.bytes > UINT32_MAX) {
		far(TRACE_ENTRY_FAR, module, function, now);
		return NULL;
	}
	uint32_t kind = choose(s, module);
	uint32_t *words = room_for(s, 2, &now);
	if (words) {
		uint64_t record = TRACE_SHORT(kind, now) | (uint64_t)(function - module.base) << 32;
		memcpy(words, &record, sizeof record);
	}
	return (uint8_t *)words;
}

static void enter(struct stamp *s, uintptr_t function, uintptr_t site, uintptr_t sp,
		  uintptr_t after)
{
	struct stamp_verdict verdict = { .recorded = true };
	uint8_t *entry = NULL;

	if (s->sieve)
		verdict = stamp_sieve_judge(function);
	if (verdict.skipped)
		return;
	uint64_t now = stamp_now(); /* to find that out may have taken long */
	bool frame = has_frame(s);
	if (verdict.recorded && s->mode != STAMP_PROFILE && (frame || !s->sieve))
		entry = write_entry(s, function, now);
	if (!frame)
		return;
	*++s->top = (struct stamp_frame){
		.function = function, .sp = sp, .site = site, .after = after,
		.start = now, .entry = entry, .below = s->parts, .kept = s->kept,
	};
	if (verdict.recorded && s->mode == STAMP_PROFILE)
		stamp_profile_entered(s->top, now);
	if (s->sieve)
		stamp_sieve_opened(s->top, &verdict);
}

void stamp_enter(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after)
{
	struct stamp *s = &stamp;

	if (!stamp_slow_begin(s))
		return;
	uint64_t now = stamp_now();
	uint32_t gone = elsewhere(s, sp) ? 0 : gone_at_entry(s, site, sp, after);
	if (gone)
		unwound(s, gone, now);
	enter(s, function, site, sp, after);
	stamp_slow_end(s);
}

static void write_exit(struct stamp *s, uint64_t now)
{
	uint32_t *word = room_for(s, 1, &now);
	if (word)
		*word = TRACE_SHORT(TRACE_EXIT, now);
	s->kept++;
}

static void leave(struct stamp *s, uint64_t now)
{
	if (s->top->hidden)
		;
	else if (s->mode == STAMP_PROFILE)
		stamp_profile_left(s->top, now);
	else if (!stamp_take_back(s->top, now))
		write_exit(s, now);
	s->top->hidden = 0;
	stamp_close_frame(s, s->top);
}

void stamp_exit(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after)
{
	struct stamp *s = &stamp;
	bool found;

	if (!stamp_slow_begin(s))
		return;
	uint64_t now = stamp_now();
	if (s->deeper) {
		if (s->mode != STAMP_PROFILE && !s->sieve)
			write_exit(s, now);
		s->deeper--;
	} else {
		uint32_t gone = gone_at_exit(s, function, site, sp, after, &found);
		if (gone && (found || !elsewhere(s, sp)))
			unwound(s, gone, now);
		if (found)
			leave(s, now);
		else if (s->mode != STAMP_PROFILE && !stamp_sieve_hides(function))
			far(TRACE_EXIT_FAR, stamp_module(function), function, now);
	}
	stamp_slow_end(s);
}

void stamp_end(enum trace_end how)
{
	struct stamp *s = &stamp;

	/* Only who has recorded something: nobody begins here. */
	if (!s->image || s->stopped || s->busy || thread_borrows() ||
	    s->image != stamp_image_number())
		return;
	hold_signals(s);
	s->busy = true;
	stamp_ask(s);
	if (s->mode == STAMP_PROFILE)
		stamp_profile_end(how);
	else
		stamp_long(TRACE_END, how, stamp_now(), NULL, 0);
	stamp_slow_end(s);
}
