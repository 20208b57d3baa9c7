/*
 * test_sink_file.c - the file sink: rotation, names, permissions, two sessions on one file.
 */
#include "tests/unit/sink_file_case.h"

/* ---- rotation ----------------------------------------------------------------------------------- */

static void files_stay_below_size_and_lines_whole(void **state)
{
	struct sink s;
	unsigned seen[2000] = { 0 };

	(void)state;
	start(&s, "?size=1000&keep=200", "q");
	for (unsigned i = 0; i < 2000; i++)
		say_number(&s, 'a', i);
	assert_true(sink_idle(&s));
	sink_fini(&s);
	collect('a', seen, 2000, 200, true);
	for (unsigned i = 0; i < 2000; i++)
		assert_int_equal(seen[i], 1);
	for (unsigned i = 1; size_of(name(i)) >= 0; i++) {
		assert_true(size_of(name(i)) <= 1000);
		assert_true(size_of(name(i)) > 1000 - 36); /* nor rotated too early */
	}
	assert_true(size_of(name(2)) > 0);
}

static void a_batch_is_cut_at_its_newlines(void **state)
{
	struct sink s;

	(void)state;
	start(&s, "?size=10&keep=9", "q");
	say(&s, "aaaa\nbbbb\ncccc\ndd\nthis is longer than a file\nee\n");
	assert_true(sink_idle(&s));
	assert_content(3, "aaaa\nbbbb\n");
	assert_content(2, "cccc\ndd\n");
	assert_content(1, "this is longer than a file\n");
	assert_content(0, "ee\n");
	sink_fini(&s);
}

static void exactly_full_is_not_too_full(void **state)
{
	struct sink s;

	(void)state;
	start(&s, "?size=10", "q");
	say(&s, "aaaa\n");
	say(&s, "bbbb\n");
	assert_content(0, "aaaa\nbbbb\n");
	assert_content(1, NULL);
	say(&s, "\n");
	assert_content(0, "\n");
	assert_content(1, "aaaa\nbbbb\n");
	sink_fini(&s);
}

static void keep_none(void **state)
{
	struct sink s;

	(void)state;
	start(&s, "?size=5&keep=0", "q");
	say(&s, "aaaa\nbbbb\ncccc\n");
	assert_content(0, "cccc\n");
	assert_content(1, NULL);
	sink_fini(&s);
}

static void raw_is_cut_at_a_newline_if_there_is_one(void **state)
{
	struct sink s;
	static char block[100000];

	(void)state;
	start(&s, "?size=10&format=raw&keep=9", "q");
	say(&s, "aaaa\nbb");
	say(&s, "bbbbbb\ncc");
	assert_content(1, "aaaa\nbbbbbbbb\n");
	assert_content(0, "cc");
	say(&s, "\n");
	assert_content(0, "cc\n");
	memset(block, 'x', sizeof block);
	say_bytes(&s, block, 50000);
	say_bytes(&s, block, 50000);
	say_bytes(&s, block, 50000);
	assert_true(sink_idle(&s));
	off_t all = 0;
	for (unsigned i = 0; i < 9; i++)
		all += size_of(name(i)) > 0 ? size_of(name(i)) : 0;
	assert_int_equal(all, 150000 + 14 + 3);
	assert_true(size_of(name(1)) <= 10 + 65536); /* what never ends is cut at last */
	sink_fini(&s);
}

static void age_counts_from_the_first_line(void **state)
{
	struct sink s;

	(void)state;
	start(&s, "?age=1h", "q");
	say(&s, "old\n");
	say(&s, "young\n");
	assert_content(0, "old\nyoung\n");
	s.u.file.born_ns -= 3601 * INT64_C(1000000000);
	say(&s, "new\n");
	assert_content(1, "old\nyoung\n");
	assert_content(0, "new\n");
	say(&s, "newer\n");
	assert_content(0, "new\nnewer\n");
	sink_fini(&s);
}

