/*
 * test_spawn.c - spawn.c: who starts a collector learns that it is set up, or why not.
 */
#include "tests/unit/collect_life.h"

static int spawn(const char *with, char *why, size_t why_bytes)
{
	case_sinks("file:@/raw?format=raw");
	case_create(getpid(), with);
	return collect_spawn(&scene.plan, with, why, why_bytes);
}

static void expect_failure(const char *with, const char *words)
{
	char why[512] = "";

	assert_true(spawn(with, why, sizeof why) < 0);
	if (!strstr(why, words))
		fail_msg("\"%s\" says nothing of \"%s\"", why, words);
	/* One that comes later all the same would find that it is not wanted. */
	assert_int_equal(atomic_load(&scene.session.control->state), SESSION_ENDED);
}

static void test_no_such_program(void **state)
{
	(void)state;
	expect_failure("/nonexistent/hark", "/nonexistent/hark: No such file");
}

static void test_no_collector(void **state)
{
	(void)state;
	expect_failure("/bin/true", "died before it was set up");
}

/* What it says, be it the loader's, is handed on. */
static void test_its_words(void **state)
{
	char path[128];
	(void)state;

	snprintf(path, sizeof path, "%s/talks", scene.base);
	FILE *script = fopen(path, "w");
	assert_non_null(script);
	fputs("#!/bin/sh\necho 'hark: no room for this' >&2\necho more >&2\n", script);
	assert_int_equal(fchmod(fileno(script), 0700) | fclose(script), 0);
	expect_failure(path, "collector: no room for this");
}

static void test_ready(void **state)
{
	const struct control *control;
	char why[512] = "?";
	(void)state;

	assert_int_equal(spawn(program, why, sizeof why), 0);
	assert_string_equal(why, "");
	control = scene.session.control;
	assert_true(life_goes_on(&control->collector_life));
}

int main(int argc, char **argv)
{
	int status;

	if (life_is_collector(argc, argv, &status))
		return status;
	const struct CMUnitTest tests[] = {
		LIFE(test_no_such_program),
		LIFE(test_no_collector),
		LIFE(test_its_words),
		LIFE(test_ready),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
