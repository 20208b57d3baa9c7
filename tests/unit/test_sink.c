/*
 * test_sink.c - what all kinds share: which bytes are written, when they are released, and where a
 * new connection, a rewound queue or a successor goes on.
 */
#include "tests/unit/sink_fake.h"

static void rows_agree_with_the_enumeration(void **state)
{
	(void)state;
	static const char *const names[SINK_KIND_NR] = {
		[SINK_CONSOLE] = "console", [SINK_FILE] = "file", [SINK_TCP] = "tcp",
		[SINK_UDP] = "udp", [SINK_UNIX] = "unix", [SINK_UNIXGRAM] = "unixgram",
	};
	for (int i = 0; i < SINK_KIND_NR; i++) {
		const struct sink_row *row = &sink_rows[i];
		assert_string_equal(row->name, names[i]);
		assert_int_equal(strncmp(row->syntax, row->name, strlen(row->name)), 0);
		assert_int_equal(row->doc[strlen(row->doc) - 1], '.');
		assert_non_null(row->ops->open);
		assert_non_null(row->ops->write);
		assert_non_null(row->ops->close);
		assert_true(row->ops->default_queue >= 1 << 20);
	}
	assert_string_equal(sink_state_name(SINK_BACKOFF), "backoff");
	assert_string_equal(sink_state_name(SINK_STATE_NR), "?");
}

static void kinds_have_their_defaults_and_specifications_win(void **state)
{
	(void)state;
	struct sink_spec spec = { .kind = SINK_UDP, .format = "raw" };
	assert_int_equal(sink_init(&sink, &spec, path, -1), 0);
	assert_int_equal(sink.queue.size, 8 << 20);
	assert_int_equal(sink.spec.overflow, OVERFLOW_TIMEOUT);
	assert_true(sink.spec.overflow_ns == 250 * MS);
	assert_true(sink.spec.backoff_least_ns == 100 * MS);
	assert_true(sink.spec.backoff_most_ns == 30000 * MS);
	sink_fini(&sink);
	unlink(path);

	spec.kind = SINK_CONSOLE;
	assert_int_equal(sink_init(&sink, &spec, path, -1), 0);
	assert_int_equal(sink.queue.size, 1 << 20);
	assert_int_equal(sink.spec.overflow, OVERFLOW_BLOCK);
	sink_fini(&sink);
	unlink(path);

	spec.queue_bytes = 100000;
	spec.has_overflow = true;
	spec.overflow = OVERFLOW_DROP;
	spec.backoff_least_ns = 1000 * MS;
	spec.backoff_most_ns = 10 * MS; /* the wrong way round */
	assert_int_equal(sink_init(&sink, &spec, path, -1), 0);
	assert_int_equal(sink.queue.size, 131072);
	assert_int_equal(sink.spec.overflow, OVERFLOW_DROP);
	assert_true(sink.spec.backoff_most_ns == 1000 * MS);
}

static void a_wrong_specification_leaves_nothing_behind(void **state)
{
	(void)state;
	struct sink_spec spec = spec_of(SINK_UDP);
	strcpy(spec.format, "no-such");
	assert_int_equal(sink_init(&sink, &spec, path, -1), -ENOENT);
	assert_int_equal(access(path, F_OK), -1);
	spec.kind = SINK_KIND_NR;
	assert_int_equal(sink_init(&sink, &spec, path, -1), -EINVAL);
	spec = spec_of(SINK_UDP);
	assert_int_equal(sink_init(&sink, &spec, "/nonexistent/q", -1), -ENOENT);
	assert_null(sink.queue.bytes);
}

static void what_is_said_is_written_and_nothing_is_waited_for(void **state)
{
	(void)state;
	start(&file_like);
	pump();
	assert_int_equal(sink.state, SINK_OPEN); /* opened although nothing is queued */
	expect_wish(0, UINT64_MAX);
	assert_true(sink_idle(&sink));
	say("one\ntwo\n");
	assert_false(sink_idle(&sink));
	pump();
	expect_got("one\ntwo\n");
	expect_wish(0, UINT64_MAX);
	assert_true(sink_idle(&sink));
	assert_int_equal(sink.written_bytes, 8);
	assert_int_equal(sink.written_frames, 2);
	assert_int_equal(sink.reconnects, 0);
}

