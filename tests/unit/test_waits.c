/*
 * test_waits.c - what /proc says of a thread that waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sample/waits.h"
#include "tests/unit/sanitizer.h"

static struct waits w;

static void test_lines_of_the_kernel(void **state)
{
	(void)state;
	assert_int_equal(waits_read("7 0x7ffd1 0x1 0xffffffff 0x0 0x0 0x0 "
				    "0x7ffd00000010 0x7f0000001234\n", &w), 0);
	assert_int_equal(w.number, 7);
	assert_int_equal(w.stack.pc, 0x7f0000001234);
	assert_int_equal(w.stack.address, 0x7ffd00000010);
	assert_int_equal(w.stack.reg[UNWIND_SP], 0x7ffd00000010);
	assert_int_equal(w.stack.known, UINT64_C(1) << UNWIND_SP);
	assert_int_equal(w.stack.count, 0);
}

static void test_who_is_in_no_call(void **state)
{
	(void)state;
	assert_int_equal(waits_read("running\n", &w), -EAGAIN);
	assert_int_equal(waits_read("-1 0x7ffd00000010 0x7f0000001234\n", &w), -EAGAIN);
	assert_int_equal(waits_read("", &w), -EAGAIN);
	assert_int_equal(waits_read("7 0x1 0x1 0x1\n", &w), -EAGAIN);
	/* a 32-bit program: 240 is its futex */
	assert_int_equal(waits_read("240 0x1 0x1 0x1 0x1 0x0 0x0 0xffd00010 0xf7001234\n", &w),
			 -EAGAIN);
}

static void test_names(void **state)
{
	char name[WAITS_NAME];

	(void)state;
	waits_name(SYS_futex, name);
	assert_string_equal(name, "[waiting in futex]");
	waits_name(SYS_epoll_pwait, name);
	assert_string_equal(name, "[waiting in epoll_pwait]");
	waits_name(99999, name);
	assert_string_equal(name, "[waiting in system call 99999]");
}

/* A child that reads what nobody writes: the call, and its stack with what it has there. */
static void test_a_child(void **state)
{
#ifdef CASE_THREAD_SANITIZER
	skip(); /* a child's read() lies behind more of its stack than is copied */
#endif
	static const char text[] = "what a child has on its stack";
	int fds[2], error;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		volatile char own[sizeof text];
		for (size_t i = 0; i < sizeof text; i++)
			own[i] = text[i];
		char byte;
		close(fds[1]);
		_exit(syscall(SYS_read, fds[0], &byte, 1) == 0 && own[0] == 'w' ? 0 : 1);
	}
	assert_true(pid > 0);
	do /* until it waits, and there */
		error = waits_ask(pid, pid, &w);
	while (error == -EAGAIN || (!error && w.number != SYS_read));
	close(fds[1]);
	close(fds[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	if (error == -EPERM || error == -EACCES)
		skip();
	assert_int_equal(error, 0);
	assert_true(w.stack.count > sizeof text);
	assert_non_null(memmem(w.bytes, w.stack.count, text, sizeof text));
	assert_int_equal(waits_ask(pid, pid, &w), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_of_the_kernel),
		cmocka_unit_test(test_who_is_in_no_call),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_a_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
