/* test_units.c - units.c: figures in four digits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/units.h"

static void durations(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{ 0, "0 ns" }, { 1, "1 ns" }, { 999, "999 ns" }, { 1000, "1.000 us" },
		{ 1234, "1.234 us" }, { 12345, "12.35 us" }, { 99994, "99.99 us" },
		{ 99996, "100.0 us" }, { 123456, "123.5 us" }, { 999949, "999.9 us" },
		{ 999960, "1.000 ms" }, { 12345678, "12.35 ms" }, { 999960000, "1.000 s" },
		{ UINT64_C(4321000000000), "4321 s" },
		{ UINT64_MAX, "18446744074 s" },
	};
	char text[UNITS_TEXT];

	(void)state;
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(units_ns(text, cases[i].ns), cases[i].text);
}

static void counts(void **state)
{
	char text[UNITS_TEXT];

	(void)state;
	assert_string_equal(units_count(text, 0), "0");
	assert_string_equal(units_count(text, 999), "999");
	assert_string_equal(units_count(text, 1000), "1,000");
	assert_string_equal(units_count(text, 12345678), "12,345,678");
	assert_string_equal(units_count(text, UINT64_MAX), "18446744073709551615");
}

static void bytes(void **state)
{
	char text[UNITS_TEXT];

	(void)state;
	assert_string_equal(units_bytes(text, 0), "0 B");
	assert_string_equal(units_bytes(text, 1023), "1023 B");
	assert_string_equal(units_bytes(text, 1024), "1.000 KiB");
	assert_string_equal(units_bytes(text, 12950962), "12.35 MiB");
	assert_string_equal(units_bytes(text, (1 << 30) - 1), "1.000 GiB");
	assert_string_equal(units_bytes(text, UINT64_C(1) << 50), "1024 TiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),
		cmocka_unit_test(counts),
		cmocka_unit_test(bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
