/*
 * test_hook_stdio_public.c - stdio by its public functions (shim/hook_stdio_public.c): with the slot in
 * our hands they are libc's, without it they say the same bytes and return the same.
 */
#include "tests/unit/shim_case.h"

#include <locale.h>

#include "shim/hook_stdio_public.c"

static char text[SAID_MOST];
static int results[64];
static unsigned nr;

static void result(long n)
{
	results[nr++] = (int)n;
}

__attribute__((format(printf, 2, 3))) static void by_list(int checked, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	result(checked ? __vfprintf_chk(stderr, 1, format, arguments)
		       : vfprintf(stderr, format, arguments));
	va_end(arguments);
	va_start(arguments, format);
	result(checked ? __vdprintf_chk(2, 1, format, arguments) : vdprintf(2, format, arguments));
	va_end(arguments);
}

static void narrow(void)
{
	errno = EACCES;
	result(fprintf(stderr, "%s %d %m\n", "fprintf", 1));
	result(fprintf(stderr, "%s", ""));
	result(fprintf(stderr, "%3000d\n", 7));
	result(fprintf(stderr, "NUL %c in it\n", 0));
	result(__fprintf_chk(stderr, 1, "checked %d\n", 2));
	by_list(0, "by list %s\n", "text");
	by_list(1, "by list, checked %s\n", "text");
	result(dprintf(2, "dprintf %d\n", 3));
	result(__dprintf_chk(2, 1, "dprintf, checked %d\n", 3));
	result(fputs("fputs\n", stderr));
	result(fputs("", stderr));
	result(fputs_unlocked("fputs_unlocked\n", stderr));
	result(fputc('a', stderr));
	result(fputc(0xff, stderr));
	result(fputc(-1, stderr));
	result(fputc_unlocked('b', stderr));
	result(putc('c', stderr));
	result(putc_unlocked('d', stderr));
	result(_IO_putc('e', stderr));
	result(__overflow(stderr, '\n'));
	result((long)fwrite("items", 2, 2, stderr));
	result((long)fwrite("items", 0, 2, stderr));
	result((long)fwrite_unlocked("items\n", 1, 6, stderr));
	result(fputws(L"wide on a narrow stream", stderr));
}

static FILE *stream; /* on descriptor 2 */

__attribute__((noinline)) static void wide_list(const wchar_t *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	result(vfwprintf(stream, format, arguments));
	va_end(arguments);
	va_start(arguments, format);
	result(__vfwprintf_chk(stream, 1, format, arguments));
	va_end(arguments);
}

static void wide(void)
{
	result(fwprintf(stream, L"wide %d %ls\n", 1, L"\u00e4\u20ac"));
	result(fwprintf(stream, L"%3000d\n", 7));
	result(__fwprintf_chk(stream, 1, L"checked\n"));
	wide_list(L"by list %s\n", "text");
	result(fputws(L"fputws \U0001f600\n", stream));
	result((long)fputwc(L'\u20ac', stream));
	result((long)putwc(L'\n', stream));
	result(fprintf(stream, "narrow on a wide stream\n"));
}

/* libc's bytes and results are the expected ones: everything is done by both. */
static void by_both(void (*speak)(void))
{
	int wanted[64];

	nr = 0;
	divert_stderr();
	hook_stdio_public = false;
	uint8_t state = atomic_exchange(&shim.fds[2], FD_PASS); /* dprintf is always ours */
	speak();
	atomic_store(&shim.fds[2], state);
	size_t n = restore_stderr(text, sizeof text);
	memcpy(wanted, results, sizeof wanted);
	unsigned calls = nr;
	nr = 0;
	assert_int_equal(said.calls, 0);
	hook_stdio_public = true;
	speak();
	hook_stdio_public = false;
	assert_int_equal(nr, calls);
	assert_memory_equal(results, wanted, calls * sizeof *results);
	assert_int_equal(said.length, n);
	assert_memory_equal(said.bytes, text, n);
}

static void test_narrow(void **state)
{
	(void)state;
	by_both(narrow);
	assert_int_equal(said.calls, 22); /* each that has bytes, at once */
}

static void test_wide(void **state)
{
	(void)state;
	stream = fdopen(2, "w"); /* never closed, for descriptor 2 is not its own */
	assert_non_null(stream);
	setvbuf(stream, NULL, _IONBF, 0);
	by_both(wide);
	assert_true(said.calls >= 8);
}

/* What is not unbuffered, or goes elsewhere, is libc's. */
static void test_not_taken(void **state)
{
	char buffer[256];
	FILE *memory = fmemopen(buffer, sizeof buffer, "w");
	(void)state;

	assert_non_null(memory);
	divert_stderr();
	FILE *buffered = fdopen(dup(2), "w");
	FILE *file = fdopen(dup(2), "w");
	setvbuf(file, NULL, _IONBF, 0);
	shim.fds[fileno(buffered)] = FD_CAPTURED;
	shim.fds[fileno(file)] = FD_PASS;
	hook_stdio_public = true;
	errno = ENOENT;
	fprintf(memory, "memory");
	int error = errno;
	fprintf(buffered, "buffered ");
	fflush(buffered);
	fputs("not captured ", file);
	fputc('x', file);
	dprintf(fileno(file), "y");
	hook_stdio_public = false;
	fclose(memory);
	fclose(buffered);
	fclose(file);
	restore_stderr(text, sizeof text);
	assert_int_equal(error, ENOENT);
	assert_string_equal(buffer, "memory");
	assert_string_equal(text, "buffered not captured xy");
	assert_int_equal(said.calls, 0);
}

/* Longer than the stack and no mapping allowed: libc's, rather than cut. */
static void test_sandboxed(void **state)
{
	(void)state;
	shim.sandboxed = true;
	divert_stderr();
	hook_stdio_public = true;
	int n = fprintf(stderr, "%2000d", 1), m = fprintf(stderr, "short");
	hook_stdio_public = false;
	assert_int_equal(restore_stderr(text, sizeof text), 2000);
	assert_int_equal(n, 2000);
	assert_int_equal(m, 5);
	assert_int_equal(said.length, 5);
}

static void test_errors(void **state)
{
	static const wchar_t bad[] = { 0x110037, 0 };
	(void)state;

	setlocale(LC_ALL, "C");
	hook_stdio_public = true;
	errno = 0;
	int n = fprintf(stderr, "%ls", bad);
	int error = errno;
	hook_stdio_public = false;
	setlocale(LC_ALL, "C.UTF-8");
	assert_int_equal(n, -1);
	assert_int_equal(error, EILSEQ);
	assert_int_equal(said.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_narrow, play),
		cmocka_unit_test_setup(test_wide, play),
		cmocka_unit_test_setup(test_not_taken, play),
		cmocka_unit_test_setup(test_sandboxed, play),
		cmocka_unit_test_setup(test_errors, play),
	};
	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
