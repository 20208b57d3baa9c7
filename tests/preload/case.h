/*
 * case.h - what every small program under test shares: its table of cases and its statements.
 *
 * Included by the programs in surface/ and identity/, C and C++ alike. A program is called as
 * `prog CASE [ARG...]` or `prog --list`; its table is the only place that knows a case. What must be
 * captured, or what the program saw, is stated on descriptor 3 by a system call of our own, so that
 * a statement never meets the hooks it is about.
 *
 * The flags of a case tell the runner what is special about it (see FLAGS in test_surface.py, and
 * test_identity.py).
 */
#ifndef HARK_TESTS_PRELOAD_CASE_H
#define HARK_TESTS_PRELOAD_CASE_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

struct test_case {
	const char *name;
	void (*run)(void);
	const char *flags;
};

#define CASE(name, flags) { #name, say_##name, flags }
#define CASES_MAIN(table)                                                                         \
	int main(int argc, char **argv)                                                           \
	{                                                                                         \
		return case_main(argc, argv, table, sizeof(table) / sizeof(*(table)));            \
	}

static int report_fd __attribute__((unused)) = 3;
static int case_argc __attribute__((unused));
static char **case_argv __attribute__((unused));

/* The kernel's own entry: no libc function, hence no hook. Returns -errno. */
static inline long raw_syscall3(long number, long a, long b, long c)
{
#ifdef __aarch64__
	register long x8 __asm__("x8") = number;
	register long result __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;

	__asm__ volatile("svc #0" : "+r"(result) : "r"(x8), "r"(x1), "r"(x2) : "memory");
#else
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
#endif
	return result;
}

static inline void raw_write(int fd, const char *text, size_t length)
{
	while (length > 0) {
		long n = raw_syscall3(SYS_write, fd, (long)text, (long)length);

		if (n <= 0)
			return;
		text += n;
		length -= (size_t)n;
	}
}

/* One line on the report descriptor, in one write; errno is kept. */
__attribute__((format(printf, 1, 2), unused)) static void state(const char *format, ...)
{
	char line[16384];
	int saved = errno;
	va_list args;

	va_start(args, format);
	int n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (n < 0)
		n = 0;
	if ((size_t)n > sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	raw_write(report_fd, line, (size_t)n);
	errno = saved;
}

__attribute__((unused)) static void json_escape(char *out, size_t bytes, const char *text)
{
	size_t used = 0;

	for (; *text && used + 8 < bytes; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			used += (size_t)snprintf(out + used, bytes - used, "\\%c", c);
		else if (c < 0x20)
			used += (size_t)snprintf(out + used, bytes - used, "\\u%04x", c);
		else
			out[used++] = (char)c;
	}
	out[used] = '\0';
}

/* States that one line on stderr, by the calling thread, must be captured. */
__attribute__((unused)) static void expect_stderr(const char *text)
{
	char escaped[2048];

	json_escape(escaped, sizeof(escaped), text);
	state("expect {\"source\":\"stderr\",\"msg\":\"%s\",\"pid\":%ld,\"tid\":%ld}", escaped,
	      raw_syscall3(SYS_getpid, 0, 0, 0), raw_syscall3(SYS_gettid, 0, 0, 0));
}

/* States that one syslog message must be captured. */
__attribute__((unused)) static void expect_syslog(const char *level, const char *facility,
						  const char *ident, const char *text)
{
	char escaped[12000];

	json_escape(escaped, sizeof(escaped), text);
	state("expect {\"source\":\"syslog\",\"level\":\"%s\",\"facility\":\"%s\",\"ident\":\"%s\","
	      "\"msg\":\"%s\",\"pid\":%ld,\"tid\":%ld}",
	      level, facility, ident, escaped, raw_syscall3(SYS_getpid, 0, 0, 0),
	      raw_syscall3(SYS_gettid, 0, 0, 0));
}

/* A test program that cannot do what it is for: said on descriptor 3, exit status 99. */
__attribute__((unused, noreturn)) static void give_up(const char *what)
{
	state("GAVE UP: %s: %s", what, strerror(errno));
	raw_syscall3(SYS_exit_group, 99, 0, 0);
	__builtin_unreachable();
}

static inline void fault(void)
{
	int *volatile nowhere = (int *)8;

	*nowhere = 1;
}

static inline int case_main(int argc, char **argv, const struct test_case *cases, size_t nr)
{
	case_argc = argc;
	case_argv = argv;
	if (argc >= 2 && strcmp(argv[1], "--list") == 0) {
		for (size_t i = 0; i < nr; i++)
			printf("%s\t%s\n", cases[i].name, cases[i].flags);
		return 0;
	}
	for (size_t i = 0; argc >= 2 && i < nr; i++) {
		if (strcmp(argv[1], cases[i].name) == 0) {
			cases[i].run();
			return 0;
		}
	}
	errno = EINVAL;
	give_up(argc >= 2 ? argv[1] : "no case");
}

#endif
