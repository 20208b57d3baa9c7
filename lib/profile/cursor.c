/*
 * cursor.c - see cursor.h. What is rare: pieces of files, long records, the ends of segments.
 */
#include "lib/profile/cursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/stamp/values.h"

enum { WORD = sizeof(uint32_t), RECORD_MOST = 255 * WORD };

int cursor_open(struct cursor *cursor, struct trace_dir *dir, const struct trace_thread *thread,
		size_t buffer)
{
	*cursor = (struct cursor){ .dir = dir, .thread = thread };
	cursor->room = buffer < CURSOR_BUFFER_LEAST ? CURSOR_BUFFER_LEAST :
						      buffer / TRACE_PAGE * TRACE_PAGE;
	cursor->room += RECORD_MOST; /* what is left of a record when the rest is read */
	cursor->buffer = malloc(cursor->room);
	cursor->at = cursor->end = cursor->buffer;
	if (!cursor->buffer)
		return -ENOMEM;
	cursor->live = !thread->sampled && trace_dir_runs(dir, thread->image, thread->tid);
	int rc = thread->sampled ? samples_cursor_open(&cursor->samples, dir, thread) : 0;
	if (rc != 0)
		cursor_close(cursor);
	return rc;
}

void cursor_close(struct cursor *cursor)
{
	samples_cursor_close(&cursor->samples);
	free(cursor->buffer);
	cursor->buffer = NULL;
	cursor->at = cursor->end = NULL;
}

/* ---- pieces ------------------------------------------------------------------------------------ */

static void stop_segment(struct cursor *c)
{
	c->done += c->stop - c->next;
	c->next = c->stop;
	c->at = c->end;
}

static void torn(struct cursor *c, const char *how)
{
	const struct trace_part *part = &c->thread->parts[c->part - 1];

	trace_dir_torn(c->dir,
		       TRACE_IMAGE "%u: %s in the segment at byte %llu, part %u of thread %d",
		       part->head.image, how, (unsigned long long)part->at, part->head.part,
		       c->thread->tid);
	c->missing = true;
	stop_segment(c);
}

/* How much to read next, of so much room: up to where a packed file's frames end, if that is not too
 * little. */
static size_t piece(const struct cursor *c, size_t room)
{
	uint64_t end = c->next + room;

	if (end >= c->stop)
		return (size_t)(c->stop - c->next);
	uint64_t even = end & ~(uint64_t)(STORE_FRAME - 1);
	return even > c->next ? (size_t)(even - c->next) : room & ~(size_t)(WORD - 1);
}

static void say_why(struct cursor *c, ssize_t got, uint64_t at)
{
	char one;

	if (got == -ESTALE) {
		torn(c, "something newer, from here on,");
		return;
	}
	if (got >= 0) /* what came is good; and the next byte? */
		got = trace_dir_read(c->dir, c->thread->image->number, &one, 1, at + (size_t)got);
	torn(c, got < 0 ? store_error(got) : "the file ends");
}

/* As many records as there is room for. */
static bool fill_samples(struct cursor *c)
{
	size_t left = (size_t)(c->end - c->at);
	uint32_t *to = c->buffer + left, *last = c->buffer + c->room / WORD - SAMPLES_RECORD;
	uint32_t words = 1;

	memmove(c->buffer, c->at, left * WORD);
	while (to <= last && (words = samples_record(&c->samples, to)) > 0)
		to += words;
	c->at = c->buffer;
	c->end = to;
	return to > c->buffer + left;
}

/* Reads on at c->next. A live thread may have written over that meanwhile, but then a copy is there. */
static ssize_t read_piece(struct cursor *c, void *to, size_t want)
{
	for (;;) {
		struct trace_part *part = &c->thread->parts[c->part - 1];
		ssize_t got = trace_dir_read(c->dir, c->thread->image->number, to, want, c->next);
		if (!c->live || trace_dir_stands(c->dir, part))
			return got;
		uint64_t before = part->at;
		if (!trace_dir_moved(c->dir, part))
			return -ESTALE;
		c->next += part->at - before;
		c->stop += part->at - before;
	}
}

/* What is left in the buffer, and more behind it. False: there is no more in this segment. */
static bool fill(struct cursor *c)
{
	size_t left = (size_t)(c->end - c->at) * WORD;

	if (c->thread->sampled && c->part)
		return fill_samples(c);
	if (c->next >= c->stop || c->room == left)
		return false;
	size_t want = piece(c, c->room - left);
	memmove(c->buffer, c->at, left);
	ssize_t got = read_piece(c, (char *)c->buffer + left, want);
	c->at = c->buffer;
	c->end = c->buffer + left / WORD;
	if (got < (ssize_t)want) {
		say_why(c, got, c->next);
		c->at = c->buffer;
		c->end = c->buffer + (left + (got > 0 ? (size_t)got : 0)) / WORD;
		return got >= WORD;
	}
	c->next += want;
	c->done += want;
	c->end += want / WORD;
	return true;
}

/* ---- segments ---------------------------------------------------------------------------------- */

static enum record_kind next_part(struct cursor *c, struct record *r)
{
	const struct trace_thread *t = c->thread;
	const struct trace_part *part, *before;

	while (c->part < t->part_count && t->parts[c->part].head.kind == TRACE_PROFILE)
		c->part++;
	if (c->part == t->part_count)
		return r->kind = RECORD_END;
	before = c->part ? &t->parts[c->part - 1] : NULL;
	part = &t->parts[c->part++];
	c->next = part->at + sizeof part->head;
	c->stop = part->at + part->head.bytes;
	if (c->stop < c->next) /* of samples: nothing is in it */
		c->next = c->stop;
	c->done += sizeof part->head;
	c->ticks = part->head.ticks;
	c->home = part->head.home;
	c->near = part->head.near;
	r->part = part;
	r->torn = c->missing || part->head.part != (before ? before->head.part + 1 : 0);
	c->missing = false;
	return r->kind = RECORD_PART;
}

