/* test_format_pretty.c - format_pretty.c: the look, and that no hostile text reaches a terminal. */
#include "tests/unit/format_case.h"

#define PLAIN_HEAD "12:00:00.123  INFO   "
#define COLOR_HEAD "\x1b[2m12:00:00.123\x1b[m \x1b[32m INFO  \x1b[m "

static void expect_text(bool color, const char *text, size_t length, const char *shown)
{
	struct message m = case_message(text, length);
	char expected[512];
	struct text t = text_in(expected, sizeof(expected));
	struct format f;

	assert_int_equal(format_init(&f, "pretty", NULL, color), 0);
	text_str(&t, color ? COLOR_HEAD : PLAIN_HEAD);
	text_str(&t, shown);
	text_char(&t, '\n');
	case_expect(&f, &m, text_cstr(&t));
}

#define PLAIN(text, shown) expect_text(false, text, sizeof(text) - 1, shown)
#define COLOR(text, shown) expect_text(true, text, sizeof(text) - 1, shown)
#define INVALID "\xef\xbf\xbd"
#define DIM(s) "\x1b[2m" s "\x1b[m"

static void ordinary(void **state)
{
	(void)state;
	PLAIN("hello\tworld", "hello\tworld");
	COLOR("hello\tworld", "hello\tworld");
	PLAIN("", "");
	PLAIN("say \"hi\" \\ gr\xc3\xbc\xc3\x9f", "say \"hi\" \\ gr\xc3\xbc\xc3\x9f");
}

static void controls_are_harmless(void **state)
{
	(void)state;
	PLAIN("a\0b\a\b\x7f\rc", "a^@b^G^H^?^Mc");
	COLOR("a\0b\ac", "a" DIM("^@") "b" DIM("^G") "c");
	COLOR("\a\a\a", DIM("^G^G^G"));
	PLAIN("two\nlines", "two\\nlines");
	COLOR("two\nlines", "two" DIM("\xe2\x8f\x8e") "lines");
	PLAIN("crlf\r", "crlf");
	PLAIN("crlf\r\r", "crlf^M");
}

static void escape_sequences_are_harmless(void **state)
{
	(void)state;
	/* clear, title, clipboard, report, 8-bit CSI, one that is cut short */
	PLAIN("\x1b[2Jx", "^[[2Jx");
	COLOR("\x1b[2Jx", DIM("^[") "[2Jx");
	COLOR("\x1b]0;t\a", DIM("^[") "]0;t" DIM("^G"));
	COLOR("\x1b]52;c;aGk=\x1b\\", DIM("^[") "]52;c;aGk=" DIM("^[") "\\");
	COLOR("\x1b[6n", DIM("^[") "[6n");
	COLOR("\xc2\x9b" "31m", DIM("\\u009b") "31m");
	COLOR("\x9b" "31m", "\xef\xbf\xbd" "31m");
	COLOR("x\x1b", "x" DIM("^["));
	COLOR("x\x1b[", "x" DIM("^[") "[");
	COLOR("x\x1b[31", "x" DIM("^[") "[31");
	/* looks like a colour but is none */
	COLOR("\x1b[>4m", DIM("^[") "[>4m");
	COLOR("\x1b[?4m", DIM("^[") "[?4m");
}

static void colors_of_the_program(void **state)
{
	(void)state;
	COLOR("a \x1b[1;31mred\x1b[0m b", "a \x1b[1;31mred\x1b[0m b");
	COLOR("\x1b[31mred", "\x1b[31mred\x1b[m");
	COLOR("\x1b[38;5;9mr\x1b[m", "\x1b[38;5;9mr\x1b[m");
	COLOR("\x1b[38:2::1:2:3mr\x1b[m", "\x1b[38:2::1:2:3mr\x1b[m");
	/* a mark must not end the program's colour */
	COLOR("\x1b[31mr\ar\x1b[0m", "\x1b[31mr^Gr\x1b[0m");
	COLOR("\x1b[0;1mr", "\x1b[0;1mr\x1b[m");
	/* without colour they are left out */
	PLAIN("a \x1b[1;31mred\x1b[0m b", "a red b");
}

static void overlong_colors(void **state)
{
	char text[200];
	struct text t = text_in(text, sizeof(text));
	struct message m;
	struct format f;
	char *frame;

	(void)state;
	text_str(&t, "\x1b[");
	for (int i = 0; i < 150; i++)
		text_char(&t, '0');
	text_char(&t, 'm');
	m = case_message(text, t.len);
	assert_int_equal(format_init(&f, "pretty", NULL, true), 0);
	frame = case_render(&f, &m, NULL);
	assert_non_null(strstr(frame, DIM("^[") "[000"));
	free(frame);
}

static void deceptive_characters(void **state)
{
	(void)state;
	PLAIN("a\xe2\x80\xae" "b", "a\\u202eb");
	PLAIN("\xe2\x81\xa6\xe2\x81\xa9", "\\u2066\\u2069");
	PLAIN("\xe2\x80\xaa\xe2\x80\xaf", "\\u202a\xe2\x80\xaf");
	PLAIN("\xc2\x80\xc2\x9f\xc2\xa0", "\\u0080\\u009f\xc2\xa0");
	COLOR("\xe2\x80\xae", DIM("\\u202e"));
	/* what ends a line for some, and a C1 control in each notation, valid or not */
	PLAIN("a\xe2\x80\xa8" "b\xe2\x80\xa9", "a\\u2028b\\u2029");
	PLAIN("\xc2\x85\x85\xe0\x82\x85", "\\u0085" INVALID INVALID INVALID INVALID);
	PLAIN("\xc0\x9b[2J", INVALID INVALID "[2J");
	PLAIN("\xff\xe2\x82x", "\xef\xbf\xbd\xef\xbf\xbdx");
}

