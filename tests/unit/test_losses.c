/*
 * test_losses.c - losses.c: what is lost is counted by reason and said once, in every sink's stream.
 */
#include "tests/unit/collect_case.h"

static void lose(enum lost_reason reason, uint64_t messages, uint64_t bytes)
{
	atomic_fetch_add(&scene.session.control->lost[reason].messages, messages);
	atomic_fetch_add(&scene.session.control->lost[reason].bytes, bytes);
}

static uint64_t lost(enum lost_reason reason)
{
	return atomic_load(&scene.session.control->lost[reason].messages);
}

/* Rounds that last so long. */
static void pass(uint64_t ns)
{
	for (uint64_t step = 100 * CASE_MS; ns >= step; ns -= step) {
		case_wait(step);
		case_settle();
	}
}

#define ONE_TORN                                                                                  \
	"hark: 1 message (0 bytes) lost: their writer died in the middle of the call\n"

static void expect_beginning(const char *got, const char *want)
{
	assert_int_equal(strncmp(got, want, strlen(want)), 0);
}

static void test_once_a_second(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw file:@/json?format=json");
	lose(LOST_FULL, 3, 30);
	case_settle();
	expect_file("raw", "hark: 3 messages (30 bytes) lost: "
			   "the ring was full, and the overflow policy said so\n");
	lose(LOST_FULL, 2, 20);
	lose(LOST_FULL, 2, 20);
	case_settle();
	assert_int_equal(count_of(case_got("raw"), "\n"), 1);
	assert_true(scene.c.untold); /* so that the collector does not sleep over it */
	pass(1100 * (uint64_t)CASE_MS);
	assert_int_equal(count_of(case_got("raw"), "\n"), 2);
	assert_non_null(strstr(case_got("raw"), "\nhark: 4 messages (40 bytes) lost: "));
	assert_false(scene.c.untold);
	pass(5ull * CASE_SECOND);
	const char *json = case_got("json");
	assert_int_equal(expect_gapless(json, 1), 2);
	assert_int_equal(count_of(json, "\"level\":\"warning\""), 2);
	assert_int_equal(count_of(json, "\"source\":\"hark\""), 2);
}

static void test_each_reason(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw");
	for (unsigned reason = 0; reason < LOST_NR; reason++)
		if (reason != LOST_OVERWRITTEN)
			lose((enum lost_reason)reason, 1, 1);
	atomic_store(&scene.session.ring.shared->lost_messages, 5);
	atomic_store(&scene.session.ring.shared->lost_bytes, 50);
	case_settle();
	assert_int_equal(count_of(case_got("raw"), "\n"), LOST_NR);
	assert_non_null(strstr(case_got("raw"), "5 messages (50 bytes) lost: newer"));
}

/* A sink that wants little still has to know that something is missing. */
static void test_no_filter_holds(void **state)
{
	(void)state;
	case_begin("file:@/errors?format=raw&level=error file:@/out?format=raw&source=stdout");
	lose(LOST_TORN, 1, 0);
	say("of stderr\n");
	case_settle();
	expect_file("errors", ONE_TORN);
	expect_file("out", ONE_TORN);
}

static void test_successor_says_nothing_again(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw");
	lose(LOST_FULL, 3, 30);
	case_settle();
	case_succeed();
	pass(3ull * CASE_SECOND);
	assert_int_equal(count_of(case_got("raw"), "\n"), 1);
	lose(LOST_FULL, 1, 10);
	pass(2ull * CASE_SECOND);
	assert_non_null(strstr(case_got("raw"), "\nhark: 1 message (10 bytes) lost"));
}

/* Announcements are lost to nobody, and the loss of one is no loss to be announced. */
static void test_not_about_themselves(void **state)
{
	(void)state;
	assert_int_equal(pipe(scene.console), 0);
	case_begin("console file:@/raw?format=raw");
	close(scene.console[0]);
	scene.console[0] = -1;
	say("nobody reads this\n");
	case_settle();
	pass(10ull * CASE_SECOND);
	assert_int_equal(lost(LOST_SINK), 1);
	const char *raw = case_got("raw");
	assert_int_equal(count_of(raw, " lost: "), 1);
	expect_beginning(raw, "nobody reads this\nhark: 1 message (18 bytes) lost: ");
	say("nor this\n");
	pass(10ull * CASE_SECOND);
	assert_int_equal(lost(LOST_SINK), 2);
	assert_int_equal(count_of(case_got("raw"), " lost: "), 2);
}

