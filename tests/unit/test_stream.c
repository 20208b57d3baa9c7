/*
 * test_stream.c - stream.c: sinks that take bytes as they come, and what was one call staying together.
 */
#include "tests/unit/collect_case.h"

enum { QUEUE = 64 << 10 };

static const struct writer first = { .flags = RECORD_MORE },
			   middle = { .flags = RECORD_MORE | RECORD_CONTINUES },
			   last = { .flags = RECORD_CONTINUES }, whole = { 0 };

static struct writer by_other(struct writer w)
{
	w.pid = w.tid = (uint32_t)scene.other;
	return w;
}

static void test_untorn(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw file:@/json?format=json");
	say_as(first, "<one ");
	say_as(by_other(whole), "[other]\n");
	say_as(by_other(first), "{also ");
	say_as(middle, "call ");
	say_as(by_other(last), "large}\n");
	say_as((struct writer){ .tid = 9 }, "(thread)\n");
	say_as((struct writer){ .fd = 1, .source = SOURCE_STDOUT }, "(stdout)\n");
	say_as(last, "of ours>\n");
	case_settle();
	expect_file("raw", "[other]\n{also large}\n(thread)\n(stdout)\n<one call of ours>\n");
	assert_int_equal(expect_gapless(case_got("json"), 1), 5);
	assert_int_equal(scene.c.joins.count, 0);
	assert_false(scene.c.dirty);
}

/* As the ring cuts them: larger than a record, larger than the ring. */
static void test_cut_by_the_ring(void **state)
{
	static char text[300000];
	(void)state;

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)('a' + i % 23);
	case_begin("file:@/raw?format=raw");
	assert_int_equal(say_bytes(whole, text, 5000), 0);
	case_settle();
	assert_int_equal(strlen(case_got("raw")), 5000);
	assert_memory_equal(case_got("raw"), text, 5000);
	size_t most = scene.session.ring.most_payload;
	for (size_t at = 5000; at < sizeof text; at += most) {
		size_t left = sizeof text - at, count = left < most ? left : most;
		struct writer w = at == 5000 ? first : left <= most ? last : middle;
		assert_int_equal(say_bytes(w, text + at, count), 0);
		say_as(by_other(whole), "#\n");
		if (at / most % 20 == 0)
			case_round();
	}
	case_settle();
	const char *got = case_got("raw"), *rest = strstr(got, "#");
	assert_memory_equal(got, text, 5000);
	rest += strspn(rest, "#\n");
	assert_int_equal(strspn(rest - 1, "#\n"), 1);
	assert_memory_equal(rest, text + 5000, sizeof text - 5000);
	assert_string_equal(rest + sizeof text - 5000, "#\n");
}

/* The shim records no such thing; others may. */
static void test_of_no_bytes(void **state)
{
	static const char *const said[] = { "a line\n", "", "an open", "", " one\n" };
	static const uint64_t open[] = { 0, 0, 1, 1, 0 };
	(void)state;

	case_begin("file:@/raw?format=raw");
	for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
		say_as(whole, said[i]);
		case_settle();
		assert_int_equal(scene.c.state.open_lines, open[i]);
	}
	expect_file("raw", "a line\nan open one\n");
}

static void test_incomplete(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw");
	say_as(last, "a tail\n");          /* we came too late */
	say_as(middle, "a middle, ");
	say_as(last, "its end\n");
	say_as(first, "begun, then lost\n"); /* by the ring's policy */
	say_as(whole, "whole\n");
	say_as(first, "interrupted ");
	say_as(whole, "<handler>");          /* the order of one writer is kept */
	say_as(middle, "and ");
	say_as(last, "continued\n");
	say_as(first, "begun ");
	say_as(first, "begun again\n");
	case_settle();
	expect_file("raw", "a tail\na middle, its end\nbegun, then lost\nwhole\n"
			   "interrupted <handler>and continued\nbegun ");
	say_as((struct writer){ .kind = RECORD_LEAVING }, "");
	case_settle();
	assert_non_null(strstr(case_got("raw"), "begun begun again\n"));
}

static void test_writer_dies(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw");
	say_as(by_other(first), "cut short");
	say_as(first, "still to come ");
	case_settle();
	expect_file("raw", "");
	kill(scene.other, SIGKILL);
	case_wait_for_death("raw");
	expect_file("raw", "cut short");
	say_as(last, "and come\n");
	case_settle();
	expect_file("raw", "cut shortstill to come and come\n");
}

static void test_silence(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw file:@/text?format=text&pattern=%v");
	assert_true(stream_deadline(&scene.c) == UINT64_MAX);
	say_as(first, "a writer that was stopped");
	case_settle();
	assert_true(stream_deadline(&scene.c) - scene.c.now_ns <= STREAM_HOLD_NS);
	case_wait(STREAM_HOLD_NS - 100 * CASE_MS);
	case_settle();
	expect_file("raw", "");
	expect_file("text", "");
	case_wait(101 * CASE_MS);
	case_settle();
	expect_file("raw", "a writer that was stopped");
	expect_file("text", "a writer that was stopped\n");
	say_as(last, " goes on\n");
	case_settle();
	expect_file("raw", "a writer that was stopped goes on\n");
	expect_file("text", "a writer that was stopped\n goes on\n");
}

