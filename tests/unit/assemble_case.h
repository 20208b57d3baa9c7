/*
 * assemble_case.h - an assembler, and what it emitted: for test_assemble.c and test_pending.c.
 *
 * To be included after cmocka.h.
 */
#ifndef HARK_TESTS_UNIT_ASSEMBLE_CASE_H
#define HARK_TESTS_UNIT_ASSEMBLE_CASE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/message/assemble.h"

enum { MS = 1000000, CAUGHT = 64 };

/* What was emitted: the lines, with copies of their text. */
struct caught {
	struct assemble_line line[CAUGHT];
	unsigned count;
	unsigned refuse; /* so many offers first */
};

struct test {
	struct assembler a;
	struct caught c;
};

static inline int catch_line(void *arg, const struct assemble_line *line)
{
	struct caught *c = arg;
	char *copy;

	if (c->refuse) {
		c->refuse--;
		return -EAGAIN;
	}
	assert_in_range(c->count, 0, CAUGHT - 1);
	assert_true(line->partial != line->ended);
	copy = malloc(line->length + 1);
	assert_non_null(copy);
	memcpy(copy, line->text, line->length);
	copy[line->length] = '\0';
	c->line[c->count] = *line;
	c->line[c->count++].text = copy;
	return 0;
}

static inline void forget(struct caught *c)
{
	while (c->count)
		free((void *)(uintptr_t)c->line[--c->count].text);
}

static inline struct assemble_bytes bytes_of(uint32_t tid, int64_t time_ns, const char *s,
					     size_t count)
{
	return (struct assemble_bytes){
		.pid = 100, .tid = tid, .fd = 2, .time_ns = time_ns, .bytes = s, .count = count
	};
}

static inline void feed_bytes(struct test *t, const struct assemble_bytes *in)
{
	size_t done = 0;

	assert_int_equal(assemble_feed(&t->a, in, &done, catch_line, &t->c), 0);
	assert_int_equal(done, in->count);
}

static inline void feed(struct test *t, uint32_t tid, int64_t time_ns, const char *s)
{
	struct assemble_bytes in = bytes_of(tid, time_ns, s, strlen(s));

	feed_bytes(t, &in);
}

/* The next caught line, counted by *at, must be this one. */
static inline void expect(const struct test *t, unsigned *at, const char *text, bool ended)
{
	const struct assemble_line *line = &t->c.line[*at];

	assert_in_range(*at, 0, t->c.count - 1);
	assert_int_equal(line->length, strlen(text));
	assert_memory_equal(line->text, text, line->length);
	assert_int_equal(line->ended, ended);
	++*at;
}

static inline void expect_nothing_pending(const struct test *t)
{
	assert_int_equal(t->a.pending_lines, 0);
	assert_int_equal(t->a.pending_bytes, 0);
	assert_true(assemble_deadline(&t->a) == INT64_MAX);
	assert_int_equal(assemble_save(&t->a, NULL, 0), 0);
}

static inline int begin(void **state, bool echoes)
{
	struct test *t = calloc(1, sizeof(*t));

	*state = t;
	return t ? assemble_init(&t->a, ASSEMBLE_LIMIT, echoes) : -1;
}

static inline int case_setup(void **state)
{
	return begin(state, false);
}

static inline int case_setup_console(void **state)
{
	return begin(state, true);
}

static inline int case_teardown(void **state)
{
	struct test *t = *state;

	forget(&t->c);
	assemble_fini(&t->a);
	free(t);
	return 0;
}

#endif
