/*
 * stamp_values.c - a record of a call's arguments, or of its result: see plt_values.c, which knows them.
 *
 * Without signals being held back where nothing special is the matter: room is taken, then the record is
 * made whole behind a header of nothing. A handler that comes in between leaves it so.
 */
#include <string.h>

#include "lib/base/solo.h"
#include "shim/shim.h"
#include "shim/stamp.h"

/* Not `kept`: arguments are taken back with their call. */
static bool put_values(struct stamp *s, enum values_of what, const uint32_t *values, unsigned words)
{
	unsigned all = 3 + words;

	if (*stamp_fast_way(s) != s->known || s->known != atomic_load(stamp_gate))
		return false;
	s->values = true;
	uint8_t *at = solo_take(&s->at, 4 * all);
	uint64_t now = stamp_now();
	if (at + 4 * all > s->last || now >> STAMP_EPOCH_BITS != s->epoch ||
	    *(uint8_t *volatile *)&s->at != at + 4 * all)
		return false;
	/* as in stamp_long(); and a window in which it stands is not used again */
	uint32_t *record = (uint32_t *)(void *)at;
	__atomic_store_n(record, TRACE_LONG_WORD(TRACE_VOID, all, TRACE_VOID_BEGUN),
			 __ATOMIC_RELEASE);
	memcpy(record + 1, &now, sizeof now);
	memcpy(record + 3, values, 4 * words);
	__atomic_store_n(record, TRACE_LONG_WORD(TRACE_VALUES, all, what), __ATOMIC_RELEASE);
	return true;
}

void stamp_values(enum values_of what, const uint32_t *values, unsigned words)
{
	struct stamp *s = &stamp;
	uint64_t kept = s->kept;

	if (s->mode == STAMP_PROFILE || s->top->hidden ||
	    (what == VALUES_RESULT && stamp_too_short(s->top, stamp_now())))
		return;
	if (!put_values(s, what, values, words)) {
		if (!stamp_slow_begin(s))
			return;
		stamp_long(TRACE_VALUES, what, stamp_now(), values, words);
		stamp_slow_end(s);
	}
	s->kept = what == VALUES_ARGUMENTS ? kept : kept + 1;
}
