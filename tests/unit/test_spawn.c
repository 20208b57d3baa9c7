/*
 * test_spawn.c - spawn.c: who starts a collector learns that it is set up, or why not.
 */
#include "tests/unit/collect_life.h"

static int (*here)(const struct collect_plan *plan);

static int spawn(const char *with, char *why, size_t why_bytes)
{
	case_sinks("file:@/raw?format=raw");
	case_create(getpid(), with);
	scene.plan.here = here;
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

/* ---- without an exec ------------------------------------------------------------------------------- */

static char shown[4096];

static size_t arguments_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, shown, sizeof shown);
	assert_true(n > 0);
	close(fd);
	return (size_t)n;
}

static int collects(const struct collect_plan *plan)
{
	session_leave(&scene.session); /* no command has the ring mapped when it starts a collector */
	return collect_run(plan) < 0;
}

static int complains(const struct collect_plan *plan)
{
	(void)plan;
	dprintf(STDERR_FILENO, "hark: not today\n");
	return 1;
}

static const struct control *watched;

static bool guarded(void)
{
	return atomic_load(&watched->guardian_pid) != 0;
}

/* A lease that its collector dies with would outlive him there. */
static void expect_no_ring(const struct control *control)
{
	char path[64], line[1024];
	bool controls = false;

	watched = control;
	assert_true(until(guarded));
	snprintf(path, sizeof path, "/proc/%d/maps", (int)atomic_load(&control->guardian_pid));
	FILE *maps = fopen(path, "r");
	assert_non_null(maps);
	while (fgets(line, sizeof line, maps)) {
		assert_null(strstr(line, "/ring\n"));
		controls = controls || strstr(line, "/control\n");
	}
	fclose(maps);
	assert_true(controls);
}

/* There is no program, and none is needed. `ps` and `pkill -f` see what they see after an exec. */
static void test_here(void **state)
{
	char why[512] = "?", expected[600];
	(void)state;

	here = collects;
	assert_int_equal(spawn("/nonexistent/hark", why, sizeof why), 0);
	const struct control *control = scene.session.control;
	assert_true(life_goes_on(&control->collector_life));
	pid_t pid = atomic_load(&control->collector_pid);
	size_t n = (size_t)snprintf(expected, sizeof expected, "hark%ccollect%c%s", 0, 0,
				    scene.plan.dir) + 1;
	assert_int_equal(arguments_of(pid), n);
	assert_memory_equal(shown, expected, n);
	assert_int_equal(waitpid(pid, NULL, WNOHANG | __WALL), -1); /* no child of ours */
	expect_no_ring(control);
	here = NULL;
}

static void test_here_words(void **state)
{
	(void)state;
	here = complains;
	expect_failure("/nonexistent/hark", "collector: not today");
	here = NULL;
}

/* What is preloaded would listen to the collector: an exec is the end of it. */
static void test_preloaded(void **state)
{
	(void)state;
	setenv("LD_PRELOAD", "", 1);
	here = collects;
	expect_failure("/nonexistent/hark", "/nonexistent/hark: No such file");
	here = NULL;
	unsetenv("LD_PRELOAD");
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
		LIFE(test_here),
		LIFE(test_here_words),
		LIFE(test_preloaded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
