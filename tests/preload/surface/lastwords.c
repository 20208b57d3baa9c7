/*
 * lastwords.c - what libc itself says before it aborts.
 *
 * These words go to the descriptor by a system call that no hook sees; libc keeps them in
 * __abort_msg. They must be on the real descriptor as ever, and reported once.
 */
#include "tests/preload/case.h"

#include <malloc.h>
#include <setjmp.h>
#include <sys/poll.h>

extern void __stack_chk_fail(void) __attribute__((noreturn));
extern void __chk_fail(void) __attribute__((noreturn));
extern void *__memcpy_chk(void *to, const void *from, size_t length, size_t room);
extern int __fprintf_chk(FILE *stream, int flag, const char *format, ...);

static void say_stack_smashing(void)
{
	__stack_chk_fail();
}

static void say_buffer_overflow(void)
{
	char to[8];

	__memcpy_chk(to, "more than fits into it", 20, sizeof(to));
}

static void say_chk_fail(void)
{
	__chk_fail();
}

static void say_percent_n(void)
{
	char format[] = "%n\n"; /* in writable memory: refused */
	int n;

	__fprintf_chk(stderr, 1, format, &n);
}

static void say_double_free(void)
{
	void *volatile p = malloc(2000), *volatile q = malloc(2000);

	free(p);
	free(p);
	free(q);
}

static void say_invalid_pointer(void)
{
	char *volatile p = malloc(100);
	volatile size_t offset = 8;

	free(p + offset);
}

static void say_words_before(void)
{
	fprintf(stderr, "said before\n");
	__stack_chk_fail();
}

static const struct test_case cases[] = {
	CASE(stack_smashing, "bypass late"),
	CASE(buffer_overflow, "bypass late"),
	CASE(chk_fail, "bypass late"),
	CASE(percent_n, "bypass late"),
	CASE(double_free, "bypass late"),
	CASE(invalid_pointer, "bypass late"),
	CASE(words_before, "bypass late"),
};

CASES_MAIN(cases)
