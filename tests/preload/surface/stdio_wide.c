/*
 * stdio_wide.c - the wide streams of stdio on stderr, locked and unlocked, buffered and not.
 *
 * A stream becomes wide by its first use and then goes through the other jump table.
 */
#include "tests/preload/case.h"

#include <locale.h>
#include <wchar.h>

static void utf8(void)
{
	if (!setlocale(LC_ALL, "C.UTF-8"))
		give_up("setlocale");
}

static int by_vfwprintf(const wchar_t *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vfwprintf(stderr, format, args);
	va_end(args);
	return n;
}

static int by_vwprintf(const wchar_t *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vwprintf(format, args);
	va_end(args);
	return n;
}

static void say_fwprintf(void)
{
	utf8();
	state("fwprintf %d", fwprintf(stderr, L"fwprintf %d %ls \u20ac\n", 42, L"Gr\u00f6\u00dfe"));
}

static void say_fwprintf_ascii(void)
{
	state("fwprintf %d", fwprintf(stderr, L"fwprintf without a locale %d\n", 42));
}

static void say_vfwprintf(void)
{
	utf8();
	state("vfwprintf %d", by_vfwprintf(L"vfwprintf %d %s\n", 42, "narrow"));
}

static void say_fputws(void)
{
	utf8();
	state("fputws %d", fputws(L"fputws \u65e5\u672c\n", stderr) >= 0);
}

static void say_fputws_lines(void)
{
	utf8();
	fputws(L"one\ntwo\n\nfour\nand no end", stderr);
}

static void say_fputwc(void)
{
	utf8();
	for (const wchar_t *p = L"fputwc \u00fc\n"; *p; p++)
		fputwc(*p, stderr);
}

static void say_putwc(void)
{
	utf8();
	for (const wchar_t *p = L"putwc \u00fc\n"; *p; p++)
		putwc(*p, stderr);
}

static void say_fputws_unlocked(void)
{
	utf8();
	state("fputws_unlocked %d", fputws_unlocked(L"fputws_unlocked\n", stderr) >= 0);
}

static void say_fputwc_unlocked(void)
{
	for (const wchar_t *p = L"fputwc_unlocked\n"; *p; p++)
		fputwc_unlocked(*p, stderr);
}

static void say_putwc_unlocked(void)
{
	for (const wchar_t *p = L"putwc_unlocked\n"; *p; p++)
		putwc_unlocked(*p, stderr);
}

static void say_stdout_is_stderr(void)
{
	utf8();
	stdout = stderr;
	wprintf(L"wprintf %d\n", 7);
	by_vwprintf(L"vwprintf %d\n", 8);
	putwchar(L'\u00fc');
	putwchar(L'\n');
	putwchar_unlocked(L'u');
	putwchar_unlocked(L'\n');
}

static void say_buffered_fflush(void)
{
	utf8();
	setvbuf(stderr, NULL, _IOFBF, 4096);
	fputws(L"wide and fully buffered \u20ac\n", stderr);
	state("fflush %d", fflush(stderr));
}

static void say_buffered_line(void)
{
	utf8();
	setvbuf(stderr, NULL, _IOLBF, 0);
	fputws(L"wide and ", stderr);
	fputws(L"line buffered \u20ac\n", stderr);
}

static void say_buffered_exit(void)
{
	utf8();
	setvbuf(stderr, NULL, _IOFBF, 4096);
	fputws(L"wide, flushed at exit \u20ac\n", stderr);
}

static void say_buffered_overflow(void)
{
	utf8();
	setvbuf(stderr, NULL, _IOFBF, 32);
	for (int i = 0; i < 30; i++)
		fwprintf(stderr, L"a wide line longer than its buffer: %d \u20ac\n", i);
}

static void say_buffered_fclose(void)
{
	setvbuf(stderr, NULL, _IOFBF, 4096);
	fputws(L"wide, flushed by fclose\n", stderr);
	state("fclose %d", fclose(stderr));
}

static void say_byte_after_wide(void)
{
	fputws(L"wide first\n", stderr);
	/* A byte call on a wide stream fails; a system call beneath it does not. */
	state("fputs %d", fputs("bytes are refused\n", stderr) < 0);
	state("write %zd", write(2, "bytes by write\n", 15));
}

static const struct test_case cases[] = {
	CASE(fwprintf, ""),
	CASE(fwprintf_ascii, ""),
	CASE(vfwprintf, ""),
	CASE(fputws, ""),
	CASE(fputws_lines, ""),
	CASE(fputwc, ""),
	CASE(putwc, ""),
	CASE(fputws_unlocked, ""),
	CASE(fputwc_unlocked, ""),
	CASE(putwc_unlocked, ""),
	CASE(stdout_is_stderr, ""),
	CASE(buffered_fflush, ""),
	CASE(buffered_line, ""),
	CASE(buffered_exit, ""),
	CASE(buffered_overflow, ""),
	CASE(buffered_fclose, ""),
	CASE(byte_after_wide, ""),
};

CASES_MAIN(cases)
