/*
 * alloc.c - T9: a program with its own malloc, which speaks before everything else and which hooks
 * must never call.
 *
 * Run by test_traps.py natively and under hark.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <syslog.h>

#include "tests/preload/case.h"

static char pool[1 << 22] __attribute__((aligned(16)));
static size_t used;
static volatile int watching;
static volatile int calls;
static int early; /* how many of the first calls have spoken */

enum { EARLY = 3 };

static void *take(size_t bytes, size_t alignment)
{
	calls += watching;
	if (early < EARLY) {
		char line[] = "malloc is called, 0\n";

		line[sizeof(line) - 3] = (char)('0' + ++early);
		(void)!write(2, line, sizeof(line) - 1); /* as jemalloc does, before any constructor */
	}
	used = (used + 16 + alignment - 1) & -alignment;
	if (used + bytes > sizeof(pool))
		return NULL;
	void *result = pool + used;
	((size_t *)result)[-1] = bytes;
	used += bytes;
	return result;
}

void *malloc(size_t bytes) { return take(bytes, 16); }
void free(void *old) { calls += watching && old; }
void *memalign(size_t alignment, size_t bytes) { return take(bytes, alignment); }
void *aligned_alloc(size_t alignment, size_t bytes) { return take(bytes, alignment); }

int posix_memalign(void **result, size_t alignment, size_t bytes)
{
	*result = take(bytes, alignment);
	return *result ? 0 : ENOMEM;
}

void *calloc(size_t count, size_t bytes)
{
	void *result = take(count * bytes, 16);

	return result ? memset(result, 0, count * bytes) : NULL;
}

void *realloc(void *old, size_t bytes)
{
	void *result = take(bytes, 16);
	size_t before = old ? ((size_t *)old)[-1] : 0;

	return result && old ? memcpy(result, old, before < bytes ? before : bytes) : result;
}

#define COUNTED(name, call)                                                                       \
	do {                                                                                      \
		calls = 0;                                                                        \
		watching = 1;                                                                     \
		call;                                                                             \
		watching = 0;                                                                     \
		state(name " allocates %d times", calls);                                         \
	} while (0)

static void say_hooks(void)
{
	struct iovec iov[2] = { { (void *)"wri", 3 }, { (void *)"tev\n", 4 } };
	struct sigaction action = { .sa_handler = SIG_DFL };
	int fd = -1;

	while (early < EARLY)
		free(malloc(1)); /* so that the counted ones do not speak */
	for (int i = 0; i < 3; i++) {
		COUNTED("write", (void)!write(2, "write\n", 6));
		COUNTED("writev", (void)!writev(2, iov, 2));
		COUNTED("fputs", fputs("fputs\n", stderr));
		COUNTED("fprintf", fprintf(stderr, "fprintf %d\n", i));
		COUNTED("dup", fd = dup(2));
		COUNTED("write of a duplicate", (void)!write(fd, "duplicate\n", 10));
		COUNTED("close", close(fd));
		COUNTED("open", fd = open("/dev/null", O_WRONLY));
		COUNTED("dup2", dup2(2, fd));
		COUNTED("closing it", close(fd));
		COUNTED("sigaction", sigaction(SIGABRT, &action, NULL));
	}
	/* libc's own allocates for what it sends to the daemon: natively more, never less. */
	calls = 0;
	watching = 1;
	syslog(LOG_INFO, "by syslog");
	watching = 0;
	state("syslog %d", calls);
}

static const struct test_case cases[] = {
	CASE(hooks, ""),
};

CASES_MAIN(cases)
