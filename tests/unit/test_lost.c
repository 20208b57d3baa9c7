/* test_lost.c - lost.c: every reason has its words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/session/lost.h"

static void every_reason(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LOST_NR; i++) {
		assert_non_null(lost_key(i));
		assert_non_null(lost_sentence(i));
		/* a key of JSON that nobody has to quote, an end of a sentence without its stop */
		assert_int_equal(strspn(lost_key(i), "abcdefghijklmnopqrstuvwxyz_"),
				 strlen(lost_key(i)));
		assert_true(strlen(lost_sentence(i)) > 10);
		assert_int_not_equal(lost_sentence(i)[strlen(lost_sentence(i)) - 1], '.');
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(lost_key(i), lost_key(k));
	}
	assert_string_equal(lost_key(LOST_FULL), "full");
	assert_string_equal(lost_key(LOST_TOO_LONG), "too_long");
}

static void no_reason(void **state)
{
	(void)state;
	assert_string_equal(lost_key(LOST_NR), "unknown");
	assert_non_null(lost_sentence(LOST_NR));
	assert_string_equal(lost_key((enum lost_reason)UINT32_MAX), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason),
		cmocka_unit_test(no_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