static void age_survives_a_restart(void **state)
{
	struct sink s;

	(void)state;
	write_path(live, "before\n");
	start(&s, "?age=1h", "q");
	pump(&s);
	int64_t age = clock_realtime_ns() - s.u.file.born_ns;
	assert_true(age >= 0 && age < INT64_C(60) * 1000000000);
	sink_fini(&s);
}

static void rotation_that_cannot_be_does_not_stop_the_log(void **state)
{
	struct sink s;

	(void)state;
	assert_int_equal(mkdir(name(1), 0700), 0);
	start(&s, "?size=5&keep=1", "q");
	say(&s, "aaaa\n");
	say(&s, "bbbb\n");
	say(&s, "cccc\n");
	assert_true(sink_idle(&s));
	assert_content(0, "aaaa\nbbbb\ncccc\n");
	assert_true(s.errors > 0);
	assert_int_equal(rmdir(name(1)), 0);
	s.u.file.rotate_after_ns = 0;
	say(&s, "dddd\n");
	assert_content(1, "aaaa\nbbbb\ncccc\n");
	assert_content(0, "dddd\n");
	sink_fini(&s);
}

static void a_stopped_holder_of_the_lock_does_not_stop_the_log(void **state)
{
	struct sink s;

	(void)state;
	start(&s, "?size=5", "q");
	say(&s, "aaaa\n");
	int other = open(live, O_RDONLY);
	assert_int_equal(flock(other, LOCK_EX), 0);
	say(&s, "bbbb\n");
	say(&s, "cccc\n");
	assert_content(0, "aaaa\nbbbb\ncccc\n");
	assert_content(1, NULL);
	close(other);
	s.u.file.rotate_after_ns = 0;
	say(&s, "dddd\n");
	assert_content(1, "aaaa\nbbbb\ncccc\n");
	assert_content(0, "dddd\n");
	sink_fini(&s);
}

static void a_directory_is_refused(void **state)
{
	struct sink s;

	(void)state;
	assert_int_equal(mkdir(live, 0700), 0);
	start(&s, "", "q");
	say(&s, "one\n");
	assert_int_equal(s.state, SINK_BACKOFF);
	assert_int_equal(s.error, -EISDIR);
	sink_fini(&s);
}

