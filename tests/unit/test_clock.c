/* test_clock.c - clock.c: ticks into time, and a counter that jumps. */
#include "lib/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { TICKS_PER_US = 2600 };
static const int64_t epoch_ns = INT64_C(1700000000000000000);
static const int64_t us = 1000, second = INT64_C(1000000000);

/* A pair of clocks so long after the beginning, by a counter that is ahead by so many ticks. */
static struct clock_base pair(int64_t after_ns, int64_t ahead)
{
	return (struct clock_base){
		.ticks = (uint64_t)(after_ns / us * TICKS_PER_US + ahead),
		.monotonic_ns = (uint64_t)(5 * second + after_ns),
		.realtime_ns = epoch_ns + after_ns,
		.counter = 1,
	};
}

static struct clock_map begin(int64_t ahead)
{
	struct clock_base first = pair(0, ahead);
	struct clock_map map = { .first = first, .now = first };

	map.offset_ns = first.realtime_ns - (int64_t)first.monotonic_ns;
	return map;
}

static void take(struct clock_map *map, int64_t after_ns, int64_t ahead)
{
	struct clock_base now = pair(after_ns, ahead);
	clock_map_take(map, &now);
}

static void assert_near(const struct clock_map *map, int64_t after_ns, int64_t ahead)
{
	int64_t error = clock_map_ns(map, pair(after_ns, ahead).ticks) - (epoch_ns + after_ns);
	assert_true(error > -2 * us && error < 2 * us);
}

static void test_ticks_become_time(void **state)
{
	const int64_t ahead = INT64_C(1) << 50;
	struct clock_map map = begin(ahead);

	(void)state;
	take(&map, second, ahead);
	assert_near(&map, second / 2, ahead);
	assert_near(&map, second, ahead);
	assert_near(&map, 3 * second / 2, ahead); /* said since we looked */
}

/* Forwards, and backwards to less than it was at first. */
static void test_counter_that_jumps(void **state)
{
	const int64_t ahead = INT64_C(1) << 50, jumps[] = { INT64_C(1) << 52, 0 };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct clock_map map = begin(ahead);
		take(&map, second, ahead);
		take(&map, 2 * second, jumps[i]);
		assert_near(&map, 2 * second + second / 2, jumps[i]);
		take(&map, 3 * second, jumps[i]);
		assert_near(&map, 5 * second / 2, jumps[i]);
	}
}

static void test_time_does_not_run_backwards(void **state)
{
	struct clock_map map = begin(0);
	struct clock_base back = pair(2 * second, 0);

	(void)state;
	take(&map, second, 0);
	back.realtime_ns -= 3600 * second;
	clock_map_take(&map, &back);
	assert_near(&map, 2 * second, 0);
}

/* Where the counter is of use, it goes as the clock does. */
static void test_usable_counter_keeps_time(void **state)
{
	struct clock_base a, b;

	(void)state;
	if (!clock_counter_usable())
		skip();
	clock_base_now(&a, true);
	struct clock_map map;
	clock_map_init(&map, &a);
	for (int i = 0; i < 1000; i++) {
		clock_base_now(&b, true);
		assert_true(b.ticks > a.ticks && b.monotonic_ns > a.monotonic_ns);
		a = b;
	}
	clock_map_refresh(&map);
	int64_t error = clock_map_ns(&map, b.ticks) - b.realtime_ns;
	assert_true(error > -second / 100 && error < second / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ticks_become_time),
		cmocka_unit_test(test_counter_that_jumps),
		cmocka_unit_test(test_time_does_not_run_backwards),
		cmocka_unit_test(test_usable_counter_keeps_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
