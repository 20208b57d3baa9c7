/* test_trace_windows.c - reading traces whose segments are copied and written over: by who was killed in the
 * midst of it, and by who goes on meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/utsname.h>

#include "lib/profile/cursor.h"
#include "tests/unit/trace_case.h"

enum { CALLS = 1500, PART = TRACE_SEGMENT_LEAST }; /* more than fit into one */

struct home {
	char top[TRACE_CASE_TOP];
	struct trace_case c;
	struct trace_dir dir;
	char why[256];
	struct cursor cursor;
};

static int set_up(void **state)
{
	struct home *h = calloc(1, sizeof *h);

	*state = h;
	return trace_case_home(&h->c, h->top);
}

static int tear_down(void **state)
{
	struct home *h = *state;
	int result = trace_case_gone(h->top);

	free(h);
	return result;
}

/* Of this very process, which goes on. */
static void make_it_live(struct home *h)
{
	struct utsname machine;
	char program[512] = "";

	assert_int_equal(uname(&machine), 0);
	assert_true(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
	fprintf(h->c.identity, "host=%s\n", machine.nodename);
	fprintf(h->c.events, "image n=1 pid=%d ticks=%llu path=%s comm=program parent=0\n",
		getpid(), (unsigned long long)TRACE_CASE_TICKS, program);
	h->c.image = 1;
}

/* Its calls, in part 0 and part 1. */
static struct trace_case_thread make_calls(struct home *h)
{
	struct trace_case_thread t = trace_case_thread(&h->c, 1, 1, getpid());

	for (int i = 0; i < CALLS; i++)
		trace_case_script(&t, "f( ) +9");
	trace_case_cut(&t);
	return t;
}

static void write_at(struct home *h, off_t at, const void *bytes, size_t count)
{
	FILE *file = trace_case_file(&h->c, TRACE_IMAGE "1", "r+");

	assert_int_equal(fseek(file, at, SEEK_SET), 0);
	assert_int_equal(fwrite(bytes, 1, count, file), count);
	assert_int_equal(fclose(file), 0);
}

static const void *first_part(struct home *h)
{
	static uint32_t part[PART / 4];
	FILE *file = trace_case_file(&h->c, TRACE_IMAGE "1", "r");

	assert_int_equal(fread(part, 1, sizeof part, file), sizeof part);
	fclose(file);
	return part;
}

static void append(struct home *h, const void *bytes, size_t count)
{
	FILE *file = trace_case_file(&h->c, TRACE_IMAGE "1", "a");

	assert_int_equal(fwrite(bytes, 1, count, file), count);
	assert_int_equal(fclose(file), 0);
}

static void open_it(struct home *h)
{
	assert_int_equal(trace_dir_open(&h->dir, h->c.dir, h->why, sizeof h->why), 0);
	assert_int_equal(h->dir.thread_count, 1);
	assert_int_equal(cursor_open(&h->cursor, &h->dir, h->dir.threads, 1), 0);
}

static unsigned entries(struct home *h, unsigned most)
{
	struct record record;
	enum record_kind kind;
	unsigned count = 0;

	while (count < most && (kind = cursor_next(&h->cursor, &record)) != RECORD_END)
		count += kind == RECORD_ENTRY;
	return count;
}

static void close_it(struct home *h)
{
	cursor_close(&h->cursor);
	trace_dir_close(&h->dir);
}

/* What stands in a part that is used again, before all of it is. */
static void spoil_first(struct home *h, uint32_t kind, uint32_t part)
{
	static uint32_t words[PART / 4];

	memset(words, 0xff, sizeof words);
	memcpy(words, first_part(h), sizeof(struct trace_segment));
	struct trace_segment *head = (struct trace_segment *)words;
	head->kind = kind;
	head->part = part;
	write_at(h, 0, words, sizeof words);
}

/* ---- killed ------------------------------------------------------------------------------------ */

static void killed_while_it_was_copied(void **state)
{
	static const size_t cuts[] = { 64, sizeof(struct trace_segment), 5000, PART };
	struct home *h = *state;

	trace_case_image(&h->c, 1, 0);
	make_calls(h);
	trace_case_close(&h->c);
	const void *part = first_part(h);
	for (unsigned i = 0; i < sizeof cuts / sizeof *cuts; i++) {
		append(h, part, cuts[i]);
		open_it(h);
		assert_true(h->dir.bytes == 2 * PART);
		assert_int_equal(entries(h, UINT32_MAX), CALLS);
		assert_true(h->cursor.done == h->dir.bytes);
		assert_int_equal(h->dir.torn, 0);
		close_it(h);
		char path[600];
		snprintf(path, sizeof path, "%s/" TRACE_IMAGE "1", h->c.dir);
		assert_int_equal(truncate(path, 2 * PART), 0);
	}
}

static void killed_while_it_was_cleared(void **state)
{
	struct home *h = *state;

	trace_case_image(&h->c, 1, 0);
	make_calls(h);
	trace_case_close(&h->c);
	append(h, first_part(h), PART);
	spoil_first(h, TRACE_AGAIN, 0);
	open_it(h);
	assert_int_equal(entries(h, UINT32_MAX), CALLS);
	assert_int_equal(h->dir.torn, 0);
	close_it(h);
}

/* ---- alive ------------------------------------------------------------------------------------- */

static void written_over_while_it_is_read(void **state)
{
	struct home *h = *state;

	make_it_live(h);
	make_calls(h);
	trace_case_close(&h->c);
	for (int again = 0; again < 2; again++) {
		const void *part = first_part(h);
		uint32_t saved[PART / 4];
		memcpy(saved, part, sizeof saved);
		open_it(h);
		assert_int_equal(entries(h, 10), 10);
		append(h, saved, PART);
		spoil_first(h, again ? TRACE_AGAIN : TRACE_RECORDS, again ? 0 : 2);
		assert_int_equal(entries(h, UINT32_MAX), CALLS - 10);
		assert_int_equal(h->dir.torn, 0);
		close_it(h);
		write_at(h, 0, saved, PART);
	}
}

static void written_over_and_gone(void **state)
{
	struct home *h = *state;

	make_it_live(h);
	make_calls(h);
	trace_case_close(&h->c);
	open_it(h);
	assert_int_equal(entries(h, 10), 10);
	spoil_first(h, TRACE_RECORDS, 2);
	assert_true(entries(h, UINT32_MAX) < CALLS - 10);
	assert_in_range(h->dir.torn, 1, 2);
	assert_non_null(strstr(h->dir.trouble, "newer"));
	close_it(h);
}

/* A part that was copied behind us while we looked at the others. */
static void newer_than_what_was_seen(void **state)
{
	struct home *h = *state;

	make_it_live(h);
	struct trace_case_thread t = make_calls(h);
	t.head.part++;
	trace_case_script(&t, "g( )");
	trace_case_cut(&t);
	trace_case_close(&h->c);
	open_it(h);
	assert_int_equal(entries(h, UINT32_MAX), CALLS);
	assert_int_equal(h->dir.torn, 0);
	assert_true(h->cursor.done == h->dir.bytes);
	close_it(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		CASE(killed_while_it_was_copied),
		CASE(killed_while_it_was_cleared),
		CASE(written_over_while_it_is_read),
		CASE(written_over_and_gone),
		CASE(newer_than_what_was_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
