/*
 * test_command.c - running a command out of a program: to its end, or to that of its time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/base/sysio.h"
#include "shim/command.h"
#include "shim/shim.h"
#include "tests/unit/sanitizer.h"

struct shim shim;

static char stack[2 * COMMAND_STACK] __attribute__((aligned(16)));
static volatile sig_atomic_t told;

static void child_told(int number)
{
	(void)number;
	told++;
}

/* What became of it: as of wait(2), or -errno. */
static int run(const char *program, const char *script, int limit_ms)
{
	char *argv[] = { (char *)program, (char *)"-c", (char *)script, NULL };
	char *environment[] = { NULL };
	struct command c = {
		.argv = argv, .environment = environment, .stack = stack, .limit_ms = limit_ms,
	};

	uint64_t all = UINT64_MAX, before;

	strcpy(c.program, program);
	told = 0;
	signal(SIGCHLD, child_told);
	sysio_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)&before, sizeof all, 0, 0);
	command_wait(command_run(&c));
	sysio_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof all, 0, 0);
	assert_int_equal(told, 0);
	assert_int_equal(waitpid(-1, NULL, __WALL | WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return c.error ? c.error : c.status;
}

static void ends_by_itself(void **state)
{
#ifdef CASE_THREAD_SANITIZER
	skip(); /* it is lost where a child of clone() clones */
#endif
	(void)state;
	assert_int_equal(run("/bin/sh", "exit 7", 0), 7 << 8);
	assert_int_equal(run("/bin/sh", "exit 7", 60000), 7 << 8);
	assert_int_equal(run("/bin/sh", "kill -9 $$", 60000), SIGKILL);
	assert_int_equal(run("/nonexistent", "", 60000), -ENOENT);
	assert_int_equal(run("/nonexistent", "", 0), -ENOENT);
}

/* Asleep, stopped, or deaf. */
static void is_ended(void **state)
{
#ifdef CASE_THREAD_SANITIZER
	skip(); /* it is lost where a child of clone() clones */
#endif
	(void)state;
	assert_int_equal(run("/bin/sh", "exec sleep 600", 100), -ETIMEDOUT);
	assert_int_equal(run("/bin/sh", "kill -STOP $$", 100), -ETIMEDOUT);
	assert_int_equal(run("/bin/sh", "trap '' TERM ALRM; exec sleep 600", 100), -ETIMEDOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_by_itself),
		cmocka_unit_test(is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
