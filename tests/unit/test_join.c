/*
 * test_join.c - join.c: fragments by process, thread and descriptor, within limits, saved and loaded.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/collect/join.h"

static struct joiner all;
static char buffer[JOIN_LIMIT], piece[64 << 10];

static int fresh(void **state)
{
	(void)state;
	join_fini(&all);
	memset(&all, 0, sizeof all);
	memset(piece, 'p', sizeof piece);
	return 0;
}

static int release(void **state)
{
	(void)state;
	join_fini(&all);
	return all.count == 0 && all.saved_bytes == 0 ? 0 : -1;
}

static struct reader_record record(uint32_t pid, uint32_t tid, const char *text)
{
	return (struct reader_record){ .pid = pid, .tid = tid, .fd = 2, .payload = text,
				       .bytes = (uint32_t)strlen(text) };
}

static struct joined *add(const struct reader_record *r)
{
	return join_add(&all, join_find(&all, r), r, 3, 7);
}

static void expect(const struct reader_record *r, const char *text)
{
	const struct joined *j = join_find(&all, r);

	assert_non_null(j);
	assert_int_equal(j->bytes, strlen(text));
	assert_memory_equal(j->text, text, j->bytes);
}

static void test_by_writer(void **state)
{
	struct reader_record a = record(1, 1, "a"), b = record(1, 2, "b"), c = record(2, 1, "c"),
			     d = a;
	(void)state;

	d.fd = 3;
	d.payload = "d";
	for (int i = 0; i < 3; i++)
		assert_true(add(&a) && add(&b) && add(&c) && add(&d));
	assert_int_equal(all.count, 4);
	expect(&a, "aaa");
	expect(&b, "bbb");
	expect(&c, "ccc");
	expect(&d, "ddd");
	assert_ptr_equal(all.first, join_find(&all, &a)); /* touched longest ago */
	add(&a);
	assert_ptr_equal(all.first, join_find(&all, &b));
	assert_ptr_equal(join_of(&all, 2), join_find(&all, &c));
	assert_null(join_of(&all, 3));
	all.leaving = join_find(&all, &b);
	join_release(&all, all.leaving);
	assert_null(all.leaving);
	assert_null(join_find(&all, &b));
	expect(&a, "aaaa");
}

static void test_limits(void **state)
{
	struct reader_record r = { .pid = 1, .payload = piece, .bytes = sizeof piece };
	size_t kept = 0, used;
	(void)state;

	while (add(&r))
		kept += sizeof piece;
	assert_true(kept + sizeof piece > JOIN_LIMIT - 200 && kept < JOIN_LIMIT);
	assert_int_equal(join_find(&all, &r)->bytes, kept);
	r.pid = 2;
	assert_null(add(&r));
	assert_int_equal(all.count, 1);
	/* to the last byte of what join_save() may write */
	r.pid = 1;
	r.bytes = (uint32_t)(JOIN_LIMIT - all.saved_bytes);
	assert_non_null(add(&r));
	used = join_save(&all, buffer);
	assert_int_equal(used, JOIN_LIMIT);
	r.bytes = 1;
	assert_null(add(&r));
	join_fini(&all);
	for (uint32_t pid = 1; pid <= JOIN_MOST; pid++) {
		r.pid = pid;
		assert_non_null(add(&r));
	}
	r.pid = 0;
	assert_null(add(&r));
}

static void test_saved_and_loaded(void **state)
{
	struct reader_record a = record(1, 1, "first"), b = record(5, 6, "second"),
			     c = record(7, 7, "");
	struct joiner from;
	(void)state;

	assert_int_equal(join_save(&all, buffer), 0);
	a.flags = RECORD_MIRRORED;
	b.source = SOURCE_FD;
	b.detail = 9;
	assert_true(add(&a) && add(&b) && add(&c));
	all.leaving = join_find(&all, &b);
	all.leaving->passed = 3;
	size_t bytes = join_save(&all, buffer);
	assert_int_equal(bytes, all.saved_bytes);
	from = all;
	memset(&all, 0, sizeof all);
	assert_int_equal(join_load(&all, buffer, bytes, 9), 0);
	assert_int_equal(all.count, 3);
	assert_int_equal(all.saved_bytes, bytes);
	expect(&a, "first");
	expect(&b, "second");
	expect(&c, "");
	assert_true(join_find(&all, &a)->mirrored);
	assert_ptr_equal(all.leaving, join_find(&all, &b));
	assert_int_equal(all.leaving->passed, 3);
	assert_int_equal(all.first->touched_ns, 9);
	join_fini(&from);
}

/* Cut short anywhere, or with any byte spoilt: refused, or loaded within bounds. */
static void test_hostile_bytes(void **state)
{
	struct reader_record a = record(1, 1, "some text"), b = record(2, 2, "more of it");
	static char spoilt[512];
	(void)state;

	assert_true(add(&a) && add(&b));
	size_t bytes = join_save(&all, buffer);
	assert_true(bytes < sizeof spoilt);
	join_fini(&all);
	for (size_t cut = 0; cut < bytes; cut++) {
		char *exact = malloc(cut ? cut : 1); /* a step beyond it would be seen */
		memcpy(exact, buffer, cut);
		assert_int_equal(join_load(&all, exact, cut, 1), -EINVAL);
		assert_int_equal(all.count, 0);
		free(exact);
	}
	for (size_t at = 0; at < bytes; at++) {
		for (unsigned value = 0; value < 256; value += 51) {
			char *exact = malloc(bytes);
			memcpy(exact, buffer, bytes);
			exact[at] = (char)value;
			if (join_load(&all, exact, bytes, 1) == 0)
				for (struct joined *j = all.first; j; j = j->next)
					assert_true(j->passed <= j->bytes && j->bytes < 32);
			assert_true(all.saved_bytes <= bytes);
			join_fini(&all);
			free(exact);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_by_writer, fresh, release),
		cmocka_unit_test_setup_teardown(test_limits, fresh, release),
		cmocka_unit_test_setup_teardown(test_saved_and_loaded, fresh, release),
		cmocka_unit_test_setup_teardown(test_hostile_bytes, fresh, release),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
