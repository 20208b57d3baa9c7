/* test_parse.c - parse.c: what is accepted, what is refused, and that hostile globs end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lib/base/parse.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

enum { UNTOUCHED = 4711 };

struct number_case { const char *text; int result; uint64_t value; };

static void run(int (*parse)(const char *, uint64_t *),
		const struct number_case *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = UNTOUCHED;
		int result = parse(rows[i].text, &value);

		if (result != rows[i].result || value != (result ? UNTOUCHED : rows[i].value))
			fail_msg("\"%s\": %d, %llu", rows[i].text, result,
				 (unsigned long long)value);
	}
}

static void sizes(void **state)
{
	static const struct number_case rows[] = {
		{ "0", 0, 0 }, { "4096", 0, 4096 }, { "64K", 0, 65536 }, { "64k", 0, 65536 },
		{ "10M", 0, 10485760 }, { "10MB", 0, 10485760 }, { "10MiB", 0, 10485760 },
		{ "10mib", 0, 10485760 }, { "1G", 0, 1073741824 },
		{ "2T", 0, UINT64_C(2199023255552) },
		{ "007K", 0, 7168 },
		{ "18446744073709551615", 0, UINT64_MAX }, { "18446744073709551616", -ERANGE, 0 },
		{ "99999999999999999999999", -ERANGE, 0 },
		{ "16777215T", 0, UINT64_C(16777215) << 40 },
		{ "16777216T", -ERANGE, 0 }, { "99999999999999999999999Q", -EINVAL, 0 },
		{ "", -EINVAL, 0 }, { "K", -EINVAL, 0 }, { "-1", -EINVAL, 0 }, { "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 }, { "1 ", -EINVAL, 0 }, { "1 K", -EINVAL, 0 },
		{ "4Q", -EINVAL, 0 },
		{ "4KX", -EINVAL, 0 }, { "4Ki", -EINVAL, 0 }, { "4KiBs", -EINVAL, 0 },
		{ "4B", -EINVAL, 0 },
		{ "1.5M", -EINVAL, 0 }, { "0x10", -EINVAL, 0 }, { "1e3", -EINVAL, 0 },
		{ "10%", -EINVAL, 0 },
	};

	(void)state;
	run(parse_size, rows, COUNT(rows));
}

static void durations(void **state)
{
	static const struct number_case rows[] = {
		{ "0", 0, 0 }, { "0.0", 0, 0 }, { "0s", 0, 0 }, { "1ns", 0, 1 }, { "1us", 0, 1000 },
		{ "100ms", 0, 100000000 }, { "5s", 0, UINT64_C(5000000000) },
		{ "1.5s", 0, UINT64_C(1500000000) }, { "0.000000001s", 0, 1 },
		{ "1.50000000000000000000000000s", 0, UINT64_C(1500000000) },
		{ "2m", 0, UINT64_C(120000000000) }, { "0.5m", 0, UINT64_C(30000000000) },
		{ "1h", 0, UINT64_C(3600000000000) }, { "1d", 0, UINT64_C(86400000000000) },
		{ "0.1d", 0, UINT64_C(8640000000000) },
		{ "18446744073709551615ns", 0, UINT64_MAX },
		{ "18446744073709551616ns", -ERANGE, 0 },
		{ "18446744073709551.615us", 0, UINT64_MAX },
		{ "18446744073709551.616us", -ERANGE, 0 },
		{ "213504d", -ERANGE, 0 }, { "213503d", 0, UINT64_C(213503) * 86400 * 1000000000 },
		{ "5", -EINVAL, 0 }, { "0.1", -EINVAL, 0 }, { "", -EINVAL, 0 }, { "s", -EINVAL, 0 },
		{ ".5s", -EINVAL, 0 }, { "5.s", -EINVAL, 0 }, { "1.2.3s", -EINVAL, 0 },
		{ "-5s", -EINVAL, 0 }, { "5 s", -EINVAL, 0 }, { "5s ", -EINVAL, 0 },
		{ "5S", -EINVAL, 0 },
		{ "5sec", -EINVAL, 0 }, { "5M", -EINVAL, 0 }, { "1h30m", -EINVAL, 0 },
		{ "1e3s", -EINVAL, 0 },
		{ "0.5ns", -EINVAL, 0 }, { "0.0000000001s", -EINVAL, 0 }, { "0x1s", -EINVAL, 0 },
		{ "0.1111111111111111111s", -EINVAL, 0 }, { "99999999999999999999", -EINVAL, 0 },
	};

	(void)state;
	run(parse_duration, rows, COUNT(rows));
}

static void percentages(void **state)
{
	static const struct number_case rows[] = {
		{ "10%", 0, 1000 },    { "0.01%", 0, 1 },
		{ "2.5%", 0, 250 },    { "100%", 0, 10000 },
		{ "0%", 0, 0 },        { "7.250%", 0, 725 },
		{ "10", -EINVAL, 0 },  { "%", -EINVAL, 0 },
		{ "", -EINVAL, 0 },    { "0.001%", -EINVAL, 0 },
		{ "1 %", -EINVAL, 0 }, { "1%%", -EINVAL, 0 },
		{ "-1%", -EINVAL, 0 }, { "99999999999999999999%", -ERANGE, 0 },
	};

	(void)state;
	run(parse_percent, rows, COUNT(rows));
}

static void truth(void **state)
{
	static const char *const yes[] = { "1", "yes", "true", "on", "ON", "True" };
	static const char *const no[] = { "0", "no", "false", "off", "OFF", "False" };
	static const char *const neither[] = {
		"", "2", "y", "n", "yess", "tru", "o", " 1", "1 ", "-1"
	};
	bool value;

	(void)state;
	for (size_t i = 0; i < COUNT(yes); i++) {
		value = false;
		assert_int_equal(parse_bool(yes[i], &value), 0);
		assert_true(value);
		assert_int_equal(parse_bool(no[i], &value), 0);
		assert_false(value);
	}
	for (size_t i = 0; i < COUNT(neither); i++) {
		value = i & 1;
		assert_int_equal(parse_bool(neither[i], &value), -EINVAL);
		assert_int_equal(value, i & 1);
	}
}

static void whole_numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t least, most;
		int result;
		uint64_t value;
	} rows[] = {
		{ "0", 0, 0, 0, 0 }, { "1", 0, 0, -ERANGE, 0 }, { "5", 5, 9, 0, 5 },
		{ "9", 5, 9, 0, 9 },
		{ "4", 5, 9, -ERANGE, 0 }, { "10", 5, 9, -ERANGE, 0 }, { "010", 5, 10, 0, 10 },
		{ "18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX },
		{ "18446744073709551616", 0, UINT64_MAX, -ERANGE, 0 },
		{ "", 0, 9, -EINVAL, 0 }, { "-1", 0, UINT64_MAX, -EINVAL, 0 },
		{ "+1", 0, 9, -EINVAL, 0 },
		{ "1x", 0, 9, -EINVAL, 0 }, { "0x1", 0, 9, -EINVAL, 0 }, { " 1", 0, 9, -EINVAL, 0 },
		{ "99999999999999999999x", 0, 9, -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t value = UNTOUCHED;

		assert_int_equal(parse_u64(rows[i].text, rows[i].least, rows[i].most, &value),
				 rows[i].result);
		assert_int_equal(value, rows[i].result ? UNTOUCHED : rows[i].value);
	}
}

static void globs(void **state)
{
	static const struct { const char *pattern, *name; bool matches; } rows[] = {
		{ "", "", true }, { "", "a", false }, { "*", "", true }, { "**", "abc", true },
		{ "?", "", false }, { "?", "a", true }, { "?", "ab", false },
		{ "abc", "abc", true },
		{ "abc", "abd", false }, { "abc", "ab", false }, { "abc", "abcd", false },
		{ "a*c", "abbc", true }, { "a*c", "ac", true }, { "a*c", "abcb", false },
		{ "*abab", "ababab", true }, { "a*b*c", "aXbXbXc", true }, { "*a*b", "ba", false },
		{ "path:/var/*.log", "path:/var/a/b.log", true }, { "*.log", "x.logs", false },
		{ "[abc]", "b", true }, { "[abc]", "d", false }, { "[!abc]", "d", true },
		{ "[!abc]", "a", false }, { "[a-f]x", "ex", true }, { "[a-f]x", "gx", false },
		{ "[]a]", "]", true }, { "[!]a]", "]", false }, { "[!]a]", "b", true },
		{ "[a-]", "-", true }, { "[a-]", "b", false }, { "[\\]]", "]", true },
		{ "[\\a-\\c]", "b", true },
		{ "[a", "[a", true }, { "[a", "a", false }, { "[", "[", true },
		{ "x[", "x[", true },
		{ "[[[[", "[[[[", true }, { "[a][b", "a[b", true }, { "*[", "a[", true },
		{ "\\*", "*", true }, { "\\*", "a", false }, { "\\?", "x", false },
		{ "\\[a]", "[a]", true },
		{ "\\\\", "\\", true }, { "a\\", "a\\", true }, { "a\\", "a", false },
		{ "fd:?", "fd:7", true }, { "[\x80-\xff]", "\xc3", true },
		{ "[\x80-\xff]", "a", false },
		{ "[z-a]", "m", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (parse_glob(rows[i].pattern, rows[i].name) != rows[i].matches)
			fail_msg("%s against %s", rows[i].pattern, rows[i].name);
}

/* A matcher that tries every star would need far longer than the universe has. */
static void hostile_globs_end(void **state)
{
	static char name[20001], pattern[4001];

	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	for (size_t i = 0; i + 1 < 200; i += 2)
		memcpy(pattern + i, "*a", 2);
	strcpy(pattern + 200, "b");
	assert_false(parse_glob(pattern, name));
	pattern[200] = '\0';
	assert_true(parse_glob(pattern, name));

	memset(name, '[', 2000);
	name[2000] = '\0';
	memset(pattern, '[', 1000);
	pattern[0] = '*';
	strcpy(pattern + 1000, "x");
	assert_false(parse_glob(pattern, name));
	pattern[1000] = '\0';
	assert_true(parse_glob(pattern, name));
}

