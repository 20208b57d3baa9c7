/*
 * test_tap.c - tap.c: what comes by the tap of deep mode, is in the ring and with the sinks once.
 */
#include "tests/unit/collect_life.h"

/* Deep mode: the ring takes what the tap brings once, even where it is nearly full. */
static void close_tap(void)
{
	while (atomic_load(&shared->go) < 2)
		poll(NULL, 0, 1);
}

static void test_tap(void **state)
{
	static char text[200000];
	int tap[2];
	(void)state;

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)(i % 61 == 60 ? '\n' : 'a' + i / 61 % 26);
	assert_int_equal(pipe2(tap, O_CLOEXEC), 0);
	pid_t pid = begin("file:@/raw?format=raw", close_tap, tap[0]);
	close(tap[0]);
	for (size_t at = 0; at < sizeof text; at += 5000)
		assert_int_equal(write(tap[1], text + at, 5000), 5000);
	close(tap[1]);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(until(dir_is_gone));
	const char *got = case_got("raw");
	assert_int_equal(strlen(got), sizeof text);
	assert_memory_equal(got, text, sizeof text);
}

int main(int argc, char **argv)
{
	int status;

	if (life_is_collector(argc, argv, &status))
		return status;
	const struct CMUnitTest tests[] = {
		LIFE(test_tap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
