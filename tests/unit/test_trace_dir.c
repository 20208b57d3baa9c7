/* test_trace_dir.c - trace_dir.c, trace_text.c, cursor.c: whole traces, other versions, torn ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "lib/profile/cursor.h"
#include "tests/unit/trace_case.h"

struct home {
	char top[TRACE_CASE_TOP];
	struct trace_case c;
	struct trace_dir dir;
	char why[256];
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

static void write_over(const struct home *h, const char *name, const char *text)
{
	FILE *file = trace_case_file(&h->c, name, "w");

	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static int opened(struct home *h)
{
	return trace_dir_open(&h->dir, h->c.dir, h->why, sizeof h->why);
}

static struct trace_case_thread a_thread(struct home *h, const char *script)
{
	unsigned image = h->c.image ? h->c.image : trace_case_image(&h->c, 1, 0);
	struct trace_case_thread t = trace_case_thread(&h->c, image, 1, 7);

	trace_case_script(&t, script);
	return t;
}

/* The kinds of a thread's records, a letter each. */
static const char *letters(struct home *h, const struct trace_thread *thread)
{
	static char text[512];
	struct cursor cursor;
	struct record record;
	enum record_kind kind;
	size_t n = 0;

	assert_int_equal(cursor_open(&cursor, &h->dir, thread, 1), 0);
	while ((kind = cursor_next(&cursor, &record)) != RECORD_END && n < sizeof text - 1)
		text[n++] = kind == RECORD_PART && record.torn ? '!' : "-p()xu@ogzs"[kind];
	text[n] = '\0';
	cursor_close(&cursor);
	return text;
}

/* ---- identity ---------------------------------------------------------------------------------- */

static void identity(void **state)
{
	struct home *h = *state;

	trace_case_close(&h->c);
	assert_int_equal(opened(h), 0);
	assert_string_equal(h->dir.mode, "trace");
	assert_string_equal(h->dir.command, "program with words");
	assert_string_equal(h->dir.host, "nowhere");
	assert_int_equal(h->dir.pid, 100);
	assert_int_equal(h->dir.torn, 0);
	assert_int_equal(h->dir.thread_count, 0);
	assert_true(trace_dir_ns(&h->dir, TRACE_CASE_TICKS + 5) == TRACE_CASE_UTC + 5);
	assert_true(trace_dir_ns(&h->dir, TRACE_CASE_TICKS - 5) == TRACE_CASE_UTC - 5);
	trace_dir_close(&h->dir);
}

static void no_trace(void **state)
{
	struct home *h = *state;
	char path[600];

	trace_case_close(&h->c);
	assert_int_equal(trace_dir_open(&h->dir, "/nowhere/x", h->why, sizeof h->why), -ENOENT);
	assert_non_null(strstr(h->why, "hark run --stamp trace"));
	snprintf(path, sizeof path, "%s/" TRACE_IDENTITY, h->c.dir);
	assert_int_equal(trace_dir_open(&h->dir, path, h->why, sizeof h->why), -ENOTDIR);
	assert_int_equal(remove(path), 0);
	assert_int_equal(opened(h), -ENOENT);
	assert_non_null(strstr(h->why, h->c.dir));
}

static void other_versions_are_refused(void **state)
{
	struct home *h = *state;

	trace_case_close(&h->c);
	write_over(h, TRACE_IDENTITY, "hark-trace=2\nmode=trace\n");
	assert_int_equal(opened(h), -EPROTO);
	assert_non_null(strstr(h->why, "version 2"));
	assert_non_null(strstr(h->why, "version 1"));
	write_over(h, TRACE_IDENTITY, "hark-trace=\n");
	assert_int_equal(opened(h), -EPROTO);
	write_over(h, TRACE_IDENTITY, "mode=trace\nhark-trace=1\n");
	assert_int_equal(opened(h), -EPROTO);
	assert_non_null(strstr(h->why, "no trace of hark's"));
	write_over(h, TRACE_IDENTITY, "");
	assert_int_equal(opened(h), -EPROTO);
}

/* Two ticks a nanosecond and a half; the pair of the header decides. */
static void the_counter_has_a_rate(void **state)
{
	struct home *h = *state;
	struct trace_case_thread t = a_thread(h, "f( )");

	t.head.ticks = 1000 + 3000000;
	t.head.monotonic_ns = 500 + 2000000;
	trace_case_cut(&t);
	trace_case_close(&h->c);
	write_over(h, TRACE_IDENTITY,
		   "hark-trace=1\ncounter=1\nticks=1000\nmonotonic_ns=500\nrealtime_ns=7000\n");
	assert_int_equal(opened(h), 0);
	assert_true(trace_dir_ns(&h->dir, 1000) == 7000);
	assert_true(trace_dir_ns(&h->dir, 1000 + 3000) == 9000);
	trace_dir_close(&h->dir);
	/* a later one in `events` is believed before it */
	write_over(h, TRACE_EVENTS, "clock ticks=9001000 monotonic_ns=3000500\n");
	assert_int_equal(opened(h), 0);
	assert_true(trace_dir_ns(&h->dir, 1000 + 3000) == 8000);
	trace_dir_close(&h->dir);
}

