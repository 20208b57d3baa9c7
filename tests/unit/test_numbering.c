/* test_numbering.c - numbering.c: keys keep their numbers, however many come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "lib/profile/numbering.h"

static void in_their_order(void **state)
{
	enum { KEYS = 100000 };
	struct numbering n = { 0 };
	bool first;

	(void)state;
	assert_int_equal(numbering_find(&n, 7), -ENOENT);
	for (uint64_t i = 0; i < KEYS; i++) {
		assert_int_equal(numbering_of(&n, i << 32 | i % 3, &first), i);
		assert_true(first);
	}
	for (uint64_t i = 0; i < KEYS; i += 7) {
		assert_int_equal(numbering_of(&n, i << 32 | i % 3, &first), i);
		assert_false(first);
		assert_int_equal(numbering_find(&n, i << 32 | i % 3), i);
	}
	assert_int_equal(numbering_find(&n, 1), -ENOENT);
	assert_int_equal(n.count, KEYS);
	numbering_fini(&n);
	assert_int_equal(numbering_find(&n, 0), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(in_their_order) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
