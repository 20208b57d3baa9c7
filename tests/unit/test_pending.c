/*
 * test_pending.c - lines that wait: what a console shows of them, what a redraw leaves, checkpoints.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/message/pending.h"
#include "tests/unit/assemble_case.h"

/* ---- echo ---- */

static void test_echo(void **state)
{
	struct test *t = *state;
	unsigned at = 0;

	feed(t, 1, 100 * MS, "Name: ");
	assert_true(assemble_deadline(&t->a) == 108 * MS);
	assemble_echo(&t->a, 108 * MS - 1, catch_line, &t->c);
	assert_int_equal(t->c.count, 0);
	assemble_echo(&t->a, 108 * MS, catch_line, &t->c);
	expect(t, &at, "Name: ", false);
	assert_int_equal(t->c.line[0].shown, 0);
	assemble_echo(&t->a, 150 * MS, catch_line, &t->c);
	assert_int_equal(t->c.count, 1);
	assert_true(assemble_deadline(&t->a) == 300 * MS);
	/* a line that is shown in part goes on at once */
	feed(t, 1, 160 * MS, "J");
	assert_true(assemble_deadline(&t->a) == 160 * MS);
	feed(t, 1, 160 * MS, "oe");
	assemble_echo(&t->a, 160 * MS, catch_line, &t->c);
	expect(t, &at, "Joe", false);
	assert_int_equal(t->c.line[1].shown, 6);
	/* the whole line says how much of it is there already */
	feed(t, 1, 170 * MS, " X");
	feed(t, 1, 171 * MS, "!\n");
	expect(t, &at, "Name: Joe X!", true);
	assert_int_equal(t->c.line[2].shown, 9);
	expect_nothing_pending(t);
	assemble_echo(&t->a, INT64_MAX, catch_line, &t->c);
	assert_int_equal(t->c.count, 3);
}

static void test_echo_of_what_was_sent_on(void **state)
{
	struct test *t = *state;
	unsigned at = 0;

	feed(t, 1, 0, "abc");
	assemble_echo(&t->a, 8 * MS, catch_line, &t->c);
	expect(t, &at, "abc", false);
	assert_int_equal(assemble_expire(&t->a, 200 * MS, 200 * MS, catch_line, &t->c), 0);
	expect(t, &at, "abc", false);
	assert_int_equal(t->c.line[1].shown, 3);
	feed(t, 1, 201 * MS, "def"); /* a line of its own: not shown so far */
	assert_true(assemble_deadline(&t->a) == 209 * MS);
	assert_int_equal(assemble_end(&t->a, 0, catch_line, &t->c), 0);
	expect(t, &at, "def", false);
	assert_int_equal(t->c.line[2].shown, 0);
	expect_nothing_pending(t);
}

static void test_echo_refused(void **state)
{
	struct test *t = *state;
	unsigned at = 0;

	feed(t, 1, 0, "one");
	feed(t, 2, 1 * MS, "two");
	t->c.refuse = 1;
	assemble_echo(&t->a, 10 * MS, catch_line, &t->c);
	assert_int_equal(t->c.count, 0);
	/* no busy loop */
	assert_true(assemble_deadline(&t->a) == 18 * MS);
	assemble_echo(&t->a, 17 * MS, catch_line, &t->c);
	assert_int_equal(t->c.count, 0);
	assemble_echo(&t->a, 18 * MS, catch_line, &t->c);
	expect(t, &at, "one", false);
	expect(t, &at, "two", false);
	assert_true(assemble_deadline(&t->a) == 200 * MS);
	/* after a refusal, the clock is set back by an hour: echo goes on all the same */
	feed(t, 1, 20 * MS, "more");
	t->c.refuse = 1;
	assemble_echo(&t->a, 3600000 * (int64_t)MS, catch_line, &t->c);
	assemble_echo(&t->a, 30 * MS, catch_line, &t->c);
	expect(t, &at, "more", false);
}

