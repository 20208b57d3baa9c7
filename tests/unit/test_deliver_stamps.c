/*
 * test_deliver_stamps.c - deliver.c: public stamps, which are no messages.
 */
#include "tests/unit/collect_case.h"

/* Stamps go to who asks for them, have no level, and take no number from messages. */
static void test_stamps(void **state)
{
	static const struct {
		struct record_stamp head;
		char text[4];
	} stamp = { { 7, 3 }, "done" };
	(void)state;

	case_begin("file:@/trace?format=trace file:@/all?format=json "
		   "file:@/named?format=json&source=stamp&level=emerg file:@/raw?format=raw");
	say("before\n");
	assert_int_equal(say_bytes((struct writer){ .kind = RECORD_STAMP, .source = SOURCE_STAMP },
				   &stamp, sizeof stamp.head + sizeof stamp.text),
			 0);
	say_as((struct writer){ .kind = RECORD_STAMP, .source = SOURCE_STAMP }, "short");
	say("behind\n");
	case_settle();
	const char *trace = case_got("trace");
	assert_non_null(strstr(trace, "\"msg\":\"done\",\"source\":\"stamp\""));
	assert_non_null(strstr(trace, ",\"fields\":{\"id\":7,\"step\":3}}"));
	assert_int_equal(count_of(trace, "\n"), 3);
	assert_int_equal(expect_gapless(case_got("all"), 1), 2);
	assert_int_equal(count_of(case_got("all"), "\n"), 2);
	assert_int_equal(count_of(case_got("named"), "\n"), 1);
	assert_null(strstr(case_got("named"), "seq"));
	assert_string_equal(case_got("raw"), "before\nbehind\n");
	assert_int_equal(scene.c.state.messages, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_stamps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
