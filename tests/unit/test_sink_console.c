/*
 * test_sink_console.c - the original descriptor as a terminal, which stalls, is stopped, and hangs up;
 * and what decides on format and colour.
 */
#include "tests/unit/sink_user.h"

static void make_pty(void)
{
	assert_int_equal(openpty(&ends[0], &ends[1], NULL, NULL, NULL), 0);
}

static void colour_is_decided_by_the_first_who_cares(void **state)
{
	(void)state;
	static const struct {
		enum color_when when;
		bool is_tty;
		const char *no_color, *force, *term;
		bool expected;
	} rows[] = {
		{ COLOR_AUTO, true, NULL, NULL, "xterm", true },
		{ COLOR_AUTO, false, NULL, NULL, "xterm", false },
		{ COLOR_AUTO, true, NULL, NULL, "dumb", false },
		{ COLOR_AUTO, true, NULL, NULL, "", false },
		{ COLOR_AUTO, true, NULL, NULL, NULL, false },
		{ COLOR_AUTO, true, "1", NULL, "xterm", false },
		{ COLOR_AUTO, true, "0", NULL, "xterm", false }, /* any value but the empty one */
		{ COLOR_AUTO, true, "", NULL, "xterm", true },
		{ COLOR_AUTO, true, "1", "1", "xterm", false },
		{ COLOR_AUTO, false, NULL, "1", NULL, true },
		{ COLOR_AUTO, false, "", "1", "dumb", true },
		{ COLOR_AUTO, false, NULL, "0", "xterm", false },
		{ COLOR_AUTO, true, NULL, "0", "xterm", true },
		{ COLOR_AUTO, false, NULL, "", "xterm", false },
		{ COLOR_ALWAYS, false, "1", NULL, "dumb", true },
		{ COLOR_NEVER, true, NULL, "1", "xterm", false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (sink_console_color(rows[i].when, rows[i].is_tty, rows[i].no_color,
				       rows[i].force, rows[i].term) != rows[i].expected)
			fail_msg("row %zu", i);
}

static const struct format_ops *ops_of(const char *name)
{
	for (size_t i = 0; i < format_count; i++)
		if (!strcmp(format_rows[i].name, name))
			return format_rows[i].ops;
	return NULL;
}

static void the_descriptor_decides_the_format(void **state)
{
	(void)state;
	unsetenv("NO_COLOR");
	unsetenv("CLICOLOR_FORCE");
	setenv("TERM", "xterm", 1);
	make_pty();
	assert_string_equal(sink_console_format(ends[1]), "pretty");
	assert_int_equal(start(ends[1]), 0);
	assert_ptr_equal(sink.format.ops, ops_of("pretty"));
	assert_true(sink.format.color);
	sink_fini(&sink);
	setenv("NO_COLOR", "1", 1);
	assert_int_equal(start(ends[1]), 0);
	assert_false(sink.format.color);
	unsetenv("NO_COLOR");
	sink_fini(&sink);

	int null = open("/dev/null", O_WRONLY);
	assert_string_equal(sink_console_format(null), "raw");
	assert_int_equal(start(null), 0);
	assert_ptr_equal(sink.format.ops, ops_of("raw"));
	assert_false(sink.format.color);
	close(null);
	assert_string_equal(sink_console_format(-1), "raw");
}

static void a_terminal_is_written_through_a_file_of_our_own(void **state)
{
	(void)state;
	make_pty();
	int before = status_flags(ends[1]);
	assert_int_equal(start(ends[1]), 0);
	say("hello\n");
	pump();
	expect_read(ends[0], "hello\r\n");
	assert_true(sink.u.console.is_tty);
	assert_true(sink.fd != ends[1]);
	assert_true(status_flags(sink.fd) & O_NONBLOCK);
	assert_true(fcntl(sink.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(status_flags(ends[1]), before);
	assert_int_equal(before & O_NONBLOCK, 0);
	int own = sink.fd;
	sink_fini(&sink);
	assert_int_equal(fcntl(own, F_GETFD), -1);
	assert_int_equal(fcntl(ends[1], F_GETFD) >= 0, 1); /* not ours to close */
}

static void a_terminal_nobody_reads_holds_nobody_up(void **state)
{
	(void)state;
	make_pty();
	assert_int_equal(start(ends[1]), 0);
	say_much();
	pump();
	assert_int_equal(sink.state, SINK_OPEN);
	assert_int_equal(wish.events, POLLOUT);
	assert_false(sink_idle(&sink));
	assert_int_equal(drain_stalled(ends[0]), FILL);
	assert_true(sink_idle(&sink));
	assert_int_equal(sink.errors, 0);
}

static void a_terminal_stopped_by_the_user_holds_nobody_up(void **state)
{
	(void)state;
	make_pty();
	assert_int_equal(tcflow(ends[1], TCOOFF), 0); /* as Ctrl-S does */
	assert_int_equal(start(ends[1]), 0);
	say("later\n");
	pump();
	assert_int_equal(sink.state, SINK_OPEN);
	assert_int_equal(wish.events, POLLOUT);
	struct pollfd p = { .fd = sink.fd, .events = POLLOUT };
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(tcflow(ends[1], TCOON), 0);
	assert_int_equal(poll(&p, 1, READ_MS), 1);
	pump();
	expect_read(ends[0], "later\r\n");
	assert_true(sink_idle(&sink));
}

static void a_terminal_that_hung_up_is_gone(void **state)
{
	(void)state;
	make_pty();
	assert_int_equal(start(ends[1]), 0);
	pump();
	hang_up(0);
	say("one\ntwo\n");
	pump();
	assert_true(sink.gone);
	assert_int_equal(sink.error, -EIO);
	assert_true(sink_idle(&sink));
	assert_int_equal(sink.lost_messages, 2);
	assert_int_equal(sink_full(&sink, now), SINK_LOSE);
	assert_true(wish.deadline_ns == UINT64_MAX);
	for (int i = 0; i < 3; i++) {
		now += 60000 * MS;
		say("more\n");
		pump();
		assert_true(sink_idle(&sink));
		assert_in_range(sink.retry_at_ns - now, 24000 * MS, 36000 * MS);
	}
	assert_int_equal(sink.lost_messages, 5);
}

static void a_masters_name_would_open_another_terminal(void **state)
{
	(void)state;
	make_pty();
	struct termios raw;
	assert_int_equal(tcgetattr(ends[1], &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(ends[1], TCSANOW, &raw), 0);
	assert_int_equal(start(ends[0]), 0);
	say("to the slave\n");
	pump();
	assert_int_equal(sink.fd, ends[0]);
	expect_read(ends[1], "to the slave\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(colour_is_decided_by_the_first_who_cares),
		TEST(the_descriptor_decides_the_format),
		TEST(a_terminal_is_written_through_a_file_of_our_own),
		TEST(a_terminal_nobody_reads_holds_nobody_up),
		TEST(a_terminal_stopped_by_the_user_holds_nobody_up),
		TEST(a_terminal_that_hung_up_is_gone),
		TEST(a_masters_name_would_open_another_terminal),
	};
	return cmocka_run_group_tests(tests, ignore_sigpipe, NULL);
}