/* ---- long records ------------------------------------------------------------------------------ */

static uint64_t two_words(const uint32_t *at)
{
	return at[0] | (uint64_t)at[1] << 32;
}

/* How many words each type has at least, the first one counted. */
static const uint8_t least_words[TRACE_LONGS] = {
	[TRACE_VOID] = 1,    [TRACE_TIME] = 3,	[TRACE_HOME] = 2, [TRACE_NEAR] = 2,
	[TRACE_ENTRY_FAR] = 6, [TRACE_EXIT_FAR] = 6, [TRACE_UNWOUND] = 4, [TRACE_FIBER] = 4,
	[TRACE_OPEN] = 6,    [TRACE_GAP] = 5,	[TRACE_END] = 3,  [TRACE_STAMP] = 7,
	[TRACE_VALUES] = 3,
};

static void take_stamp(const uint32_t *at, uint32_t words, struct record *r)
{
	size_t most = (words - 7) * (size_t)WORD, filled = r->detail;

	r->id = two_words(at + 3);
	r->step = two_words(at + 5);
	r->text = (const char *)(at + 7);
	r->text_bytes = filled < most ? most - filled : 0;
	/* who counts wrongly still has NULs there */
	r->text_bytes = strnlen(r->text, r->text_bytes);
}

/* RECORD_END: nothing for whoever reads on. */
static enum record_kind take_long(struct cursor *c, const uint32_t *at, uint32_t words,
				  struct record *r)
{
	uint32_t type = TRACE_WORD_TYPE(*at);

	if (type >= TRACE_LONGS || type == TRACE_VOID)
		return RECORD_END;
	if (type == TRACE_HOME) {
		c->home = at[1];
		return RECORD_END;
	}
	if (type == TRACE_NEAR) {
		c->near = at[1];
		return RECORD_END;
	}
	c->ticks = two_words(at + 1);
	r->detail = TRACE_WORD_DETAIL(*at);
	switch ((enum trace_long)type) {
	case TRACE_ENTRY_FAR:
	case TRACE_EXIT_FAR:
	case TRACE_OPEN:
		r->module = at[3];
		r->offset = two_words(at + 4);
		return type == TRACE_ENTRY_FAR ? RECORD_ENTRY :
		       type == TRACE_OPEN      ? RECORD_OPEN :
						 RECORD_EXIT_FAR;
	case TRACE_UNWOUND:
		r->count = at[3];
		r->id = words > 4 ? at[4] : 0;
		return RECORD_UNWOUND;
	case TRACE_FIBER: r->count = at[3]; return RECORD_FIBER;
	case TRACE_GAP: r->count = two_words(at + 3); return RECORD_GAP;
	case TRACE_END: return RECORD_ENDED;
	case TRACE_STAMP: take_stamp(at, words, r); return RECORD_STAMP;
	case TRACE_VALUES:
		r->text = (const char *)(at + 3);
		r->text_bytes = (words - 3) * (size_t)WORD;
		return RECORD_VALUES;
	default: return RECORD_END;
	}
}

/* ---- the next one ------------------------------------------------------------------------------ */

static void skip_nothing(struct cursor *c)
{
	while (c->at < c->end && *c->at == TRACE_NOTHING)
		c->at++;
}

/* The words of the record that begins here, all of them in the buffer; 0: there are not as many. */
static uint32_t whole_record(struct cursor *c)
{
	uint32_t words = trace_words(*c->at);

	if (words == 0) {
		torn(c, "no record");
		return 0;
	}
	while (c->end - c->at < words)
		if (!fill(c)) {
			torn(c, "a record that is cut off");
			return 0;
		}
	if (TRACE_WORD_KIND(*c->at) == TRACE_LONG && TRACE_WORD_TYPE(*c->at) < TRACE_LONGS &&
	    words < least_words[TRACE_WORD_TYPE(*c->at)]) {
		torn(c, "a record that is too short");
		return 0;
	}
	return words;
}

enum record_kind cursor_slow(struct cursor *c, struct record *r)
{
	for (;;) {
		skip_nothing(c);
		if (c->at == c->end) {
			if (!fill(c) && c->at == c->end)
				return next_part(c, r);
			continue;
		}
		uint32_t words = whole_record(c);
		if (!words)
			continue;
		const uint32_t *at = c->at;
		c->at += words;
		if (TRACE_WORD_KIND(*at) == TRACE_LONG) {
			enum record_kind kind = take_long(c, at, words, r);
			if (kind != RECORD_END)
				return r->kind = kind;
			continue;
		}
		c->ticks = cursor_time(c->ticks, *at);
		if (TRACE_WORD_KIND(*at) == TRACE_EXIT)
			return r->kind = RECORD_EXIT;
		r->module = TRACE_WORD_KIND(*at) == TRACE_ENTRY ? c->home : c->near;
		r->offset = at[1];
		return r->kind = RECORD_ENTRY;
	}
}

bool cursor_values(struct cursor *c, struct record *r)
{
	do
		skip_nothing(c);
	while (c->at == c->end && fill(c) && c->at < c->end);
	if (c->at == c->end || TRACE_WORD_KIND(*c->at) != TRACE_LONG ||
	    TRACE_WORD_TYPE(*c->at) != TRACE_VALUES ||
	    TRACE_WORD_DETAIL(*c->at) != VALUES_ARGUMENTS)
		return false;
	uint32_t words = whole_record(c);
	if (!words)
		return false;
	take_long(c, c->at, words, r);
	c->at += words;
	return true;
}
