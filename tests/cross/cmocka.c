/*
 * cmocka.c - as much of cmocka as our unit tests use, for a machine whose libcmocka is not to be had
 * without a second architecture of packages. Linked by `make cross`; the header is cmocka's
 * own, which names no machine.
 *
 * A failed assertion ends its test by longjmp, as there. Speaks TAP.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PASSED, FAILED, SKIPPED };

static jmp_buf out;

__attribute__((noreturn)) static void leave(const char *why, const char *file, int line)
{
	printf("# %s:%d: %s\n", file, line, why);
	longjmp(out, FAILED);
}

void _fail(const char *const file, const int line)
{
	leave("failed", file, line);
}

void _skip(const char *const file, const int line)
{
	printf("# %s:%d: skipped\n", file, line);
	longjmp(out, SKIPPED);
}

__attribute__((format(printf, 1, 0))) static void print(const char *format, va_list arguments)
{
	printf("# ");
	vprintf(format, arguments);
}

void print_error(const char *const format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print(format, arguments);
	va_end(arguments);
}

void print_message(const char *const format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print(format, arguments);
	va_end(arguments);
}

void _assert_true(const LargestIntegralType result, const char *const expression,
		  const char *const file, const int line)
{
	if (!result)
		leave(expression, file, line);
}

void _assert_int_equal(const LargestIntegralType a, const LargestIntegralType b,
		       const char *const file, const int line)
{
	if (a == b)
		return;
	print_error("%#llx != %#llx\n", (unsigned long long)a, (unsigned long long)b);
	leave("not equal", file, line);
}

void _assert_int_not_equal(const LargestIntegralType a, const LargestIntegralType b,
			   const char *const file, const int line)
{
	if (a == b)
		leave("equal", file, line);
}

void _assert_in_range(const LargestIntegralType value, const LargestIntegralType least,
		      const LargestIntegralType most, const char *const file, const int line)
{
	if (value < least || value > most)
		leave("out of range", file, line);
}

void _assert_string_equal(const char *const a, const char *const b, const char *const file,
			  const int line)
{
	if (strcmp(a, b) == 0)
		return;
	print_error("\"%s\" != \"%s\"\n", a, b);
	leave("not the same text", file, line);
}

void _assert_string_not_equal(const char *const a, const char *const b, const char *file,
			      const int line)
{
	if (strcmp(a, b) == 0)
		leave("the same text", file, line);
}

void _assert_memory_equal(const void *const a, const void *const b, const size_t size,
			  const char *const file, const int line)
{
	if (memcmp(a, b, size) != 0)
		leave("not the same bytes", file, line);
}

static int run(const struct CMUnitTest *test)
{
	void *state = test->initial_state;

	int end = setjmp(out);
	if (end != PASSED)
		return end;
	if (test->setup_func && test->setup_func(&state) != 0)
		return FAILED;
	test->test_func(&state);
	if (test->teardown_func && test->teardown_func(&state) != 0)
		return FAILED;
	return PASSED;
}

int _cmocka_run_group_tests(const char *group, const struct CMUnitTest *const tests,
			    const size_t count, CMFixtureFunction setup,
			    CMFixtureFunction teardown)
{
	void *state = NULL;
	int failed = 0;

	printf("# %s\n1..%zu\n", group, count);
	fflush(stdout); /* tests fork */
	if (setup && setup(&state) != 0)
		return 1;
	for (size_t i = 0; i < count; i++) {
		int end = run(&tests[i]);
		printf("%s %zu - %s%s\n", end == FAILED ? "not ok" : "ok", i + 1, tests[i].name,
		       end == SKIPPED ? " # skip" : "");
		fflush(stdout);
		failed += end == FAILED;
	}
	if (teardown)
		teardown(&state);
	return failed;
}
