/*
 * test_blocked.c - what /proc says of blocked signals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "lib/sample/blocked.h"

static void by_the_mask(void **state)
{
	(void)state;
	assert_int_equal(blocked_read("Name:\tx\nSigBlk:\t0000000004000000\nSigIgn:\t0\n", 27), 1);
	assert_int_equal(blocked_read("Name:\tx\nSigBlk:\tfffffffffbffffff\nSigIgn:\t0\n", 27), 0);
	assert_int_equal(blocked_read("SigPnd:\t4000000\nSigIgn:\t0\n", 27), -EINVAL);
	assert_int_equal(blocked_read("\nSigBlk:", 27), -EINVAL);
	assert_int_equal(blocked_read("\nSigBlk:\tzz\n", 27), -EINVAL);
	/* a name can be no line of its own there */
	assert_int_equal(blocked_read("Name:\tSigBlk:\t4000000\nSigBlk:\t0\n", 27), 0);
}

static void of_this_thread(void **state)
{
	char text[4096];
	sigset_t set, before;

	(void)state;
	for (int blocked = 0; blocked < 2; blocked++) {
		sigemptyset(&set);
		if (blocked)
			sigaddset(&set, SIGPROF);
		sigprocmask(SIG_SETMASK, &set, &before);
		FILE *file = fopen("/proc/thread-self/status", "r");
		assert_non_null(file);
		text[fread(text, 1, sizeof text - 1, file)] = '\0';
		fclose(file);
		sigprocmask(SIG_SETMASK, &before, NULL);
		assert_int_equal(blocked_read(text, SIGPROF), blocked);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_the_mask),
		cmocka_unit_test(of_this_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
