/* test_json.c - json.c: what the tools print can be read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/json.h"

static char *out;
static size_t out_bytes;

static FILE *open_out(void)
{
	return open_memstream(&out, &out_bytes);
}

static void expect(FILE *f, const char *expected)
{
	fclose(f);
	assert_string_equal(out, expected);
	free(out);
}

static void strings(void **state)
{
	FILE *f = open_out();

	(void)state;
	emit_string(f, "");
	emit_string(f, NULL);
	emit_string(f, "a\"b\\c\n\x01");
	emit_string(f, "\xff\xc3\xa9");
	expect(f, "\"\"null\"a\\\"b\\\\c\\n\\u0001\"\"\\ufffd\xc3\xa9\"");
}

static void long_ones(void **state)
{
	/* Pieces must not cut a character: 1 + 3 * 300 bytes has every phase. */
	char text[1 + 3 * 300 + 1] = "x", expected[sizeof text + 2] = "\"";

	(void)state;
	for (unsigned i = 0; i < 300; i++)
		memcpy(text + 1 + 3 * i, "\xe2\x82\xac", 4);
	strcat(strcat(expected, text), "\"");
	for (unsigned shift = 0; shift < 2; shift++) {
		FILE *f = open_out();
		emit_string(f, text + shift);
		if (shift)
			memmove(expected + 1, expected + 2, sizeof expected - 2);
		expect(f, expected);
	}
}

static void continuation_bytes_alone(void **state)
{
	char text[1000];
	FILE *f = open_out();

	(void)state;
	memset(text, 0x80, sizeof text - 1);
	text[sizeof text - 1] = '\0';
	emit_string(f, text);
	fclose(f);
	assert_int_equal(out_bytes, 2 + 999 * 6);
	free(out);
}

static void pairs(void **state)
{
	FILE *f = open_out();

	(void)state;
	emit_number(f, "{", "n", UINT64_MAX);
	emit_pair(f, ",", "s", "v");
	emit_time(f, ",", "t", UINT64_C(1709208000123456789));
	emit_time(f, ",", "u", 5);
	expect(f,
	       "{\"n\":18446744073709551615,\"s\":\"v\",\"t\":\"2024-02-29T12:00:00.123456789Z\","
	       "\"u\":\"1970-01-01T00:00:00.000000005Z\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings),
		cmocka_unit_test(long_ones),
		cmocka_unit_test(continuation_bytes_alone),
		cmocka_unit_test(pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
