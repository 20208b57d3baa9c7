/* test_text.c - text.c: numbers, and that nothing is ever written beyond the buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/text.h"

/* Renders into a buffer of `room` bytes between two guards. */
#define BOUNDED(room, expected, is_cut, ...) do {                                 \
	char all_[64];                                                            \
	struct text t = text_in(all_ + 8, (room));                                \
	memset(all_, '~', sizeof(all_));                                          \
	__VA_ARGS__;                                                              \
	assert_int_equal(t.len, strlen(expected));                                \
	assert_memory_equal(all_ + 8, expected, strlen(expected));                \
	assert_int_equal(t.cut, is_cut);                                          \
	for (size_t i_ = 0; i_ < 8; i_++)                                         \
		assert_int_equal(all_[i_], '~');                                  \
	for (size_t i_ = 8 + (room); i_ < sizeof(all_); i_++)                     \
		assert_int_equal(all_[i_], '~');                                  \
} while (0)

static void numbers(void **state)
{
	(void)state;
	BOUNDED(40, "0", false, text_u64(&t, 0));
	BOUNDED(40, "9", false, text_u64(&t, 9));
	BOUNDED(40, "10", false, text_u64(&t, 10));
	BOUNDED(40, "99", false, text_u64(&t, 99));
	BOUNDED(40, "100", false, text_u64(&t, 100));
	BOUNDED(40, "9999", false, text_u64(&t, 9999));
	BOUNDED(40, "10000", false, text_u64(&t, 10000));
	BOUNDED(40, "18446744073709551615", false, text_u64(&t, UINT64_MAX));
	BOUNDED(40, "-9223372036854775808", false, text_i64(&t, INT64_MIN));
	BOUNDED(40, "9223372036854775807", false, text_i64(&t, INT64_MAX));
	BOUNDED(40, "-1", false, text_i64(&t, -1));
}

static void powers_of_ten(void **state)
{
	uint64_t value = 1;
	char expected[24] = "1";

	(void)state;
	for (size_t digits = 1; digits <= 19; digits++) {
		BOUNDED(40, expected, false, text_u64(&t, value));
		value *= 10;
		expected[digits] = '0';
		expected[digits + 1] = '\0';
	}
}

static void hexadecimal(void **state)
{
	(void)state;
	BOUNDED(40, "0", false, text_hex(&t, 0));
	BOUNDED(40, "f", false, text_hex(&t, 15));
	BOUNDED(40, "10", false, text_hex(&t, 16));
	BOUNDED(40, "7ffe0123abcd", false, text_hex(&t, 0x7ffe0123abcd));
	BOUNDED(40, "ffffffffffffffff", false, text_hex(&t, UINT64_MAX));
}

static void padded(void **state)
{
	(void)state;
	BOUNDED(40, "007", false, text_padded(&t, 7, 3));
	BOUNDED(40, "000000000", false, text_padded(&t, 0, 9));
	BOUNDED(40, "1234", false, text_padded(&t, 1234, 3));
	BOUNDED(40, "5", false, text_padded(&t, 5, 0));
	BOUNDED(40, "0000000000000000000000042", false, text_padded(&t, 42, 25));
}

static void cut(void **state)
{
	(void)state;
	BOUNDED(0, "", true, text_char(&t, 'x'));
	BOUNDED(0, "", false, text_bytes(&t, "", 0));
	BOUNDED(4, "abcd", false, text_str(&t, "abcd"));
	BOUNDED(4, "abcd", true, text_str(&t, "abcde"));
	BOUNDED(3, "123", true, text_u64(&t, 12345));
	BOUNDED(2, "-1", true, text_i64(&t, -12));
	BOUNDED(3, "abc", true, text_hex(&t, 0xabcd));
	BOUNDED(3, "000", true, text_padded(&t, 1, 30));
	BOUNDED(3, "ab1", true, text_str(&t, "ab"); text_u64(&t, 19); text_char(&t, '!'));
}

static void as_c_string(void **state)
{
	char buffer[4];
	struct text t = text_in(buffer, sizeof(buffer));

	(void)state;
	text_str(&t, "abc");
	assert_string_equal(text_cstr(&t), "abc");
	assert_false(t.cut);
	text_char(&t, 'd');
	assert_string_equal(text_cstr(&t), "abc");
	assert_true(t.cut);
	assert_int_equal(t.len, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(powers_of_ten),
		cmocka_unit_test(hexadecimal),
		cmocka_unit_test(padded),
		cmocka_unit_test(cut),
		cmocka_unit_test(as_c_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
