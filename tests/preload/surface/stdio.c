/*
 * stdio.c - the byte streams of stdio on stderr: every public function, every way of buffering.
 *
 * Run by test_surface.py, one case per process. What counts is what the same binary writes to a
 * pipe when nobody listens.
 */
#include "tests/preload/case.h"

#include <wchar.h>

/* Exported by libc for old binaries, declared nowhere. */
extern int _IO_putc(int c, FILE *stream);
extern int _IO_puts(const char *text);
extern int _IO_fputs(const char *text, FILE *stream);
extern int _IO_fprintf(FILE *stream, const char *format, ...);
extern size_t _IO_fwrite(const void *data, size_t size, size_t nr, FILE *stream);

__attribute__((format(printf, 1, 2))) static int by_vfprintf(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vfprintf(stderr, format, args);
	va_end(args);
	return n;
}

__attribute__((format(printf, 1, 2))) static int by_vprintf(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vprintf(format, args);
	va_end(args);
	return n;
}

static void say_fprintf(void)
{
	state("fprintf %d", fprintf(stderr, "fprintf %d %s %5.2f\n", 42, "words", 3.14159));
}

static void say_fprintf_constant(void)
{
	state("fprintf %d", fprintf(stderr, "fprintf with nothing to format\n"));
}

static void say_fprintf_lines(void)
{
	state("fprintf %d", fprintf(stderr, "one\ntwo %s\n\nfour, after none\n", "of four"));
}

static void say_fprintf_unfinished(void)
{
	state("fprintf %d", fprintf(stderr, "fprintf without a newline"));
}

static void say_fprintf_pieces(void)
{
	for (int i = 0; i < 10; i++)
		fprintf(stderr, "piece %d, ", i);
	fprintf(stderr, "end of the line\n");
}

static void say_fprintf_many(void)
{
	for (int i = 0; i < 200; i++)
		fprintf(stderr, "line %d of many\n", i);
}

static void say_fprintf_wide_string(void)
{
	state("fprintf %d", fprintf(stderr, "a wide string in a byte stream: %ls\n", L"wide"));
}

static void say_fprintf_count(void)
{
	int seen = 0;

	fprintf(stderr, "percent signs stay text: %s\n", "%n%s%d%%");
	state("fprintf %d %d", fprintf(stderr, "positional %2$s %1$s\n", "a", "b"), seen);
}

static void say_vfprintf(void)
{
	state("vfprintf %d", by_vfprintf("vfprintf %d %s\n", 42, "words"));
}

static void say_fputs(void)
{
	state("fputs %d", fputs("fputs to stderr\n", stderr) >= 0);
}

static void say_fputc(void)
{
	for (const char *p = "fputc, one by one\n"; *p; p++)
		if (fputc(*p, stderr) != *p)
			state("fputc failed");
}

static void say_putc(void)
{
	for (const char *p = "putc, one by one\n"; *p; p++)
		if (putc(*p, stderr) != *p)
			state("putc failed");
}

static void say_putw(void)
{
	int word;

	memcpy(&word, "put\n", sizeof(word));
	state("putw %d", putw(word, stderr));
}

static void say_fwrite(void)
{
	static const char text[] = "fwrite of bytes\nand a second line\n";

	state("fwrite %zu", fwrite(text, 1, sizeof(text) - 1, stderr));
}

static void say_fwrite_items(void)
{
	static const char text[] = "abcdefg\nhijklmn\nopqrstu\n";

	state("fwrite %zu", fwrite(text, 8, 3, stderr));
	state("fwrite %zu", fwrite(text, 0, 3, stderr));
}

static void say_fwrite_nul(void)
{
	static const char text[] = "a NUL\0inside, kept\n";

	state("fwrite %zu", fwrite(text, 1, sizeof(text) - 1, stderr));
}

static void say_fwrite_utf8(void)
{
	static const char text[] = "naïve Größe “quoted” 日本 \\ \"\t\033[1mbold\033[0m\n";

	state("fwrite %zu", fwrite(text, 1, sizeof(text) - 1, stderr));
}

static void say_line_10k(void)
{
	char line[10001];

	for (int i = 0; i < 10000; i++)
		line[i] = (char)('a' + i % 26);
	line[10000] = '\0';
	state("fprintf %d", fprintf(stderr, "%s\n", line));
}

static void say_line_200k(void)
{
	size_t length = 200000;
	char *line = malloc(length);

	for (size_t i = 0; i < length; i++)
		line[i] = (char)('a' + i % 26);
	line[length - 1] = '\n';
	state("fwrite %zu", fwrite(line, 1, length, stderr));
	fputs("after the long one\n", stderr);
	free(line);
}

static void say_old_names(void)
{
	_IO_fprintf(stderr, "_IO_fprintf %d\n", 1);
	_IO_fputs("_IO_fputs\n", stderr);
	_IO_fwrite("_IO_fwrite\n", 1, 11, stderr);
	_IO_putc('c', stderr);
	_IO_putc('\n', stderr);
	stdout = stderr;
	_IO_puts("_IO_puts");
}

/* stdout is a variable: a program may point it to stderr, and puts and its kin follow. */
static void say_stdout_is_stderr(void)
{
	stdout = stderr;
	puts("puts");
	printf("printf %d\n", 7);
	by_vprintf("vprintf %d\n", 8);
	putchar('c');
	putchar('\n');
}

