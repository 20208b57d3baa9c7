/* test_pattern.c - pattern.c: what compiles, what each letter yields, alignment, bounds. */
#include "tests/unit/format_case.h"

#include <errno.h>
#include <stdio.h>

static struct pattern program;

static void expect_of(const struct message *m, const char *expected)
{
	size_t most = pattern_bound(&program, m);
	char *buffer = malloc(most + 1);
	struct text out = text_in(buffer, most);

	assert_non_null(buffer);
	pattern_render(&program, m, &out);
	assert_false(out.cut);
	buffer[out.len] = '\0';
	assert_string_equal(buffer, expected);
	free(buffer);
}

static void expect(const char *pattern, const struct message *m, const char *expected)
{
	assert_int_equal(pattern_compile(&program, pattern, false), 0);
	expect_of(m, expected);
}

static void letters(void **state)
{
	struct message m = CASE_MESSAGE("hello");

	(void)state;
	expect("%v", &m, "hello");
	expect("%t %P", &m, "813 812");
	expect("%n", &m, "nginx");
	expect("%q", &m, "stderr");
	expect("%e|%f|%F", &m, "123|123456|123456789");
	expect("100%% of %v", &m, "100% of hello");
	expect("plain", &m, "plain");
	expect("<%@%s%g%#%!>", &m, "<>");
	expect("%v%v%v%v", &m, "hellohellohellohello");
	m.time_ns = INT64_C(1709208000) * 1000000000 + 1002003;
	expect("%e %f %F", &m, "001 001002 001002003");
}

static void levels(void **state)
{
	static const char *const expected[LEVEL_NR] = {
		"emerg P", "alert A", "crit C", "error E",
		"warning W", "notice N", "info I", "debug D"
	};
	struct message m = CASE_MESSAGE("");

	(void)state;
	for (int level = 0; level < LEVEL_NR; level++) {
		m.level = (enum level)level;
		expect("%l %L", &m, expected[level]);
	}
}

static void who_speaks(void **state)
{
	struct message m = CASE_MESSAGE("");

	(void)state;
	expect("%N", &m, "nginx[812]");
	m.source = "syslog";
	m.ident = "sshd";
	expect("%N", &m, "sshd[812] syslog");
	m.ident = "";
	m.source = "hark";
	m.comm = "";
	m.pid = 0;
	expect("%N", &m, "hark");
}

static void alignment(void **state)
{
	struct message m = CASE_MESSAGE("hello");

	(void)state;
	expect("[%8l]", &m, "[    info]");
	expect("[%-8l]", &m, "[info    ]");
	expect("[%=8l]", &m, "[  info  ]");
	expect("[%=7l]", &m, "[ info  ]");
	expect("[%3l]", &m, "[info]");
	expect("[%3!l]", &m, "[inf]");
	expect("[%-3!l]", &m, "[inf]");
	expect("[%=3!l]", &m, "[inf]");
	expect("[%8!l]", &m, "[    info]");
	expect("[%4!l]", &m, "[info]");
	expect("[%6@]", &m, "[      ]");
	expect("[%8e]", &m, "[     123]");
	expect("[%3Y]", &m, "[2024]");
	expect("[%2!Y]", &m, "[20]");
	expect("[%-6Y][%6H]", &m, "[2024  ][    12]");
	expect("%64v|", &m,
	       "                                                           hello|");
}

static void alignment_counts_characters(void **state)
{
	struct message m = CASE_MESSAGE("\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80");

	(void)state;
	expect("[%5v]", &m, "[  \xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80]");
	expect("[%2!v]", &m, "[\xc3\xbc\xe2\x82\xac]");
	m = CASE_MESSAGE("a\nb");
	expect("[%5v]", &m, "[ a\\nb]");
}

static void hostile_strings(void **state)
{
	struct message m = CASE_MESSAGE("two\nlines\tand\x1b[1m \xff %n %s %%");

	(void)state;
	expect("%v", &m, "two\\nlines\tand\x1b[1m \xff %n %s %%");
	m.comm = "a\nb";
	m.source = "path:/\n";
	expect("%n %q %N", &m, "a\\nb path:/\\n a\\nb[812] path:/\\n");
}

static void long_strings_are_accounted_for(void **state)
{
	static const char *const each[] = { "%v", "%n", "%q", "%N", "%64N", "%-64!v" };
	char lines[1001], shown[9000];
	struct message m = CASE_MESSAGE("");

	(void)state;
	memset(lines, '\n', sizeof(lines) - 1);
	lines[1000] = '\0';
	m.text = m.comm = m.ident = m.source = lines;
	m.length = 1000;
	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		struct text out;
		size_t most;

		assert_int_equal(pattern_compile(&program, each[i], false), 0);
		most = pattern_bound(&program, &m);
		assert_in_range(most, 2000, sizeof(shown));
		out = text_in(shown, most);
		pattern_render(&program, &m, &out);
		assert_false(out.cut);
	}
}

