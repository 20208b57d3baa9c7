/* test_pattern_time.c - pattern_time.c: each letter at telling times. */
#include "tests/unit/format_case.h"

#include "lib/format/pattern_time.h"
#include "lib/format/when.h"

/* 2026-07-04T03:05:09Z, a Saturday */
#define EARLY INT64_C(1783134309)
/* 2024-02-29T12:00:00Z, a Thursday */
#define NOON INT64_C(1709208000)

static void expect(const char *letter, int64_t second, const char *expected)
{
	char buffer[48];
	struct text out = text_in(buffer, 40);
	struct tm tm;

	when_local(second, &tm);
	pattern_time(&out, *letter, &tm, second);
	assert_false(out.cut);
	assert_string_equal(text_cstr(&out), expected);
}

static void dates(void **state)
{
	(void)state;
	expect("a", EARLY, "Sat");
	expect("A", EARLY, "Saturday");
	expect("b", EARLY, "Jul");
	expect("B", EARLY, "July");
	expect("c", EARLY, "Sat Jul 4 03:05:09 2026");
	expect("C", EARLY, "26");
	expect("Y", EARLY, "2026");
	expect("D", EARLY, "07/04/26");
	expect("x", EARLY, "07/04/26");
	expect("m", EARLY, "07");
	expect("d", EARLY, "04");
	expect("A", NOON, "Thursday");
	expect("d", NOON, "29");
}

static void times(void **state)
{
	(void)state;
	expect("H", EARLY, "03");
	expect("I", EARLY, "03");
	expect("M", EARLY, "05");
	expect("S", EARLY, "09");
	expect("p", EARLY, "AM");
	expect("r", EARLY, "03:05:09 AM");
	expect("R", EARLY, "03:05");
	expect("T", EARLY, "03:05:09");
	expect("X", EARLY, "03:05:09");
	expect("E", EARLY, "1783134309");
	expect("E", -1, "-1");
}

static void twelve_hours(void **state)
{
	(void)state;
	expect("r", NOON, "12:00:00 PM");
	expect("r", NOON + 3600, "01:00:00 PM");
	expect("r", NOON + 12 * 3600, "12:00:00 AM");
	expect("I", NOON + 12 * 3600, "12");
	expect("H", NOON + 12 * 3600, "00");
	expect("p", NOON - 1, "AM");
}

static void zones(void **state)
{
	(void)state;
	expect("z", NOON, "+00:00");
	case_zone("XXX-5:30"); /* POSIX counts westwards */
	tzset();
	expect("z", NOON, "+05:30");
	expect("R", NOON, "17:30");
	case_zone("XXX3:30");
	tzset();
	expect("z", NOON, "-03:30");
	expect("c", NOON - 12 * 3600, "Wed Feb 28 20:30:00 2024");
	case_zone("UTC0");
	tzset();
}

static void known(void **state)
{
	(void)state;
	for (const char *c = "aAbBcCYDxmdHIMSprRTXzE"; *c; c++)
		assert_true(pattern_time_is(*c));
	for (const char *c = "vtPnlLefFiuoO%^$@sg#!qN+kZ "; *c; c++)
		assert_false(pattern_time_is(*c));
	assert_false(pattern_time_is('\0'));
}

static void extremes_fit(void **state)
{
	(void)state;
	for (const char *c = "aAbBcCYDxmdHIMSprRTXzE"; *c; c++)
		for (int sign = 0; sign < 2; sign++) {
			int64_t second = (sign ? INT64_MIN : INT64_MAX) / 1000000000;
			char buffer[40];
			struct text out = text_in(buffer, sizeof(buffer));
			struct tm tm;

			when_local(second, &tm);
			pattern_time(&out, *c, &tm, second);
			assert_false(out.cut);
			assert_true(out.len > 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates),
		cmocka_unit_test(times),
		cmocka_unit_test(twelve_hours),
		cmocka_unit_test(zones),
		cmocka_unit_test(known),
		cmocka_unit_test(extremes_fit),
	};

	case_zone("UTC0");
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