static void test_full_queue(void **state)
{
	(void)state;
	case_begin("file:@/few?format=json&queue=64K&overflow=drop file:@/raw?format=raw");
	for (int i = 0; i < 900; i++) {
		say("text text text text text\n");
		case_read();
	}
	uint64_t dropped = scene.c.sinks[0].lost_messages;
	assert_true(dropped > 0);
	queue_filled(&scene.c.sinks[0].queue, queue_room(&scene.c.sinks[0].queue));
	assert_false(losses_announce(&scene.c, true));
	assert_true(scene.c.untold);
	assert_int_equal(lost(LOST_SINK), dropped);
	/* The other one has heard it already, and does not hear it again. */
	scene.c.sinks[0].queue.head -= 4096;
	case_wait(2ull * CASE_SECOND);
	assert_true(losses_announce(&scene.c, true));
	scene.c.sinks[0].queue.head = atomic_load(scene.c.sinks[0].queue.tail);
	case_settle();
	assert_int_equal(count_of(case_got("raw"), " lost: "), 1);
	assert_int_equal(lost(LOST_SINK), dropped);
}

/* A collector that was killed had counted what its successor loses again. */
static void test_counted_once_by_two(void **state)
{
	(void)state;
	case_begin("file:@/few?format=json&queue=64K&overflow=drop");
	for (int i = 0; i < 900; i++)
		say("text text text text text\n");
	case_read();
	losses_gather(&scene.c);
	uint64_t dropped = lost(LOST_SINK);
	assert_true(dropped > 0);
	case_succeed();
	case_read();
	losses_gather(&scene.c);
	assert_int_equal(lost(LOST_SINK), dropped);
	round_write_down(&scene.c);
	case_succeed();
	assert_int_equal(lost(LOST_SINK), dropped);
}

static void test_torn_and_corrupt(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw");
	scene.c.reader.torn = 2;
	scene.c.reader.corrupt = 1;
	case_settle();
	assert_int_equal(lost(LOST_TORN), 2);
	assert_int_equal(lost(LOST_CORRUPT), 1);
	scene.c.reader.torn = 3;
	pass(2ull * CASE_SECOND);
	assert_int_equal(lost(LOST_TORN), 3);
	assert_int_equal(count_of(case_got("raw"), "\n"), 3);
}

/* Between two lines, if there is a chance; else with a newline of its own before it. */
static void test_not_in_the_middle_of_a_line(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw file:@/json?format=json");
	say("the begin");
	lose(LOST_FULL, 1, 10);
	case_settle();
	expect_file("raw", "the begin");
	assert_true(scene.c.untold);
	assert_int_equal(count_of(case_got("json"), "\"source\":\"hark\""), 1);
	case_succeed(); /* the next one knows where the line stands */
	case_settle();
	expect_file("raw", "the begin");
	say("ning and the end\n");
	case_settle();
	expect_beginning(case_got("raw"), "the beginning and the end\nhark: 1 message (10");
	assert_false(scene.c.untold);
	say("prompt> ");
	lose(LOST_FULL, 1, 10);
	pass(3ull * CASE_SECOND);
	assert_non_null(strstr(case_got("raw"), "\nprompt> \nhark: 1 message (10 bytes) lost: "));
	assert_int_equal(count_of(case_got("raw"), "\n"), 4);
}

static void test_too_long_is_a_reason(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw file:@/json?format=json");
	sink_lose_long(&scene.c.sinks[0], 2, 200);
	sink_lose(&scene.c.sinks[0], 1, 10);
	case_settle();
	assert_int_equal(lost(LOST_TOO_LONG), 2);
	assert_int_equal(lost(LOST_SINK), 1);
	assert_non_null(strstr(case_got("raw"), "2 messages (200 bytes) lost: larger than"));
	assert_non_null(strstr(case_got("raw"), "1 message (10 bytes) lost: a sink's queue"));
	pass(2ull * CASE_SECOND);
	assert_int_equal(lost(LOST_TOO_LONG), 2);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		CASE(test_once_a_second),
		CASE(test_each_reason),
		CASE(test_no_filter_holds),
		CASE(test_successor_says_nothing_again),
		CASE(test_not_about_themselves),
		CASE(test_full_queue),
		CASE(test_counted_once_by_two),
		CASE(test_torn_and_corrupt),
		CASE(test_not_in_the_middle_of_a_line),
		CASE(test_too_long_is_a_reason),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
