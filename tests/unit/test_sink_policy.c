/*
 * test_sink_policy.c - the times that all kinds share: back-off and its jitter, the limit of an
 * opening, looking for acknowledgements, and how long a full queue may hold the session up.
 */
#include "tests/unit/sink_fake.h"

static void unacknowledged_bytes_stay_and_are_looked_after_ever_more_seldom(void **state)
{
	(void)state;
	static const uint64_t steps[] = { 10, 20, 40, 80, 160, 200, 200 };
	start(&connection_like);
	say("one\ntwo\n");
	fake.unacked = SIZE_MAX;
	pump();
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		expect_wish(0, now + steps[i] * MS);
		uint64_t deadline = wish.deadline_ns;
		now += MS; /* called for something else */
		pump();
		expect_wish(0, deadline);
		now = deadline;
		pump();
	}
	assert_int_equal(queue_used(&sink.queue), 8);
	assert_int_equal(sink.written_bytes, 0);
	say("six\n");
	pump(); /* something new: soon again */
	expect_wish(0, now + 10 * MS);
	now = wish.deadline_ns;
	pump();
	expect_wish(0, now + 20 * MS);
	fake.unacked = 8;
	pump(); /* progress: soon again */
	expect_wish(0, now + 10 * MS);
	assert_int_equal(queue_used(&sink.queue), 8);
	fake.unacked = 0;
	pump();
	expect_wish(0, UINT64_MAX);
	assert_true(sink_idle(&sink));
	expect_got("one\ntwo\nsix\n");
}

static void back_off_doubles_up_to_its_limit_with_jitter(void **state)
{
	(void)state;
	static const uint64_t steps[] = { 100, 200, 400, 400, 400 };
	start(&connection_like);
	say("one\n");
	fake.open_rc = -ECONNREFUSED;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		pump();
		assert_int_equal(fake.opens, i + 1);
		assert_int_equal(sink.state, SINK_BACKOFF);
		uint64_t wait = wish.deadline_ns - now;
		assert_in_range(wait, steps[i] * MS * 8 / 10, steps[i] * MS * 12 / 10);
		now = wish.deadline_ns - 1;
		pump();
		assert_int_equal(fake.opens, i + 1);
		now++;
	}
	assert_int_equal(sink.errors, 5);
	assert_int_equal(sink.error, -ECONNREFUSED);
	assert_int_equal(sink.reconnects, 0);

	fake.open_rc = 0;
	fake.room = 4;
	fake.write_rc = -EPIPE;
	pump(); /* accepted: the steps begin anew */
	assert_int_equal(sink.backoff_ns, 0);
	say("two\n");
	pump();
	assert_in_range(wish.deadline_ns - now, 80 * MS, 120 * MS);
}

static void jitter_uses_its_whole_range(void **state)
{
	(void)state;
	start(&connection_like);
	say("one\n");
	fake.open_rc = -ECONNREFUSED;
	sink.spec.backoff_most_ns = 100 * MS;
	uint64_t least = UINT64_MAX, most = 0;
	for (int i = 0; i < 300; i++) {
		pump();
		uint64_t wait = wish.deadline_ns - now;
		least = wait < least ? wait : least;
		most = wait > most ? wait : most;
		now = wish.deadline_ns;
	}
	assert_in_range(least, 80 * MS, 84 * MS);
	assert_in_range(most, 116 * MS, 120 * MS);
}

static void no_wake_ups_while_nothing_is_said(void **state)
{
	(void)state;
	start(&connection_like);
	fake.open_rc = -ECONNREFUSED;
	pump();
	assert_int_equal(fake.opens, 1);
	expect_wish(0, UINT64_MAX);
	now += 3600000 * MS;
	pump();
	assert_int_equal(fake.opens, 1);
	expect_wish(0, UINT64_MAX);
	fake.open_rc = 0;
	say("one\n");
	pump(); /* its time came long ago */
	expect_got("one\n");
}

static void opening_is_waited_for_with_a_limit(void **state)
{
	(void)state;
	start(&connection_like);
	fake.open_rc = -EINPROGRESS;
	fake.ready_rc = -EAGAIN;
	say("one\n");
	pump();
	assert_int_equal(sink.state, SINK_OPENING);
	expect_wish(POLLOUT, now + 10000 * MS);
	sink.opens_on = POLLIN; /* as for a name that is looked up */
	uint64_t deadline = wish.deadline_ns;
	now += 4000 * MS;
	pump();
	expect_wish(POLLIN, deadline);
	fake.ready_rc = -EINPROGRESS; /* the next address */
	pump();
	fake.ready_rc = -EAGAIN;
	expect_wish(POLLIN, now + 10000 * MS);
	now = wish.deadline_ns;
	pump();
	assert_int_equal(sink.state, SINK_BACKOFF);
	assert_int_equal(sink.error, -ETIMEDOUT);
	assert_int_equal(fake.closes, 1);
	now = wish.deadline_ns;
	pump();
	fake.ready_rc = -ECONNREFUSED;
	pump();
	assert_int_equal(sink.error, -ECONNREFUSED);
	now = wish.deadline_ns;
	pump();
	fake.ready_rc = 0;
	pump();
	expect_got("one\n");
}

