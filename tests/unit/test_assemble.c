/*
 * test_assemble.c - bytes into lines: pieces, limits, times, refusals.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/assemble_case.h"

/* ---- lines ---- */

static void test_whole_lines(void **state)
{
	struct test *t = *state;
	struct assemble_bytes in = bytes_of(101, 5, "a\n\nb\0c\r\n", 8);
	unsigned at = 0;

	in.source = 3;
	in.detail = 9;
	in.fd = 65535;
	feed_bytes(t, &in);
	expect(t, &at, "a", true);
	expect(t, &at, "", true);
	assert_int_equal(t->c.line[at].length, 4);
	assert_memory_equal(t->c.line[at].text, "b\0c\r", 4);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(t->c.line[i].pid, 100);
		assert_int_equal(t->c.line[i].tid, 101);
		assert_int_equal(t->c.line[i].fd, 65535);
		assert_int_equal(t->c.line[i].source, 3);
		assert_int_equal(t->c.line[i].detail, 9);
		assert_int_equal(t->c.line[i].time_ns, 5);
		assert_int_equal(t->c.line[i].shown, 0);
	}
	assert_int_equal(t->c.count, 3);
	expect_nothing_pending(t);
}

static void test_pieces_of_several_writers(void **state)
{
	struct test *t = *state;
	struct assemble_bytes other = bytes_of(1, 4, "other\n", 6);
	unsigned at = 0;

	feed(t, 1, 1, "one ");
	feed(t, 2, 2, "two ");
	feed(t, 1, 3, "goes ");
	other.fd = 7;
	feed_bytes(t, &other);
	other.fd = 2;
	other.detail = 1;
	feed_bytes(t, &other);
	other.detail = 0;
	other.pid = 99;
	feed_bytes(t, &other);
	feed(t, 2, 5, "goes\nand ");
	assert_int_equal(t->a.pending_lines, 2);
	assert_int_equal(t->a.pending_bytes, strlen("one goes and "));
	feed(t, 1, 6, "on\nnext\n");
	feed(t, 2, 7, "\n");
	for (int i = 0; i < 3; i++)
		expect(t, &at, "other", true);
	expect(t, &at, "two goes", true);
	assert_int_equal(t->c.line[at - 1].time_ns, 2);
	expect(t, &at, "one goes on", true);
	assert_int_equal(t->c.line[at - 1].time_ns, 1);
	expect(t, &at, "next", true);
	assert_int_equal(t->c.line[at - 1].time_ns, 6);
	expect(t, &at, "and ", true);
	assert_int_equal(t->c.line[at - 1].time_ns, 5);
	assert_int_equal(t->c.count, at);
	expect_nothing_pending(t);
}

static void test_byte_by_byte(void **state)
{
	struct test *t = *state;
	const char *text = "a line\nthat comes\n\nin single bytes";
	unsigned at = 0;

	for (size_t i = 0; text[i]; i++) {
		struct assemble_bytes in = bytes_of(1, (int64_t)i, text + i, 1);

		feed_bytes(t, &in);
	}
	assert_int_equal(assemble_end(&t->a, 100, catch_line, &t->c), 0);
	expect(t, &at, "a line", true);
	expect(t, &at, "that comes", true);
	expect(t, &at, "", true);
	expect(t, &at, "in single bytes", false);
	expect_nothing_pending(t);
}

static void test_end_is_of_one_process(void **state)
{
	struct test *t = *state;
	struct assemble_bytes other = bytes_of(1, 1, "other", 5);
	unsigned at = 0;

	feed(t, 1, 1, "first thread");
	other.pid = 200;
	feed_bytes(t, &other);
	feed(t, 2, 1, "second\bthread");
	assert_int_equal(assemble_end(&t->a, 100, catch_line, &t->c), 0);
	expect(t, &at, "first thread", false);
	expect(t, &at, "second\bthread", false);
	assert_int_equal(t->c.count, at);
	assert_int_equal(t->a.pending_lines, 1);
	assert_int_equal(assemble_end(&t->a, 0, catch_line, &t->c), 0);
	expect(t, &at, "other", false);
	expect_nothing_pending(t);
}

