/*
 * test_resume.c - a collector was killed in the middle of a write, and another goes on.
 */
#include "tests/unit/sink_file_case.h"

#include <setjmp.h>

#include "lib/sink/resume.h"

/* One that has written a line, and is about to write two more. Never closed: it was killed. */
static void begin(struct sink *s, const char *keys)
{
	start(s, keys, "queue");
	say(s, "one\n");
	memcpy(queue_fill(&s->queue), "two\nthree\n", 10);
	queue_filled(&s->queue, 10);
	resume_intend(s);
}

static void put(const struct sink *s, const char *text)
{
	assert_int_equal(write(s->fd, text, strlen(text)), strlen(text));
}

static void go_on(const struct sink *dead, const char *keys)
{
	struct sink s;

	start(&s, keys, "queue");
	s.queue.head = dead->queue.head;
	pump(&s);
	assert_true(sink_idle(&s));
	say(&s, "four\n");
	sink_fini(&s);
}

static void cut_anywhere(const char *keys)
{
	static const char *const written[] = { "", "t", "two", "two\n", "two\nth", "two\nthree\n" };

	for (unsigned i = 0; i < sizeof written / sizeof *written; i++) {
		struct sink dead;
		begin(&dead, keys);
		put(&dead, written[i]);
		go_on(&dead, keys);
		assert_content(0, "one\ntwo\nthree\nfour\n");
		sink_fini(&dead);
		unlink(live);
		unlink(name(1));
		char queue[160];
		snprintf(queue, sizeof queue, "%s/queue", dir);
		unlink(queue);
	}
}

static void lines_are_neither_torn_nor_repeated(void **state)
{
	(void)state;
	cut_anywhere("?format=json");
}

static void nor_is_raw(void **state)
{
	(void)state;
	cut_anywhere("?format=raw");
}

static void what_others_wrote_is_not_taken_for_ours(void **state)
{
	(void)state;
	struct sink dead;
	begin(&dead, "?format=json");
	put(&dead, "two\nelse\n");
	go_on(&dead, "?format=json");
	assert_content(0, "one\ntwo\nelse\ntwo\nthree\nfour\n");
	sink_fini(&dead);
}

/* Renamed by somebody else, and nobody had noticed yet. */
static void a_renamed_file_gets_its_rest(void **state)
{
	(void)state;
	struct sink dead;
	begin(&dead, "?format=json");
	put(&dead, "two\nth");
	assert_int_equal(rename(live, name(1)), 0);
	go_on(&dead, "?format=json");
	assert_content(1, "one\ntwo\nthree\n");
	assert_content(0, "four\n");
	sink_fini(&dead);
}

static void nothing_is_repeated_behind_a_renamed_file(void **state)
{
	(void)state;
	struct sink dead;
	begin(&dead, "?format=json");
	put(&dead, "two\n");
	assert_int_equal(rename(live, name(1)), 0);
	go_on(&dead, "?format=json");
	assert_content(1, "one\ntwo\n");
	assert_content(0, "three\nfour\n");
	sink_fini(&dead);
}

static void another_file_gets_it_from_the_start(void **state)
{
	(void)state;
	struct sink dead;
	begin(&dead, "?format=json");
	put(&dead, "two\nth");
	assert_int_equal(unlink(live), 0);
	go_on(&dead, "?format=json");
	assert_content(0, "two\nthree\nfour\n");
	sink_fini(&dead);
}

static jmp_buf at_point;

static void die_there(const char *point)
{
	if (strcmp(point, "resume_intended") == 0)
		longjmp(at_point, 1);
}

/* A line had been cut when the disk was full; killed when its rest was just to be written. */
static void an_intention_that_is_cut_short_hides_nothing(void **state)
{
	(void)state;
	struct sink dead;
	begin(&dead, "?format=json");
	put(&dead, "two\nth");
	dead.sent += 6;
	resume_note(&dead);
	testpoint_handler = die_there;
	if (setjmp(at_point) == 0)
		resume_intend(&dead);
	testpoint_handler = NULL;
	go_on(&dead, "?format=json");
	assert_content(0, "one\ntwo\nthree\nfour\n");
	sink_fini(&dead);
}

static void a_spoilt_note_is_not_believed(void **state)
{
	(void)state;
	struct sink dead;
	begin(&dead, "?format=json");
	put(&dead, "two\nth");
	dead.queue.note->intents[0].position = dead.queue.note->intents[1].position = UINT64_C(1)
										      << 63;
	atomic_store(&dead.queue.note->sent, UINT64_C(1) << 62);
	go_on(&dead, "?format=json");
	assert_content(0, "one\ntwo\nth\ntwo\nthree\nfour\n");
	sink_fini(&dead);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_are_neither_torn_nor_repeated),
		TEST(nor_is_raw),
		TEST(what_others_wrote_is_not_taken_for_ours),
		TEST(a_renamed_file_gets_its_rest),
		TEST(nothing_is_repeated_behind_a_renamed_file),
		TEST(an_intention_that_is_cut_short_hides_nothing),
		TEST(another_file_gets_it_from_the_start),
		TEST(a_spoilt_note_is_not_believed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
