/*
 * text.h - building text in a bounded buffer, without malloc.
 *
 * Used on both sides of the ring, so it needs nothing but memcpy and is safe in
 * a signal handler. What does not fit is left out and `cut` says so: the buffer
 * never overflows and no caller has to check each step.
 */
#ifndef HARK_BASE_TEXT_H
#define HARK_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
	char *at;    /* the caller's buffer */
	size_t len;  /* bytes in use */
	size_t cap;  /* bytes there are */
	bool cut;    /* something did not fit */
};

static inline struct text text_in(char *buffer, size_t bytes)
{
	return (struct text){ .at = buffer, .len = 0, .cap = bytes, .cut = false };
}

static inline void text_bytes(struct text *t, const void *bytes, size_t count)
{
	size_t room = t->cap - t->len;
	if (count > room) {
		count = room;
		t->cut = true;
	}
	if (count)
		memcpy(t->at + t->len, bytes, count);
	t->len += count;
}

static inline void text_char(struct text *t, char c)
{
	if (t->len < t->cap)
		t->at[t->len++] = c;
	else
		t->cut = true;
}

static inline void text_str(struct text *t, const char *s)
{
	text_bytes(t, s, strlen(s));
}

void text_u64(struct text *t, uint64_t value);
void text_i64(struct text *t, int64_t value);
void text_hex(struct text *t, uint64_t value);
	/* lower case, no prefix, no leading zeros */
void text_padded(struct text *t, uint64_t value, unsigned digits);
	/* decimal with leading zeros, at least `digits` wide */

static inline const char *text_one(uint64_t count, const char *one, const char *many)
{
	return count == 1 ? one : many; /* "message", "messages"; "is", "are" */
}

const char *text_cstr(struct text *t);
	/* Ends the text with a NUL (in place of the last byte where the buffer is full) and
	 * returns it. cap must be at least 1. */

#endif
