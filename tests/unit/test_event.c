/* test_event.c - event.c: lines of a trace's `events`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/stamp/event.h"

static char top[64], path[96], got[4096];

static int set_up(void **state)
{
	(void)state;
	snprintf(top, sizeof top, "/tmp/hark-event-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(path, sizeof path, "%s/events", top);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(top);
}

static void expect_file(const char *want)
{
	FILE *in = fopen(path, "r");
	size_t n = in ? fread(got, 1, sizeof got - 1, in) : 0;

	got[n] = '\0';
	if (in)
		fclose(in);
	assert_string_equal(got, want);
}

static void a_line_each(void **state)
{
	struct event event;

	(void)state;
	event_begin(&event, "image");
	event_number(&event, "n", 7);
	event_hex(&event, "base", 0x55aa00);
	event_bytes(&event, "build", "\x01\xfe\x80", 3);
	assert_int_equal(event_append(&event, path), 0);
	event_begin(&event, "clock");
	assert_int_equal(event_append(&event, path), 0);
	expect_file("image n=7 base=55aa00 build=01fe80\nclock\n");
}

static void text_cannot_break_out(void **state)
{
	struct event event;

	(void)state;
	event_begin(&event, "module");
	event_text(&event, "path", "/a b\n%=\x7f\xc3\xa9");
	event_text(&event, "comm", "");
	assert_int_equal(event_append(&event, path), 0);
	expect_file("module path=/a%20b%0a%25=%7f%c3%a9 comm=\n");
}

static void whole_or_not_at_all(void **state)
{
	static char longer[2100];
	struct event event;

	(void)state;
	memset(longer, 'x', sizeof longer - 1);
	event_begin(&event, "module");
	event_text(&event, "path", longer);
	assert_int_equal(event_append(&event, path), -EMSGSIZE);
	assert_int_equal(access(path, F_OK), -1);
	event_begin(&event, "module");
	assert_int_equal(event_append(&event, "/nonexistent/events"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_each, set_up, tear_down),
		cmocka_unit_test_setup_teardown(text_cannot_break_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(whole_or_not_at_all, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