/* The ring was full for an hour, since a sink took nothing: who waited for room has not had any since. */
static void test_no_room_for_an_hour(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw file:@/text?format=text&pattern=%v");
	say_as(first, "a writer that ");
	case_settle();
	scene.c.caught_up = false; /* as it is where a record is in hand */
	case_wait(3600ull * CASE_SECOND);
	case_settle();
	expect_file("raw", "");
	expect_file("text", "");
	say_as(last, "had to wait\n");
	case_settle();
	expect_file("raw", "a writer that had to wait\n");
	expect_file("text", "a writer that had to wait\n");
}

/* A full ring stops a call in its middle for longer than unfinished lines are held; collectors come and
 * go meanwhile. */
static void test_one_call_is_one_line(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw file:@/text?format=text&pattern=%v");
	for (int i = 0; i < 3; i++) {
		say_as(i ? middle : first, "stopped ");
		case_settle();
		case_wait(300 * CASE_MS); /* of the collector's: what is said bears the true time */
		case_succeed();
	}
	say_as(last, "again and again\n");
	case_settle();
	expect_file("raw", "stopped stopped stopped again and again\n");
	expect_file("text", "stopped stopped stopped again and again\n");
}

/* At most so much is kept, and by so many; more is passed on as it is. */
static void test_limits(void **state)
{
	static char text[900];
	size_t sent = 0, others = 0;
	(void)state;

	memset(text, 'x', sizeof text);
	case_begin("file:@/raw?format=raw&queue=4M");
	say_as(by_other(first), "(large too");
	while (sent < 3 << 20) {
		assert_int_equal(say_bytes(sent ? middle : first, text, sizeof text), 0);
		sent += sizeof text;
		if (sent / sizeof text % 50 == 0)
			case_settle();
		assert_true(scene.c.joins.saved_bytes <= JOIN_LIMIT);
	}
	say_as(last, ".");
	say_as(by_other(last), ")");
	case_settle();
	const char *got = case_got("raw");
	assert_int_equal(strlen(got), sent + 12);
	assert_int_equal(count_of(got, "x"), sent);
	assert_string_equal(strchr(got, '.'), ".(large too)");

	size_t before = strlen(got);
	for (uint32_t tid = 1; tid <= JOIN_MOST + 40; tid++, others++) {
		say_as((struct writer){ .tid = tid, .flags = RECORD_MORE }, "y");
		case_read();
	}
	case_settle();
	assert_int_equal(scene.c.joins.count, JOIN_MOST);
	assert_int_equal(strlen(case_got("raw")), before + 40);
	say_as((struct writer){ .kind = RECORD_LEAVING }, "");
	case_settle();
	assert_int_equal(strlen(case_got("raw")), before + others);
}

static void test_filters(void **state)
{
	struct writer out = { .fd = 1, .source = SOURCE_STDOUT, .flags = RECORD_MORE };
	(void)state;

	assert_int_equal(pipe(scene.console), 0);
	case_begin("console file:@/err?format=raw&source=stderr file:@/all?format=raw");
	say_as(out, "[out ");
	say_as((struct writer){ .flags = RECORD_MORE | RECORD_MIRRORED }, "{mirrored ");
	say_as((struct writer){ .flags = RECORD_CONTINUES | RECORD_MIRRORED }, "err}\n");
	out.flags = RECORD_CONTINUES;
	say_as(out, "out]\n");
	case_settle();
	expect_file("err", "{mirrored err}\n");
	expect_file("all", "{mirrored err}\n[out out]\n");
	assert_string_equal(case_screen(), "[out out]\n");
}

/* ---- collectors that are killed ------------------------------------------------------------------- */

static void test_successors(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw file:@/json?format=json");
	say_as(first, "<one ");
	case_settle();
	case_succeed();
	say_as(by_other(whole), "[other]\n");
	say_as(middle, "large ");
	case_settle();
	case_succeed();
	case_succeed();
	say_as(last, "call>\n");
	case_settle();
	case_succeed();
	case_settle();
	expect_file("raw", "[other]\n<one large call>\n");
	assert_int_equal(expect_gapless(case_got("json"), 1), 2);
}