/* Without a console, nobody asks for echo: no deadline may come from it. */
static void test_no_echo(void **state)
{
	struct test *t = *state;

	feed(t, 1, 0, "abc");
	assert_true(assemble_deadline(&t->a) == 200 * MS);
	assemble_echo(&t->a, 100 * MS, catch_line, &t->c);
	assert_int_equal(t->c.count, 0);
	assert_int_equal(assemble_end(&t->a, 0, catch_line, &t->c), 0);
}

static void test_mirrored(void **state)
{
	struct test *t = *state;
	struct assemble_bytes in = bytes_of(1, 0, "whole\nstill ", 12);
	unsigned at = 0;

	in.mirrored = true;
	feed_bytes(t, &in);
	expect(t, &at, "whole", true);
	assert_int_equal(t->c.line[0].shown, 6); /* its newline, too */
	assert_true(assemble_deadline(&t->a) == 200 * MS);
	in.bytes = "going\n";
	in.count = 6;
	feed_bytes(t, &in);
	expect(t, &at, "still going", true);
	assert_int_equal(t->c.line[1].shown, 12);
	/* What comes after bytes that are not shown cannot count as shown. */
	feed(t, 1, 0, "hidden ");
	feed_bytes(t, &in);
	expect(t, &at, "hidden going", true);
	assert_int_equal(t->c.line[2].shown, 0);
	in.bytes = "mirrored ";
	in.count = 9;
	feed_bytes(t, &in);
	feed(t, 1, 0, "not\n");
	expect(t, &at, "mirrored not", true);
	assert_int_equal(t->c.line[3].shown, 9);
	feed(t, 1, 0, "hidden ");
	in.count = 3;
	feed_bytes(t, &in);
	assert_int_equal(assemble_end(&t->a, 0, catch_line, &t->c), 0);
	expect(t, &at, "hidden mir", false);
	assert_int_equal(t->c.line[4].shown, 0);
	expect_nothing_pending(t);
}

/* ---- redrawn lines ---- */

