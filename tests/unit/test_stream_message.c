/*
 * test_stream_message.c - stream.c and deliver.c: a message by syslog() or hark_log() that the ring had
 * to cut arrives as one, as far as a message goes; partial where its rest did not come.
 */
#include "tests/unit/collect_case.h"

enum { TEXT = 400000 };

static char text[TEXT + 1];

static struct writer part(uint8_t kind, uint8_t flags)
{
	return (struct writer){ .fd = 0xffff,
				.source = kind == RECORD_LOG ? SOURCE_LOG : SOURCE_SYSLOG,
				.kind = kind,
				.flags = flags,
				.detail = kind == RECORD_LOG ? 4 : 3 << 3 | 2 };
}

static struct writer by_other(struct writer w)
{
	w.pid = w.tid = (uint32_t)scene.other;
	return w;
}

static void name_and_text(struct writer w, const char *name_text, size_t bytes)
{
	assert_int_equal(say_bytes(w, name_text, bytes), 0);
}

/* As ring_append() would cut it; others speak in between. */
static void say_long(uint8_t kind, const char *ident, size_t bytes, bool to_its_end)
{
	static char all[TEXT + 64];
	size_t most = scene.session.ring.most_payload;
	size_t head = kind == RECORD_LOG ? 0 : strlen(ident) + 1;

	memcpy(all, ident, head);
	memcpy(all + head, text, bytes);
	for (size_t at = 0; at < head + bytes; at += most) {
		size_t left = head + bytes - at, count = left < most ? left : most;
		bool end = left <= most && to_its_end;
		uint8_t flags = (at ? RECORD_CONTINUES : 0) | (end ? 0 : RECORD_MORE);
		name_and_text(part(kind, flags), all + at, count);
		say_as(by_other((struct writer){ 0 }), "#\n");
		if (at / most % 10 == 0)
			case_round();
	}
}

static int begin_text(void **state)
{
	for (size_t i = 0; i < TEXT; i++)
		text[i] = (char)('a' + i % 23);
	return scene_setup(state);
}

#define TEXT_CASE(f) cmocka_unit_test_setup_teardown(f, begin_text, scene_teardown)

/* The msg of the first line of JSON that holds the words; its length. */
static size_t message_with(const char *words, const char **msg)
{
	const char *json = case_got("json"), *at = strstr(json, words);

	assert_non_null(at);
	while (at > json && at[-1] != '\n')
		at--;
	*msg = strstr(at, "\"msg\":\"") + 7;
	return strcspn(*msg, "\"");
}

static void test_one_message(void **state)
{
	const char *msg;
	(void)state;

	case_begin("file:@/json?format=json file:@/raw?format=raw&source=syslog");
	say_long(RECORD_SYSLOG, "daemon", 200000, true);
	say_long(RECORD_LOG, "", 150000, true);
	case_settle();
	assert_int_equal(message_with("\"ident\":\"daemon\"", &msg), 200000);
	assert_memory_equal(msg, text, 200000);
	assert_non_null(strstr(msg, "\"facility\":\"daemon\""));
	assert_int_equal(message_with("\"source\":\"log\"", &msg), 150000);
	assert_memory_equal(msg, text, 150000);
	const char *json = case_got("json");
	assert_null(strstr(json, "partial"));
	assert_int_equal(expect_gapless(json, 1), 2 + count_of(json, "\"msg\":\"#\""));
	assert_int_equal(strlen(case_got("raw")), 200001);
	assert_int_equal(scene.c.joins.count, 0);
}

static void test_killed_in_the_middle(void **state)
{
	const char *msg;
	(void)state;

	case_begin("file:@/json?format=json&source=syslog,log");
	case_join((uint32_t)scene.other, "other", 0, 1);
	name_and_text(by_other(part(RECORD_SYSLOG, RECORD_MORE)), "died\0one ", 9);
	name_and_text(by_other(part(RECORD_SYSLOG, RECORD_MORE | RECORD_CONTINUES)), "two", 3);
	case_settle();
	expect_file("json", "");
	case_succeed(); /* what came is written down */
	kill(scene.other, SIGKILL);
	case_wait_for_death("json");
	assert_int_equal(message_with("\"ident\":\"died\"", &msg), 7);
	assert_memory_equal(msg, "one two", 7);
	assert_int_equal(count_of(case_got("json"), "\"partial\":true"), 1);
	assert_int_equal(expect_gapless(case_got("json"), 1), 1);
}

