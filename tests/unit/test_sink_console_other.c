/*
 * test_sink_console_other.c - the original descriptor as anything but a terminal: pipes that are full or
 * have lost their reader, files whose offset is shared, sockets, nothing. Each must leave the
 * descriptor as it was, and none may hold the caller up.
 */
#include "tests/unit/sink_user.h"

static void a_full_pipe_holds_nobody_up(void **state)
{
	(void)state;
	assert_int_equal(pipe(ends), 0);
	int before = status_flags(ends[1]);
	assert_int_equal(start(ends[1]), 0);
	say_much();
	pump();
	assert_int_equal(wish.events, POLLOUT);
	assert_true(sink.fd != ends[1]);
	assert_int_equal(status_flags(ends[1]), before);
	assert_int_equal(drain_stalled(ends[0]), FILL);
	assert_true(sink_idle(&sink));
}

static void a_pipe_ends_when_the_sink_does(void **state)
{
	(void)state;
	char c;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(start(ends[1]), 0);
	pump();
	hang_up(1);
	struct pollfd p = { .fd = ends[0], .events = POLLIN };
	assert_int_equal(poll(&p, 1, 0), 0);
	sink_fini(&sink);
	assert_int_equal(poll(&p, 1, READ_MS), 1);
	assert_int_equal(read(ends[0], &c, 1), 0);
}

static void a_pipe_without_a_reader_is_gone(void **state)
{
	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(start(ends[1]), 0);
	pump();
	hang_up(0);
	say("one\n");
	pump();
	assert_true(sink.gone);
	assert_int_equal(sink.error, -EPIPE);
	assert_int_equal(sink.lost_messages, 1);
	sink_fini(&sink);
	unlink(path);

	assert_int_equal(start(ends[1]), 0);
	say("one\n");
	pump(); /* gone from the start */
	assert_true(sink.gone);
	assert_int_equal(sink.error, -EPIPE);
	assert_true(sink_idle(&sink));
}

static void a_fifo_may_get_a_reader_again(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(other, 0600), 0);
	ends[0] = open(other, O_RDONLY | O_NONBLOCK);
	ends[1] = open(other, O_WRONLY);
	assert_int_equal(start(ends[1]), 0);
	pump();
	hang_up(0);
	for (int i = 0; i < 2; i++) { /* the second time, it cannot even be opened */
		say("nobody hears\n");
		pump();
		assert_true(sink.gone);
		assert_int_equal(sink.error, -EPIPE);
		now = sink.retry_at_ns;
	}
	ends[0] = open(other, O_RDONLY | O_NONBLOCK);
	say("back\n");
	pump();
	expect_read(ends[0], "back\n");
	assert_false(sink.gone);
	assert_int_equal(sink.lost_messages, 2);
}

/* In a process that may not open the pipe anew: another user's. */
static int full_pipe_of_another_user(void)
{
	if (pipe(ends) || setgid(NOBODY) || setuid(NOBODY))
		return 2;
	snprintf(directory, sizeof(directory), "/tmp/hark-test-console-XXXXXX");
	if (!mkdtemp(directory))
		return 3;
	snprintf(path, sizeof(path), "%s/q", directory);
	if (start(ends[1]))
		return 4;
	say_much();
	pump(); /* a write that waits would end in the alarm */
	if (sink.fd != ends[1] || status_flags(ends[1]) & O_NONBLOCK)
		return 5;
	if (wish.events != POLLOUT || drain_stalled(ends[0]) != FILL || !sink_idle(&sink))
		return 6;
	hang_up(0);
	say("x\n");
	pump();
	int rc = sink.gone ? 0 : 7;
	sink_fini(&sink);
	unlink(path);
	rmdir(directory);
	return rc;
}

