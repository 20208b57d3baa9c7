/*
 * sandbox.c - T10: a filter that kills on every call but the few that the program itself makes.
 *
 * Run by test_traps.py natively and under hark, with a pipe as stdin whose end lets it end.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <syslog.h>

#include "tests/preload/case.h"

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#define ALLOW_IF(number)                                                                          \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),                                        \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter filter[] = {
	LOAD(offsetof(struct seccomp_data, nr)),
	ALLOW_IF(SYS_write), ALLOW_IF(SYS_read), ALLOW_IF(SYS_exit_group),
	ALLOW_IF(SYS_rt_sigreturn),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};
static struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };

/* What abort() does until it is dead is allowed as well. */
static struct sock_filter abort_filter[] = {
	LOAD(offsetof(struct seccomp_data, nr)),
	ALLOW_IF(SYS_rt_sigprocmask), ALLOW_IF(SYS_getpid), ALLOW_IF(SYS_gettid),
	ALLOW_IF(SYS_tgkill),
	ALLOW_IF(SYS_write), ALLOW_IF(SYS_read), ALLOW_IF(SYS_exit_group),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};
static struct sock_fprog abort_program = { sizeof(abort_filter) / sizeof(*abort_filter),
					   abort_filter };

static void behind(int installed)
{
	char c;

	if (installed)
		give_up("a filter");
	for (int i = 0; i < 1000; i++)
		if (write(2, "behind the filter\n", 18) != 18)
			_exit(3);
	fputs("by stdio\n", stderr);
	/* The collector has to come by itself. */
	_exit(read(0, &c, 1) == 0 ? 5 : 4);
}

static void prepare(void)
{
	fputs("before the filter\n", stderr);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		give_up("no new privileges");
}

static void say_by_prctl(void)
{
	prepare();
	behind(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

static void say_by_seccomp(void)
{
	prepare();
	behind((int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

static void say_aborts(void)
{
	char c;

	prepare();
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &abort_program))
		give_up("a filter");
	for (int i = 0; i < 1000; i++)
		if (write(2, "behind the filter\n", 18) != 18)
			_exit(3);
	fputs("by stdio\n", stderr);
	if (read(0, &c, 1) == 0)
		abort();
	_exit(4);
}

/* What making and joining a thread, and fork(), need. */
static struct sock_filter thread_filter[] = {
	LOAD(offsetof(struct seccomp_data, nr)),
	ALLOW_IF(SYS_mmap), ALLOW_IF(SYS_mprotect), ALLOW_IF(SYS_munmap), ALLOW_IF(SYS_brk),
	ALLOW_IF(SYS_madvise), ALLOW_IF(SYS_rt_sigprocmask), ALLOW_IF(SYS_clone),
	ALLOW_IF(SYS_clone3), ALLOW_IF(SYS_set_robust_list), ALLOW_IF(SYS_rseq),
	ALLOW_IF(SYS_futex), ALLOW_IF(SYS_exit), ALLOW_IF(SYS_wait4),
	ALLOW_IF(SYS_rt_sigaction), ALLOW_IF(SYS_getrandom),
	ALLOW_IF(SYS_write), ALLOW_IF(SYS_read), ALLOW_IF(SYS_exit_group),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};
static struct sock_fprog thread_program = { sizeof(thread_filter) / sizeof(*thread_filter),
					    thread_filter };

static void *speak(void *count)
{
	for (long i = 0; i < (long)count; i++)
		if (write(2, "behind the filter\n", 18) != 18)
			_exit(3);
	return NULL;
}

static void say_threads(void)
{
	pthread_t thread;
	char c;
	int status = -1;

	prepare();
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &thread_program))
		give_up("a filter");
	if (pthread_create(&thread, NULL, speak, (void *)500L) || pthread_join(thread, NULL))
		_exit(6);
	pid_t pid = fork();
	if (pid == 0) {
		speak((void *)500L);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		_exit(7);
	fputs("by stdio\n", stderr);
	_exit(read(0, &c, 1) == 0 ? 5 : 4);
}

static const struct test_case cases[] = {
	CASE(by_prctl, ""),
	CASE(by_seccomp, ""),
	CASE(aborts, ""),
	CASE(threads, ""),
};

CASES_MAIN(cases)