static void say_stdout_over_stderr(void)
{
	dup2(2, 1);
	printf("printf to a duplicate of 2\n");
	state("fflush %d", fflush(stdout));
}

static void say_stderr_variable(void)
{
	stderr = fdopen(dup(2), "w");
	fprintf(stderr, "to a stream of the program's own in the variable stderr\n");
	fclose(stderr);
}

static void say_line_buffered(void)
{
	state("setvbuf %d", setvbuf(stderr, NULL, _IOLBF, 0));
	fprintf(stderr, "line buffered, ");
	fprintf(stderr, "one line\n");
	fprintf(stderr, "two ");
	fprintf(stderr, "lines\nat once\n");
}

static void say_setlinebuf(void)
{
	setlinebuf(stderr);
	fprintf(stderr, "setlinebuf, one line\nand the beginning of ");
	fprintf(stderr, "another\n");
}

static void say_full_fflush(void)
{
	static char buffer[65536];

	state("setvbuf %d", setvbuf(stderr, buffer, _IOFBF, sizeof(buffer)));
	fprintf(stderr, "fully buffered\n");
	fprintf(stderr, "and flushed\n");
	state("fflush %d", fflush(stderr));
}

static void say_full_fflush_all(void)
{
	setvbuf(stderr, NULL, _IOFBF, 4096);
	fprintf(stderr, "flushed with all streams\n");
	state("fflush %d", fflush(NULL));
}

static void say_full_exit(void)
{
	setvbuf(stderr, NULL, _IOFBF, 65536);
	for (int i = 0; i < 20; i++)
		fprintf(stderr, "line %d waits for exit\n", i);
}

static void say_full_exit_unfinished(void)
{
	setvbuf(stderr, NULL, _IOFBF, 65536);
	fprintf(stderr, "whole\nnot whole");
}

static void say_full_fclose(void)
{
	setvbuf(stderr, NULL, _IOFBF, 65536);
	fprintf(stderr, "flushed by fclose\n");
	state("fclose %d", fclose(stderr));
}

static void say_full_fcloseall(void)
{
	setvbuf(stderr, NULL, _IOFBF, 65536);
	fprintf(stderr, "flushed by fcloseall\n");
	state("fcloseall %d", fcloseall());
}

static void say_full_overflow(void)
{
	setvbuf(stderr, NULL, _IOFBF, 64);
	for (int i = 0; i < 50; i++)
		fprintf(stderr, "a small buffer overflows in the middle of a line: %d\n", i);
}

static void say_full_lost(void)
{
	setvbuf(stderr, NULL, _IOFBF, 65536);
	state("fprintf %d", fprintf(stderr, "never flushed, never seen\n"));
	_exit(0);
}

static void say_setbuf(void)
{
	static char buffer[BUFSIZ];

	setbuf(stderr, buffer);
	fprintf(stderr, "setbuf with a buffer\n");
	fflush(stderr);
	setbuf(stderr, NULL);
	fprintf(stderr, "setbuf without\n");
}

/* A line of which one half leaves here and the other at exit. What a busy machine does not bring together
 * within 200 ms is sent on in two. */
static void say_setbuffer(void)
{
	static char buffer[128];

	setbuffer(stderr, buffer, sizeof(buffer));
	fprintf(stderr, "setbuffer\n");
	fprintf(stderr, "%0200d\n", 5);
}

static void say_fclose(void)
{
	fprintf(stderr, "before fclose\n");
	state("fclose %d", fclose(stderr));
}

static void say_locked(void)
{
	flockfile(stderr);
	fprintf(stderr, "inside ");
	fprintf(stderr, "flockfile\n");
	funlockfile(stderr);
}

static const struct test_case cases[] = {
	CASE(fprintf, ""),
	CASE(fprintf_constant, ""),
	CASE(fprintf_lines, ""),
	CASE(fprintf_unfinished, ""),
	CASE(fprintf_pieces, ""),
	CASE(fprintf_many, ""),
	CASE(fprintf_wide_string, ""),
	CASE(fprintf_count, ""),
	CASE(vfprintf, ""),
	CASE(fputs, ""),
	CASE(fputc, ""),
	CASE(putc, ""),
	CASE(putw, ""),
	CASE(fwrite, ""),
	CASE(fwrite_items, ""),
	CASE(fwrite_nul, ""),
	CASE(fwrite_utf8, ""),
	CASE(line_10k, ""),
	CASE(line_200k, "joined"),
	CASE(old_names, ""),
	CASE(stdout_is_stderr, ""),
	CASE(stdout_over_stderr, ""),
	CASE(stderr_variable, ""),
	CASE(line_buffered, ""),
	CASE(setlinebuf, ""),
	CASE(full_fflush, ""),
	CASE(full_fflush_all, ""),
	CASE(full_exit, ""),
	CASE(full_exit_unfinished, ""),
	CASE(full_fclose, ""),
	CASE(full_fcloseall, ""),
	CASE(full_overflow, ""),
	CASE(full_lost, "silent late"),
	CASE(setbuf, ""),
	CASE(setbuffer, "joined"),
	CASE(fclose, ""),
	CASE(locked, ""),
};

CASES_MAIN(cases)