static void nothing_beyond_until_is_written(void **state)
{
	(void)state;
	start(&file_like);
	say("one\n");
	uint64_t until = sink.queue.head;
	say("two\n");
	sink_pump(&sink, now, until, &wish);
	expect_got("one\n");
	expect_wish(0, UINT64_MAX);
	assert_int_equal(queue_used(&sink.queue), 4);
	sink_pump(&sink, now, until + 1000, &wish); /* a checkpoint that cannot be */
	expect_got("one\ntwo\n");
	sink_pump(&sink, now, 0, &wish);            /* one from long ago */
	expect_got("one\ntwo\n");
	assert_true(sink_idle(&sink));
}

static void the_tail_moves_by_whole_frames(void **state)
{
	(void)state;
	start(&file_like);
	say("first\nsecond\n");
	fake.room = 9;
	pump();
	expect_got("first\nsec");
	expect_wish(POLLOUT, UINT64_MAX);
	assert_int_equal(queue_used(&sink.queue), 7);
	assert_memory_equal(queue_peek(&sink.queue), "second\n", 7);
	assert_int_equal(sink.written_frames, 1);
	fake.room = 100;
	pump();
	expect_got("first\nsecond\n");
	assert_true(sink_idle(&sink));
	assert_int_equal(sink.written_frames, 2);
}

static void short_writes_go_on_in_one_call(void **state)
{
	(void)state;
	start(&file_like);
	char long_line[3000];
	memset(long_line, 'x', sizeof(long_line));
	strcpy(long_line + sizeof(long_line) - 2, "\n");
	for (int i = 0; i < 5; i++) { /* over the end of the queue's memory */
		fake.got_bytes = 0;
		say(long_line);
		pump();
		expect_got(long_line);
	}
	assert_int_equal(sink.written_frames, 5);
}

static void raw_bytes_need_no_newline(void **state)
{
	(void)state;
	start(&connection_like);
	say("Password: ");
	fake.unacked = 3;
	pump();
	expect_got("Password: ");
	assert_int_equal(queue_used(&sink.queue), 10);
	fake.unacked = 0;
	pump();
	assert_true(sink_idle(&sink));
	expect_wish(0, UINT64_MAX);
}

static void a_reconnect_begins_at_a_frames_start(void **state)
{
	(void)state;
	start(&connection_like);
	say("first\nsecond\nthird\n");
	fake.room = 15;   /* … into the third */
	fake.unacked = 4; /* the peer has "first\nsecon" */
	pump();
	expect_got("first\nsecond\nth");
	assert_int_equal(queue_used(&sink.queue), 13);
	fake.write_rc = -ECONNRESET;
	pump();
	assert_int_equal(sink.state, SINK_BACKOFF);
	assert_int_equal(sink.error, -ECONNRESET);
	assert_int_equal(fake.closes, 1);
	expect_wish(0, sink.retry_at_ns);

	fake.room = SIZE_MAX;
	fake.unacked = 0;
	pump(); /* too early */
	assert_int_equal(fake.opens, 1);
	now = sink.retry_at_ns;
	pump();
	assert_int_equal(fake.opens, 2);
	expect_got("second\nthird\n");
	assert_true(sink_idle(&sink));
	assert_int_equal(sink.reconnects, 1);
	assert_int_equal(sink.errors, 1);
	assert_int_equal(sink.error, 0);
	assert_int_equal(sink.written_bytes, 19); /* each byte once */
	assert_int_equal(sink.written_frames, 3);
}

static void a_file_goes_on_inside_a_frame(void **state)
{
	(void)state;
	start(&file_like);
	say("first\nsecond\n");
	fake.room = 9;
	fake.write_rc = -ENOSPC;
	pump();
	assert_int_equal(sink.state, SINK_BACKOFF);
	assert_int_equal(sink.error, -ENOSPC);
	fake.room = SIZE_MAX;
	now = sink.retry_at_ns;
	pump();
	expect_got("ond\n");
}

