/*
 * test_severity.c - the words for levels.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lib/base/level.h"
#include "lib/message/severity.h"

enum { EVERY_FORM = 31 };

static int level_of(const char *word, unsigned forms)
{
	const struct severity *found = severity_find(word, strlen(word), forms);

	return found ? found->level : LEVEL_NONE;
}

/* What hark itself calls its levels, other programs may call so, too. */
static void test_knows_our_own_names(void **state)
{
	(void)state;
	for (int i = 0; i < LEVEL_NR; i++) {
		assert_int_equal(level_of(level_name((enum level)i), SEVERITY_VALUE), i);
		assert_int_equal(level_of(level_name((enum level)i), SEVERITY_BRACKETS), i);
	}
}

static void test_forms(void **state)
{
	(void)state;
	assert_int_equal(level_of("FATAL", SEVERITY_CAPITALS), LEVEL_CRIT);
	assert_int_equal(level_of("Fatal", SEVERITY_COLON), LEVEL_ERROR);
	assert_int_equal(level_of("LOG", SEVERITY_CAPITALS_COLON), LEVEL_INFO);
	assert_int_equal(level_of("LOG", SEVERITY_CAPITALS), LEVEL_NONE);
	assert_int_equal(level_of("eror", SEVERITY_COLON), LEVEL_NONE);
	assert_int_equal(level_of("error", 0), LEVEL_NONE);
}

static void test_unknown(void **state)
{
	static const char *const words[] = {
		"", "e", "erro", "errors", "errox", "xrror", "informationally", "http", "warned"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_int_equal(level_of(words[i], EVERY_FORM), LEVEL_NONE);
	assert_null(severity_find("errors", SIZE_MAX, EVERY_FORM));
	assert_non_null(severity_find("errors", 5, EVERY_FORM));
}

static void test_keys(void **state)
{
	(void)state;
	assert_true(severity_key("level", 5));
	assert_true(severity_key("Severity", 8));
	assert_true(severity_key("log.level", 9));
	assert_false(severity_key("levels", 6));
	assert_false(severity_key("levels", 4));
	assert_false(severity_key("levelnames and more", 19));
	assert_false(severity_key("", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_knows_our_own_names),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