static void test_ten_thousand_threads(void **state)
{
	struct test *t = *state;

	for (uint32_t tid = 1; tid <= 10000; tid++)
		feed(t, tid, tid, "x");
	assert_int_equal(t->a.pending_lines, 10000);
	for (uint32_t tid = 1; tid <= 10000; tid++) {
		feed(t, tid, tid, "y\n");
		assert_int_equal(t->c.count, 1);
		assert_string_equal(t->c.line[0].text, "xy");
		assert_int_equal(t->c.line[0].tid, tid);
		forget(&t->c);
	}
	expect_nothing_pending(t);
}

/* ---- size ---- */

static void test_size_limit(void **state)
{
	struct test *t = *state;
	const size_t most = ASSEMBLE_LINE_MOST;
	char *text = malloc(3 * most);
	struct assemble_bytes in = bytes_of(1, 1, text, 0);

	assert_non_null(text);
	for (size_t i = 0; i < 3 * most; i++)
		text[i] = (char)('a' + i % 26);
	for (int pieces = 0; pieces < 2; pieces++) {
		/* exactly as long as a line may be: still one */
		text[most] = '\n';
		for (in.bytes = text; in.bytes <= text + most; in.bytes += in.count) {
			in.count = pieces ? 4096 : most + 1;
			if (in.bytes + in.count > text + most + 1)
				in.count = 1;
			feed_bytes(t, &in);
		}
		assert_int_equal(t->c.count, 1);
		assert_true(t->c.line[0].ended);
		assert_int_equal(t->c.line[0].length, most);
		assert_memory_equal(t->c.line[0].text, text, most);
		forget(&t->c);

		/* longer: cut, and nothing is missing */
		text[most] = 'x';
		for (in.bytes = text; in.bytes < text + 3 * most; in.bytes += in.count) {
			in.count = pieces ? 5000 : 3 * most;
			if (in.bytes + in.count > text + 3 * most)
				in.count = (size_t)(text + 3 * most - in.bytes);
			feed_bytes(t, &in);
		}
		assert_int_equal(t->c.count, 2);
		assert_true(t->c.line[0].partial && t->c.line[1].partial);
		assert_int_equal(t->a.pending_bytes, most);
		assert_int_equal(assemble_end(&t->a, 0, catch_line, &t->c), 0);
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(t->c.line[i].length, most);
			assert_memory_equal(t->c.line[i].text, text + i * most, most);
		}
		forget(&t->c);
	}
	expect_nothing_pending(t);
	free(text);
}

/* The size limit falls into a character: it goes on as a whole, however the bytes came. */
static void test_size_limit_keeps_characters(void **state)
{
	static const size_t steps[] = { 1, 4096, 65535, 65537, 1 << 20 };
	struct test *t = *state;
	size_t count = ASSEMBLE_LINE_MOST + 10;
	char *text = malloc(count);

	assert_non_null(text);
	for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++)
		for (size_t inside = 1; inside <= 3; inside++) {
			size_t cut = ASSEMBLE_LINE_MOST - inside;

			memset(text, 'a', count);
			memcpy(text + cut, "\xf0\x9f\x98\x80", 4);
			for (size_t from = 0; from < count; from += steps[k]) {
				size_t n = count - from < steps[k] ? count - from : steps[k];
				struct assemble_bytes in = bytes_of(1, 1, text + from, n);

				feed_bytes(t, &in);
			}
			assert_int_equal(assemble_end(&t->a, 0, catch_line, &t->c), 0);
			assert_int_equal(t->c.count, 2);
			assert_int_equal(t->c.line[0].length, cut);
			assert_int_equal(t->c.line[1].length, count - cut);
			assert_memory_equal(t->c.line[1].text, text + cut, count - cut);
			forget(&t->c);
		}
	expect_nothing_pending(t);
	free(text);
}

