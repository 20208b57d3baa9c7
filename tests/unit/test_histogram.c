/* test_histogram.c - histogram.c: quantiles beside those of the sorted values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "lib/profile/histogram.h"

enum { VALUES = 5000 };

static int ascending(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

/* The smallest value that a share of all is not above. */
static uint64_t exact(const uint64_t *sorted, size_t count, unsigned percent)
{
	return sorted[(count * percent + 99) / 100 - 1];
}

static void near_the_exact_ones(void **state)
{
	static uint64_t values[VALUES];
	uint64_t seed = 88172645463325252;

	(void)state;
	for (unsigned bits = 1; bits <= 62; bits++) {
		struct histogram h = { .power = { NULL } };
		for (unsigned i = 0; i < VALUES; i++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			values[i] = seed >> (64 - bits);
			assert_int_equal(histogram_add(&h, values[i], 1), 0);
		}
		qsort(values, VALUES, sizeof *values, ascending);
		for (unsigned percent = 1; percent <= 100; percent++) {
			uint64_t is = histogram_quantile(&h, VALUES, percent / 100.0);
			uint64_t should = exact(values, VALUES, percent);
			uint64_t apart = is > should ? is - should : should - is;
			assert_true(apart <= should / 32);
		}
		histogram_fini(&h);
	}
}

static void ends_of_the_range(void **state)
{
	struct histogram h = { .power = { NULL } };

	(void)state;
	assert_int_equal(histogram_quantile(&h, 0, 0.5), 0);
	assert_int_equal(histogram_add(&h, 0, 1), 0);
	assert_int_equal(histogram_quantile(&h, 1, 0.99), 0);
	assert_int_equal(histogram_add(&h, UINT64_MAX, 9), 0);
	assert_true(histogram_quantile(&h, 10, 0.5) > UINT64_MAX / 32 * 31);
	assert_int_equal(histogram_quantile(&h, 10, 0.1), 0);
	histogram_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(near_the_exact_ones),
		cmocka_unit_test(ends_of_the_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
