/*
 * test_setup.c - setup.c: opening all that a collector needs, from files that anybody may have spoilt.
 */
#include "tests/unit/collect_case.h"

#include <stddef.h>

static void write_at(const char *name, const void *bytes, size_t count, size_t at)
{
	char path[PLACE_PATH + 16];

	snprintf(path, sizeof path, "%s/%s", scene.dir, name);
	int fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, count, (off_t)at), count);
	close(fd);
}

/* Strings without an end, up to the last byte of the mapping. */
static void test_endless_strings(void **state)
{
	static char junk[sizeof(struct control)];
	const size_t from = offsetof(struct control, command),
		     sinks = offsetof(struct control, sinks);
	static struct control whole;
	(void)state;

	case_sinks("file:@/raw?format=raw");
	case_create(getpid(), "/nonexistent");
	whole = *scene.session.control;
	memset(junk, 'x', sizeof junk);
	write_at("control", junk, sizeof whole - from, from);
	assert_int_equal(setup_open(&scene.c, &scene.plan), -EINVAL); /* no sink begins like that */
	/* all but the sinks; and those with blanks to their end */
	memset(junk + from, ' ', sizeof whole.sinks);
	memcpy(junk + from, whole.sinks, strlen(whole.sinks));
	write_at("control", junk + from, sizeof whole.sinks, sinks);
	case_open();
	say("a line\n");
	case_settle();
	assert_int_equal(strncmp(case_got("raw"), "a line\n", 7), 0);
}

static void test_directory_too_long(void **state)
{
	char directory[sizeof scene.session.control->directory];
	(void)state;

	case_sinks("file:relative?format=raw");
	case_create(getpid(), "/nonexistent");
	memset(directory, 'd', sizeof directory);
	directory[0] = '/';
	memcpy(case_settings()->directory, directory, sizeof directory);
	assert_true(setup_open(&scene.c, &scene.plan) < 0);
	snprintf(case_settings()->directory, sizeof directory, "%s", scene.base);
	case_open();
	say("a line\n");
	case_settle();
	expect_file("relative", "a line\n");
}

/* Whatever is missing: an error, and nothing stays open. */
static void test_failures(void **state)
{
	static const char *const names[] = { "control", "ring", "queue.1", "state" };
	char path[PLACE_PATH + 16];
	(void)state;

	case_sinks("file:@/raw?format=raw file:@/json?format=json");
	case_create(getpid(), "/nonexistent");
	int first_free = dup(0);
	close(first_free);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", scene.dir, names[i]);
		char other[sizeof path + 8];
		snprintf(other, sizeof other, "%s.away", path);
		bool there = rename(path, other) == 0;
		assert_int_equal(mkdir(path, 0700), 0);
		assert_true(setup_open(&scene.c, &scene.plan) < 0);
		int fd = dup(0);
		assert_int_equal(fd, first_free);
		close(fd);
		assert_int_equal(rmdir(path), 0);
		if (there)
			assert_int_equal(rename(other, path), 0);
	}
	case_open();
}

static void test_resumes(void **state)
{
	struct collector *c = &scene.c;
	(void)state;

	case_begin("file:@/raw?format=raw file:@/json?format=json");
	say("one\nunfinished ");
	case_settle();
	uint64_t seq = c->state.seq, position = c->state.position;
	int64_t time_ns = c->state.time_ns;
	case_succeed();
	assert_int_equal(c->state.seq, seq);
	assert_int_equal(c->reader.at, position);
	assert_int_equal(c->state.time_ns, time_ns);
	assert_int_equal(c->lines.pending_lines, 1);
	say("line\n");
	case_settle();
	assert_non_null(strstr(case_got("json"), "\"msg\":\"unfinished line\""));
	/* A checkpoint of another position than any that the ring knows. */
	c->state.position = UINT64_MAX - 7;
	c->state.done = 5;
	c->state.streamed = 1;
	c->state.heads[0] += 100000000;
	checkpoint_save(&c->file, &c->state);
	case_succeed();
	assert_int_equal(c->state.position, c->reader.at);
	assert_int_equal(c->state.done, 0);
	assert_int_equal(c->state.streamed, 0);
	assert_true(queue_used(&c->sinks[0].queue) == 0);
}

static void test_two_consoles(void **state)
{
	(void)state;
	assert_int_equal(pipe(scene.console), 0);
	case_begin("console console file:@/raw?format=raw");
	int fd = scene.console[1];
	assert_int_equal(setup_console_fd(&scene.c), fd);
	setup_release_console(&scene.c, 0);
	assert_int_equal(setup_console_fd(&scene.c), fd);
	assert_int_equal(fcntl(fd, F_GETFD) >= 0, 1); /* the other one has it, too */
	setup_release_console(&scene.c, 1);
	assert_int_equal(setup_console_fd(&scene.c), -1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	scene.console[1] = -1;
	say("a line\n");
	case_settle();
	assert_int_equal(strncmp(case_got("raw"), "a line\nhark: 2 messages", 23), 0); /* lost to both */
	assert_int_equal(read(scene.console[0], (char[1]){ 0 }, 1), 0);
}

static void test_first_process(void **state)
{
	(void)state;
	case_begin("file:@/json?format=json");
	assert_string_equal(watch_process(&scene.c.watch, (uint32_t)getpid())->comm, "subject");
	case_settings()->first_pid = 0;
	memset(case_settings()->command, '/', sizeof scene.session.control->command);
	case_succeed();
	assert_int_equal(scene.c.watch.count, 0);
	case_settings()->first_pid = getpid();
	case_succeed();
	assert_string_equal(watch_process(&scene.c.watch, (uint32_t)getpid())->comm, "");
}

/* The clock's base is in shared memory, too. */
static void test_hostile_clock(void **state)
{
	static const uint64_t values[] = { 0, 1, UINT64_MAX, UINT64_MAX / 2, UINT64_C(1) << 63 };
	struct clock_base *clock;
	(void)state;

	case_begin(
		"file:@/json?format=json file:@/syslog?format=rfc5424 file:@/text?format=pretty");
	clock = &case_settings()->clock;
	for (size_t i = 0; i < 250; i++) {
		clock->ticks = values[i % 5];
		clock->monotonic_ns = values[i / 5 % 5];
		clock->realtime_ns = (int64_t)values[i / 25 % 5];
		clock->counter = i >= 125;
		case_succeed();
		say("a line\n");
		case_round();
		case_round();
	}
	assert_int_equal(expect_gapless(case_got("json"), 1), 250);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		CASE(test_endless_strings),
		CASE(test_directory_too_long),
		CASE(test_failures),
		CASE(test_resumes),
		CASE(test_two_consoles),
		CASE(test_first_process),
		CASE(test_hostile_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
