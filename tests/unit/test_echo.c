/*
 * test_echo.c - echo.c: what somebody who watches a console sees of lines that are not
 * finished, and of what is mirrored.
 */
#include "tests/unit/collect_case.h"

#include <pty.h>
#include <termios.h>

static void watch_console(const char *sinks)
{
	struct termios raw;

	assert_int_equal(openpty(&scene.console[0], &scene.console[1], NULL, NULL, NULL), 0);
	tcgetattr(scene.console[1], &raw);
	cfmakeraw(&raw);
	tcsetattr(scene.console[1], TCSANOW, &raw);
	setenv("NO_COLOR", "1", 1);
	case_begin(sinks);
	assert_true(scene.c.routes[0].interactive);
}

static void test_prompt(void **state)
{
	(void)state;
	watch_console("console file:@/json?format=json");
	say("Name? ");
	case_round();
	assert_string_equal(case_screen(), "");
	case_wait(9 * CASE_MS);
	case_round();
	assert_string_equal(case_screen(), "Name? ");
	say("Bob\n"); /* the rest of the line as it is */
	case_round();
	assert_string_equal(case_screen(), "Bob\n");
	say("whole\n");
	case_settle();
	assert_non_null(strstr(case_screen(), " whole\n")); /* decorated */
	assert_non_null(strstr(case_got("json"), "\"msg\":\"Name? Bob\""));
	assert_int_equal(expect_gapless(case_got("json"), 1), 2);
}

static void test_prompt_and_somebody_else(void **state)
{
	(void)state;
	watch_console("console");
	say("Name? ");
	case_wait(9 * CASE_MS);
	case_round();
	say_as(writer_other(), "noise\n");
	case_round();
	const char *screen = case_screen();
	assert_int_equal(strncmp(screen, "Name? \n", 7), 0);
	assert_non_null(strstr(screen, " noise\n"));
	say("Bo");
	case_wait(9 * CASE_MS);
	case_round();
	assert_string_equal(case_screen(), "Bo");
	say_as(writer_other(), "unfinished");
	case_wait(9 * CASE_MS);
	case_round();
	assert_string_equal(case_screen(), "\nunfinished");
}

static void test_redrawn(void **state)
{
	(void)state;
	watch_console("console file:@/raw?format=raw file:@/json?format=json");
	say("\r 10%");
	case_wait(9 * CASE_MS);
	case_round();
	say("\r 50%");
	case_round();
	say("\r100%\n");
	case_settle();
	assert_string_equal(case_screen(), "\r 10%\r 50%\r100%\n");
	expect_file("raw", "\r 10%\r 50%\r100%\n");
	assert_non_null(strstr(case_got("json"), "\"msg\":\"100%\""));
	assert_int_equal(expect_gapless(case_got("json"), 1), 1);
}

/* The next collector knows what stands on the screen. */
static void test_prompt_survives(void **state)
{
	(void)state;
	watch_console("console");
	say("Name? ");
	case_wait(9 * CASE_MS);
	case_round();
	assert_string_equal(case_screen(), "Name? ");
	case_succeed();
	say_as(writer_other(), "noise\n");
	case_round();
	assert_int_equal(case_screen()[0], '\n');
	say("Bob\n");
	case_settle();
	assert_string_equal(case_screen(), "Bob\n");
}

static void test_mirrored(void **state)
{
	struct writer mirrored = { .flags = RECORD_MIRRORED };
	(void)state;

	watch_console("console file:@/raw?format=raw file:@/json?format=json");
	say_as(mirrored, "is there\n");
	say_as(mirrored, "half");
	say_as(mirrored, " and half\n");
	case_settle();
	assert_string_equal(case_screen(), "");
	expect_file("raw", "is there\nhalf and half\n");
	assert_int_equal(expect_gapless(case_got("json"), 1), 2);
}

static void test_mirrored_on_a_pipe(void **state)
{
	(void)state;
	assert_int_equal(pipe(scene.console), 0);
	case_begin("console file:@/raw?format=raw");
	assert_true(scene.c.routes[0].stream);
	say_as((struct writer){ .flags = RECORD_MIRRORED }, "is there\n");
	say("is not\n");
	case_settle();
	assert_string_equal(case_screen(), "is not\n");
	expect_file("raw", "is there\nis not\n");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		CASE(test_prompt),
		CASE(test_prompt_and_somebody_else),
		CASE(test_redrawn),
		CASE(test_prompt_survives),
		CASE(test_mirrored),
		CASE(test_mirrored_on_a_pipe),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