/* Beyond the limit it is cut; each piece bears the name, and only the last is not partial. */
static void test_limit(void **state)
{
	const char *msg;
	size_t got = 0;
	(void)state;

	case_begin("file:@/json?format=json&source=syslog");
	say_long(RECORD_SYSLOG, "daemon", TEXT, true);
	case_settle();
	const char *json = case_got("json");
	assert_int_equal(count_of(json, "\n"), 2);
	assert_int_equal(count_of(json, "\"ident\":\"daemon\""), 2);
	assert_int_equal(count_of(json, "\"partial\":true"), 1);
	size_t first = message_with("\"partial\":true", &msg);
	assert_true(first <= MESSAGE_MOST && first > MESSAGE_MOST - 32 * 1024);
	for (const char *at = json; (at = strstr(at, "\"msg\":\"")); got += strcspn(at, "\"")) {
		at += 7;
		assert_memory_equal(at, text + got, strcspn(at, "\""));
	}
	assert_int_equal(got, TEXT);
	case_close();
	session_leave(&scene.session);
	/* what a small queue, or a datagram, can hold */
	case_begin("file:@/small?format=json&queue=64K&source=log");
	say_long(RECORD_LOG, "", 60000, true);
	case_settle();
	assert_int_equal(count_of(case_got("small"), "\"source\":\"log\""), 4);
	assert_int_equal(count_of(case_got("small"), "\"partial\":true"), 3);
}

/* The rest does not come, or its beginning has not. */
static void test_incomplete(void **state)
{
	(void)state;
	case_begin("file:@/text?format=text&pattern=%v");
	name_and_text(part(RECORD_LOG, RECORD_CONTINUES), "a tail", 6);
	name_and_text(part(RECORD_LOG, RECORD_MORE), "interrupted ", 12);
	name_and_text(part(RECORD_LOG, 0), "by a handler", 12);
	name_and_text(part(RECORD_LOG, RECORD_MORE), "its end is lost", 15);
	case_settle();
	assert_null(strstr(case_got("text"), "its end"));
	case_wait(STREAM_HOLD_NS + CASE_MS);
	case_settle();
	const char *got = case_got("text"), *at = got;
	for (unsigned i = 0; i < 4; i++) {
		static const char *const want[] = { "a tail", "interrupted", "by a handler",
						    "its end is lost" };
		at = strstr(at, want[i]);
		assert_non_null(at);
	}
	assert_int_equal(count_of(got, "\n"), 4);
}

/* A sink that is full in the middle of it, and collectors that are killed: once, and whole. */
static void test_successors(void **state)
{
	const char *msg;
	(void)state;

	case_begin("file:@/json?format=json&source=syslog&queue=1M");
	for (unsigned round = 0; round < 6; round++) {
		say_long(RECORD_SYSLOG, "daemon", 150000, round % 2);
		case_round();
		case_succeed();
		if (round % 2 == 0) {
			name_and_text(part(RECORD_SYSLOG, RECORD_CONTINUES), "end", 3);
			case_read(); /* and killed before its checkpoint */
			case_succeed();
		}
		case_settle();
	}
	const char *json = case_got("json");
	assert_int_equal(count_of(json, "\n"), 6);
	assert_null(strstr(json, "partial"));
	assert_int_equal(message_with("end\"", &msg), 150003);
	assert_int_equal(scene.c.joins.count, 0);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		TEXT_CASE(test_one_message),
		TEXT_CASE(test_killed_in_the_middle),
		TEXT_CASE(test_limit),
		TEXT_CASE(test_incomplete),
		TEXT_CASE(test_successors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
