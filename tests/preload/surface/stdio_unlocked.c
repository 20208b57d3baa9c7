/*
 * stdio_unlocked.c - the _unlocked forms, and the _chk forms called by name.
 *
 * Optimised builds turn some of the first into inline code that ends in __overflow; the second are
 * what _FORTIFY_SOURCE makes of the ordinary names, called here directly in every variant.
 */
#include "tests/preload/case.h"

#include <locale.h>
#include <wchar.h>

extern int __overflow(FILE *stream, int c);
extern int __fprintf_chk(FILE *stream, int flag, const char *format, ...);
extern int __vfprintf_chk(FILE *stream, int flag, const char *format, va_list args);
extern int __printf_chk(int flag, const char *format, ...);
extern int __vprintf_chk(int flag, const char *format, va_list args);
extern int __dprintf_chk(int fd, int flag, const char *format, ...);
extern int __vdprintf_chk(int fd, int flag, const char *format, va_list args);
extern int __fwprintf_chk(FILE *stream, int flag, const wchar_t *format, ...);
extern int __vfwprintf_chk(FILE *stream, int flag, const wchar_t *format, va_list args);
extern int __wprintf_chk(int flag, const wchar_t *format, ...);
extern int __vwprintf_chk(int flag, const wchar_t *format, va_list args);

static void say_fputc_unlocked(void)
{
	for (const char *p = "fputc_unlocked\n"; *p; p++)
		fputc_unlocked(*p, stderr);
}

static void say_putc_unlocked(void)
{
	for (const char *p = "putc_unlocked\n"; *p; p++)
		putc_unlocked(*p, stderr);
}

static void say_putc_unlocked_buffered(void)
{
	setvbuf(stderr, NULL, _IOFBF, 16);
	for (const char *p = "putc_unlocked over the end of a small buffer\n"; *p; p++)
		putc_unlocked(*p, stderr);
	state("fflush_unlocked %d", fflush_unlocked(stderr));
}

static void say_fputs_unlocked(void)
{
	state("fputs_unlocked %d", fputs_unlocked("fputs_unlocked\n", stderr) >= 0);
}

static void say_fwrite_unlocked(void)
{
	state("fwrite_unlocked %zu", fwrite_unlocked("fwrite_unlocked\n", 1, 16, stderr));
}

static void say_putchar_unlocked(void)
{
	stdout = stderr;
	for (const char *p = "putchar_unlocked\n"; *p; p++)
		putchar_unlocked(*p);
}

static void say_fflush_unlocked(void)
{
	setvbuf(stderr, NULL, _IOFBF, 4096);
	fputs_unlocked("fflush_unlocked\n", stderr);
	state("fflush_unlocked %d", fflush_unlocked(stderr));
}

static void say_overflow(void)
{
	fputs("the last character by __overflow", stderr);
	state("__overflow %d", __overflow(stderr, '\n'));
}

static void say_fprintf_chk(void)
{
	state("__fprintf_chk %d", __fprintf_chk(stderr, 1, "__fprintf_chk %d %s\n", 5, "words"));
}

static void say_printf_chk(void)
{
	stdout = stderr;
	state("__printf_chk %d", __printf_chk(1, "__printf_chk %d\n", 5));
}

static void say_dprintf_chk(void)
{
	state("__dprintf_chk %d", __dprintf_chk(2, 1, "__dprintf_chk %d\n", 5));
}

static void say_fwprintf_chk(void)
{
	setlocale(LC_ALL, "C.UTF-8");
	state("__fwprintf_chk %d", __fwprintf_chk(stderr, 1, L"__fwprintf_chk %d \u00fc\n", 5));
}

static void say_wprintf_chk(void)
{
	stdout = stderr;
	state("__wprintf_chk %d", __wprintf_chk(1, L"__wprintf_chk %d\n", 5));
}

static void with_list(int which, ...)
{
	va_list args;
	int n = -1;

	va_start(args, which);
	if (which == 0)
		n = __vfprintf_chk(stderr, 1, "__vfprintf_chk %d\n", args);
	else if (which == 1)
		n = __vprintf_chk(1, "__vprintf_chk %d\n", args);
	else if (which == 2)
		n = __vdprintf_chk(2, 1, "__vdprintf_chk %d\n", args);
	else if (which == 3)
		n = __vfwprintf_chk(stderr, 1, L"__vfwprintf_chk %d\n", args);
	else
		n = __vwprintf_chk(1, L"__vwprintf_chk %d\n", args);
	va_end(args);
	state("with a list: %d", n);
}

static void say_vfprintf_chk(void) { with_list(0, 5); }
static void say_vprintf_chk(void) { stdout = stderr; with_list(1, 5); }
static void say_vdprintf_chk(void) { with_list(2, 5); }
static void say_vfwprintf_chk(void) { with_list(3, 5); }
static void say_vwprintf_chk(void) { stdout = stderr; with_list(4, 5); }

static const struct test_case cases[] = {
	CASE(fputc_unlocked, ""),
	CASE(putc_unlocked, ""),
	CASE(putc_unlocked_buffered, ""),
	CASE(fputs_unlocked, ""),
	CASE(fwrite_unlocked, ""),
	CASE(putchar_unlocked, ""),
	CASE(fflush_unlocked, ""),
	CASE(overflow, ""),
	CASE(fprintf_chk, ""),
	CASE(printf_chk, ""),
	CASE(dprintf_chk, ""),
	CASE(fwprintf_chk, ""),
	CASE(wprintf_chk, ""),
	CASE(vfprintf_chk, ""),
	CASE(vprintf_chk, ""),
	CASE(vdprintf_chk, ""),
	CASE(vfwprintf_chk, ""),
	CASE(vwprintf_chk, ""),
};

CASES_MAIN(cases)
