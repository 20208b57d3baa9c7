/* test_symbols_table.c - functions that overlap, share addresses, have no size, or claim too much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "lib/image/symbols_table.h"

static const struct symbols_range code[] = { { 0x100, 0x200 }, { 0x300, 0x400 } };

static void order(struct symbols_table *t)
{
	symbols_table_order(t, code, 2);
}

static const char *at(const struct symbols_table *t, uint64_t offset)
{
	const struct symbols_entry *entry = symbols_table_find(t, offset);

	return !entry ? "-" : entry->linkage ? entry->linkage : "?";
}

static void add(struct symbols_table *t, uint64_t start, uint64_t bytes, const char *name,
		unsigned rank)
{
	assert_int_equal(symbols_table_add(t, start, bytes, name, rank), 0);
}

static void finds_the_innermost(void **state)
{
	struct symbols_table t = { 0 };

	(void)state;
	assert_string_equal(at(&t, 0), "-");
	add(&t, 0x110, 0x40, "outer", 0);
	add(&t, 0x120, 0x10, "inner", 0);
	add(&t, 0x160, 0x10, "after", 0);
	order(&t);
	assert_string_equal(at(&t, 0x10f), "-");
	assert_string_equal(at(&t, 0x110), "outer");
	assert_string_equal(at(&t, 0x12f), "inner");
	assert_string_equal(at(&t, 0x130), "outer");
	assert_string_equal(at(&t, 0x150), "-");
	assert_string_equal(at(&t, 0x16f), "after");
	assert_string_equal(at(&t, 0x170), "-");
	symbols_table_fini(&t);
}

static void without_size_up_to_the_next(void **state)
{
	struct symbols_table t = { 0 };

	(void)state;
	add(&t, 0x110, 0, "first", 0);
	add(&t, 0x140, 0x20, "second", 0);
	add(&t, 0x150, 0, "within", SYMBOLS_RANK_LOCAL);
	add(&t, 0x158, 0, "label", SYMBOLS_RANK_LABEL);
	add(&t, 0x1f0, 0, "last", 0);
	order(&t);
	assert_string_equal(at(&t, 0x13f), "first");
	assert_string_equal(at(&t, 0x14f), "second");
	assert_string_equal(at(&t, 0x15f), "within"); /* a label within another is none */
	assert_string_equal(at(&t, 0x160), "-");      /* no further than what it lies in */
	assert_string_equal(at(&t, 0x1ff), "last");
	assert_string_equal(at(&t, 0x200), "-");      /* where the code ends */
	symbols_table_fini(&t);
}

static void unwind_entries_that_begin_early(void **state)
{
	struct symbols_table t = { 0 };

	(void)state;
	add(&t, 0x10f, 0x0a, NULL, SYMBOLS_RANK_UNWIND);
	add(&t, 0x110, 0, "__restore_rt", SYMBOLS_RANK_LOCAL);
	add(&t, 0x120, 0x40, "next", 0);
	add(&t, 0x170, 0x01, NULL, SYMBOLS_RANK_UNWIND);
	add(&t, 0x171, 0x10, "after", 0);
	order(&t);
	assert_string_equal(at(&t, 0x10f), "__restore_rt");
	assert_string_equal(at(&t, 0x118), "__restore_rt");
	assert_string_equal(at(&t, 0x119), "-");
	assert_string_equal(at(&t, 0x170), "?"); /* another one that ends there */
	assert_string_equal(at(&t, 0x171), "after");
	symbols_table_fini(&t);
}

static void unwind_entries_fill_gaps(void **state)
{
	struct symbols_table t = { 0 };

	(void)state;
	add(&t, 0x110, 0x10, "sized", 0);
	add(&t, 0x110, 0x80, NULL, SYMBOLS_RANK_UNWIND); /* believed less than the symbol */
	add(&t, 0x118, 0x08, NULL, SYMBOLS_RANK_UNWIND); /* a part of it */
	add(&t, 0x140, 0, "unsized", 0);
	add(&t, 0x140, 0x30, NULL, SYMBOLS_RANK_UNWIND); /* also of its neighbour */
	add(&t, 0x150, 0, "neighbour", SYMBOLS_RANK_LABEL);
	add(&t, 0x180, 0x20, NULL, SYMBOLS_RANK_UNWIND);
	order(&t);
	assert_int_equal(t.count, 4);
	assert_string_equal(at(&t, 0x118), "sized");
	assert_string_equal(at(&t, 0x120), "-");
	assert_string_equal(at(&t, 0x14f), "unsized");
	assert_int_equal(symbols_table_find(&t, 0x140)->bytes, 0x10);
	assert_string_equal(at(&t, 0x150), "neighbour");
	assert_string_equal(at(&t, 0x19f), "?");
	assert_string_equal(at(&t, 0x1a0), "-");
	order(&t); /* again: the same */
	assert_int_equal(t.count, 4);
	assert_string_equal(at(&t, 0x14f), "unsized");
	symbols_table_fini(&t);
}

static void the_best_of_an_address(void **state)
{
	struct symbols_table t = { 0 };

	(void)state;
	add(&t, 0x110, 0x20, "local", SYMBOLS_RANK_LOCAL);
	add(&t, 0x110, 0x10, "w", SYMBOLS_RANK_WEAK);
	add(&t, 0x110, 0x10, "__global", 0);
	add(&t, 0x110, 0x10, "longer_global", 0);
	add(&t, 0x110, 0x10, "global", 0);
	add(&t, 0x110, 0x10, "i", SYMBOLS_RANK_IFUNC);
	add(&t, 0x150, 0x10, "write@@V9", 0);
	add(&t, 0x150, 0x10, "write_", 0);
	add(&t, 0x170, 0x10, "_Z1f", 0);
	add(&t, 0x170, 0x10, "_f", 0);
	order(&t);
	assert_int_equal(t.count, 3);
	assert_string_equal(at(&t, 0x110), "global");
	assert_string_equal(at(&t, 0x12f), "global"); /* as long as the longest */
	assert_string_equal(at(&t, 0x150), "write@@V9");
	assert_string_equal(at(&t, 0x170), "_Z1f");
	symbols_table_fini(&t);
}

static void claims_that_cannot_be(void **state)
{
	struct symbols_table t = { 0 };

	(void)state;
	add(&t, 0x110, UINT64_MAX, "all", 0);
	add(&t, UINT64_MAX, UINT64_MAX, "beyond", 0);
	add(&t, UINT64_MAX - 1, 0, "end", 0);
	for (uint64_t i = 0; i < 100000; i++)
		add(&t, 0x200 + i, 200000 - 2 * i, "nested", 0);
	order(&t);
	assert_string_equal(at(&t, 0x110), "all");
	assert_string_equal(at(&t, UINT64_MAX - 1), "end");
	for (uint64_t i = 0; i < 100000; i++)
		(void)symbols_table_find(&t, 0x200 + 100000 + i);
	symbols_table_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_innermost),
		cmocka_unit_test(without_size_up_to_the_next),
		cmocka_unit_test(unwind_entries_fill_gaps),
		cmocka_unit_test(unwind_entries_that_begin_early),
		cmocka_unit_test(the_best_of_an_address),
		cmocka_unit_test(claims_that_cannot_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
