/*
 * test_samples_cursor.c - samples as records of calls, where paths are deeper than is looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/profile/samples.h"

enum { DEEP_MOST = 4096, DEEP = DEEP_MOST + 5000 };

/* Two stacks that share nothing, the second one deeper than is looked at: no call goes on. */
static void test_strangers_that_are_deep(void **state)
{
	struct samples s = { .together = true, .node_count = 1 + DEEP };
	struct sample rows[] = { { .ticks = 1000, .ns = 100, .node = 1 },
				 { .ticks = 1100, .ns = 100, .node = 1 + DEEP } };
	struct samples_thread t = { .samples = &s, .rows = rows, .count = 2 };
	struct trace_thread thread = { .sampled = &t };
	struct trace_dir dir = { .ns_per_tick = 1.0 };
	struct samples_cursor cursor;
	uint32_t words[SAMPLES_RECORD];
	long entered = 0, left = 0, left_first = -1;

	(void)state;
	s.nodes = calloc(s.node_count, sizeof *s.nodes);
	assert_non_null(s.nodes);
	for (uint32_t i = 0; i < s.node_count; i++)
		s.nodes[i] =
			(struct samples_node){ .offset = i, .parent = i > 1 ? i : 0, .file = 1 };
	assert_int_equal(samples_cursor_open(&cursor, &dir, &thread), 0);
	for (uint32_t count; (count = samples_record(&cursor, words)) != 0;) {
		entered += count == 6;
		left += count == 1;
		if (count == 6 && entered == 2)
			left_first = left;
	}
	assert_int_equal(left_first, 1);
	assert_int_equal(entered, 1 + DEEP_MOST);
	assert_int_equal(left, entered);
	samples_cursor_close(&cursor);
	free(s.nodes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strangers_that_are_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
