/*
 * test_sink_file_trouble.c - the file sink in trouble: death between any two steps, full disks,
 * strangers at work in the directory.
 */
#include "tests/unit/sink_file_case.h"

/* ---- death ---------------------------------------------------------------------------------------- */

static unsigned passings_left;

static void die_there(const char *point)
{
	if (strcmp(point, "rotate_stepped") == 0 && passings_left-- == 0)
		kill(getpid(), SIGKILL);
}

enum { DEATH_LINES = 120, DEATH_BYTES = 20 };

static void say_line_at(struct sink *s, unsigned number)
{
	char line[DEATH_BYTES + 1];
	snprintf(line, sizeof line, "d %04u xxxxxxxxxxxx\n", number);
	say(s, line);
}

/* Runs until it is killed at some step of some rotation. What was accepted is known from the queue. */
static void live_and_die(unsigned passings)
{
	struct sink s;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		testpoint_handler = die_there;
		passings_left = passings;
		start(&s, "?size=100&keep=50", "q");
		while (s.queue.head < DEATH_LINES * DEATH_BYTES)
			say_line_at(&s, (unsigned)(s.queue.head / DEATH_BYTES));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
}

static void killed_at_every_step_of_rotations(void **state)
{
	(void)state;
	for (unsigned passings = 0; passings < 30; passings++) {
		unsigned seen[DEATH_LINES] = { 0 };
		char queue[128];

		snprintf(queue, sizeof queue, "%s/q", dir);
		unlink(queue);
		for (unsigned i = 0; i <= 50; i++)
			unlink(name(i));
		for (unsigned lives = 0; lives < 3; lives++)
			live_and_die(passings + lives * 5);
		live_and_die(1000000);
		collect('d', seen, DEATH_LINES, 50, true);
		for (unsigned i = 0; i < DEATH_LINES; i++)
			assert_int_equal(seen[i], 1);
		for (unsigned i = 0; i <= 50; i++)
			assert_true(size_of(name(i)) <= 100);
	}
}

static void a_torn_line_is_ended_before_the_next(void **state)
{
	struct sink s;

	(void)state;
	write_path(live, "whole\nto");
	start(&s, "", "q");
	pump(&s);
	assert_content(0, "whole\nto"); /* nothing to say: nothing touched */
	say(&s, "next\n");
	say(&s, "last\n");
	assert_content(0, "whole\nto\nnext\nlast\n");
	sink_fini(&s);
}

static void raw_goes_on_in_a_torn_line(void **state)
{
	struct sink s;

	(void)state;
	write_path(live, "to");
	start(&s, "?format=raw", "q");
	say(&s, "rn\n");
	assert_content(0, "torn\n");
	sink_fini(&s);
}

/* ---- full disks ---------------------------------------------------------------------------------- */

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The file took "one\ntw" of "one\ntwo\nthree\n", and then there was no more room. */
static void fill_up(struct sink *s, const char *keys)
{
	start(s, keys, "q");
	pump(s);
	limit_files(6);
	say(s, "one\ntwo\nthree\n");
	limit_files(RLIM_INFINITY);
	assert_content(0, "one\ntw");
	assert_int_equal(s->state, SINK_BACKOFF);
	assert_int_equal(s->error, -EFBIG);
}

static void the_rest_of_a_line_follows_when_there_is_room(void **state)
{
	struct sink s;

	(void)state;
	fill_up(&s, "");
	pump(&s);
	assert_true(sink_idle(&s));
	assert_content(0, "one\ntwo\nthree\n");
	say(&s, "four\n");
	assert_content(0, "one\ntwo\nthree\nfour\n");
	sink_fini(&s);
}

static void several_failures_in_a_row(void **state)
{
	struct sink s;

	(void)state;
	fill_up(&s, "");
	for (rlim_t bytes = 6; bytes < 14; bytes++) {
		limit_files(bytes);
		pump(&s);
		pump(&s);
		limit_files(RLIM_INFINITY);
		assert_int_equal(size_of(live), (off_t)bytes);
		assert_int_equal(s.state, SINK_BACKOFF);
	}
	pump(&s);
	assert_content(0, "one\ntwo\nthree\n");
	sink_fini(&s);
}

