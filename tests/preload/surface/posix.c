/*
 * posix.c - what every C library has, for the surface test under another one than glibc (musl): stdio
 * on an unbuffered stderr, the write family, syslog.
 */
#include <sys/socket.h>
#include <sys/uio.h>
#include <syslog.h>
#include <wchar.h>

#include "tests/preload/case.h"

static void by_list(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	va_start(arguments, format);
	vdprintf(2, format, arguments);
	va_end(arguments);
}

static void say_fprintf(void)
{
	state("%d", fprintf(stderr, "fprintf %d %s\n", 7, "words"));
	errno = EACCES;
	state("%d", fprintf(stderr, "%m\n"));
	state("%d", fprintf(stderr, "%3000d\n", 7));
	by_list("by list %d\n", 3);
}

static void say_fputs(void) { state("%d", fputs("fputs\n", stderr) >= 0); }
static void say_fputc(void) { state("%d", fputc('c', stderr)); state("%d", putc('\n', stderr)); }
static void say_fwrite(void) { state("%zu", fwrite("items\n", 2, 3, stderr)); }
static void say_dprintf(void) { state("%d", dprintf(2, "dprintf %d\n", 7)); }
static void say_wide(void) { state("%d", fwprintf(stderr, L"wide %d\n", 7) > 0); }

static void say_wide_char(void)
{
	state("%d", fputwc(L'w', stderr) == L'w');
	state("%d", fputwc(L'\n', stderr) == L'\n');
}

static void say_buffered(void)
{
	static char buffer[4096];

	setvbuf(stderr, buffer, _IOFBF, sizeof(buffer));
	fprintf(stderr, "a stream with a buffer\n");
	fflush(stderr);
}

static void say_perror(void)
{
	errno = ENOENT;
	perror("perror");
}

static void say_write(void)
{
	struct iovec parts[] = { { (char *)"one ", 4 }, { (char *)"two\n", 4 } };

	state("%zd", write(2, "write\n", 6));
	state("%zd", writev(2, parts, 2));
	state("%zd", write(2, (void *)8, 4));
	state("%s", strerror(errno));
}

static void say_send(void) { state("%zd", send(2, "send\n", 5, 0)); }

static void say_dup(void)
{
	int fd = dup(2);

	state("%zd", write(fd, "duplicate\n", 10));
	state("%d", dup2(fd, 7));
	state("%zd %d", write(7, "at seven\n", 9), errno);
}

static void say_elsewhere(void)
{
	int saved = dup(2);

	state("%d", dup2(1, 2));
	write(2, "not captured\n", 13);
	state("%d", dup2(saved, 2) == 2);
	write(2, "captured again\n", 15);
}

static void say_syslog(void)
{
	openlog("other", LOG_PID, LOG_DAEMON);
	expect_syslog("warning", "daemon", "other", "syslog 7 words");
	syslog(LOG_WARNING, "syslog %d %s", 7, "words");
	closelog();
}

static const struct test_case cases[] = {
	CASE(fprintf, ""),
	CASE(fputs, ""),
	CASE(fputc, ""),
	CASE(fwrite, ""),
	CASE(dprintf, ""),
	CASE(wide, ""),
	CASE(wide_char, ""),
	CASE(buffered, ""),
	CASE(perror, ""),
	CASE(write, ""),
	CASE(send, "socket"),
	CASE(dup, ""),
	CASE(elsewhere, ""),
	CASE(syslog, "silent"),
};

CASES_MAIN(cases)