/* Beyond the limit, the oldest line goes on. A small limit still lets the longest line be. */
static void test_total_limit(void **state)
{
	struct test *t = *state;
	struct assembler small;
	char *text = malloc(ASSEMBLE_LINE_MOST);
	struct assemble_bytes in = bytes_of(1, 1, text, 40000);
	size_t done = 0;

	assert_non_null(text);
	assert_int_equal(assemble_init(&small, 0, false), 0);
	memset(text, 'x', ASSEMBLE_LINE_MOST);
	assert_int_equal(assemble_feed(&small, &in, &done, catch_line, &t->c), 0);
	in.tid = 2;
	in.count = 20000;
	done = 0;
	assert_int_equal(assemble_feed(&small, &in, &done, catch_line, &t->c), 0);
	assert_int_equal(t->c.count, 0);
	done = 0;
	t->c.refuse = 2;
	assert_int_equal(assemble_feed(&small, &in, &done, catch_line, &t->c), -EAGAIN);
	assert_int_equal(assemble_feed(&small, &in, &done, catch_line, &t->c), -EAGAIN);
	assert_int_equal(done, 0);
	assert_int_equal(small.pending_lines, 2);
	assert_int_equal(assemble_feed(&small, &in, &done, catch_line, &t->c), 0);
	assert_int_equal(t->c.count, 1);
	assert_int_equal(t->c.line[0].tid, 1);
	assert_true(t->c.line[0].partial);
	assert_int_equal(small.pending_bytes, 40000);
	in.count = ASSEMBLE_LINE_MOST;
	in.tid = 3;
	done = 0;
	assert_int_equal(assemble_feed(&small, &in, &done, catch_line, &t->c), 0);
	assert_int_equal(small.pending_bytes, ASSEMBLE_LINE_MOST);
	assemble_fini(&small);
	free(text);
}

/* ---- time ---- */

static void test_expire(void **state)
{
	struct test *t = *state;
	unsigned at = 0;

	feed(t, 1, 1000 * MS, "prompt> ");
	feed(t, 2, 1050 * MS, "later");
	feed(t, 1, 1100 * MS, "typed");
	assert_true(assemble_deadline(&t->a) == 1200 * MS);
	assert_int_equal(assemble_expire(&t->a, 1200 * MS - 1, 1200 * MS, catch_line, &t->c), 0);
	assert_int_equal(t->c.count, 0);
	t->c.refuse = 1;
	assert_int_equal(assemble_expire(&t->a, 1200 * MS, 1200 * MS, catch_line, &t->c), -EAGAIN);
	assert_int_equal(t->a.pending_lines, 2);
	assert_int_equal(assemble_expire(&t->a, 1200 * MS, 1200 * MS, catch_line, &t->c), 0);
	expect(t, &at, "prompt> typed", false);
	assert_true(t->c.line[0].time_ns == 1000 * MS);
	assert_int_equal(t->c.count, 1);
	assert_true(assemble_deadline(&t->a) == 1250 * MS);
	/* the rest is a line of its own */
	feed(t, 1, 1210 * MS, " more\n");
	expect(t, &at, " more", true);
	assert_int_equal(assemble_expire(&t->a, INT64_MAX, INT64_MAX, catch_line, &t->c), 0);
	expect(t, &at, "later", false);
	expect_nothing_pending(t);
}

/* Times that make no sense neither overflow nor hold up others. */
static void test_expire_with_wrong_times(void **state)
{
	struct test *t = *state;
	unsigned at = 0;

	feed(t, 1, INT64_MAX, "future");
	feed(t, 2, INT64_MIN, "past");
	feed(t, 3, 500 * MS, "now");
	assert_int_equal(assemble_expire(&t->a, 500 * MS, 500 * MS, catch_line, &t->c), 0);
	assert_int_equal(t->c.count, 0);
	assert_true(assemble_deadline(&t->a) == 700 * MS);
	assert_int_equal(assemble_expire(&t->a, 700 * MS, 700 * MS, catch_line, &t->c), 0);
	expect(t, &at, "future", false);
	assert_true(t->c.line[0].time_ns == INT64_MAX);
	expect(t, &at, "past", false);
	expect(t, &at, "now", false);
	expect_nothing_pending(t);
}

