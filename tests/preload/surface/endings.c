/*
 * endings.c - text said just before the end of the process, in all the ways to end.
 *
 * A call that has returned has been said: no way to end may take it back. Run by test_surface.py.
 */
#include "tests/preload/case.h"

#include <pthread.h>
#include <signal.h>

static void say_line(const char *text)
{
	expect_stderr(text);
	fprintf(stderr, "%s\n", text);
}

static void *hold(void *unused)
{
	while (pause() == -1)
		;
	return unused;
}

static void at_quick(void)
{
	fprintf(stderr, "at_quick_exit\n");
}

static void say_exit(void) { say_line("before exit"); exit(11); }
static void say__exit(void) { say_line("before _exit"); _exit(12); }
static void say__Exit(void) { say_line("before _Exit"); _Exit(13); }

static void say_quick_exit(void)
{
	at_quick_exit(at_quick);
	say_line("before quick_exit");
	quick_exit(14);
}

static void say_exit_group(void)
{
	say_line("before exit_group");
	syscall(SYS_exit_group, 15);
}

static void say_inline_exit(void)
{
	say_line("before an inline system call");
	raw_syscall3(SYS_exit_group, 16, 0, 0);
}

static void say_abort(void) { say_line("before abort"); abort(); }
static void say_sigterm(void) { say_line("before SIGTERM"); raise(SIGTERM); }
static void say_sigsegv(void) { say_line("before a fault"); fault(); }
static void say_sigpipe(void) { say_line("before SIGPIPE"); raise(SIGPIPE); }
static void say_sigkill(void) { say_line("before SIGKILL"); kill(getpid(), SIGKILL); }

static void say_sigkill_many(void)
{
	char line[64];

	for (int i = 0; i < 1000; i++)
		if (write(2, line, (size_t)snprintf(line, sizeof(line), "line %d\n", i)) <= 0)
			state("failed");
	raw_syscall3(SYS_kill, getpid(), SIGKILL, 0);
}

static void say_sigkill_threads(void)
{
	pthread_t thread;

	for (int i = 0; i < 4; i++)
		pthread_create(&thread, NULL, hold, NULL);
	say_line("with threads, before SIGKILL");
	raw_syscall3(SYS_kill, getpid(), SIGKILL, 0);
}

static void say_exit_unfinished(void) { fprintf(stderr, "whole\nnot whole at exit"); exit(0); }
static void say__exit_unfinished(void) { fprintf(stderr, "whole\nnot whole at _exit"); _exit(0); }

static void say_sigkill_unfinished(void)
{
	fprintf(stderr, "whole\nnot whole at SIGKILL");
	raw_syscall3(SYS_kill, getpid(), SIGKILL, 0);
}

static const struct test_case cases[] = {
	CASE(exit, ""),
	CASE(_exit, "late"),
	CASE(_Exit, "late"),
	CASE(quick_exit, "late"),
	CASE(exit_group, "late"),
	CASE(inline_exit, "late"),
	CASE(abort, "late"),
	CASE(sigterm, "late"),
	CASE(sigsegv, "late"),
	CASE(sigpipe, "late"),
	CASE(sigkill, "late"),
	CASE(sigkill_many, "late"),
	CASE(sigkill_threads, "late"),
	CASE(exit_unfinished, ""),
	CASE(_exit_unfinished, "late"),
	CASE(sigkill_unfinished, "late"),
};

CASES_MAIN(cases)