static void a_fifo_without_a_reader_does_not_block(void **state)
{
	struct sink s;
	char got[32];

	(void)state;
	assert_int_equal(mkfifo(live, 0600), 0);
	start(&s, "?size=3", "q");
	say(&s, "one\ntwo\n");
	assert_int_equal(s.state, SINK_BACKOFF);
	assert_int_equal(s.error, -ENXIO);
	int reader = open(live, O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	pump(&s);
	assert_true(sink_idle(&s));
	assert_int_equal(read(reader, got, sizeof got), 8);
	assert_memory_equal(got, "one\ntwo\n", 8);
	close(reader);
	assert_content(1, NULL);
	sink_fini(&s);
}

static void a_full_fifo_says_wait(void **state)
{
	struct sink s;
	static char line[4096];
	struct sink_wish wish;

	(void)state;
	assert_int_equal(mkfifo(live, 0600), 0);
	int reader = open(live, O_RDONLY | O_NONBLOCK);
	start(&s, "", "q");
	memset(line, 'x', sizeof line);
	line[sizeof line - 1] = '\n';
	for (unsigned i = 0; i < 64; i++)
		say_bytes(&s, line, sizeof line);
	assert_int_equal(s.state, SINK_OPEN);
	assert_false(sink_idle(&s));
	sink_pump(&s, clock_monotonic_ns(), s.queue.head, &wish);
	assert_int_not_equal(wish.events, 0);
	close(reader);
	sink_fini(&s);
}

static void our_own_link_is_followed_and_stays(void **state)
{
	struct sink s;
	struct stat st;
	char target[128], rotated[160];

	(void)state;
	snprintf(target, sizeof target, "%s/data", dir);
	snprintf(rotated, sizeof rotated, "%s.1", target);
	assert_int_equal(symlink("data", live), 0);
	start(&s, "?size=5", "q");
	say(&s, "aaaa\nbbbb\n");
	assert_int_equal(lstat(live, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_string_equal(read_path(target), "bbbb\n");
	assert_string_equal(read_path(rotated), "aaaa\n");
	assert_content(1, NULL);
	sink_fini(&s);
}

static void a_strangers_link_in_a_public_directory_is_refused(void **state)
{
	struct sink s;
	char target[128];

	(void)state;
	if (geteuid() != 0)
		skip();
	snprintf(target, sizeof target, "%s/secret", dir);
	write_path(target, "secret\n");
	assert_int_equal(symlink("secret", live), 0);
	assert_int_equal(lchown(live, 12345, 12345), 0);
	assert_int_equal(chmod(dir, 0777), 0); /* sticky, the kernel itself would refuse */
	start(&s, "", "q");
	say(&s, "one\n");
	assert_int_equal(s.state, SINK_BACKOFF);
	assert_int_equal(s.error, -ELOOP);
	assert_string_equal(read_path(target), "secret\n");
	assert_int_equal(chmod(dir, 0755), 0); /* in a private one it is his who may write there */
	pump(&s);
	assert_string_equal(read_path(target), "secret\none\n");
	sink_fini(&s);
}

static void refused(const char *queue, int error)
{
	struct sink s;

	start(&s, "", queue);
	say(&s, "one\n");
	assert_int_equal(s.state, SINK_BACKOFF);
	assert_int_equal(s.error, error);
	sink_fini(&s);
}

/* What lies ready in a public directory may be a stranger's, to read along; or a second name. */
static void planted_in_a_public_directory(void **state)
{
	struct sink s;
	char victim[128];

	(void)state;
	assert_int_equal(chmod(dir, 01777), 0);
	snprintf(victim, sizeof victim, "%s/victim", dir);
	write_path(victim, "precious\n");
	assert_int_equal(link(victim, live), 0);
	refused("a", -EMLINK);
	assert_string_equal(read_path(victim), "precious\n");
	assert_int_equal(unlink(victim), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(live, 12345, 12345), 0);
		refused("b", -EACCES);
		assert_int_equal(chown(live, 0, 0), 0);
	}
	start(&s, "", "c"); /* ours alone again */
	say(&s, "two\n");
	assert_string_equal(read_path(live), "precious\ntwo\n");
	sink_fini(&s);
}

/* Who made a log private meant the next one, too. */
static void the_next_file_is_like_the_last(void **state)
{
	struct sink s;
	struct stat st;

	(void)state;
	umask(022);
	start(&s, "?size=5", "q");
	say(&s, "aaaa\n");
	assert_int_equal(chmod(live, 0600), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(live, 12345, 54321), 0);
	say(&s, "bbbb\n");
	assert_content(0, "bbbb\n");
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(stat(i ? name(1) : live, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		if (geteuid() == 0)
			assert_int_equal(st.st_uid, 12345);
		if (geteuid() == 0)
			assert_int_equal(st.st_gid, 54321);
	}
	sink_fini(&s);
}

static void permissions(void **state)
{
	struct sink s;
	struct stat st;

	(void)state;
	umask(077);
	start(&s, "?size=5&mode=0664", "q");
	say(&s, "aaaa\nbbbb\n");
	assert_int_equal(stat(live, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0664);
	assert_int_equal(stat(name(1), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0664);
	sink_fini(&s);
	assert_int_equal(unlink(live), 0);
	start(&s, "", "r"); /* not asked for: 0640 less the umask */
	say(&s, "a\n");
	assert_int_equal(stat(live, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(chmod(live, 0604), 0);
	sink_fini(&s);
	start(&s, "?mode=0640", "t"); /* a file that is there keeps what it has */
	say(&s, "b\n");
	assert_int_equal(stat(live, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0604);
	sink_fini(&s);
}

static void forced_to_the_disk_when_asked(void **state)
{
	static const struct { const char *keys; bool at_once; } cases[] = {
		{ "?sync=none", false }, { "?sync=1h", false }, { "?sync=always", true },
	};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct sink s;
		char queue[8] = { 'q', (char)('0' + i) };
		start(&s, cases[i].keys, queue);
		say(&s, "one\n");
		assert_int_equal(s.u.file.dirty, !cases[i].at_once);
		s.u.file.synced_ns = 0; /* more than an hour later, unless the machine has just started */
		s.spec.sync_ns = s.spec.sync_ns > 1000 ? 1000 : s.spec.sync_ns;
		say(&s, "two\n");
		assert_int_equal(s.u.file.dirty, i == 0);
		sink_fini(&s);
	}
}

/* ---- two sessions, one file --------------------------------------------------------------------- */

static void taking_turns(void **state)
{
	struct sink a, b;
	unsigned seen[2][500] = { { 0 } };

	(void)state;
	start(&a, "?size=300&keep=200", "qa");
	start(&b, "?size=300&keep=200", "qb");
	for (unsigned i = 0; i < 500; i++) {
		say_number(&a, 'a', i);
		if (i % 3 == 0)
			say_number(&b, 'b', i);
	}
	sink_fini(&a);
	sink_fini(&b);
	collect('a', seen[0], 500, 200, false);
	collect('b', seen[1], 500, 200, false);
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(seen[0][i], 1);
		assert_int_equal(seen[1][i], i % 3 == 0);
	}
	for (unsigned i = 0; i < 200; i++)
		assert_true(size_of(name(i)) <= 300);
}

static void at_the_same_time(void **state)
{
	enum { LINES = 1500, WRITERS = 3 };
	pid_t pids[WRITERS];
	int status;

	(void)state;
	for (unsigned w = 0; w < WRITERS; w++) {
		pids[w] = fork();
		if (pids[w] != 0)
			continue;
		struct sink s;
		char queue[8] = { 'q', (char)('a' + w) };
		start(&s, "?size=4000&keep=200", queue);
		for (unsigned i = 0; i < LINES; i++)
			say_number(&s, (char)('a' + w), i);
		_exit(sink_idle(&s) ? 0 : 1);
	}
	for (unsigned w = 0; w < WRITERS; w++) {
		assert_int_equal(waitpid(pids[w], &status, 0), pids[w]);
		assert_int_equal(status, 0);
	}
	for (unsigned w = 0; w < WRITERS; w++) {
		unsigned seen[LINES] = { 0 };
		collect((char)('a' + w), seen, LINES, 200, false);
		for (unsigned i = 0; i < LINES; i++)
			assert_int_equal(seen[i], 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_stay_below_size_and_lines_whole),
		TEST(a_batch_is_cut_at_its_newlines),
		TEST(exactly_full_is_not_too_full),
		TEST(keep_none),
		TEST(raw_is_cut_at_a_newline_if_there_is_one),
		TEST(age_counts_from_the_first_line),
		TEST(age_survives_a_restart),
		TEST(rotation_that_cannot_be_does_not_stop_the_log),
		TEST(a_stopped_holder_of_the_lock_does_not_stop_the_log),
		TEST(a_directory_is_refused),
		TEST(a_fifo_without_a_reader_does_not_block),
		TEST(a_full_fifo_says_wait),
		TEST(our_own_link_is_followed_and_stays),
		TEST(a_strangers_link_in_a_public_directory_is_refused),
		TEST(planted_in_a_public_directory),
		TEST(the_next_file_is_like_the_last),
		TEST(permissions),
		TEST(forced_to_the_disk_when_asked),
		TEST(taking_turns),
		TEST(at_the_same_time),
	};
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
