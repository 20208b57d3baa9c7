/* test_escape.c - escape.c: hostile bytes in each notation, at each place of a block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/format/escape.h"

static void parameter(struct text *out, const char *s, size_t count)
{
	escape_syslog(out, s, count, true);
}

static void message(struct text *out, const char *s, size_t count)
{
	escape_syslog(out, s, count, false);
}

/* Input and output are copied to buffers of just their size, for the sanitizers to guard. */
static void check(void (*escape)(struct text *, const char *, size_t), size_t most,
		  const char *input, size_t count, const char *expected)
{
	char *in = malloc(count + !count), *room = malloc(count * most + 1);
	struct text out = text_in(room, count * most);

	assert_non_null(in);
	assert_non_null(room);
	memcpy(in, input, count);
	escape(&out, in, count);
	room[out.len] = '\0';
	assert_false(out.cut);
	assert_string_equal(room, expected);
	free(in);
	free(room);
}

#define JSON(input, expected) \
	check(escape_json, ESCAPE_JSON_MOST, input, sizeof(input) - 1, expected)
#define JSON_SAME(input) JSON(input, input)
#define MESSAGE(input, expected) \
	check(message, ESCAPE_SYSLOG_MOST, input, sizeof(input) - 1, expected)
#define PARAMETER(input, expected) \
	check(parameter, ESCAPE_SYSLOG_MOST, input, sizeof(input) - 1, expected)
#define LINE(input, expected) \
	check(escape_line, ESCAPE_LINE_MOST, input, sizeof(input) - 1, expected)

static void json(void **state)
{
	(void)state;
	JSON("", "");
	JSON("plain", "plain");
	JSON("a\"b\\c/d", "a\\\"b\\\\c/d");
	JSON("\b\t\n\v\f\r", "\\b\\t\\n\\u000b\\f\\r");
	JSON("\0\x01\x1b[31m\x1f\x7f", "\\u0000\\u0001\\u001b[31m\\u001f\\u007f");
	JSON("\xc2\x80\xc2\x9f\xc2\xa0", "\\u0080\\u009f\xc2\xa0");
	JSON_SAME("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
	JSON_SAME("\xe2\x80\xa8\xe2\x80\xa9");
}

#define R "\\ufffd"

/* The expected numbers of replacements are those of the Unicode Standard, tables 3-8 to 3-11. */
static void json_replaces_maximal_subparts(void **state)
{
	(void)state;
	JSON("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", R R R R R R R R "A");
	JSON("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", R R R R R R R R "A");
	JSON("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", R R R R R "A" R R "B");
	JSON("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", R R R R "A");
	/* cut at the end, where the next bytes would have completed it */
	JSON("\xf0\x9f\x98", R);
	JSON("\xe2\x82", R);
	JSON("\xc3", R);
	JSON("\xf5\xfe", R R);
	/* the first and last of each length */
	JSON_SAME("\xc2\xa0\xdf\xbf");
	JSON_SAME("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf");
	JSON_SAME("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
}

static void syslog_messages(void **state)
{
	(void)state;
	MESSAGE("say \"hi\" [x] \\", "say \"hi\" [x] \\");
	MESSAGE("a\nb\tc\x1b[0m\x7f", "a#012b#011c#033[0m#177");
	MESSAGE("\0", "#000");
	MESSAGE("\xc2\x9b", "#302#233");
	MESSAGE("\xc3\xbc\xff", "\xc3\xbc\xef\xbf\xbd");
}

static void syslog_parameters(void **state)
{
	(void)state;
	PARAMETER("path:/a]b\"c\\d", "path:/a\\]b\\\"c\\\\d");
	PARAMETER("]", "\\]");
	PARAMETER("]]a stretch without anything]x", "\\]\\]a stretch without anything\\]x");
	PARAMETER("\"]\n]", "\\\"\\]#012\\]");
	PARAMETER("no bracket at all in here, really", "no bracket at all in here, really");
}

static void lines(void **state)
{
	(void)state;
	LINE("", "");
	LINE("\n", "\\n");
	LINE("\n\n", "\\n\\n");
	LINE("a\nb\tc\r\x1b\xff", "a\\nb\tc\r\x1b\xff");
}

/* One odd byte at each place of texts of each length: the block loops must find it everywhere. */
static void every_place(void **state)
{
	static const unsigned char odd[] = { 0, '\n', 0x1f, '"', '\\', 0x7f, 0x80, 0xff };

	(void)state;
	for (size_t length = 0; length <= 40; length++)
		for (size_t at = 0; at < length; at++)
			for (size_t i = 0; i < sizeof(odd); i++) {
				char *from = malloc(length), *to = malloc(length);

				assert_non_null(from);
				assert_non_null(to);
				memset(from, i & 1 ? '~' : ' ', length);
				from[at] = (char)odd[i];
				assert_int_equal(escape_copy(to, from, length), at);
				assert_memory_equal(to, from, at);
				free(from);
				free(to);
			}
}

static void every_byte(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
		char from[24], to[24];

		/* alone, in a word of eight and in a block of sixteen */
		memset(from, 'x', sizeof(from));
		from[3] = from[19] = (char)c;
		assert_int_equal(escape_copy(to, from + 3, 1), plain);
		assert_int_equal(escape_copy(to, from, 8), plain ? 8 : 3);
		assert_int_equal(escape_copy(to, from, 16), plain ? 16 : 3);
		assert_int_equal(escape_copy(to, from + 4, 20), plain ? 20 : 15);
	}
}

static void no_room(void **state)
{
	char room[12] = "~~~~~~~~~~~";
	struct text out = text_in(room, 11);

	(void)state;
	escape_json(&out, "ab", 2);
	assert_true(out.cut);
	assert_int_equal(out.len, 0);
	assert_string_equal(room, "~~~~~~~~~~~");
	out = text_in(room, 7);
	escape_syslog(&out, "ab", 2, true);
	assert_true(out.cut);
	assert_int_equal(out.len, 0);
}

static void expect_tame(const char *text, const char *tamed)
{
	char copy[64];

	snprintf(copy, sizeof(copy), "%s", text);
	escape_tame(copy);
	assert_string_equal(copy, tamed);
}

static void tamed(void **state)
{
	(void)state;
	expect_tame("", "");
	expect_tame("sh -c 'gr\xc3\xbc\xc3\x9f' \"\\", "sh -c 'gr\xc3\xbc\xc3\x9f' \"\\");
	expect_tame("\x1b]0;t\a\t\n\x7f", "?]0;t????");
	expect_tame("\xc2\x9b" "2J\x9b" "2J\xc0\x9b", "??2J?2J??");
	expect_tame("\xe2\x80\xae" "a\xe2\x81\xa6\xe2\x80\xa8", "???a??????");
	expect_tame("\xe2\x80", "??");
	expect_tame("\xf0\x9f\x98", "???");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json),
		cmocka_unit_test(json_replaces_maximal_subparts),
		cmocka_unit_test(syslog_messages),
		cmocka_unit_test(syslog_parameters),
		cmocka_unit_test(lines),
		cmocka_unit_test(every_place),
		cmocka_unit_test(every_byte),
		cmocka_unit_test(no_room),
		cmocka_unit_test(tamed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
