/* test_when.c - when.c: splitting, RFC 3339, and the second that is kept. */
#include "tests/unit/format_case.h"

#include "lib/format/when.h"

static void split(void **state)
{
	uint32_t ns;

	(void)state;
	assert_int_equal(when_split(0, &ns), 0);
	assert_int_equal(ns, 0);
	assert_int_equal(when_split(1999999999, &ns), 1);
	assert_int_equal(ns, 999999999);
	assert_int_equal(when_split(-1, &ns), -1);
	assert_int_equal(ns, 999999999);
	assert_int_equal(when_split(-1000000000, &ns), -1);
	assert_int_equal(ns, 0);
}

static void expect_utc(struct format *f, int64_t time_ns, unsigned digits, const char *expected)
{
	char buffer[WHEN_UTC_MOST];
	struct text out = text_in(buffer, sizeof(buffer));

	when_utc(f, &out, time_ns, digits);
	assert_string_equal(text_cstr(&out), expected);
}

static void utc(void **state)
{
	struct format f;

	(void)state;
	case_zone("XXX-5:30"); /* must not matter */
	assert_int_equal(format_init(&f, "json", NULL, false), 0);
	expect_utc(&f, 0, 9, "1970-01-01T00:00:00.000000000Z");
	expect_utc(&f, CASE_TIME_NS, 9, "2024-02-29T12:00:00.123456789Z");
	expect_utc(&f, CASE_TIME_NS, 6, "2024-02-29T12:00:00.123456Z");
	/* the same second, the next, and back again */
	expect_utc(&f, CASE_TIME_NS + 1, 9, "2024-02-29T12:00:00.123456790Z");
	expect_utc(&f, CASE_TIME_NS + 1000000000, 9, "2024-02-29T12:00:01.123456789Z");
	expect_utc(&f, CASE_TIME_NS, 9, "2024-02-29T12:00:00.123456789Z");
	expect_utc(&f, -1, 9, "1969-12-31T23:59:59.999999999Z");
	expect_utc(&f, INT64_MAX, 9, "2262-04-11T23:47:16.854775807Z");
	expect_utc(&f, INT64_MIN, 9, "1677-09-21T00:12:43.145224192Z");
}

static void local(void **state)
{
	struct tm tm;

	(void)state;
	case_zone("XXX-5:30"); /* POSIX counts westwards: this is +05:30 */
	tzset();
	when_local(CASE_TIME_NS / 1000000000, &tm);
	assert_int_equal(tm.tm_hour, 17);
	assert_int_equal(tm.tm_min, 30);
	assert_int_equal(tm.tm_mday, 29);
	assert_string_equal(when_months[tm.tm_mon], "February");
	assert_string_equal(when_weekdays[tm.tm_wday], "Thursday");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split),
		cmocka_unit_test(utc),
		cmocka_unit_test(local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
