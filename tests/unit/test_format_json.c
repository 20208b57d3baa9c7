/* test_format_json.c - format_json.c: keys, their order, and when they are absent. */
#include "tests/unit/format_case.h"

static struct format f;

static int setup(void **state)
{
	(void)state;
	return format_init(&f, "json", NULL, false);
}

static void ordinary(void **state)
{
	struct message m = CASE_MESSAGE("hello");

	(void)state;
	case_expect(&f, &m,
		    "{\"time\":\"2024-02-29T12:00:00.123456789Z\",\"level\":\"info\","
		    "\"msg\":\"hello\",\"source\":\"stderr\",\"pid\":812,\"tid\":813,"
		    "\"comm\":\"nginx\",\"seq\":7}\n");
}

static void everything(void **state)
{
	struct message m = CASE_MESSAGE("\0\xff\n\x1b");

	(void)state;
	m.level = LEVEL_ERROR;
	m.source = "syslog";
	m.comm = "a\"\n\xff";
	m.ident = "s\\d";
	m.facility = 10;
	m.partial = true;
	m.seq = UINT64_MAX;
	case_expect(&f, &m,
		    "{\"time\":\"2024-02-29T12:00:00.123456789Z\",\"level\":\"error\","
		    "\"msg\":\"\\u0000\\ufffd\\n\\u001b\",\"source\":\"syslog\",\"pid\":812,"
		    "\"tid\":813,\"comm\":\"a\\\"\\n\\ufffd\",\"seq\":18446744073709551615,"
		    "\"ident\":\"s\\\\d\",\"facility\":\"authpriv\",\"partial\":true}\n");
}

static void what_is_empty_is_absent(void **state)
{
	struct message m = CASE_MESSAGE("");

	(void)state;
	m.comm = "";
	m.pid = m.tid = 0;
	m.facility = 99;
	m.source = "hark";
	m.level = LEVEL_WARNING;
	case_expect(&f, &m, "{\"time\":\"2024-02-29T12:00:00.123456789Z\",\"level\":\"warning\","
			    "\"msg\":\"\",\"source\":\"hark\",\"seq\":7}\n");
}

static void kernel_is_a_facility(void **state)
{
	struct message m = CASE_MESSAGE("x");
	char *frame;

	(void)state;
	m.facility = 0;
	frame = case_render(&f, &m, NULL);
	assert_non_null(strstr(frame, ",\"facility\":\"kern\"}"));
	free(frame);
}

/* Functions that led to it come last, the innermost first; each is ended by NUL. */
static void stacks(void **state)
{
	static const char two[] = "operator\"\"_x(char)\0main (a\\b.c:7)\xff", one[] = "[deeper]";
	static const char empty[] = "";
	struct message m = CASE_MESSAGE("x");

	(void)state;
	m.facility = 0;
	m.partial = true;
	m.stack = two;
	m.stack_bytes = sizeof two;
	case_expect(&f, &m,
		    "{\"time\":\"2024-02-29T12:00:00.123456789Z\",\"level\":\"info\","
		    "\"msg\":\"x\",\"source\":\"stderr\",\"pid\":812,\"tid\":813,"
		    "\"comm\":\"nginx\",\"seq\":7,\"facility\":\"kern\",\"partial\":true,"
		    "\"stack\":[\"operator\\\"\\\"_x(char)\",\"main (a\\\\b.c:7)\\ufffd\"]}\n");
	m = CASE_MESSAGE("x");
	m.stack = one;
	m.stack_bytes = sizeof one;
	char *frame = case_render(&f, &m, NULL);
	assert_non_null(strstr(frame, ",\"seq\":7,\"stack\":[\"[deeper]\"]}\n"));
	free(frame);
	m.stack = empty;
	m.stack_bytes = sizeof empty;
	frame = case_render(&f, &m, NULL);
	assert_non_null(strstr(frame, ",\"stack\":[\"\"]}\n"));
	free(frame);
	m.stack_bytes = 0;
	frame = case_render(&f, &m, NULL);
	assert_null(strstr(frame, "stack"));
	free(frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary),
		cmocka_unit_test(everything),
		cmocka_unit_test(what_is_empty_is_absent),
		cmocka_unit_test(kernel_is_a_facility),
		cmocka_unit_test(stacks),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