static void raw_is_resumed_as_well(void **state)
{
	struct sink s;

	(void)state;
	fill_up(&s, "?format=raw");
	pump(&s);
	assert_content(0, "one\ntwo\nthree\n");
	say(&s, "fo");
	limit_files(18);
	say(&s, "urfive");
	limit_files(RLIM_INFINITY);
	assert_content(0, "one\ntwo\nthree\nfour");
	pump(&s);
	assert_content(0, "one\ntwo\nthree\nfourfive");
	sink_fini(&s);
}

static void a_cut_line_is_not_rotated_away_from_its_rest(void **state)
{
	struct sink s;

	(void)state;
	fill_up(&s, "?size=100&age=1h");
	s.spec.size_bytes = 5;
	s.u.file.born_ns = 1;
	pump(&s);
	assert_content(1, "one\ntwo\n");
	assert_content(0, "three\n");
	sink_fini(&s);
}

/* What a reader that went away has taken of a line is of no use to the next one. */
static void the_next_reader_of_a_fifo_gets_whole_lines(void **state)
{
	struct sink s;
	static char block[70000], got[100000];

	(void)state;
	assert_int_equal(mkfifo(live, 0600), 0);
	int reader = open(live, O_RDONLY | O_NONBLOCK);
	start(&s, "", "q");
	memset(block, 'x', sizeof block);
	block[sizeof block - 1] = '\n';
	say_bytes(&s, block, sizeof block);
	assert_false(sink_idle(&s)); /* a pipe holds 64 KiB */
	close(reader);
	pump(&s);
	assert_int_equal(s.state, SINK_BACKOFF);
	reader = open(live, O_RDONLY | O_NONBLOCK);
	size_t length = 0;
	for (int i = 0; i < 10 && length < sizeof block; i++) {
		pump(&s);
		ssize_t n = read(reader, got + length, sizeof got - length);
		length += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(length, sizeof block);
	assert_memory_equal(got, block, sizeof block);
	close(reader);
	sink_fini(&s);
}

static void the_rest_in_a_new_file_is_the_whole_line(void **state)
{
	struct sink s;

	(void)state;
	fill_up(&s, "");
	assert_int_equal(unlink(live), 0);
	pump(&s);
	assert_content(0, "two\nthree\n");
	sink_fini(&s);
}

static void the_rest_after_somebody_elses_line_is_the_whole_line(void **state)
{
	struct sink s;

	(void)state;
	fill_up(&s, "");
	write_path(live, "\nother\n");
	pump(&s);
	assert_content(0, "one\ntw\nother\ntwo\nthree\n");
	sink_fini(&s);
}

/* By logrotate, say, which makes no room. */
static void the_rest_goes_to_the_file_that_was_moved(void **state)
{
	struct sink s;

	(void)state;
	fill_up(&s, "");
	s.error = -ENOSPC;
	assert_int_equal(rename(live, name(1)), 0);
	pump(&s);
	assert_true(sink_idle(&s));
	assert_content(1, "one\ntwo\n");
	assert_content(0, "three\n");
	sink_fini(&s);
}

static void a_moved_file_that_can_grow_no_more_is_not_waited_for(void **state)
{
	struct sink s;

	(void)state;
	start(&s, "", "q");
	pump(&s);
	limit_files(6);
	say(&s, "one\ntwo\n");
	assert_int_equal(s.error, -EFBIG);
	assert_int_equal(rename(live, name(1)), 0);
	pump(&s);
	assert_true(sink_idle(&s));
	limit_files(RLIM_INFINITY);
	assert_content(1, "one\ntw");
	assert_content(0, "two\n");
	sink_fini(&s);
}

/* The one before was killed while it waited. */
static void nor_by_a_successor(void **state)
{
	struct sink s;
	struct sink successor;

	(void)state;
	start(&s, "", "q");
	pump(&s);
	limit_files(6);
	say(&s, "one\ntwo\n");
	assert_int_equal(rename(live, name(1)), 0);
	uint64_t head = s.queue.head;
	sink_fini(&s);
	start(&successor, "", "q");
	successor.queue.head = head;
	pump(&successor);
	assert_int_equal(successor.error, -EFBIG);
	pump(&successor);
	assert_true(sink_idle(&successor));
	limit_files(RLIM_INFINITY);
	assert_content(1, "one\ntw");
	assert_content(0, "two\n");
	sink_fini(&successor);
}

static void a_successor_ends_the_cut_line(void **state)
{
	struct sink s;
	struct sink successor;

	(void)state;
	fill_up(&s, "");
	uint64_t head = s.queue.head;
	sink_fini(&s);
	start(&successor, "", "q");
	successor.queue.head = head;
	pump(&successor);
	assert_content(0, "one\ntwo\nthree\n");
	sink_fini(&successor);
}

/* ---- strangers in the directory -------------------------------------------------------------------- */

static void removed_underneath(void **state)
{
	struct sink s;

	(void)state;
	start(&s, "", "q");
	say(&s, "one\n");
	assert_int_equal(unlink(live), 0);
	say(&s, "two\n");
	assert_content(0, "two\n");
	sink_fini(&s);
}

static void renamed_underneath(void **state)
{
	struct sink s;

	(void)state;
	start(&s, "", "q");
	say(&s, "one\n");
	assert_int_equal(rename(live, name(1)), 0);
	s.u.file.checked_ns = 0; /* a second later */
	say(&s, "two\n");
	assert_content(1, "one\n");
	assert_content(0, "two\n");
	sink_fini(&s);
}

static void copied_and_emptied(void **state)
{
	struct sink s;

	(void)state;
	start(&s, "?size=10", "q");
	say(&s, "aaaa\nbbbb\n");
	assert_int_equal(truncate(live, 0), 0);
	say(&s, "cccc\n");
	assert_content(0, "cccc\n");
	assert_content(1, NULL);
	sink_fini(&s);
}

static void directory_gone(void **state)
{
	struct sink s;
	char away[128];

	(void)state;
	snprintf(away, sizeof away, "%s/sub", dir);
	assert_int_equal(mkdir(away, 0700), 0);
	snprintf(live, sizeof live, "%s/sub/app.log", dir);
	start(&s, "", "q");
	say(&s, "one\n");
	assert_int_equal(unlink(live), 0);
	assert_int_equal(rmdir(away), 0);
	say(&s, "two\n");
	assert_int_equal(s.state, SINK_BACKOFF);
	assert_int_equal(s.error, -ENOENT);
	assert_int_equal(access(away, F_OK), -1);
	assert_int_equal(mkdir(away, 0700), 0);
	pump(&s);
	assert_content(0, "two\n");
	sink_fini(&s);
}

static void hangup_reopens(void **state)
{
	struct sink s;

	(void)state;
	start(&s, "", "q");
	say(&s, "one\n");
	assert_int_equal(rename(live, name(1)), 0);
	assert_int_equal(sink_reopen(&s), 0);
	assert_content(0, ""); /* at once */
	say(&s, "two\n");
	assert_content(1, "one\n");
	assert_content(0, "two\n");
	sink_fini(&s);
}

static void hangup_within_a_line_waits_for_its_end(void **state)
{
	struct sink s;

	(void)state;
	start(&s, "", "q");
	pump(&s);
	assert_int_equal(s.ops->write(&s, "one\ntw", 6), 6);
	assert_int_equal(rename(live, name(1)), 0);
	assert_int_equal(s.ops->reopen(&s), 0);
	assert_content(0, NULL);
	assert_int_equal(s.ops->write(&s, "o\nthree\n", 8), 2);
	assert_int_equal(s.ops->write(&s, "three\n", 6), 6);
	assert_content(1, "one\ntwo\n");
	assert_content(0, "three\n");
	sink_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(killed_at_every_step_of_rotations),
		TEST(a_torn_line_is_ended_before_the_next),
		TEST(raw_goes_on_in_a_torn_line),
		TEST(the_rest_of_a_line_follows_when_there_is_room),
		TEST(several_failures_in_a_row),
		TEST(raw_is_resumed_as_well),
		TEST(a_cut_line_is_not_rotated_away_from_its_rest),
		TEST(the_next_reader_of_a_fifo_gets_whole_lines),
		TEST(the_rest_in_a_new_file_is_the_whole_line),
		TEST(the_rest_after_somebody_elses_line_is_the_whole_line),
		TEST(the_rest_goes_to_the_file_that_was_moved),
		TEST(a_moved_file_that_can_grow_no_more_is_not_waited_for),
		TEST(nor_by_a_successor),
		TEST(a_successor_ends_the_cut_line),
		TEST(removed_underneath),
		TEST(renamed_underneath),
		TEST(copied_and_emptied),
		TEST(directory_gone),
		TEST(hangup_reopens),
		TEST(hangup_within_a_line_waits_for_its_end),
	};
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
