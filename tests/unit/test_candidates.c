/*
 * test_candidates.c - where severity words may stand: against the same said byte by byte.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/message/candidates.h"

/* The byte at i as the functions of ctype.h want it, in the C locale. */
static int byte_at(const char *s, size_t length, size_t i)
{
	return i < length && i < INFER_SCAN ? (unsigned char)s[i] : 0;
}

static uint64_t plainly(const char *s, size_t length)
{
	uint64_t places = 0;

	for (size_t i = 0; i < INFER_SCAN; i++) {
		int c = byte_at(s, length, i), before = i ? byte_at(s, length, i - 1) : 0;
		int after = byte_at(s, length, i + 1);
		uint64_t bit = (uint64_t)1 << i;

		if (c == '[' || c == '(' || c == '<')
			places |= bit;
		if ((c == ':' || c == '=') && isalpha(before))
			places |= bit;
		if (isupper(c) && isupper(after) && !isalnum(before) && before != '_')
			places |= bit;
	}
	return places;
}

static void check(const char *s, size_t length)
{
	const size_t seen = length < INFER_SCAN ? length : INFER_SCAN;
	bool colored;

	assert_true(candidates_find(s, length, &colored) == plainly(s, length));
	assert_int_equal(colored, memchr(s, '\x1b', seen) != NULL);
}

static void test_every_pair_of_bytes(void **state)
{
	(void)state;
	for (int first = 0; first < 256; first++)
		for (int second = 0; second < 256; second++) {
			char s[3] = { (char)first, (char)second, 'A' };

			check(s, 2);
			check(s, 3);
		}
}

static void test_every_place_and_length(void **state)
{
	static const char *const parts[] = {
		"AB", " AB", "a:", "a=", "[", "(", "<", "\x1b", "_AB"
	};

	(void)state;
	for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++)
		for (size_t at = 0; at < 80; at++) {
			size_t length = at + strlen(parts[k]);
			char *s = malloc(length); /* so that ASan sees a read past it */

			assert_non_null(s);
			memset(s, '.', length);
			memcpy(s + at, parts[k], strlen(parts[k]));
			check(s, length);
			free(s);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_pair_of_bytes),
		cmocka_unit_test(test_every_place_and_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