/* Who is behind, however far, learns nothing of how old a line is. */
static void test_expire_behind(void **state)
{
	struct test *t = *state;
	unsigned at = 0;

	feed(t, 1, 500 * MS, "plain");
	feed(t, 2, 500 * MS, "re\bdrawn");
	assert_int_equal(assemble_expire(&t->a, 0, 600 * MS, catch_line, &t->c), 0);
	assert_true(assemble_deadline(&t->a) == 700 * MS);
	assert_int_equal(assemble_expire(&t->a, 699 * MS, 2000 * MS, catch_line, &t->c), 0);
	assert_int_equal(t->c.count, 0);
	assert_int_equal(assemble_expire(&t->a, 700 * MS, 2000 * MS, catch_line, &t->c), 0);
	expect(t, &at, "plain", false);
	assert_int_equal(t->c.count, 1);
	assert_true(assemble_deadline(&t->a) == 1500 * MS);
	assert_int_equal(assemble_end(&t->a, 0, catch_line, &t->c), 0);
}

static void test_redrawn_lines_are_held(void **state)
{
	static const char *const redrawn[] = {
		"10%\r20%", "a\b", "x\x1b[K", "\x1b]0;title\a", "\x1b[?25l", "\0337",
	};
	static const char *const plain[] = { "abc", "dos\r", "dos\r\r", "\x1b[1;31mred", "\x1b[" };
	struct test *t = *state;

	for (size_t i = 0; i < sizeof(redrawn) / sizeof(redrawn[0]); i++) {
		assert_true(assemble_is_redrawn(redrawn[i], strlen(redrawn[i])));
		/* in one piece, and in single bytes */
		feed(t, 1, 0, redrawn[i]);
		for (size_t k = 0; redrawn[i][k]; k++) {
			struct assemble_bytes in = bytes_of(2, 0, redrawn[i] + k, 1);

			feed_bytes(t, &in);
		}
		assert_int_equal(assemble_expire(&t->a, 999 * MS, 999 * MS, catch_line, &t->c), 0);
		assert_int_equal(t->c.count, 0);
		feed(t, 1, 900 * MS, "."); /* silence begins anew */
		assert_int_equal(assemble_expire(&t->a, 1000 * MS, 1000 * MS, catch_line, &t->c),
				 0);
		assert_int_equal(t->c.count, 1);
		assert_string_equal(t->c.line[0].text, redrawn[i]);
		assert_int_equal(t->c.line[0].tid, 2);
		assert_true(assemble_deadline(&t->a) == 1900 * (int64_t)MS);
		assert_int_equal(assemble_expire(&t->a, 1900 * (int64_t)MS, 1900 * (int64_t)MS,
						 catch_line, &t->c), 0);
		expect_nothing_pending(t);
		forget(&t->c);
	}
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		assert_false(assemble_is_redrawn(plain[i], strlen(plain[i])));
		feed(t, 1, 0, plain[i]);
		assert_int_equal(assemble_expire(&t->a, 200 * MS, 200 * MS, catch_line, &t->c), 0);
		assert_int_equal(t->c.count, 1);
		assert_string_equal(t->c.line[0].text, plain[i]);
		forget(&t->c);
	}
}

