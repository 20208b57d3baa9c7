/*
 * test_callpath.c - lib/collect/callpath.c: which message has which stack, and what becomes of messages where
 * the processes that are asked for names are late, dead, or know nothing.
 *
 * This program is also those processes: what one shall do stands in the stack that it is asked of.
 */
#include "tests/unit/collect_case.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/sample/frames.h"

/* ---- the processes that are asked -------------------------------------------------------------- */

/* Works, as reading debug information is work, so long. */
static void spin(long ms)
{
	clock_t until = clock() + ms * (CLOCKS_PER_SEC / 1000);

	while (clock() < until)
		continue;
}

static int serve(bool addresses)
{
	static _Alignas(8) char packet[FRAMES_PACKET];
	static struct { struct frames_head head; char text[FRAMES_TEXT]; } out;
	unsigned modules = 0, images = 0;
	ssize_t n;

	while ((n = recv(STDIN_FILENO, packet, sizeof packet, 0)) > 0) {
		memcpy(&out.head, packet, sizeof out.head);
		modules += out.head.type == FRAMES_MODULE;
		images += out.head.type == FRAMES_IMAGE;
		if (out.head.type != FRAMES_STACK)
			continue;
		const char *order = packet + sizeof out.head + sizeof(struct record_stack);
		char what = addresses ? 'a' : *order;
		int text = 0;
		if (what == 'd')
			return 1;
		if (what == 'l')
			spin(CALLPATH_WORK_MS + 500);
		if (what == 't')
			text = snprintf(out.text, sizeof out.text, "modules %u images %u", modules,
					images) + 1;
		else if (what != 'e')
			text = snprintf(out.text, sizeof out.text, "%.64s%c%s",
					addresses ? "program+0x1" : order, 0, "main") + 1;
		send(STDIN_FILENO, &out, sizeof out.head + (size_t)text, MSG_NOSIGNAL);
	}
	return 0;
}

/* ---- messages with stacks ---------------------------------------------------------------------- */

/* order: what the process for names shall do: "name": answer so, "d…": die, "l…": be late,
 * "e…": know nothing, "t…": tell of what it was told. */
static void say_from(struct writer w, const char *order, const char *text)
{
	struct { struct record_stack head; char rest[4096]; } record = {
		.head = { .bytes = (uint32_t)(sizeof record.head + strlen(order) + 1) },
	};
	size_t whole = record.head.bytes + strlen(text);

	assert_true(whole < sizeof record);
	strcpy(record.rest, order);
	memcpy((char *)&record + record.head.bytes, text, strlen(text));
	w.flags |= RECORD_STACK;
	assert_int_equal(say_bytes(w, &record, whole), 0);
}

static void begin(void)
{
	case_sinks("file:@/json?format=json file:@/raw?format=raw");
	scene.config.stack = LEVEL_ERROR;
	case_create(getpid(), "/nonexistent");
	case_open();
}

/* The line's part behind the message: "" where it has no stack. */
static const char *stack_of(const char *msg)
{
	static char found[512];
	char key[128];

	case_settle();
	snprintf(key, sizeof key, "\"msg\":\"%s\"", msg);
	const char *line = strstr(case_got("json"), key);
	if (!line)
		fail_msg("nobody has said \"%s\"", msg);
	const char *end = strchr(line, '\n'), *stack = strstr(line, "\"stack\":[");
	found[0] = '\0';
	if (stack && stack < end)
		snprintf(found, sizeof found, "%.*s", (int)(end - 1 - stack), stack);
	return found;
}

static const struct writer us = { 0 };

static void severe_ones(void **state)
{
	(void)state;
	begin();
	say_from(us, "name", "error: one\n");
	say_from(us, "other", "warning: two\n");
	say("error: three\n");
	say_from((struct writer){ .kind = RECORD_SYSLOG, .source = SOURCE_SYSLOG, .detail = 27 },
		 "syslog", "error: four");
	say_from((struct writer){ .kind = RECORD_SYSLOG, .source = SOURCE_SYSLOG, .detail = 28 },
		 "syslog", "error: five");
	assert_string_equal(stack_of("error: one"), "\"stack\":[\"name\",\"main\"]");
	assert_string_equal(stack_of("warning: two"), "");
	assert_string_equal(stack_of("error: three"), "");
	assert_string_equal(stack_of("error: four"), "\"stack\":[\"syslog\",\"main\"]");
	assert_string_equal(stack_of("error: five"), "");
	assert_non_null(strstr(case_got("raw"), "error: one\nwarning: two\nerror: three\n"));
	assert_int_equal(expect_gapless(case_got("json"), 1), 5);
}

static void whose(void **state)
{
	struct writer thread = { .tid = 77 }, of_stdout = { .fd = 1, .source = SOURCE_STDOUT };

	(void)state;
	begin();
	/* by itself in a record: of what this thread says next */
	say_from(us, "alone", "");
	say_as(thread, "error: another thread\n");
	say_as(of_stdout, "error: another file\n");
	say("error: mine\n");
	/* a line's first piece is its stack */
	say_from(us, "first", "error: in ");
	say_from(thread, "its", "error: amid\n");
	say_from(us, "second", "pieces\n");
	say("error: later\n");
	/* many lines in one write */
	say_from(us, "all", "error: a\nerror: b\nerror: c");
	say("\nerror: d\n");
	assert_string_equal(stack_of("error: another thread"), "");
	assert_string_equal(stack_of("error: another file"), "");
	assert_string_equal(stack_of("error: mine"), "\"stack\":[\"alone\",\"main\"]");
	assert_string_equal(stack_of("error: in pieces"), "\"stack\":[\"first\",\"main\"]");
	assert_string_equal(stack_of("error: amid"), "\"stack\":[\"its\",\"main\"]");
	assert_string_equal(stack_of("error: later"), "");
	for (const char *c = "abc"; *c; c++) {
		char msg[] = "error: ?";
		msg[7] = *c;
		assert_string_equal(stack_of(msg), "\"stack\":[\"all\",\"main\"]");
	}
	assert_string_equal(stack_of("error: d"), "");
}

