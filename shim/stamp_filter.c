/*
 * stamp_filter.c - the two hooks where a session has rules for which calls are recorded.
 *
 * Every call has a frame, recorded or not, so that exits find theirs whatever longjmp does; it bears
 * how far the call has come in the filter's paths. Only functions that were muted, and are not open,
 * do without: they cost a look into the table.
 *
 * A call that was too short is taken back at its exit, if nothing stays that was recorded within: its
 * entry becomes nothing, and its room is used again if it is the last.
 */
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/solo.h"
#include "shim/shim.h"
#include "shim/stamp_fast.h"
#include "shim/stamp_sieve.h"

/* What stamp.filtering was; 0: this is for the slow half. */
static inline uint32_t open_gate(const struct stamp *s, const struct sieve *v)
{
	uint32_t word = s->filtering;

	if (!v || word != atomic_load_explicit(stamp_gate, memory_order_relaxed) ||
	    v->word != atomic_load_explicit(&shim.session.control->stamp, memory_order_relaxed))
		return 0;
	return word;
}

static inline void open_frame(struct stamp *s, struct stamp_frame *f,
			      const struct stamp_frame *from)
{
	/* as in stamp.c: a handler may have used the frame */
	do {
		*f = *from;
		*(struct stamp_frame *volatile *)&s->top = f;
	} while (*(volatile uintptr_t *)&f->sp != from->sp);
}

/* The record, for which there is room now at f->entry; 0: this is for the slow half. */
static uint64_t claim_entry(struct stamp *s, struct stamp_frame *f)
{
	uint32_t kind = TRACE_ENTRY;
	uintptr_t offset = f->function - s->home;

	if (offset >= s->home_bytes) {
		offset = f->function - s->near;
		kind = TRACE_ENTRY_NEAR;
		if (offset >= s->near_bytes)
			return 0;
	}
	f->kept = s->kept;
	f->entry = stamp_take(s, 8, shim.session.ring.counter, &f->start);
	f->below = s->parts;
	return f->entry ? TRACE_SHORT(kind, f->start) | (uint64_t)offset << 32 : 0;
}

bool stamp_filter_enter(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after)
{
	struct stamp *s = &stamp;
	struct sieve *v = s->sieve;
	struct stamp_frame *f = s->top + 1;
	const uint32_t word = open_gate(s, v);
	uint64_t record = 0;

	if (!word)
		return false;
	struct sieve_slot *slot = sieve_slot(v->table, function);
	if (!slot->function)
		return false;
	if (slot->muted == SIEVE_MUTED)
		return true;
	if (f >= s->limit || !stamp_below(f - 1, site, sp, after))
		return false;
	struct stamp_frame frame = {
		.function = function, .sp = sp, .site = site, .after = after,
		.path = filter_step(&v->rules, f[-1].path, slot->fits),
		.depth = f[-1].depth,
	};
	if (slot->muted != SIEVE_HEARD || !filter_wants(&v->rules, frame.path) ||
	    (v->rules.depth && frame.depth >= v->rules.depth)) {
		if (slot->muted > SIEVE_MUTED && stamp_depth(s) < slot->muted - SIEVE_MUTING) {
			slot->muted = SIEVE_MUTED;
			return true;
		}
		frame.hidden = f[-1].hidden + 1;
	} else {
		frame.depth++;
		bool profile = s->mode == STAMP_PROFILE;
		if (profile ? !stamp_profile_enter_as(&frame) : !(record = claim_entry(s, &frame)))
			return false;
		slot->calls++;
		if (--v->left <= 0)
			s->filtering = STAMP_ASK; /* the next one looks at the budget */
		if (profile)
			return true;
	}
	open_frame(s, f, &frame);
	atomic_signal_fence(memory_order_seq_cst); /* the frame first: stamp_fast.h */
	if (record)
		memcpy(frame.entry, &record, sizeof record);
	if (!frame.hidden || *(volatile uint32_t *)&s->filtering == word)
		return true;
	/* A handler came that has heard of other rules, or of none, before it could see this frame. */
	f->hidden = 0;
	stamp_close_frame(s, f);
	return false;
}

bool stamp_too_short(const struct stamp_frame *f, uint64_t now)
{
	const struct stamp *s = &stamp;

	return s->sieve && f->entry && f->below == s->parts && f->kept == s->kept &&
	       now - f->start < s->sieve->min_ticks;
}

/* The arguments that stand behind its entry, perhaps behind what is nothing. */
static void forget_values(const uint8_t *from, const uint8_t *end)
{
	uint32_t *at = (uint32_t *)(void *)from, word;

	for (; (const uint8_t *)at < end; at += word ? TRACE_WORD_WORDS(word) : 1) {
		word = *at;
		if (word && (TRACE_WORD_KIND(word) != TRACE_LONG || !TRACE_WORD_WORDS(word)))
			break;
		if (word && TRACE_WORD_TYPE(word) == TRACE_VALUES)
			*at = TRACE_LONG_WORD(TRACE_VOID, TRACE_WORD_WORDS(word),
					      TRACE_VOID_GONE);
	}
}

bool stamp_take_back(struct stamp_frame *f, uint64_t now)
{
	struct stamp *s = &stamp;
	const uint64_t none = 0, gone = TRACE_LONG_WORD(TRACE_VOID, 2, TRACE_VOID_GONE);
	uint8_t *entry = f->entry;

	if (!stamp_too_short(f, now))
		return false;
	/* From here on there is nothing to tell of it, should a handler leave by longjmp. First zeros, then
	 * the room: a handler that comes in between gets room behind. */
	*(volatile uint32_t *)&f->hidden = f[-1].hidden + 1;
	forget_values(entry + sizeof none, s->at);
	memcpy(entry, &none, sizeof none);
	atomic_signal_fence(memory_order_seq_cst);
	*(uint8_t *volatile *)&f->entry = NULL;
	if (!solo_give(&s->at, entry + sizeof none, entry))
		memcpy(entry, &gone, sizeof gone); /* zeros would be a record that is missing */
	return true;
}

bool stamp_told(struct stamp_frame *f)
{
	const uint64_t gone = TRACE_LONG_WORD(TRACE_VOID, 2, TRACE_VOID_GONE);

	if (!f->hidden || !f->entry)
		return !f->hidden;
	if (f->below != stamp.parts)
		return true;
	memcpy(f->entry, &gone, sizeof gone);
	f->entry = NULL;
	return false;
}

bool stamp_filter_exit(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after)
{
	struct stamp *s = &stamp;
	struct sieve *v = s->sieve;
	struct stamp_frame *f = s->top;
	uint64_t now;

	if (!open_gate(s, v))
		return false;
	if (!stamp_is(f, function, site, sp, after))
		return sieve_slot(v->table, function)->muted == SIEVE_MUTED;
	if (f->hidden) {
		stamp_close_frame(s, f);
		f->hidden = 0;
		return true;
	}
	if (s->mode == STAMP_PROFILE) {
		stamp_profile_left(f, stamp_now());
	} else if (v->min_ticks && stamp_take_back(f, stamp_now())) {
		stamp_close_frame(s, f);
		f->hidden = 0;
		return true;
	} else {
		uint8_t *at = stamp_take(s, 4, shim.session.ring.counter, &now);
		if (!at)
			return false;
		uint32_t record = TRACE_SHORT(TRACE_EXIT, now);
		memcpy(at, &record, sizeof record);
		s->kept++;
		atomic_signal_fence(memory_order_seq_cst);
	}
	stamp_close_frame(s, f);
	return true;
}
