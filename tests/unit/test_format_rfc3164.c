/* test_format_rfc3164.c - format_rfc3164.c: the traditional header, in local time. */
#include "tests/unit/format_case.h"

static struct format f;

static int setup(void **state)
{
	int error;

	(void)state;
	case_zone("XXX-5:30");
	error = format_init(&f, "rfc3164", NULL, false);
	f.hostname = "box.example.org";
	return error;
}

static void ordinary(void **state)
{
	struct message m = CASE_MESSAGE("hello");

	(void)state;
	case_expect(&f, &m, "<14>Feb 29 17:30:00 box nginx[812]: hello\n");
	m.time_ns += INT64_C(86400) * 1000000000;
	case_expect(&f, &m, "<14>Mar  1 17:30:00 box nginx[812]: hello\n");
}

static void control_characters(void **state)
{
	struct message m = CASE_MESSAGE("a\nb\tc\x1b");

	(void)state;
	case_expect(&f, &m, "<14>Feb 29 17:30:00 box nginx[812]: a#012b#011c#033\n");
}

static void tags(void **state)
{
	struct message m = CASE_MESSAGE("x");

	(void)state;
	m.ident = "my app[1]: ";
	m.facility = 3;
	m.level = LEVEL_ERROR;
	case_expect(&f, &m, "<27>Feb 29 17:30:00 box my_app_1___[812]: x\n");
	m.ident = "0123456789abcdef0123456789abcdefX";
	m.pid = 0;
	case_expect(&f, &m, "<27>Feb 29 17:30:00 box 0123456789abcdef0123456789abcdef: x\n");
	m.ident = m.comm = "";
	m.source = "hark";
	m.facility = -1;
	case_expect(&f, &m, "<11>Feb 29 17:30:00 box hark: x\n");
}

static void hosts(void **state)
{
	struct message m = CASE_MESSAGE("x");

	(void)state;
	f.hostname = "10.1.2.3";
	case_expect(&f, &m, "<14>Feb 29 17:30:00 10.1.2.3 nginx[812]: x\n");
	f.hostname = "-";
	case_expect(&f, &m, "<14>Feb 29 17:30:00 - nginx[812]: x\n");
	f.hostname = ".x";
	case_expect(&f, &m, "<14>Feb 29 17:30:00 .x nginx[812]: x\n");
	f.hostname = "box.example.org";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary),
		cmocka_unit_test(control_characters),
		cmocka_unit_test(tags),
		cmocka_unit_test(hosts),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
