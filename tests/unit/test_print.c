/*
 * test_print.c - a formatted text on the stack or in a mapping (shim/print.c).
 */
#include "tests/unit/shim_case.h"

#include <wchar.h>

#include "shim/print.h"

bool hook_stdio_public;

__attribute__((format(printf, 3, 4))) static int print(struct print *p, int flag,
						       const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int error = print_format(p, flag, format, arguments);
	va_end(arguments);
	return error;
}

static void test_every_length_around_the_stack(void **state)
{
	static char want[9000];
	struct print p;
	(void)state;

	memset(want, 'x', sizeof want);
	for (size_t n = 0; n < sizeof want; n += n < 1000 || n > 1050 ? 97 : 1) {
		want[n] = 0;
		errno = ENOENT;
		assert_int_equal(print(&p, 0, "%s", want), 0);
		assert_int_equal(errno, ENOENT);
		assert_int_equal(p.bytes, n);
		assert_string_equal(p.text, want);
		assert_int_equal(p.mapped != 0, n >= PRINT_STACK);
		print_free(&p);
		print_free(&p); /* twice is once */
		want[n] = 'x';
	}
}

static void test_arguments_survive_two_passes(void **state)
{
	struct print p;
	int n = 0;
	(void)state;

	errno = EACCES;
	assert_int_equal(print(&p, 0, "%3000d|%s|%.2f|%m|%n", 5, "text", 1.5, &n), 0);
	assert_int_equal(p.bytes, 3000 + 1 + 4 + 1 + 4 + 1 + 17 + 1);
	assert_string_equal(p.text + 2999, "5|text|1.50|Permission denied|");
	assert_int_equal(n, p.bytes);
	print_free(&p);
}

static void test_what_cannot_be_formatted(void **state)
{
	static const wchar_t bad[] = { 0x110037, 0 };
	struct print p;
	(void)state;

	errno = 0;
	assert_int_equal(print(&p, 0, "%ls", bad), -EINVAL);
	assert_int_equal(errno, EILSEQ);
}

static void test_sandboxed(void **state)
{
	struct print p;
	(void)state;

	shim.sandboxed = true;
	assert_int_equal(print(&p, 0, "%1023d", 1), 0);
	errno = ENOENT;
	assert_int_equal(print(&p, 0, "%1024d", 1), -ENOMEM);
	assert_int_equal(errno, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_every_length_around_the_stack, play),
		cmocka_unit_test_setup(test_arguments_survive_two_passes, play),
		cmocka_unit_test_setup(test_what_cannot_be_formatted, play),
		cmocka_unit_test_setup(test_sandboxed, play),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