/* A line is not cut where its own call is: it waits for the rest, and not by the time of others. */
static void test_lines_in_a_call_are_held(void **state)
{
	struct test *t = *state;
	struct assemble_bytes piece = bytes_of(1, 0, "one call, ", 10);
	unsigned at = 0;

	piece.more = true;
	feed_bytes(t, &piece);
	piece.time_ns = 900 * MS;
	feed_bytes(t, &piece);
	assert_true(assemble_deadline(&t->a) == INT64_MAX);
	assert_true(assemble_calls_deadline(&t->a) == 10900 * (int64_t)MS);
	const int64_t late = INT64_MAX - 1;
	assert_int_equal(assemble_expire(&t->a, late, late, catch_line, &t->c), 0);
	assert_int_equal(assemble_expire_calls(&t->a, 10899 * (int64_t)MS, catch_line, &t->c), 0);
	feed(t, 1, 10899 * (int64_t)MS, "one line\n");
	expect(t, &at, "one call, one call, one line", true);
	assert_true(t->c.line[0].time_ns == 0);
	/* Its rest does not come. */
	feed_bytes(t, &piece);
	assert_int_equal(assemble_expire_calls(&t->a, 10900 * (int64_t)MS, catch_line, &t->c), 0);
	expect(t, &at, "one call, ", false);
	/* It comes without a newline, as a prompt does. */
	piece.time_ns = 2000 * (int64_t)MS;
	feed_bytes(t, &piece);
	feed(t, 1, 2100 * (int64_t)MS, "what now? ");
	assert_true(assemble_deadline(&t->a) == 2200 * (int64_t)MS);
	assert_int_equal(assemble_expire(&t->a, 2200 * (int64_t)MS, 2200 * (int64_t)MS, catch_line,
					 &t->c), 0);
	expect(t, &at, "one call, what now? ", false);
	expect_nothing_pending(t);
}

/* ---- refusals ---- */

/* Every offer is refused several times: nothing is lost, nothing comes twice. */
static void test_refusals(void **state)
{
	struct test *t = *state;
	struct assemble_bytes in = bytes_of(1, 10, " done\nwhole\nrest", 16);
	size_t done = 0;
	unsigned at = 0;

	feed(t, 1, 1, "half");
	for (int i = 0; i < 3; i++) {
		t->c.refuse = 1;
		assert_int_equal(assemble_feed(&t->a, &in, &done, catch_line, &t->c), -EAGAIN);
		assert_int_equal(done, 0);
		assert_int_equal(t->a.pending_bytes, 4);
	}
	t->c.refuse = 0;
	done = 0;
	assert_int_equal(assemble_feed(&t->a, &in, &done, catch_line, &t->c), 0);
	expect(t, &at, "half done", true);
	assert_int_equal(t->c.line[0].time_ns, 1);
	expect(t, &at, "whole", true);
	t->c.refuse = 1;
	assert_int_equal(assemble_end(&t->a, 100, catch_line, &t->c), -EAGAIN);
	assert_int_equal(assemble_end(&t->a, 100, catch_line, &t->c), 0);
	expect(t, &at, "rest", false);
	assert_int_equal(t->c.count, at);
	expect_nothing_pending(t);
}

static void test_refusal_in_the_middle(void **state)
{
	struct test *t = *state;
	struct assemble_bytes in = bytes_of(1, 10, "a\nb\nc\n", 6);
	size_t done = 2; /* a was taken before */
	unsigned at = 0;

	t->c.refuse = 1;
	assert_int_equal(assemble_feed(&t->a, &in, &done, catch_line, &t->c), -EAGAIN);
	assert_int_equal(done, 2);
	assert_int_equal(assemble_feed(&t->a, &in, &done, catch_line, &t->c), 0);
	expect(t, &at, "b", true);
	expect(t, &at, "c", true);
	assert_int_equal(t->c.count, 2);
	expect_nothing_pending(t);
}

int main(void)
{
#define PLAIN(name) cmocka_unit_test_setup_teardown(name, case_setup, case_teardown)
	const struct CMUnitTest tests[] = {
		PLAIN(test_whole_lines),
		PLAIN(test_pieces_of_several_writers),
		PLAIN(test_byte_by_byte),
		PLAIN(test_end_is_of_one_process),
		PLAIN(test_ten_thousand_threads),
		PLAIN(test_size_limit),
		PLAIN(test_size_limit_keeps_characters),
		PLAIN(test_total_limit),
		PLAIN(test_expire),
		PLAIN(test_expire_with_wrong_times),
		PLAIN(test_expire_behind),
		PLAIN(test_redrawn_lines_are_held),
		PLAIN(test_lines_in_a_call_are_held),
		PLAIN(test_refusals),
		PLAIN(test_refusal_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
