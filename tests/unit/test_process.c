/*
 * test_process.c - process.c: what /proc says of a process, and that it is not asked where it speaks of
 * others.
 */
#include "lib/session/process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	PATH = 1, START = 2, LIVES = 4, COMM = 8, MAPS = 16, HOLDS = 32, EACH = 64, ALL = 127,
	HIDES = 128,
	UNABLE = 255, /* no namespace to be had */
};

static int find_us(void *arg, int proc, pid_t pid)
{
	const struct stat *st = arg;

	return pid == getpid() && process_maps_at(proc, pid, st->st_dev, st->st_ino);
}

/* What there is to be known of the process with our number: its program is mapped, and it has a
 * descriptor of it. */
static int known(void)
{
	const pid_t pid = getpid();
	char path[PROCESS_PATH], comm[16];
	struct stat st;

	int fd = open("/proc/self/exe", O_RDONLY);
	if (fd < 0 || fstat(fd, &st) != 0)
		return HIDES;
	int result = PATH * (process_path(pid, "stat", path) == 0) |
		     START * (process_start(pid) != 0) | LIVES * !process_is_zombie(pid) |
		     EACH * (process_each(find_us, &st) == 1) |
		     COMM * (process_comm(pid, comm) == 0) |
		     MAPS * process_maps(pid, st.st_dev, st.st_ino) |
		     HOLDS * process_holds(pid, st.st_dev, st.st_ino) | HIDES * process_hides(pid);
	close(fd);
	return result;
}

static int status_of(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_of_ours(void **state)
{
	(void)state;
	assert_int_equal(known(), ALL);
	assert_int_equal(process_start((1 << 22) + 1), 0);
	assert_true(process_is_zombie((1 << 22) + 1));
}

static void test_zombie(void **state)
{
	siginfo_t info;
	(void)state;

	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(process_is_zombie(pid));
	assert_int_not_equal(process_start(pid), 0);
	assert_int_equal(status_of(pid), 0);
}

/* As pid 1 of a namespace, below somebody else's /proc: there, 1 is another process. */
static int in_another_namespace(void)
{
	if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
		return UNABLE;
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(getpid() == 1 ? known() : UNABLE);
	}
	return status_of(pid);
}

static void test_of_others(void **state)
{
	(void)state;
	pid_t pid = fork();
	if (pid == 0)
		_exit(in_another_namespace());
	int seen = status_of(pid);
	if (seen == UNABLE)
		skip();
	assert_int_equal(seen, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_ours),
		cmocka_unit_test(test_zombie),
		cmocka_unit_test(test_of_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
