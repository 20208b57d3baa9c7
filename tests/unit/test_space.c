/*
 * test_space.c - what is mapped in a sampled process, and in whoever it starts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/sample/space.h"

/* A fork of one with a single mapping: the next one cuts that in two, and there are three. */
static void test_fork_has_room(void **state)
{
	struct space *s = space_open();
	struct unwind_place place;

	(void)state;
	assert_non_null(s);
	struct space_file *file = space_file(s, "[anonymous]", 0, 0);
	struct space_process *p = space_process(s, 10);
	assert_non_null(file);
	assert_non_null(p);
	assert_non_null(space_map(s, p, 0x1000, 0x9000, 0, file));
	space_fork(s, 10, 11, 11);
	p = space_process(s, 11);
	assert_int_equal(p->count, 1);
	assert_non_null(space_map(s, p, 0x4000, 0x1000, 0, file));
	assert_int_equal(p->count, 3);
	assert_true(p->room >= p->count);
	assert_true(space_find(p, 0x3fff, &place) && space_find(p, 0x9fff, &place));
	assert_false(space_find(p, 0xa000, &place));
	space_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fork_has_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