static void refused(void **state)
{
	static const char *const patterns[] = {
		"%", "x%", "%Q", "%k", "%8", "%-", "%-l", "%=l", "%0l", "%65l", "%999999999999l",
		"%8!",
		"%8%", "%8^", "%8$", "%8+", "% v", "%v\n", "\n", "%v%v%v%v%v", "%+%+%+%+%+",
		"%\xff", "%-=8l", "%8-l",
	};
	char many[2 * PATTERN_STEPS + 8] = "", literal[PATTERN_LITERAL + 2] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		if (pattern_compile(&program, patterns[i], false) != -EINVAL)
			fail_msg("accepted: %s", patterns[i]);
	for (size_t i = 0; i <= PATTERN_STEPS; i++)
		strcat(many, "%l");
	assert_int_equal(pattern_compile(&program, many, false), -EINVAL);
	many[2 * PATTERN_STEPS] = '\0';
	assert_int_equal(pattern_compile(&program, many, false), 0);
	memset(literal, 'x', PATTERN_LITERAL + 1);
	assert_int_equal(pattern_compile(&program, literal, false), -EINVAL);
	literal[PATTERN_LITERAL] = '\0';
	assert_int_equal(pattern_compile(&program, literal, false), 0);
}

static void color_range(void **state)
{
	struct message m = CASE_MESSAGE("hello");

	(void)state;
	expect("%^%l%$ %v", &m, "info hello");
	assert_int_equal(pattern_compile(&program, "%^%l%$ %v", true), 0);
	m.level = LEVEL_WARNING;
	expect_of(&m, "\x1b[33mwarning\x1b[m hello");
}

static void elapsed(void **state)
{
	struct message m = CASE_MESSAGE("");

	(void)state;
	assert_int_equal(pattern_compile(&program, "%O %o %i %u", false), 0);
	expect_of(&m, "0 0 0 0");
	m.time_ns += INT64_C(2345678901);
	expect_of(&m, "2 2345 2345678 2345678901");
	expect_of(&m, "0 0 0 0");
	m.time_ns -= 5;
	expect_of(&m, "0 0 0 0");
	m.time_ns += 7;
	expect_of(&m, "0 0 0 7");
	m.time_ns = INT64_MIN;
	expect_of(&m, "0 0 0 0");
	m.time_ns = INT64_MAX;
	expect_of(&m, "18446744073 18446744073709 18446744073709551 18446744073709551615");
}

static void the_second_is_kept_and_renewed(void **state)
{
	struct message m = CASE_MESSAGE("x");

	(void)state;
	assert_int_equal(pattern_compile(&program, "%S %v %M:%S", false), 0);
	expect_of(&m, "00 x 00:00");
	m.time_ns += 61 * INT64_C(1000000000);
	expect_of(&m, "01 x 01:01");
	m.time_ns -= 2 * INT64_C(1000000000);
	expect_of(&m, "59 x 00:59");
}

static void a_compiled_pattern_may_be_moved(void **state)
{
	char given[] = "%l: %v";
	struct message m = CASE_MESSAGE("hello");
	struct pattern *first = malloc(sizeof(*first));

	(void)state;
	assert_non_null(first);
	assert_int_equal(pattern_compile(first, given, false), 0);
	program = *first;
	memset(first, 0xff, sizeof(*first));
	free(first);
	memset(given, 'x', sizeof(given) - 1);
	expect_of(&m, "info: hello");
}

static void the_default(void **state)
{
	struct message m = CASE_MESSAGE("hello");

	(void)state;
	expect(pattern_default, &m, "[2024-02-29 12:00:00.123] [info] nginx[812]: hello");
	expect("%+", &m, "[2024-02-29 12:00:00.123] [info] nginx[812]: hello");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(letters),
		cmocka_unit_test(levels),
		cmocka_unit_test(who_speaks),
		cmocka_unit_test(alignment),
		cmocka_unit_test(alignment_counts_characters),
		cmocka_unit_test(hostile_strings),
		cmocka_unit_test(long_strings_are_accounted_for),
		cmocka_unit_test(refused),
		cmocka_unit_test(color_range),
		cmocka_unit_test(elapsed),
		cmocka_unit_test(the_second_is_kept_and_renewed),
		cmocka_unit_test(a_compiled_pattern_may_be_moved),
		cmocka_unit_test(the_default),
	};

	case_zone("UTC0");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