static void a_pipe_that_cannot_be_opened_anew_holds_nobody_up(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	pid_t child = fork();
	if (!child) {
		alarm(90);
		_exit(full_pipe_of_another_user());
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_file_is_shared_with_the_program(void **state)
{
	(void)state;
	char got[64];
	ends[1] = open(other, O_RDWR | O_CREAT | O_TRUNC, 0600); /* no O_APPEND */
	int program = dup(ends[1]);
	assert_int_equal(write(program, "stdout 1\n", 9), 9);
	assert_int_equal(start(ends[1]), 0);
	say("stderr\n");
	pump();
	assert_int_equal(write(program, "stdout 2\n", 9), 9);
	assert_int_equal(pread(program, got, sizeof(got), 0), 25);
	assert_memory_equal(got, "stdout 1\nstderr\nstdout 2\n", 25);
	assert_true(sink_idle(&sink));
	close(program);
}

static void an_appending_file_stays_one(void **state)
{
	(void)state;
	char got[64];
	ends[1] = open(other, O_RDWR | O_CREAT | O_APPEND, 0600);
	int before = status_flags(ends[1]);
	assert_int_equal(start(ends[1]), 0);
	say("one\n");
	pump();
	int another = open(other, O_WRONLY | O_APPEND);
	assert_int_equal(write(another, "other\n", 6), 6);
	say("two\n");
	pump();
	assert_int_equal(pread(ends[1], got, sizeof(got), 0), 14);
	assert_memory_equal(got, "one\nother\ntwo\n", 14);
	assert_int_equal(status_flags(ends[1]), before);
	close(another);
}

static void a_full_device_is_an_error_to_back_off_from(void **state)
{
	(void)state;
	ends[1] = open("/dev/full", O_WRONLY);
	if (ends[1] < 0)
		skip();
	assert_int_equal(start(ends[1]), 0);
	say("one\n");
	pump();
	assert_int_equal(sink.error, -ENOSPC);
	assert_false(sink.gone);
	assert_false(sink_idle(&sink));
	assert_in_range(wish.deadline_ns - now, 80 * MS, 120 * MS);
	assert_int_equal(sink_full(&sink, now), SINK_LOSE); /* though its policy is to block */
}

static void dev_null_takes_all(void **state)
{
	(void)state;
	ends[1] = open("/dev/null", O_WRONLY);
	assert_int_equal(start(ends[1]), 0);
	say_much();
	pump();
	assert_true(sink_idle(&sink));
	assert_int_equal(sink.fd, ends[1]);
}

static void a_socket_is_told_not_to_wait(void **state)
{
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	int before = status_flags(ends[1]);
	assert_int_equal(start(ends[1]), 0);
	say_much();
	pump();
	assert_int_equal(wish.events, POLLOUT);
	assert_int_equal(status_flags(ends[1]), before);
	assert_int_equal(drain_stalled(ends[0]), FILL);
	assert_true(sink_idle(&sink));
	hang_up(0);
	say("one\n");
	signal(SIGPIPE, SIG_DFL);
	pump();
	signal(SIGPIPE, SIG_IGN);
	assert_true(sink.gone);
}

static void a_datagram_socket_gets_a_line_at_a_time(void **state)
{
	(void)state;
	char got[64];
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	assert_int_equal(start(ends[1]), 0);
	say("one\ntwo\n");
	pump();
	assert_int_equal(read_some(ends[0], got, sizeof(got)), 4);
	assert_memory_equal(got, "one\n", 4);
	assert_int_equal(read_some(ends[0], got, sizeof(got)), 4);
	assert_memory_equal(got, "two\n", 4);
}

static void no_descriptor_at_all_is_gone(void **state)
{
	(void)state;
	assert_int_equal(start(-1), 0);
	say("one\n");
	pump();
	assert_int_equal(sink.error, -EBADF);
	assert_true(sink_idle(&sink));
	assert_int_equal(sink_full(&sink, now), SINK_LOSE);
	sink_fini(&sink);
	unlink(path);

	ends[1] = open("/dev/null", O_RDONLY); /* not for writing */
	assert_int_equal(start(ends[1]), 0);
	say("one\n");
	pump();
	assert_true(sink.gone);
	assert_int_equal(sink.lost_messages, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_full_pipe_holds_nobody_up),
		TEST(a_pipe_ends_when_the_sink_does),
		TEST(a_pipe_without_a_reader_is_gone),
		TEST(a_fifo_may_get_a_reader_again),
		TEST(a_pipe_that_cannot_be_opened_anew_holds_nobody_up),
		TEST(a_file_is_shared_with_the_program),
		TEST(an_appending_file_stays_one),
		TEST(a_full_device_is_an_error_to_back_off_from),
		TEST(dev_null_takes_all),
		TEST(a_socket_is_told_not_to_wait),
		TEST(a_datagram_socket_gets_a_line_at_a_time),
		TEST(no_descriptor_at_all_is_gone),
	};
	return cmocka_run_group_tests(tests, ignore_sigpipe, NULL);
}