static void nearest(void **state)
{
	static const char *const among[] = {
		"console", "file", "tcp", "udp", "unix", "unixgram", "compress", "exit-timeout"
	};
	static const struct { const char *word, *expected; } rows[] = {
		{ "console", "console" }, { "consol", "console" }, { "cnosole", "console" },
		{ "CONSOLE", "console" }, { "fiel", "file" }, { "tpc", "tcp" }, { "upd", "udp" },
		{ "unxi", "unix" }, { "unixgramm", "unixgram" }, { "exit_timeout", "exit-timeout" },
		{ "exittimeuot", "exit-timeout" }, { "xyz", NULL }, { "", NULL }, { "t", NULL },
		{ "conXXXe", NULL }, { "consXXe", "console" },
	};
	static const char *const ties[] = { "size", "side" };
	char longest[65];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *found = parse_nearest(rows[i].word, among, COUNT(among));

		if (found != rows[i].expected && (!found || !rows[i].expected ||
						  strcmp(found, rows[i].expected)))
			fail_msg("%s: %s", rows[i].word, found ? found : "none");
	}
	assert_string_equal(parse_nearest("sixe", ties, 2), "size");
	assert_string_equal(parse_nearest("siXe", ties, 2), "size");
	assert_null(parse_nearest("console", among, 0));

	memset(longest, 'a', sizeof(longest));
	longest[64] = '\0';
	const char *const one[] = { longest };
	assert_null(parse_nearest(longest, one, 1));
	longest[63] = '\0';
	assert_ptr_equal(parse_nearest(longest, one, 1), longest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentages),
		cmocka_unit_test(sizes),
		cmocka_unit_test(durations),
		cmocka_unit_test(truth),
		cmocka_unit_test(whole_numbers),
		cmocka_unit_test(globs),
		cmocka_unit_test(hostile_globs_end),
		cmocka_unit_test(nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