/* Larger than the queue: in pieces, with the next collector going on in the middle. */
static void test_larger_than_a_queue(void **state)
{
	static char text[200000];
	unsigned collectors = 1;
	(void)state;

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)('a' + i % 23);
	case_begin("file:@/raw?format=raw&queue=64K&overflow=block file:@/two?format=raw&queue=1M");
	size_t most = scene.session.ring.most_payload;
	for (size_t at = 0; at < sizeof text; at += most) {
		size_t left = sizeof text - at, count = left < most ? left : most;
		assert_int_equal(say_bytes(at == 0 ? first : left <= most ? last
									  : middle,
					   text + at,
					   count),
				 0);
		if (at / most % 20 == 0)
			case_round();
	}
	atomic_fetch_add(&scene.session.control->lost[LOST_FULL].messages, 1);
	say("after\n");
	while (case_read() || scene.c.in_hand) {
		assert_int_equal(losses_announce(&scene.c, true), !scene.c.joins.leaving);
		round_write_down(&scene.c);
		if (scene.c.joins.leaving) {
			case_succeed();
			collectors++;
		}
		round_pump(&scene.c, &scene.wait);
	}
	case_settle();
	assert_true(collectors >= 3);
	static const char *const names[] = { "raw", "two" };
	for (int i = 0; i < 2; i++) {
		const char *got = case_got(names[i]);
		assert_memory_equal(got, text, sizeof text);
		assert_int_equal(count_of(got + sizeof text, "after\n"), 1);
		assert_int_equal(count_of(got, "1 message"), 1);
	}
}

/* A part is in the queue, and something else comes that is no text. */
static void test_nothing_in_between(void **state)
{
	static char text[900];
	size_t sent = 0;
	(void)state;

	memset(text, 'x', sizeof text);
	case_begin("file:@/raw?format=raw&queue=64K&overflow=block");
	for (; sent < 100000; sent += sizeof text) {
		assert_int_equal(say_bytes(sent ? middle : first, text, sizeof text), 0);
		case_read();
		round_write_down(&scene.c);
	}
	case_wait(STREAM_HOLD_NS + CASE_SECOND);
	case_clock();
	assert_int_equal(stream_expire(&scene.c), -EAGAIN);
	assert_non_null(scene.c.joins.leaving);
	round_write_down(&scene.c);
	round_pump(&scene.c, &scene.wait);
	say_as((struct writer){ .kind = RECORD_LOG, .source = SOURCE_LOG }, "a message");
	case_settle();
	const char *got = case_got("raw");
	assert_int_equal(strspn(got, "x"), sent);
	assert_string_equal(got + sent, "a message\n");
}

static void test_damaged(void **state)
{
	struct checkpoint loaded;
	const void *lines;
	(void)state;

	case_begin("file:@/raw?format=raw");
	say_as(first, "begun ");
	case_settle();
	assert_true(checkpoint_load(&scene.c.file, &loaded, &lines));
	assert_true(loaded.joins_bytes > 0);
	memset((void *)(uintptr_t)checkpoint_loaded_joins(&scene.c.file), 0xff, loaded.joins_bytes);
	case_succeed();
	say_as(last, "and ended\n");
	case_settle();
	expect_file("raw", "and ended\n");
}

/* A full file system: what cannot be noted is not kept. */
static void test_no_memory_for_it(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw");
	int fd = scene.c.file.fd;
	scene.c.file.fd = -1;
	say_as(first, "<one ");
	say_as(by_other(whole), "[other]\n");
	say_as(last, "call>\n");
	case_settle();
	scene.c.file.fd = fd;
	expect_file("raw", "<one [other]\ncall>\n");
}

static void test_losing(void **state)
{
	static char text[QUEUE - 900];
	(void)state;

	memset(text, 'x', sizeof text);
	case_begin("file:@/few?format=raw&queue=64K&overflow=drop file:@/all?format=raw");
	for (int i = 0; i < 2; i++) {
		for (size_t at = 0; at < sizeof text; at += 900) {
			size_t left = sizeof text - at;
			assert_int_equal(say_bytes(at == 0 ? first : left <= 900 ? last : middle,
						   text + at, left < 900 ? left : 900), 0);
			case_read();
			round_write_down(&scene.c);
		}
	}
	case_settle();
	assert_int_equal(count_of(case_got("all"), "x"), 2 * sizeof text);
	assert_int_equal(count_of(case_got("few"), "x"), sizeof text);
	assert_int_equal(scene.c.sinks[0].lost_messages, 1); /* the one call */
	assert_int_equal(scene.c.sinks[0].lost_bytes, sizeof text);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		CASE(test_untorn),
		CASE(test_cut_by_the_ring),
		CASE(test_of_no_bytes),
		CASE(test_incomplete),
		CASE(test_writer_dies),
		CASE(test_silence),
		CASE(test_no_room_for_an_hour),
		CASE(test_one_call_is_one_line),
		CASE(test_limits),
		CASE(test_filters),
		CASE(test_successors),
		CASE(test_larger_than_a_queue),
		CASE(test_nothing_in_between),
		CASE(test_damaged),
		CASE(test_no_memory_for_it),
		CASE(test_losing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