/* A heap of marks on one letter: 16 are let through. */
static void heaps_of_marks(void **state)
{
	char text[2 * 40 + 3], shown[16 * 2 + 24 * 6 + 3];
	struct text said = text_in(text, sizeof(text)), t = text_in(shown, sizeof(shown));

	(void)state;
	text_char(&said, 'a');
	text_char(&t, 'a');
	for (int i = 0; i < 40; i++) {
		text_str(&said, "\xcc\x81");
		text_str(&t, i < 16 ? "\xcc\x81" : "\\u0301");
	}
	text_char(&said, 'b');
	text_char(&t, 'b');
	expect_text(false, text, said.len, text_cstr(&t));
	PLAIN("e\xcc\x81\xe0\xa4\x95\xe2\x80\x8d", "e\xcc\x81\xe0\xa4\x95\xe2\x80\x8d");
}

static void names_once_two_speak(void **state)
{
	struct message m = CASE_MESSAGE("x");
	struct format f;

	(void)state;
	assert_int_equal(format_init(&f, "pretty", NULL, false), 0);
	case_expect(&f, &m, PLAIN_HEAD "x\n");
	case_expect(&f, &m, PLAIN_HEAD "x\n");
	m.pid = 9;
	m.comm = "sh";
	case_expect(&f, &m, PLAIN_HEAD "sh[9]  x\n");
	m.pid = 812;
	m.comm = "nginx";
	case_expect(&f, &m, PLAIN_HEAD "nginx[812]  x\n");
	/* from then on in one column */
	m.pid = 9;
	m.comm = "sh";
	case_expect(&f, &m, PLAIN_HEAD "sh[9]       x\n");
	m.comm = "\x1b]0;t\a\n";
	case_expect(&f, &m, PLAIN_HEAD "^[]0;t^G\\n[9]  x\n");
}

static void words_of_hark(void **state)
{
	struct message m = CASE_MESSAGE("lost 3 messages");
	struct format f;

	(void)state;
	m.source = "hark";
	m.comm = "";
	m.pid = m.tid = 0;
	m.level = LEVEL_WARNING;
	assert_int_equal(format_init(&f, "pretty", NULL, false), 0);
	case_expect(&f, &m, "12:00:00.123  WARN   hark: lost 3 messages\n");
	assert_int_equal(format_init(&f, "pretty", NULL, true), 0);
	case_expect(&f, &m, "\x1b[2m12:00:00.123\x1b[m \x1b[1;33m WARN  \x1b[m "
			    "\x1b[35mhark: lost 3 messages\x1b[m\n");
	assert_false(f.many_pids);
}

static void badges_are_aligned(void **state)
{
	struct message m = CASE_MESSAGE("|");

	(void)state;
	for (int level = -1; level <= LEVEL_NR; level++) {
		struct format f;
		char *frame;

		m.level = (enum level)level;
		assert_int_equal(format_init(&f, "pretty", NULL, false), 0);
		frame = case_render(&f, &m, NULL);
		assert_int_equal(strcspn(frame, "|"), sizeof(PLAIN_HEAD) - 1);
		free(frame);
	}
}

static void lines_drawn_by_the_program(void **state)
{
	struct message m = CASE_MESSAGE("\x1b[?2004h$ ls\b\b\x1b[K\r\x1b]0;t\a");
	struct format f;

	(void)state;
	m.terminal = true;
	assert_int_equal(format_init(&f, "pretty", NULL, true), 0);
	case_expect(&f, &m, "\x1b[?2004h$ ls\b\b\x1b[K\r" DIM("^[") "]0;t\a\n");
	/* what makes the terminal answer is never let through */
	m = CASE_MESSAGE("\x1b[6n\x1b[c");
	m.terminal = true;
	case_expect(&f, &m, DIM("^[") "[6n" DIM("^[") "[c\n");
	/* no terminal: like any other */
	assert_int_equal(format_init(&f, "pretty", NULL, false), 0);
	case_expect(&f, &m, PLAIN_HEAD "^[[6n^[[c\n");
}

static void partial(void **state)
{
	struct message m = CASE_MESSAGE("half a l");
	struct format f;

	(void)state;
	m.partial = true;
	assert_int_equal(format_init(&f, "pretty", NULL, true), 0);
	case_expect(&f, &m, COLOR_HEAD "half a l" DIM("\xe2\x80\xa6") "\n");
	assert_int_equal(format_init(&f, "pretty", NULL, false), 0);
	case_expect(&f, &m, PLAIN_HEAD "half a l\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary),
		cmocka_unit_test(controls_are_harmless),
		cmocka_unit_test(escape_sequences_are_harmless),
		cmocka_unit_test(colors_of_the_program),
		cmocka_unit_test(overlong_colors),
		cmocka_unit_test(deceptive_characters),
		cmocka_unit_test(heaps_of_marks),
		cmocka_unit_test(names_once_two_speak),
		cmocka_unit_test(words_of_hark),
		cmocka_unit_test(badges_are_aligned),
		cmocka_unit_test(lines_drawn_by_the_program),
		cmocka_unit_test(partial),
	};

	case_zone("UTC0");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
