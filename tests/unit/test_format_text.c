/* test_format_text.c - format_text.c: the pattern becomes a frame, in local time. */
#include "tests/unit/format_case.h"

static void default_pattern(void **state)
{
	struct message m = CASE_MESSAGE("hello");
	struct format f;

	(void)state;
	assert_int_equal(format_init(&f, "text", NULL, false), 0);
	case_expect(&f, &m, "[2024-02-29 17:30:00.123] [info] nginx[812]: hello\n");
	m.source = "stdout";
	m.level = LEVEL_ERROR;
	case_expect(&f, &m, "[2024-02-29 17:30:00.123] [error] nginx[812] stdout: hello\n");
	assert_int_equal(format_init(&f, "text", "", true), 0);
	case_expect(&f, &m,
		    "[2024-02-29 17:30:00.123] [\x1b[1;31merror\x1b[m] nginx[812] stdout: hello\n");
}

static void loss(void **state)
{
	struct message m = CASE_MESSAGE("lost 3 messages, 120 bytes: ring full");
	struct format f;

	(void)state;
	m.source = "hark";
	m.comm = "";
	m.pid = m.tid = 0;
	m.level = LEVEL_WARNING;
	assert_int_equal(format_init(&f, "text", NULL, false), 0);
	case_expect(&f, &m, "[2024-02-29 17:30:00.123] [warning] hark: "
			    "lost 3 messages, 120 bytes: ring full\n");
}

static void given_pattern(void **state)
{
	struct message m = CASE_MESSAGE("two\nlines");
	struct format f;

	(void)state;
	assert_int_equal(format_init(&f, "text", "%L%m%d %T.%f %t] %v", false), 0);
	case_expect(&f, &m, "I0229 17:30:00.123456 813] two\\nlines\n");
	assert_int_equal(format_init(&f, "text", "%Y-%m-%dT%H:%M:%S%z", false), 0);
	case_expect(&f, &m, "2024-02-29T17:30:00+05:30\n");
	assert_int_equal(format_init(&f, "text", "x", false), 0);
	case_expect(&f, &m, "x\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_pattern),
		cmocka_unit_test(loss),
		cmocka_unit_test(given_pattern),
	};

	case_zone("XXX-5:30");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