/* Lines that nobody ends, each with a stack: some are kept, the messages all. */
static void many_unfinished(void **state)
{
	enum { THREADS_MANY = 3 * CALLPATH_KEPT };
	char msg[32];

	(void)state;
	begin();
	for (uint32_t i = 0; i < THREADS_MANY; i++)
		say_from((struct writer){ .tid = 100 + i }, "name", "error: ");
	case_settle();
	for (uint32_t i = 0; i < THREADS_MANY; i++) {
		snprintf(msg, sizeof msg, "of %u\n", i);
		say_as((struct writer){ .tid = 100 + i }, msg);
	}
	for (uint32_t i = 0; i < THREADS_MANY; i++) {
		snprintf(msg, sizeof msg, "error: of %u", i);
		assert_string_equal(stack_of(msg), i < THREADS_MANY - CALLPATH_KEPT
							   ? ""
							   : "\"stack\":[\"name\",\"main\"]");
	}
}

/* Heads that nobody of ours has written: the bytes are what was said. */
static void forged(void **state)
{
	struct { struct record_stack head; char text[32]; } record;
	const uint32_t lengths[] = { 0, 1, sizeof record.head - 1, sizeof record + 1, UINT32_MAX };
	struct writer w = { .flags = RECORD_STACK };

	(void)state;
	begin();
	assert_int_equal(say_bytes(w, "error: short\n", 13), 0);
	assert_int_equal(stack_of("error: short")[0], 0);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		memset(&record, '.', sizeof record);
		memcpy(record.text, "\nerror: forged\n", 15);
		record.head.bytes = lengths[i];
		assert_int_equal(say_bytes(w, &record, sizeof record.head + 15), 0);
		case_settle();
		assert_int_equal(count_of(case_got("json"), "error: forged"), i + 1);
	}
	assert_null(strstr(case_got("json"), "stack"));
	/* and no helper was needed for that */
	assert_int_equal(scene.c.callpath.helper[0].fd | scene.c.callpath.helper[1].fd, 0);
}

static void told_of_modules(void **state)
{
	struct record_module module = { .start = 0x1000, .end = 0x2000 };

	(void)state;
	begin();
	case_join((uint32_t)getpid(), "subject", 0, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(say_bytes((struct writer){ .kind = RECORD_MODULE }, &module,
					   sizeof module), 0);
	case_settle();
	case_join((uint32_t)getpid(), "subject", 0, 1);
	say_from(us, "tell", "error: one\n");
	assert_string_equal(stack_of("error: one"), "\"stack\":[\"modules 3 images 1\"]");
}

static void knows_nothing(void **state)
{
	(void)state;
	begin();
	say_from(us, "empty", "error: one\n");
	assert_string_equal(stack_of("error: one"), "\"stack\":[\"program+0x1\",\"main\"]");
}

static void dies(void **state)
{
	(void)state;
	begin();
	say_from(us, "dies", "error: one\n");
	say_from(us, "name", "error: two\n");
	assert_string_equal(stack_of("error: one"), "\"stack\":[\"program+0x1\",\"main\"]");
	assert_string_equal(stack_of("error: two"), "\"stack\":[\"program+0x1\",\"main\"]");
	assert_true(scene.c.callpath.helper[0].failed);
	/* the other one, too: then messages have none */
	kill(scene.c.callpath.helper[1].pid, SIGKILL);
	say_from(us, "name", "error: three\n");
	assert_string_equal(stack_of("error: three"), "");
	assert_true(scene.c.callpath.helper[1].failed);
}

/* One that is late is waited for once. */
static void late(void **state)
{
	struct pollfd answer;

	(void)state;
	begin();
	say_from(us, "late", "error: one\n");
	assert_string_equal(stack_of("error: one"), "\"stack\":[\"program+0x1\",\"main\"]");
	uint64_t asked = scene.c.callpath.helper[0].asked;
	assert_true(asked != 0);
	say_from(us, "name", "error: two\n");
	case_settle();
	if (scene.c.callpath.helper[0].asked == asked) /* still at it */
		assert_string_equal(stack_of("error: two"),
				    "\"stack\":[\"program+0x1\",\"main\"]");
	answer = (struct pollfd){ .fd = scene.c.callpath.helper[0].fd, .events = POLLIN };
	if (scene.c.callpath.helper[0].asked)
		assert_int_equal(poll(&answer, 1, 60000), 1);
	say_from(us, "name", "error: three\n");
	assert_string_equal(stack_of("error: three"), "\"stack\":[\"name\",\"main\"]");
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "frames") == 0)
		return serve(argc > 2 && strcmp(argv[2], "--addresses") == 0);
	const struct CMUnitTest tests[] = {
		CASE(severe_ones), CASE(whose), CASE(many_unfinished), CASE(forged),
		CASE(told_of_modules), CASE(knows_nothing), CASE(dies), CASE(late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
