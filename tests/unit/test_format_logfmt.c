/* test_format_logfmt.c - format_logfmt.c: when a value is quoted, and keys as in JSON. */
#include "tests/unit/format_case.h"

static struct format f;

static int setup(void **state)
{
	(void)state;
	return format_init(&f, "logfmt", NULL, false);
}

static void ordinary(void **state)
{
	struct message m = CASE_MESSAGE("hello world");

	(void)state;
	case_expect(&f, &m, "time=2024-02-29T12:00:00.123456789Z level=info msg=\"hello world\" "
			    "source=stderr pid=812 tid=813 comm=nginx seq=7\n");
}

static void everything(void **state)
{
	struct message m = CASE_MESSAGE("x");

	(void)state;
	m.source = "path:/a b";
	m.comm = "a=b";
	m.ident = "s\"d";
	m.facility = 3;
	m.partial = true;
	case_expect(&f, &m, "time=2024-02-29T12:00:00.123456789Z level=info msg=x "
			    "source=\"path:/a b\" pid=812 tid=813 comm=\"a=b\" seq=7 "
			    "ident=\"s\\\"d\" facility=daemon partial=true\n");
}

static void quotes(void **state)
{
	static const struct { const char *text; size_t length; const char *shown; } rows[] = {
		{ "", 0, "msg=\"\" " }, { "a", 1, "msg=a " }, { "a-b/c:d,e", 9, "msg=a-b/c:d,e " },
		{ "a=b", 3, "msg=\"a=b\" " }, { "\"", 1, "msg=\"\\\"\" " },
		{ "\\", 1, "msg=\"\\\\\" " },
		{ "a\nb", 3, "msg=\"a\\nb\" " }, { "\0", 1, "msg=\"\\u0000\" " },
		{ "\x7f", 1, "msg=\"\\u007f\" " }, { "\xc2\x85", 2, "msg=\"\\u0085\" " },
		{ "\xff", 1, "msg=\"\\ufffd\" " }, { "\xc3\xbc", 2, "msg=\xc3\xbc " },
		{ "\xc3", 1, "msg=\"\\ufffd\" " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message m = case_message(rows[i].text, rows[i].length);
		char *frame = case_render(&f, &m, NULL);

		assert_non_null(strstr(frame, rows[i].shown));
		free(frame);
	}
}

static void what_is_empty_is_absent(void **state)
{
	struct message m = CASE_MESSAGE("lost");

	(void)state;
	m.comm = "";
	m.pid = m.tid = 0;
	m.seq = 0;
	m.source = "hark";
	case_expect(&f, &m, "time=2024-02-29T12:00:00.123456789Z level=info msg=lost "
			    "source=hark\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary),
		cmocka_unit_test(everything),
		cmocka_unit_test(quotes),
		cmocka_unit_test(what_is_empty_is_absent),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