static void policies_say_who_waits(void **state)
{
	(void)state;
	start(&connection_like);
	fake.room = 4;
	say("old\n");
	pump();
	assert_true(sink_idle(&sink));
	now += 3600000 * MS;
	say("one\n"); /* the time before it counts for nothing */
	pump();
	assert_int_equal(sink_full(&sink, now + 249 * MS), SINK_WAIT);
	assert_false(sink.stalled);
	assert_int_equal(sink_full(&sink, now + 250 * MS), SINK_LOSE);
	assert_true(sink.stalled);
	assert_int_equal(sink_full(&sink, now + 250 * MS), SINK_LOSE);
	now += 300 * MS;
	fake.room = 2;
	pump(); /* progress, though of half a frame */
	assert_false(sink.stalled);
	assert_int_equal(sink_full(&sink, now), SINK_WAIT);
	assert_int_equal(sink_full(&sink, now - 1), SINK_WAIT); /* a clock read before the pump's */
	assert_int_equal(sink_full(&sink, now + 250 * MS), SINK_LOSE);

	sink.spec.overflow = OVERFLOW_BLOCK;
	assert_int_equal(sink_full(&sink, now + 3600000 * MS), SINK_WAIT);
	sink.spec.overflow = OVERFLOW_DROP;
	assert_int_equal(sink_full(&sink, now), SINK_LOSE);
}

static void an_absent_peer_times_out_like_a_slow_one(void **state)
{
	(void)state;
	start(&connection_like);
	fake.open_rc = -ECONNREFUSED;
	say("one\n");
	pump();
	uint64_t begun = now;
	while (now < begun + 249 * MS) {
		assert_int_equal(sink_full(&sink, now), SINK_WAIT);
		now += 50 * MS;
		pump();
	}
	assert_int_equal(sink_full(&sink, begun + 250 * MS), SINK_LOSE);
	sink_lose(&sink, 2, 30);
	sink_lose(&sink, 1, 5);
	assert_int_equal(sink.lost_messages, 3);
	assert_int_equal(sink.lost_bytes, 35);
}

static void a_full_queue_before_any_pump_waits_first(void **state)
{
	(void)state;
	start(&connection_like);
	assert_int_equal(sink_full(&sink, now), SINK_WAIT);
	assert_int_equal(sink_full(&sink, now + 249 * MS), SINK_WAIT);
	assert_int_equal(sink_full(&sink, now + 250 * MS), SINK_LOSE);
}

static void sending_the_same_again_is_no_progress(void **state)
{
	(void)state;
	start(&connection_like);
	say("first\nsecond\n");
	fake.unacked = 10;
	uint64_t begun = now;
	for (int i = 0; i < 3; i++) { /* takes all, acknowledges the same three bytes, and closes */
		fake.room = 13;
		fake.check_rc = 0;
		pump();
		expect_got("first\nsecond\n");
		fake.check_rc = -EPIPE;
		pump();
		assert_int_equal(sink.state, SINK_BACKOFF);
		now = sink.retry_at_ns;
	}
	assert_true(now - begun > 250 * MS);
	assert_int_equal(sink_full(&sink, now), SINK_LOSE);
	assert_true(sink.backoff_ns == 400 * MS);
}

static void a_console_that_is_gone_holds_nobody_up(void **state)
{
	(void)state;
	start(&file_like);
	sink.spec.overflow = OVERFLOW_BLOCK;
	fake.room = 5;
	fake.write_rc = -EIO;
	fake.gone = true;
	say("first\nsecond\nand a bit");
	pump();
	assert_int_equal(sink.state, SINK_BACKOFF);
	assert_true(sink_idle(&sink));
	assert_int_equal(sink.lost_messages, 3);
	assert_int_equal(sink.lost_bytes, 22);
	assert_int_equal(sink_full(&sink, now), SINK_LOSE);
	expect_wish(0, UINT64_MAX);
	assert_in_range(sink.retry_at_ns - now, 320 * MS, 480 * MS); /* the longest step at once */
	say("third\n");
	pump();
	assert_int_equal(fake.opens, 1);
	assert_int_equal(sink.lost_messages, 4);

	now = sink.retry_at_ns;
	fake.room = SIZE_MAX;
	fake.gone = false;
	say("back\n");
	pump();
	expect_got("back\n");
	assert_int_equal(sink_full(&sink, now), SINK_WAIT);
	assert_int_equal(sink.written_frames, 1);
}

static void a_hang_up_makes_a_sink_reopen(void **state)
{
	(void)state;
	start(&file_like);
	assert_int_equal(sink_reopen(&sink), 0); /* not yet open */
	pump();
	assert_int_equal(sink_reopen(&sink), 0);
	fake.reopen_rc = -EACCES;
	assert_int_equal(sink_reopen(&sink), -EACCES);
	assert_int_equal(sink.error, -EACCES);
	assert_int_equal(sink.state, SINK_CLOSED);
	pump();
	assert_int_equal(fake.opens, 2);
	assert_int_equal(sink.state, SINK_OPEN);

	fake.room = 0;
	fake.write_rc = -EIO;
	say("one\n");
	pump();
	assert_int_equal(sink.state, SINK_BACKOFF);
	fake.room = SIZE_MAX;
	assert_int_equal(sink_reopen(&sink), 0);
	pump(); /* at once, not at the end of the step */
	expect_got("one\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unacknowledged_bytes_stay_and_are_looked_after_ever_more_seldom),
		TEST(back_off_doubles_up_to_its_limit_with_jitter),
		TEST(jitter_uses_its_whole_range),
		TEST(no_wake_ups_while_nothing_is_said),
		TEST(opening_is_waited_for_with_a_limit),
		TEST(policies_say_who_waits),
		TEST(an_absent_peer_times_out_like_a_slow_one),
		TEST(a_full_queue_before_any_pump_waits_first),
		TEST(sending_the_same_again_is_no_progress),
		TEST(a_console_that_is_gone_holds_nobody_up),
		TEST(a_hang_up_makes_a_sink_reopen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
