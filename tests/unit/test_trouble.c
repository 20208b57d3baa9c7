/*
 * test_trouble.c - trouble.c: who cannot be reached is named on the console and in messages, once.
 */
#include "tests/unit/collect_case.h"

static void rounds(void)
{
	for (int i = 0; i < 20; i++) {
		case_wait(100ull * CASE_MS);
		case_round();
	}
}

static void test_once(void **state)
{
	(void)state;
	assert_int_equal(pipe(scene.console), 0);
	case_begin("console file:@/text?format=json file:@/raw?format=raw unix:@/nobody");
	rounds();
	const char *seen = case_screen();
	char expected[200];
	snprintf(expected, sizeof expected,
		 "hark: cannot reach unix:%s/nobody: No such file or directory; "
		 "still trying, its messages wait\n",
		 scene.base);
	assert_string_equal(seen, expected);
	assert_int_equal(count_of(case_got("text"), "cannot reach"), 1);
	assert_int_equal(count_of(case_got("text"), "\"level\":\"warning\""), 1);
	say("bytes\n");
	rounds();
	assert_string_equal(case_screen(), "bytes\n");
	expect_file("raw", "bytes\n"); /* the program's own and nothing else */
	assert_int_equal(queue_used(&scene.c.sinks[3].queue) > 0, 1);
}

static void test_successor_says_nothing_again(void **state)
{
	(void)state;
	case_begin("file:@/text?format=text unix:@/nobody");
	rounds();
	case_succeed();
	say("bytes\n");
	rounds();
	assert_int_equal(count_of(case_got("text"), "cannot reach"), 1);
	assert_int_equal(count_of(case_got("text"), "bytes"), 1);
}

/* Each of them is in the other's stream only, and so in none. */
static void test_nobody_to_tell(void **state)
{
	(void)state;
	case_begin("unix:@/nobody unix:@/nothing");
	say("bytes\n");
	rounds();
	assert_int_equal(scene.c.state.troubled, 0);
	assert_int_equal(scene.c.state.messages, 1);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		CASE(test_once),
		CASE(test_successor_says_nothing_again),
		CASE(test_nobody_to_tell),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
