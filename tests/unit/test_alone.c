/*
 * test_alone.c - alone.c: whoever has the file open or mapped is noticed, however he came to it.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/collect/alone.h"

enum { BYTES = 8192 };

static char path[] = "/dev/shm/hark-test-alone-XXXXXX";
static int file;
static int (*held)(void); /* by the other process */

static int make_file(void **state)
{
	(void)state;
	strcpy(strrchr(path, '-') + 1, "XXXXXX");
	signal(SIGIO, SIG_IGN);
	file = mkostemp(path, O_CLOEXEC);
	return file >= 0 && ftruncate(file, BYTES) == 0 ? 0 : -1;
}

static int remove_file(void **state)
{
	(void)state;
	close(file);
	return unlink(path);
}

/* As a program does it: nothing but the mapping stays, and a child has it, too. */
static int map_and_close(void)
{
	int fd = open(path, O_RDWR);
	void *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return close(fd) == 0 && at != MAP_FAILED ? 0 : -1;
}

static int just_open(void)
{
	return open(path, O_RDWR) < 0 ? -1 : 0;
}

static int nothing(void)
{
	return 0;
}

static pid_t other(int told[2], bool forks)
{
	pid_t holder;

	assert_int_equal(pipe(told), 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		bool done = held() == 0;
		/* The child alone is left, which has opened nothing itself. */
		if (forks && fork() != 0)
			_exit(0);
		holder = getpid();
		if (!done || write(told[1], &holder, sizeof holder) != sizeof holder)
			_exit(1);
		close(told[1]);
		for (;;)
			pause();
	}
	close(told[1]);
	assert_int_equal(read(told[0], &holder, sizeof holder), sizeof holder);
	if (forks)
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	return holder;
}

static void end(pid_t pid, int told[2])
{
	char c;

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(read(told[0], &c, 1), 0);
	close(told[0]);
}

static void expect_alone(int (*holds)(void), bool alone)
{
	int told[2];

	held = holds;
	assert_true(alone_with(file));
	pid_t pid = other(told, false);
	assert_int_equal(alone_with(file), alone);
	end(pid, told);
	assert_true(alone_with(file));
}

static void test_others(void **state)
{
	(void)state;
	if (!alone_with(file))
		skip(); /* a kernel without leases, or /dev/shm is no tmpfs */
	expect_alone(map_and_close, false);
	expect_alone(just_open, false);
}

/* What we have mapped from the same descriptor, and a forked child with it, is ours. */
static void test_own(void **state)
{
	(void)state;
	if (!alone_with(file))
		skip();
	void *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	assert_ptr_not_equal(at, MAP_FAILED);
	assert_true(alone_with(file));
	expect_alone(nothing, true);
	munmap(at, BYTES);
}

/* Its parent, who had opened the file, has ended. */
static void test_orphan(void **state)
{
	int told[2];
	(void)state;

	if (!alone_with(file))
		skip();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	held = map_and_close;
	pid_t orphan = other(told, true);
	assert_false(alone_with(file));
	end(orphan, told);
	assert_true(alone_with(file));
}

/* Where that is not to be found out, nobody counts as alone. */
static void test_unknown(void **state)
{
	(void)state;
	int proc = open("/proc/self/maps", O_RDONLY);
	assert_true(proc >= 0);
	assert_false(alone_with(proc));
	close(proc);
	assert_false(alone_with(-1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_others, make_file, remove_file),
		cmocka_unit_test_setup_teardown(test_own, make_file, remove_file),
		cmocka_unit_test_setup_teardown(test_orphan, make_file, remove_file),
		cmocka_unit_test(test_unknown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
