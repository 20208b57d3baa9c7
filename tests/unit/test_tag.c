/* test_tag.c - tag.c: the priority, and names that a syslog header can bear. */
#include "tests/unit/format_case.h"

#include <limits.h>

#include "lib/format/tag.h"

static void expect_priority(int facility, enum level level, const char *expected)
{
	struct message m = CASE_MESSAGE("x");
	char buffer[16];
	struct text out = text_in(buffer, sizeof(buffer));

	m.facility = facility;
	m.level = level;
	tag_priority(&out, &m);
	assert_string_equal(text_cstr(&out), expected);
}

static void priorities(void **state)
{
	(void)state;
	expect_priority(-1, LEVEL_INFO, "<14>");
	expect_priority(0, LEVEL_EMERG, "<0>");
	expect_priority(4, LEVEL_CRIT, "<34>"); /* RFC 5424, 6.5, example 1 */
	expect_priority(20, LEVEL_NOTICE, "<165>"); /* example 3 */
	expect_priority(23, LEVEL_DEBUG, "<191>");
	expect_priority(24, LEVEL_DEBUG, "<15>");
	expect_priority(INT_MAX, (enum level)99, "<15>");
	expect_priority(INT_MIN, LEVEL_NONE, "<15>");
}

static void expect_name(const char *ident, const char *comm, const char *source, size_t most,
			const char *expected)
{
	struct message m = CASE_MESSAGE("x");
	char buffer[64];
	struct text out = text_in(buffer, sizeof(buffer));

	m.ident = ident;
	m.comm = comm;
	m.source = source;
	tag_name(&out, &m, "-._", most);
	assert_string_equal(text_cstr(&out), expected);
}

static void names(void **state)
{
	(void)state;
	expect_name("", "nginx", "stderr", 32, "nginx");
	expect_name("sshd", "ssh", "syslog", 32, "sshd");
	expect_name("", "", "hark", 32, "hark");
	expect_name("", "", "stderr", 32, "-");
	expect_name("", "a b\n[1]:\xff\x01.z-_", "stderr", 32, "a_b__1____.z-_");
	expect_name("", "abcdef", "stderr", 4, "abcd");
	expect_name("", "abcd", "stderr", 4, "abcd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(priorities),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
