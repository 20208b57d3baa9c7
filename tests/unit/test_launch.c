/* test_launch.c - launch.c: the environment that carries a session on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/launch.h"

#define OURS "/opt/hark/lib/libhark-preload.so"

static void expect_list(const char *others, const char *expected)
{
	char *list = launch_preload(OURS, others);

	assert_non_null(list);
	assert_string_equal(list, expected);
	free(list);
}

static void preload_lists(void **state)
{
	(void)state;
	expect_list(NULL, OURS);
	expect_list("", OURS);
	expect_list("libjemalloc.so.2", OURS ":libjemalloc.so.2");
	/* both separators of the loader, empty entries, order kept */
	expect_list(" a.so: b.so  c.so:", OURS ":a.so:b.so:c.so");
	/* ours is there once, wherever it came from */
	expect_list(OURS, OURS);
	expect_list("a.so:" OURS ":b.so", OURS ":a.so:b.so");
	expect_list("/old/libhark-preload.so libhark-preload.so a.so", OURS ":a.so");
	/* these only look like it */
	expect_list("notlibhark-preload.so", OURS ":notlibhark-preload.so");
	expect_list("libhark-preload.so.1", OURS ":libhark-preload.so.1");
}

static void command_lines(void **state)
{
	char line[LAUNCH_COMMAND], word[LAUNCH_COMMAND + 1];
	char *argv[] = { (char *)"ls", (char *)"-l", (char *)"a b", NULL };

	(void)state;
	launch_command(line, argv);
	assert_string_equal(line, "ls -l a b");
	launch_command(line, argv + 3);
	assert_string_equal(line, "");
	memset(word, 'x', sizeof word - 1);
	word[LAUNCH_COMMAND - 1] = '\0';
	argv[0] = word;
	launch_command(line, (char *[]){ word, NULL });
	assert_string_equal(line, word);
	launch_command(line, argv);
	assert_int_equal(strlen(line), LAUNCH_COMMAND - 1);
	assert_string_equal(line + LAUNCH_COMMAND - 5, "x...");
}

static void console_is_a_copy(void **state)
{
	(void)state;
	int fd = launch_console();
	assert_true(fd >= 10);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	int kept = dup(STDERR_FILENO);
	close(STDERR_FILENO);
	assert_int_equal(launch_console(), -1);
	dup2(kept, STDERR_FILENO);
	close(kept);
}

static void unknown_variables(void **state)
{
	(void)state;
	cli_say_on(-1);
	unsetenv("HARK_SESSION");
	setenv("HARK_SESSIONS", "x", 1);
	setenv("HARK_RIGN", "4M", 1);
	assert_int_equal(launch_warn_unknown(), 2);
	setenv("HARK_SESSION", "/run/x", 1); /* the outer session has said it */
	assert_int_equal(launch_warn_unknown(), 0);
	cli_say_on(STDERR_FILENO);
}

static void without_a_shim(void **state)
{
	struct launch launch;
	char why[1024] = "";

	(void)state;
	/* Nobody puts the shim beside the unit tests. */
	assert_true(launch_find(&launch, why, sizeof why) < 0);
	assert_non_null(strstr(why, "libhark-preload.so"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(preload_lists),
		cmocka_unit_test(command_lines),
		cmocka_unit_test(console_is_a_copy),
		cmocka_unit_test(unknown_variables),
		cmocka_unit_test(without_a_shim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
