/*
 * stack.c - T8: how deep into the caller's stack a call reaches, by painting what lies below.
 *
 * Run by test_traps.py natively and under hark. States "depth NAME BYTES" for each call; what hooks
 * use is the difference, and for a plain write, all of it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <syslog.h>

#include "tests/preload/case.h"

enum { STACK = 1 << 18, PAINTED = 1 << 16, MARGIN = 256, PAINT = 0xa5 };

static int spare;

static void by_nothing(void) { }
static void by_write(void) { (void)!write(2, "by write\n", 9); }
static void by_writev(void)
{
	struct iovec iov[2] = { { (void *)"by ", 3 }, { (void *)"writev\n", 7 } };

	(void)!writev(2, iov, 2);
}
static void by_syscall(void) { (void)!syscall(SYS_write, 2, "by syscall\n", 11); }
static void by_fputs(void) { fputs("by fputs\n", stderr); }
static void by_dprintf(void) { dprintf(2, "by %s\n", "dprintf"); }
static void by_dup2(void) { dup2(2, spare); }
static void by_close(void) { close(spare); }
static void by_open(void) { spare = open("/dev/null", O_WRONLY); }

/* The first write after the number was given anew has to look at the file. */
static void by_first_write(void)
{
	dup2(2, 2);
	by_write();
}

/* Not inlined, so that its frame is the one that the call's begins below. */
__attribute__((noinline)) static size_t depth_of(void (*call)(void))
{
	volatile unsigned char *top = __builtin_frame_address(0);

	for (size_t i = MARGIN; i < PAINTED; i++)
		top[-(ptrdiff_t)i] = PAINT;
	call();
	for (size_t i = PAINTED - 1; i >= MARGIN; i--)
		if (top[-(ptrdiff_t)i] != PAINT)
			return i;
	return MARGIN;
}

static const struct {
	const char *name;
	void (*call)(void);
} calls[] = {
	{ "nothing", by_nothing }, { "write", by_write }, { "writev", by_writev },
	{ "first_write", by_first_write }, { "syscall", by_syscall }, { "fputs", by_fputs },
	{ "dprintf", by_dprintf }, { "open", by_open }, { "dup2", by_dup2 }, { "close", by_close },
};

static void *measure(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		calls[i].call(); /* what is done once for all is not the call's */
		state("depth %s %zu", calls[i].name, depth_of(calls[i].call));
	}
	return NULL;
}

static void say_depth(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	void *pages = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	pthread_attr_init(&attr);
	if (pages == MAP_FAILED || pthread_attr_setstack(&attr, pages, STACK) ||
	    pthread_create(&thread, &attr, measure, NULL))
		give_up("a thread");
	pthread_join(thread, NULL);
}

static const struct test_case cases[] = {
	CASE(depth, ""),
};

CASES_MAIN(cases)