/* ---- events ------------------------------------------------------------------------------------ */

static void events(void **state)
{
	struct home *h = *state;

	trace_case_close(&h->c);
	write_over(h, TRACE_EVENTS,
		   "image n=2 pid=20 ticks=3 path=/a%20b%25c comm=%C3%A4 parent=1\n"
		   "some-day what=ever\n"
		   "image n=1 pid=10\n"
		   "module image=1 n=3 base=7f00deadbeef bytes=1000 build=c0ffee ticks=9 "
		   "path=/lib/x.so\n"
		   "unload image=1 n=3 ticks=12\n"
		   "module image=1 n=9999 base=1 path=/far\n"
		   "module image=5 n=1 base=10 path=/early\n"
		   "muted image=1 module=3 offset=1f calls=7 ticks=5\n"
		   "gap image=2 tid=21 ticks=6 reason=disk\n"
		   "module image=1 n=1 base=zzz\n"
		   "module image=1 n=2 base=40 path=/cut");
	assert_int_equal(opened(h), 0);
	const struct trace_dir *d = &h->dir;
	assert_int_equal(d->image_count, 3);
	assert_int_equal(d->images[0].pid, 10);
	assert_string_equal(d->images[1].path, "/a b%c");
	assert_string_equal(d->images[1].comm, "ä");
	assert_int_equal(d->images[1].parent, 1);
	const struct trace_module *m = trace_dir_module(&d->images[0], 3);
	assert_true(m->base == 0x7f00deadbeef && m->bytes == 0x1000);
	assert_true(m->loaded == 9 && m->unloaded == 12);
	assert_string_equal(m->build_id, "c0ffee");
	assert_null(trace_dir_module(&d->images[0], 0));
	assert_null(trace_dir_module(&d->images[0], 2));
	assert_null(trace_dir_module(&d->images[0], 4));
	assert_string_equal(trace_dir_module(&d->images[2], 1)->path, "/early");
	assert_int_equal(d->note_count, 2);
	assert_true(d->notes[0].offset == 0x1f && d->notes[0].calls == 7);
	assert_true(d->notes[1].gap == TRACE_GAP_DISK && d->notes[1].tid == 21);
	assert_int_equal(d->torn, 2); /* a number that cannot be, a base that is none */
	trace_dir_close(&h->dir);
}

/* ---- segments ---------------------------------------------------------------------------------- */

static void spoil(const struct home *h, off_t at, const void *bytes, size_t count)
{
	char path[600];

	snprintf(path, sizeof path, "%s/" TRACE_IMAGE "1", h->c.dir);
	int fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, bytes, count, at), (ssize_t)count);
	close(fd);
}

static void segments_in_any_order(void **state)
{
	struct home *h = *state;
	struct trace_case_thread t = a_thread(h, "a(");
	struct trace_case_thread other = trace_case_thread(&h->c, 1, 2, 8);

	trace_case_script(&other, "b( )");
	t.head.part = 1;
	trace_case_cut(&t);
	trace_case_cut(&other);
	trace_case_script(&t, ") )");
	t.head.part = 0;
	trace_case_cut(&t);
	trace_case_close(&h->c);
	assert_int_equal(opened(h), 0);
	assert_int_equal(h->dir.thread_count, 2);
	assert_int_equal(h->dir.threads[0].tid, 7);
	assert_string_equal(letters(h, &h->dir.threads[0]), "p))p(");
	assert_string_equal(letters(h, &h->dir.threads[1]), "p()");
	assert_int_equal(h->dir.bytes, 3 * TRACE_SEGMENT_LEAST);
	assert_int_equal(h->dir.torn, 0);
	trace_dir_close(&h->dir);
}

static void a_spoilt_header_loses_its_segment_alone(void **state)
{
	struct home *h = *state;
	struct trace_case_thread t = a_thread(h, "a( cut b( cut c(");

	trace_case_cut(&t);
	trace_case_close(&h->c);
	spoil(h, TRACE_SEGMENT_LEAST, "rubbish!", 8);
	assert_int_equal(opened(h), 0);
	assert_string_equal(letters(h, &h->dir.threads[0]), "p(!(");
	assert_int_equal(h->dir.torn, 1);
	assert_non_null(strstr(h->dir.trouble, "16384"));
	trace_dir_close(&h->dir);
}