static void a_peer_that_closed_is_not_written_to(void **state)
{
	(void)state;
	start(&connection_like);
	pump();
	fake.check_rc = -EPIPE;
	say("one\n");
	pump();
	assert_int_equal(fake.writes, 0);
	assert_int_equal(sink.state, SINK_BACKOFF);
	assert_int_equal(sink.error, -EPIPE);
}

static void a_kernel_short_of_memory_is_asked_again_soon(void **state)
{
	(void)state;
	start(&connection_like);
	fake.room = 0;
	fake.write_rc = -ENOBUFS;
	say("one\n");
	pump();
	assert_int_equal(sink.state, SINK_OPEN);
	expect_wish(0, now + 10 * MS);
	fake.write_rc = 0; /* neither an error nor progress: must not spin */
	pump();
	expect_wish(0, now + 10 * MS);
	assert_int_equal(sink.errors, 0);
	assert_int_equal(fake.writes, 2);
}

static void interrupted_writes_are_repeated(void **state)
{
	(void)state;
	start(&file_like);
	fake.interrupts = 2;
	say("one\ntwo\n");
	pump();
	expect_got("one\ntwo\n");
	assert_int_equal(fake.writes, 3);
}

static void what_a_kind_gives_up_is_lost_not_written(void **state)
{
	(void)state;
	start(&file_like);
	fake.lose = true;
	say("too long\n");
	pump();
	assert_true(sink_idle(&sink));
	assert_int_equal(sink.lost_messages, 1);
	assert_int_equal(sink.lost_bytes, 9);
	assert_int_equal(sink.written_frames, 0);
	assert_int_equal(sink.written_bytes, 0);
}

static void a_rewound_queue_is_followed(void **state)
{
	(void)state;
	start(&connection_like);
	char line[3001];
	memset(line, 'y', sizeof(line));
	strcpy(line + sizeof(line) - 2, "\n");
	say(line);
	pump();
	assert_true(sink_idle(&sink));
	uint64_t checkpoint = sink.queue.head;
	queue_rewind(&sink.queue);
	assert_true(sink.queue.head > checkpoint);
	sink_pump(&sink, now, checkpoint, &wish); /* made before */
	expect_wish(0, UINT64_MAX);
	say("after\n");
	fake.got_bytes = 0;
	pump();
	expect_got("after\n");
	assert_true(sink_idle(&sink));
}

static void a_successor_goes_on_where_frames_were_left(void **state)
{
	(void)state;
	start(&connection_like);
	say("first\nsecond\n");
	fake.unacked = 2;
	pump();
	uint64_t head = sink.queue.head;
	sink_fini(&sink);

	start(&connection_like);
	sink.queue.head = head;
	fake.unacked = 0;
	pump();
	expect_got("second\n");
}

static void closing_happens_once(void **state)
{
	(void)state;
	start(&connection_like);
	sink_fini(&sink); /* never opened */
	assert_int_equal(fake.closes, 0);
	start(&connection_like);
	pump();
	sink_fini(&sink);
	assert_int_equal(fake.closes, 1);
	start(&connection_like);
	fake.open_rc = -EACCES;
	pump(); /* after a failure, too: it may have left something */
	assert_int_equal(fake.closes, 2);
	sink_fini(&sink);
	assert_int_equal(fake.closes, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_agree_with_the_enumeration),
		TEST(kinds_have_their_defaults_and_specifications_win),
		TEST(a_wrong_specification_leaves_nothing_behind),
		TEST(what_is_said_is_written_and_nothing_is_waited_for),
		TEST(nothing_beyond_until_is_written),
		TEST(the_tail_moves_by_whole_frames),
		TEST(short_writes_go_on_in_one_call),
		TEST(raw_bytes_need_no_newline),
		TEST(a_reconnect_begins_at_a_frames_start),
		TEST(a_file_goes_on_inside_a_frame),
		TEST(a_peer_that_closed_is_not_written_to),
		TEST(a_kernel_short_of_memory_is_asked_again_soon),
		TEST(interrupted_writes_are_repeated),
		TEST(what_a_kind_gives_up_is_lost_not_written),
		TEST(a_rewound_queue_is_followed),
		TEST(a_successor_goes_on_where_frames_were_left),
		TEST(closing_happens_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
