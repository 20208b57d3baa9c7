/* test_replay.c - replay_text.c and replay_json.c, by the trace of export_case.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/export_case.h"
#include "tools/replay.h"

static char *out;
static size_t out_bytes;

static void replay(const struct calls_visitor *visitor, bool color, bool merged)
{
	struct replay r;
	FILE *to = open_memstream(&out, &out_bytes);

	assert_int_equal(replay_init(&r, to, color, true), 0);
	case_drive(visitor, &r, merged);
	replay_fini(&r);
	fclose(to);
}

static int tear_down(void **state)
{
	(void)state;
	free(out);
	out = NULL;
	return 0;
}

static void text(void **state)
{
	(void)state;
	replay(&replay_text, false, true);
	assert_non_null(strstr(out, "    1.000 us     200 │   } /* work */\n"));
	assert_non_null(strstr(out, "                 101 │   parse() {\n"));
	assert_non_null(strstr(out, "    0.100 us     100 │       fact(unsigned long);\n"));
	assert_non_null(strstr(out, "    0.500 us     100 │   } /* fact(unsigned long) */\n"));
	assert_non_null(strstr(out, "   13.500 us     200 │ } /* main: exited */\n"));
	assert_non_null(strstr(out, "                 100 │ ⇄ goes on on stack 1\n"
				    "                 100 │ co() {\n"));
	assert_non_null(strstr(out, "                 100 │   ◆ chunk  (step 2, id 7)\n"));
	assert_non_null(strstr(out, "⚠ 5 records are missing here"));
	assert_non_null(strstr(out, "                 100 │   ✗ died inside main\n"
				    "   19.000 us     100 │ } /* main: died */\n"));
}

/* Nothing of a name or a message reaches the terminal as a control character. */
static void harmless(void **state)
{
	(void)state;
	replay(&replay_text, false, true);
	assert_non_null(strstr(out, "evil</script>"));
	assert_non_null(strstr(out, " ERROR  it <b>broke</b>"));
	for (size_t i = 0; i < out_bytes; i++)
		assert_true((unsigned char)out[i] >= 0x20 || out[i] == '\n');
	tear_down(NULL);
	replay(&replay_text, true, true);
	assert_null(strstr(out, "\x01"));
	assert_non_null(strstr(out, "\033[1;31m✗ died inside main\033[m\n"));
}

static void by_thread(void **state)
{
	(void)state;
	replay(&replay_text, false, false);
	assert_non_null(strstr(out, "# thread 101 of process 100: worker\n"));
	assert_true(strstr(out, "died inside") < strstr(out, "worker_main()"));
}

static void json(void **state)
{
	size_t lines = 0;

	(void)state;
	replay(&replay_json, false, true);
	for (size_t i = 0; i < out_bytes; i++)
		lines += out[i] == '\n';
	assert_int_equal(lines, CASE_STEPS);
	assert_non_null(strstr(out, "{\"type\":\"enter\""
				    ",\"time\":\"2023-11-14T22:13:20.123457789Z\""
				    ",\"pid\":100,\"tid\":100,\"comm\":\"known\""
				    ",\"function\":\"main\",\"module\":\"known\""
				    ",\"file\":\"known.c\",\"line\":10,\"depth\":0}\n"));
	assert_non_null(strstr(out, "\"level\":\"error\",\"msg\":\"it \\u003cb>broke"));
	assert_non_null(strstr(out, "\"source\":\"stderr\",\"pid\":999,\"tid\":999}\n"));
	assert_non_null(strstr(out, "\"inside\":[\"main\"]}\n"));
	assert_non_null(strstr(out, "\"end\":\"unwound\"}\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(text, tear_down),
		cmocka_unit_test_teardown(harmless, tear_down),
		cmocka_unit_test_teardown(by_thread, tear_down),
		cmocka_unit_test_teardown(json, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
