/* test_values.c - values.c: each kind of argument as text, and bodies that may hold anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/profile/values.h"
#include "lib/stamp/values.h"

static uint32_t body[300];
static unsigned words;

static void add(unsigned kind, const void *bytes, size_t count)
{
	body[words++] = VALUE_WORD(kind, count);
	memcpy(&body[words], bytes, count);
	words += (unsigned)(count + 3) / 4;
}

static void number(unsigned kind, int64_t value) { add(kind, &value, sizeof value); }
static void string(unsigned kind, const char *value) { add(kind, value, strlen(value)); }

static const char *text(void)
{
	static char buffer[400];
	struct text t = text_in(buffer, sizeof buffer);

	values_text(&t, body, words * sizeof *body);
	memset(body, 0, sizeof body);
	words = 0;
	return text_cstr(&t);
}

static void each_kind(void **state)
{
	(void)state;
	assert_string_equal(text(), "");
	string(VALUE_STRING, "/etc/passwd");
	number(VALUE_OPEN_FLAGS, O_RDONLY);
	assert_string_equal(text(), "\"/etc/passwd\", O_RDONLY");
	number(VALUE_FD, AT_FDCWD);
	string(VALUE_CUT, "a\tb\\\"\x7f");
	number(VALUE_OPEN_FLAGS, O_RDWR | O_CREAT | O_TRUNC | 1 << 30);
	number(VALUE_MODE, 0640);
	assert_string_equal(text(), "AT_FDCWD, \"a\\tb\\\\\\\"\\177\"..., "
				    "O_RDWR|O_CREAT|O_TRUNC|0x40000000, 0640");
	number(VALUE_OPEN_FLAGS, O_WRONLY | O_TMPFILE);
	number(VALUE_OPEN_FLAGS, O_DIRECTORY | O_SYNC);
	assert_string_equal(text(), "O_WRONLY|O_TMPFILE, O_RDONLY|O_SYNC|O_DIRECTORY");
	number(VALUE_SIGNED, -1);
	number(VALUE_ERRNO, ENOENT);
	assert_string_equal(text(), "-1 ENOENT");
	number(VALUE_ERRNO, 0);
	assert_string_equal(text(), "0");
	number(VALUE_ERRNO, 4000);
	number(VALUE_SIGNAL, SIGTERM);
	number(VALUE_SIGNAL, -3);
	assert_string_equal(text(), "4000, SIGTERM, -3");
	number(VALUE_POINTER, 0);
	number(VALUE_POINTER, 0x7f00);
	number(VALUE_UNSIGNED, -1);
	number(VALUE_MODE, 0);
	assert_string_equal(text(), "NULL, 0x7f00, 18446744073709551615, 00");
}

static void what_it_does_not_know(void **state)
{
	(void)state;
	number(VALUE_KINDS, 255);
	add(VALUE_SIGNED, "\x05", 1);
	assert_string_equal(text(), "0xff, 5");
	/* longer than there is: what stands before it is good */
	number(VALUE_SIGNED, 7);
	body[words++] = VALUE_WORD(VALUE_STRING, 5000);
	words++;
	assert_string_equal(text(), "7");
}

/* Bytes of any kind, at any length, and little room: never read nor written beyond. */
static void anything(void **state)
{
	(void)state;
	srand(5);
	for (int i = 0; i < 20000; i++) {
		size_t bytes = (size_t)rand() % 64, room = (size_t)rand() % 80 + 1;
		uint8_t *given = malloc(bytes + 1);
		char *out = malloc(room);
		assert_true(given && out);
		for (size_t at = 0; at < bytes; at++)
			given[at] = (uint8_t)(rand() >> 7) & (rand() & 256 ? 15 : 255);
		struct text t = text_in(out, room);
		values_text(&t, given, bytes);
		assert_true(t.len <= room);
		free(given);
		free(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind),
		cmocka_unit_test(what_it_does_not_know),
		cmocka_unit_test(anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