static void room_that_was_never_used(void **state)
{
	struct home *h = *state;
	struct trace_case_thread t = a_thread(h, "a( hole:40 )");
	char path[600];

	trace_case_cut(&t);
	trace_case_close(&h->c);
	snprintf(path, sizeof path, "%s/" TRACE_IMAGE "1", h->c.dir);
	assert_int_equal(truncate(path, INT64_C(1) << 40), 0);
	assert_int_equal(opened(h), 0);
	assert_string_equal(letters(h, &h->dir.threads[0]), "p()");
	assert_int_equal(h->dir.torn, 0);
	trace_dir_close(&h->dir);
}

/* What cannot be a record ends its segment; the next one is read, and told to be apart. */
static void torn_records(void **state)
{
	static const uint32_t bad[][2] = {
		{ 5 },                                         /* no kind */
		{ TRACE_LONG_WORD(TRACE_GAP, 0, 0) },          /* no length */
		{ TRACE_LONG_WORD(TRACE_GAP, 4, 0) },          /* too short for what it is */
		{ TRACE_LONG_WORD(TRACE_HOME, 1, 0) },
	};
	struct home *h = *state;
	const size_t records = sizeof(struct trace_segment);
	struct trace_case_thread t = a_thread(h, "a( b( c( cut d(");

	trace_case_cut(&t);
	trace_case_close(&h->c);
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		spoil(h, (off_t)records + 8, bad[i], 8);
		assert_int_equal(opened(h), 0);
		assert_string_equal(letters(h, &h->dir.threads[0]), "p(!(");
		assert_int_equal(h->dir.torn, 1);
		trace_dir_close(&h->dir);
	}
	/* one of a type that is not known yet is stepped over */
	const uint32_t later[2] = { TRACE_LONG_WORD(31, 2, 7), 99 };
	spoil(h, (off_t)records + 8, later, 8);
	assert_int_equal(opened(h), 0);
	assert_string_equal(letters(h, &h->dir.threads[0]), "p((p(");
	trace_dir_close(&h->dir);
}

static void cut_off(void **state)
{
	struct home *h = *state;
	struct trace_case_thread t = a_thread(h, "a( ) b(");
	char path[600];

	trace_case_cut(&t);
	trace_case_close(&h->c);
	snprintf(path, sizeof path, "%s/" TRACE_IMAGE "1", h->c.dir);
	/* within the last entry: its second word is gone */
	assert_int_equal(truncate(path, sizeof(struct trace_segment) + 8 + 4 + 4), 0);
	assert_int_equal(opened(h), 0);
	assert_string_equal(letters(h, &h->dir.threads[0]), "p()");
	assert_in_range(h->dir.torn, 1, 2);
	trace_dir_close(&h->dir);
}

/* All that fits into small buffers, in records that lie across their edges. */
static void longer_than_the_buffer(void **state)
{
	struct home *h = *state;
	struct trace_case_thread t = a_thread(h, "");
	struct cursor cursor;
	struct record record;
	enum record_kind kind;
	unsigned stamps = 0, entries = 0;

	for (unsigned i = 0; i < 3000; i++)
		trace_case_script(&t, i % 7 ? "f( ) +9" : "stamp:some-text-of-a-length +300000000");
	trace_case_cut(&t);
	trace_case_close(&h->c);
	assert_int_equal(opened(h), 0);
	assert_int_equal(cursor_open(&cursor, &h->dir, &h->dir.threads[0], 1), 0);
	while ((kind = cursor_next(&cursor, &record)) != RECORD_END) {
		entries += kind == RECORD_ENTRY;
		if (kind != RECORD_STAMP)
			continue;
		stamps++;
		assert_int_equal(record.text_bytes, strlen("some-text-of-a-length"));
		assert_memory_equal(record.text, "some-text-of-a-length", record.text_bytes);
	}
	assert_int_equal(stamps, 429);
	assert_int_equal(entries, 3000 - 429);
	/* what passed behind the last record is not there */
	assert_true(cursor.ticks ==
		    TRACE_CASE_TICKS + 429 * UINT64_C(300000000) + (3000 - 429) * UINT64_C(9) - 9);
	assert_true(cursor.done == h->dir.bytes);
	cursor_close(&cursor);
	assert_int_equal(h->dir.torn, 0);
	trace_dir_close(&h->dir);
}

static void links_are_not_followed(void **state)
{
	struct home *h = *state;
	char path[600];

	trace_case_close(&h->c);
	snprintf(path, sizeof path, "%s/" TRACE_IMAGE "1", h->c.dir);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_int_equal(opened(h), 0);
	assert_int_equal(h->dir.torn, 1);
	assert_int_equal(h->dir.thread_count, 0);
	trace_dir_close(&h->dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		CASE(identity),
		CASE(no_trace),
		CASE(other_versions_are_refused),
		CASE(the_counter_has_a_rate),
		CASE(events),
		CASE(segments_in_any_order),
		CASE(a_spoilt_header_loses_its_segment_alone),
		CASE(room_that_was_never_used),
		CASE(torn_records),
		CASE(cut_off),
		CASE(longer_than_the_buffer),
		CASE(links_are_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
