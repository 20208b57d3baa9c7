/* test_trace_options.c - trace_options.c: which part of a trace is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "tools/trace_options.h"

static struct trace_options options;

static int set_up(void **state)
{
	(void)state;
	cli_say_on(-1);
	unsetenv("HARK_DATA");
	trace_options_init(&options);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	trace_options_fini(&options);
	return 0;
}

static int take(const char *option, const char *value)
{
	static const struct cli_command command = { .name = "report" };
	struct cli cli = { .command = &command, .option = option, .value = value };

	return trace_options_take(&options, &cli);
}

static void defaults(void **state)
{
	(void)state;
	assert_string_equal(options.data, "hark.data");
	assert_null(options.filter.only);
	assert_null(options.filter.never);
	assert_int_equal(options.filter.depth, 0);
	assert_int_equal(options.filter.tid, 0);
	setenv("HARK_DATA", "elsewhere", 1);
	trace_options_init(&options);
	assert_string_equal(options.data, "elsewhere");
	assert_int_equal(take("--data", "third"), 1);
	assert_string_equal(options.data, "third");
}

static void globs(void **state)
{
	(void)state;
	assert_int_equal(take("--filter", "parse*,f<int, char>(int, g<1, 2>),main"), 1);
	assert_int_equal(take("--filter", "last"), 1);
	assert_int_equal(take("--notrace", "operator->,x"), 1);
	assert_string_equal(options.filter.only[0], "parse*");
	assert_string_equal(options.filter.only[1], "f<int, char>(int, g<1, 2>)");
	assert_string_equal(options.filter.only[2], "main");
	assert_string_equal(options.filter.only[3], "last");
	assert_null(options.filter.only[4]);
	assert_string_equal(options.filter.never[0], "operator->");
	assert_string_equal(options.filter.never[1], "x");
	assert_null(options.filter.never[2]);
}

static void bad_globs(void **state)
{
	(void)state;
	assert_int_equal(take("--filter", ""), -EINVAL);
	assert_int_equal(take("--filter", ",a"), -EINVAL);
	assert_int_equal(take("--filter", "a,"), -EINVAL);
	assert_int_equal(take("--filter", "a,,b"), -EINVAL);
	trace_options_fini(&options);
	trace_options_init(&options);
	for (int i = 0; i < TRACE_GLOBS; i++)
		assert_int_equal(take("--filter", "a"), 1);
	assert_int_equal(take("--filter", "a"), -EINVAL);
	assert_null(options.filter.only[TRACE_GLOBS]);
}

static void numbers(void **state)
{
	(void)state;
	assert_int_equal(take("--depth", "3"), 1);
	assert_int_equal(take("--tid", "77"), 1);
	assert_int_equal(take("--min-time", "10us"), 1);
	assert_int_equal(take("--module", "lib*"), 1);
	assert_int_equal(take("--thread", "work*"), 1);
	assert_int_equal(options.filter.depth, 3);
	assert_int_equal(options.filter.tid, 77);
	assert_int_equal(options.filter.min_ns, 10000);
	assert_string_equal(options.filter.module, "lib*");
	assert_string_equal(options.filter.thread, "work*");
	assert_int_equal(take("--depth", "0"), -EINVAL);
	assert_int_equal(take("--tid", "-1"), -EINVAL);
	assert_int_equal(take("--min-time", "10"), -EINVAL);
	assert_int_equal(options.filter.min_ns, 10000);
	assert_int_equal(take("--json", NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(defaults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(globs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_globs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(numbers, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
