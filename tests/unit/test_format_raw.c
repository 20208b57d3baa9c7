/* test_format_raw.c - format_raw.c: the bytes, whatever they are. */
#include "tests/unit/format_case.h"

static void bytes_pass(void **state)
{
	static const char text[] = "a\0b\n\x1b[31m\xff";
	struct message m = CASE_MESSAGE("a\0b\n\x1b[31m\xff");
	struct format f;
	size_t length;
	char *frame;

	(void)state;
	assert_int_equal(format_init(&f, "raw", NULL, false), 0);
	frame = case_render(&f, &m, &length);
	assert_int_equal(length, sizeof(text));
	assert_memory_equal(frame, text, sizeof(text) - 1);
	free(frame);
	m = CASE_MESSAGE("");
	case_expect(&f, &m, "\n");
	assert_int_equal(format_bound(&f, &m), 1);
	m = CASE_MESSAGE("of our own");
	m.source = "hark";
	case_expect(&f, &m, "hark: of our own\n");
	assert_int_equal(format_bound(&f, &m), strlen("hark: of our own\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