static void test_last_state(void **state)
{
	static const char *const pairs[][2] = {
		{ "", "" }, { "plain", "plain" }, { "dos\r", "dos" }, { "dos\r\r", "dos" },
		{ "1%\r2%\r3%", "3%" }, { "1%\r2%\r", "2%" }, { "\r3%", "3%" }, { "\r", "" },
		{ "1%\r\r2%", "2%" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const char *at = NULL;
		size_t length = assemble_last_state(pairs[i][0], strlen(pairs[i][0]), &at);

		assert_int_equal(length, strlen(pairs[i][1]));
		assert_memory_equal(at, pairs[i][1], length);
	}
}

/* A progress bar that runs for hours: what was overwritten goes, in the end one line comes. */
static void test_superseded(void **state)
{
	static const char bar[] = "\r[#########         ] 47%";
	struct test *t = *state;
	const struct assemble_line *line = &t->c.line[0];
	const size_t total = 20000 * strlen(bar);

	for (int i = 0; i < 20000; i++) {
		feed(t, 1, i, bar);
		assert_in_range(t->a.pending_bytes, 0, ASSEMBLE_LINE_MOST);
	}
	assert_int_equal(t->c.count, 0);
	feed(t, 1, 20000, "\rdone\n");
	assert_int_equal(t->c.count, 1);
	assert_int_equal(line->time_ns, 0);
	assert_int_equal(line->superseded + line->length, total + strlen("\rdone"));
	assert_memory_equal(line->text + line->length - 8, "47%\rdone", 8);
	expect_nothing_pending(t);
}

/* A console that has not shown it yet must see all of it: cut instead. */
static void test_not_superseded_before_it_is_shown(void **state)
{
	static const char bar[] = "\r[#########         ] 48%";
	struct test *t = *state;
	size_t length = 0;

	for (; !t->c.count; length += strlen(bar))
		feed(t, 1, 0, bar);
	assert_int_equal(t->c.count, 1);
	assert_true(t->c.line[0].partial);
	assert_int_equal(t->c.line[0].superseded, 0);
	assert_int_equal(t->c.line[0].length, ASSEMBLE_LINE_MOST);
	assert_int_equal(t->a.pending_bytes, length - ASSEMBLE_LINE_MOST);
	forget(&t->c);
	/* shown, it may go */
	for (int i = 0; i < 10000; i++) {
		feed(t, 1, 0, bar);
		assemble_echo(&t->a, 8 * MS, catch_line, &t->c);
		assert_int_equal(t->c.count, 1);
		assert_int_equal(t->c.line[0].length, i ? strlen(bar) : t->a.pending_bytes);
		forget(&t->c);
	}
	feed(t, 1, 0, "\n");
	assert_int_equal(t->c.count, 1);
	assert_true(t->c.line[0].superseded > 0);
	assert_int_equal(t->c.line[0].shown, t->c.line[0].length);
	expect_nothing_pending(t);
}

/* A line that was refused is offered again as it was, although meanwhile it was shown and might go. */
static void test_refused_is_not_superseded(void **state)
{
	static const char bar[] = "\r[#########         ] 49%";
	struct test *t = *state;
	struct assemble_bytes in = bytes_of(1, 0, bar, strlen(bar));
	size_t done = 0;

	while (t->a.pending_bytes + strlen(bar) <= ASSEMBLE_LINE_MOST)
		feed(t, 1, 0, bar);
	t->c.refuse = 1;
	assert_int_equal(assemble_feed(&t->a, &in, &done, catch_line, &t->c), -EAGAIN);
	assemble_echo(&t->a, 8 * MS, catch_line, &t->c);
	forget(&t->c);
	assert_int_equal(assemble_feed(&t->a, &in, &done, catch_line, &t->c), 0);
	assert_int_equal(t->c.count, 1);
	assert_int_equal(t->c.line[0].length, ASSEMBLE_LINE_MOST);
	assert_int_equal(t->c.line[0].superseded, 0);
}

static void test_oldest(void **state)
{
	struct test *t = *state;

	assert_null(pending_oldest(&t->a));
	feed(t, 1, 1, "a\bb");
	feed(t, 2, 2, "plain");
	assert_int_equal(pending_oldest(&t->a)->key.thread & UINT32_MAX, 1);
	feed(t, 1, 3, "\bc"); /* silence begins anew */
	assert_int_equal(pending_oldest(&t->a)->key.thread & UINT32_MAX, 2);
}

/* ---- checkpoints ---- */

static void test_save_and_load(void **state)
{
	struct test *t = *state;
	struct assembler other;
	struct assemble_bytes in = bytes_of(3, 7 * MS, "with\0nul", 8);
	char buffer[1024];
	int64_t n;
	unsigned at = 0;

	assert_int_equal(assemble_init(&other, ASSEMBLE_LIMIT, true), 0);
	assert_int_equal(assemble_load(&other, "", 0), 0);
	feed(t, 1, 5 * MS, "shown");
	assemble_echo(&t->a, 13 * MS, catch_line, &t->c);
	forget(&t->c);
	feed(t, 1, 14 * MS, " in part");
	feed(t, 2, 6 * MS, "10%\r20%");
	in.source = 4;
	in.detail = UINT32_MAX;
	feed_bytes(t, &in);
	n = assemble_save(&t->a, buffer, sizeof(buffer));
	assert_in_range(n, 28, sizeof(buffer));
	assert_int_equal(assemble_save(&t->a, buffer, (size_t)n - 1), -ENOSPC);
	assert_int_equal(assemble_save(&t->a, buffer, (size_t)n), n);
	assert_int_equal(assemble_load(&t->a, buffer, (size_t)n), -EBUSY);
	assert_int_equal(assemble_load(&other, buffer, (size_t)n), 0);
	assert_int_equal(other.pending_lines, 3);
	assert_int_equal(other.pending_bytes, t->a.pending_bytes);

	/* the times go on, and so does what is shown */
	assert_int_equal(assemble_end(&t->a, 0, catch_line, &t->c), 0);
	forget(&t->c);
	assemble_echo(&other, 15 * MS, catch_line, &t->c);
	expect(t, &at, " in part", false);
	assert_int_equal(t->c.line[0].shown, 5);
	assert_true(t->c.line[2].source == 4 || t->c.line[1].source == 4);
	forget(&t->c);
	at = 0;
	assert_true(assemble_deadline(&other) == 205 * MS);
	assert_int_equal(assemble_expire(&other, 207 * MS, 207 * MS, catch_line, &t->c), 0);
	expect(t, &at, "shown in part", false);
	assert_int_equal(t->c.line[0].shown, 13);
	assert_true(t->c.line[0].time_ns == 5 * MS);
	assert_int_equal(t->c.line[1].length, 8);
	assert_memory_equal(t->c.line[1].text, "with\0nul", 8);
	assert_true(t->c.line[1].detail == UINT32_MAX);
	assert_int_equal(t->c.count, 2);
	assert_true(assemble_deadline(&other) == 1006 * MS);
	assemble_fini(&other);
}

/* What a redraw has left of a line does not show any more that it is being redrawn. */
static void test_save_keeps_what_was_superseded(void **state)
{
	struct test *t = *state;
	struct assembler other;
	char *buffer = malloc(ASSEMBLE_LIMIT), *text = malloc(ASSEMBLE_LINE_MOST);
	struct assemble_bytes in = bytes_of(1, 0, text, ASSEMBLE_LINE_MOST - 2);
	int64_t n;

	assert_non_null(buffer);
	assert_non_null(text);
	memset(text, 'x', ASSEMBLE_LINE_MOST);
	assert_int_equal(assemble_init(&other, ASSEMBLE_LIMIT, false), 0);
	feed(t, 1, 0, "a\rx");
	feed_bytes(t, &in);
	assert_int_equal(t->a.pending_bytes, in.count + 1);
	n = assemble_save(&t->a, buffer, ASSEMBLE_LIMIT);
	assert_int_equal(assemble_load(&other, buffer, (size_t)n), 0);
	assert_true(assemble_deadline(&other) == 1000 * MS);
	assert_int_equal(assemble_end(&other, 0, catch_line, &t->c), 0);
	assert_int_equal(t->c.line[0].superseded, 2);
	assert_int_equal(t->c.line[0].length, in.count + 1);
	assemble_fini(&other);
	free(text);
	free(buffer);
}

/* As much as the limit allows can be saved in so many bytes, and loaded again. */
static void test_save_at_the_limit(void **state)
{
	struct test *t = *state;
	struct assembler other;
	char *buffer = malloc(ASSEMBLE_LIMIT);
	int64_t n;

	assert_non_null(buffer);
	assert_int_equal(assemble_init(&other, ASSEMBLE_LIMIT, false), 0);
	for (uint32_t tid = 0; !t->c.count; tid++)
		feed(t, tid, 0, "xyz");
	n = assemble_save(&t->a, buffer, ASSEMBLE_LIMIT);
	assert_in_range(n, ASSEMBLE_LIMIT - 256, ASSEMBLE_LIMIT);
	assert_int_equal(assemble_load(&other, buffer, (size_t)n), 0);
	assert_int_equal(other.pending_lines, t->a.pending_lines);
	assemble_fini(&other);
	free(buffer);
}

/* Each byte of a checkpoint changed, and each length: refused or taken, and never more than that. */
static void test_load_of_anything(void **state)
{
	static const unsigned char flips[] = { 1, 0x80, 0xff };
	struct test *t = *state;
	struct assembler other;
	char buffer[512], *copy;
	int64_t n;

	assert_int_equal(assemble_init(&other, 0, true), 0);
	feed(t, 1, 1, "first");
	feed(t, 2, 2, "second\rx");
	n = assemble_save(&t->a, buffer, sizeof(buffer));
	assert_in_range(n, 1, sizeof(buffer));
	for (int64_t length = 0; length <= n; length++) {
		copy = malloc(length ? (size_t)length : 1); /* so that ASan sees a read past it */
		assert_non_null(copy);
		memcpy(copy, buffer, (size_t)length);
		assert_int_equal(assemble_load(&other, copy, (size_t)length),
				 length && length < n ? -EINVAL : 0);
		assert_int_equal(other.pending_lines, length == n ? 2 : 0);
		assert_int_equal(assemble_end(&other, 0, catch_line, &t->c), 0);
		free(copy);
	}
	forget(&t->c);
	for (int64_t i = 0; i < n; i++)
		for (size_t k = 0; k < sizeof(flips); k++) {
			int error;

			buffer[i] ^= (char)flips[k];
			error = assemble_load(&other, buffer, (size_t)n);
			buffer[i] ^= (char)flips[k];
			assert_true(!error || error == -EINVAL);
			assert_int_equal(other.pending_lines, error ? 0 : 2);
			assemble_echo(&other, 0, catch_line, &t->c);
			forget(&t->c);
			assert_int_equal(assemble_expire(&other, 0, 0, catch_line, &t->c), 0);
			assert_int_equal(assemble_end(&other, 0, catch_line, &t->c), 0);
			assert_int_equal(other.pending_bytes, 0);
			for (unsigned at = 0; at < t->c.count; at++)
				assert_in_range(t->c.line[at].shown, 0, t->c.line[at].length);
			forget(&t->c);
		}
	assemble_fini(&other);
}

static void test_load_refuses(void **state)
{
	struct test *t = *state;
	struct assembler other;
	char buffer[512], *text;
	int64_t n;

	assert_int_equal(assemble_init(&other, 0, false), 0);
	feed(t, 1, 1, "same");
	feed(t, 2, 2, "same");
	n = assemble_save(&t->a, buffer, sizeof(buffer));
	text = memmem(buffer, (size_t)n, "same", 4);
	assert_non_null(text);
	text[3] = '\n'; /* a newline in a line without newline */
	assert_int_equal(assemble_load(&other, buffer, (size_t)n), -EINVAL);
	text[3] = 'e';
	assert_int_equal(assemble_load(&other, buffer, (size_t)n), 0);
	assert_int_equal(assemble_end(&other, 0, catch_line, &t->c), 0);
	/* the same writer twice: the second line's header begins as the first one's */
	memcpy(text + 4, buffer + 16, 16);
	assert_int_equal(assemble_load(&other, buffer, (size_t)n), -EINVAL);
	assert_int_equal(other.pending_lines, 0);
	assemble_fini(&other);
}

int main(void)
{
#define PLAIN(name) cmocka_unit_test_setup_teardown(name, case_setup, case_teardown)
#define CONSOLE(name) cmocka_unit_test_setup_teardown(name, case_setup_console, case_teardown)
	const struct CMUnitTest tests[] = {
		CONSOLE(test_echo),
		CONSOLE(test_echo_of_what_was_sent_on),
		CONSOLE(test_echo_refused),
		PLAIN(test_no_echo),
		CONSOLE(test_mirrored),
		PLAIN(test_last_state),
		PLAIN(test_superseded),
		CONSOLE(test_refused_is_not_superseded),
		PLAIN(test_oldest),
		CONSOLE(test_not_superseded_before_it_is_shown),
		CONSOLE(test_save_and_load),
		PLAIN(test_save_keeps_what_was_superseded),
		PLAIN(test_save_at_the_limit),
		CONSOLE(test_load_of_anything),
		PLAIN(test_load_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
