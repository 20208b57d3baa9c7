/* test_level.c - level.c: names and words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "lib/base/level.h"

static void numbers_are_those_of_syslog(void **state)
{
	static const struct { enum level level; int number; const char *name; } rows[] = {
		{ LEVEL_EMERG, LOG_EMERG, "emerg" }, { LEVEL_ALERT, LOG_ALERT, "alert" },
		{ LEVEL_CRIT, LOG_CRIT, "crit" }, { LEVEL_ERROR, LOG_ERR, "error" },
		{ LEVEL_WARNING, LOG_WARNING, "warning" }, { LEVEL_NOTICE, LOG_NOTICE, "notice" },
		{ LEVEL_INFO, LOG_INFO, "info" }, { LEVEL_DEBUG, LOG_DEBUG, "debug" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum level parsed = LEVEL_NONE;

		assert_int_equal(rows[i].level, rows[i].number);
		assert_string_equal(level_name(rows[i].level), rows[i].name);
		assert_int_equal(level_parse(rows[i].name, &parsed), 0);
		assert_int_equal(parsed, rows[i].level);
	}
}

static void names_of_no_level(void **state)
{
	(void)state;
	assert_string_equal(level_name(LEVEL_NONE), "none");
	assert_string_equal(level_name((enum level)8), "none");
	assert_string_equal(level_name((enum level)77), "none");
}

static void synonyms_and_presets(void **state)
{
	static const struct { const char *word; enum level level; } rows[] = {
		{ "err", LEVEL_ERROR }, { "warn", LEVEL_WARNING }, { "panic", LEVEL_EMERG },
		{ "critical", LEVEL_CRIT }, { "emergency", LEVEL_EMERG }, { "fatal", LEVEL_CRIT },
		{ "verbose", LEVEL_DEBUG }, { "regular", LEVEL_INFO }, { "quiet", LEVEL_WARNING },
		{ "none", LEVEL_NONE }, { "Warning", LEVEL_WARNING }, { "ERROR", LEVEL_ERROR },
		{ "nOnE", LEVEL_NONE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum level parsed = LEVEL_NR;

		assert_int_equal(level_parse(rows[i].word, &parsed), 0);
		assert_int_equal(parsed, rows[i].level);
	}
}

static void refused(void **state)
{
	static const char *const words[] = {
		"", " ", "7", "inf", "infos", "info ", " info", "debug,info", "w", "ERR\xc3\x96R",
		"@rr"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		enum level untouched = LEVEL_NR;

		assert_int_equal(level_parse(words[i], &untouched), -EINVAL);
		assert_int_equal(untouched, LEVEL_NR);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_those_of_syslog),
		cmocka_unit_test(names_of_no_level),
		cmocka_unit_test(synonyms_and_presets),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
