/*
 * format_case.h - a sample message, and its rendering into no more room than the format asked for.
 *
 * Included by the tests of formats. The buffer comes from malloc, so that a sanitizer sees one byte
 * too many.
 */
#ifndef HARK_TESTS_FORMAT_CASE_H
#define HARK_TESTS_FORMAT_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/format/format.h"

/* 2024-02-29T12:00:00.123456789Z */
#define CASE_TIME_NS (INT64_C(1709208000) * 1000000000 + 123456789)

static inline struct message case_message(const char *text, size_t length)
{
	return (struct message){
		.seq = 7, .time_ns = CASE_TIME_NS, .level = LEVEL_INFO, .source = "stderr",
		.pid = 812, .tid = 813, .comm = "nginx", .ident = "", .facility = -1,
		.text = text, .length = length,
	};
}

#define CASE_MESSAGE(literal) case_message(literal, sizeof(literal) - 1)

static inline void case_zone(const char *tz)
{
	setenv("TZ", tz, 1);
}

/* The frame, ended by NUL; the caller frees it. */
static inline char *case_render(struct format *f, const struct message *m, size_t *length)
{
	size_t most = format_bound(f, m);
	char *buffer = malloc(most), *frame;
	struct text out = text_in(buffer, most);

	assert_non_null(buffer);
	f->ops->render(f, m, &out);
	assert_false(out.cut);
	assert_true(out.len > 0 && buffer[out.len - 1] == '\n');
	frame = malloc(out.len + 1);
	assert_non_null(frame);
	memcpy(frame, buffer, out.len);
	frame[out.len] = '\0';
	free(buffer);
	if (length)
		*length = out.len;
	return frame;
}

static inline void case_expect(struct format *f, const struct message *m, const char *expected)
{
	size_t length;
	char *frame = case_render(f, m, &length);

	assert_string_equal(frame, expected);
	assert_int_equal(length, strlen(expected));
	free(frame);
}

#endif
