/*
 * test_deliver.c - deliver.c: records into messages, messages into the queues of those that want them.
 */
#include "tests/unit/collect_case.h"

/* ---- text ----------------------------------------------------------------------------------------- */

static void test_formats(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw file:@/json?format=json file:@/text?format=text");
	say("one\ntwo\n");
	say("thr");
	case_settle();
	expect_file("raw", "one\ntwo\nthr"); /* at once, as it is */
	say("ee\n");
	case_settle();
	expect_file("raw", "one\ntwo\nthree\n");
	const char *json = case_got("json");
	assert_int_equal(expect_gapless(json, 1), 3);
	assert_non_null(strstr(json, "\"msg\":\"three\",\"source\":\"stderr\""));
	assert_null(strstr(json, "partial"));
	const char *text = case_got("text");
	assert_int_equal(count_of(text, "\n"), 3);
	assert_non_null(strstr(text, "three\n"));
	assert_int_equal(scene.c.state.messages, 3);
	assert_int_equal(scene.c.state.bytes, 11);
}

static void test_lines_of_two_writers(void **state)
{
	struct writer thread = { .tid = 77 }, stdout_of_ours = { .fd = 1, .source = SOURCE_STDOUT };
	(void)state;

	case_begin("file:@/json?format=json file:@/raw?format=raw");
	say("a1 ");
	say_as(writer_other(), "b1 ");
	say_as(thread, "c1 ");
	say_as(stdout_of_ours, "d1 ");
	say("a2\n");
	say_as(thread, "c2\n");
	say_as(writer_other(), "b2\n");
	say_as(stdout_of_ours, "d2\n");
	case_settle();
	const char *json = case_got("json");
	assert_int_equal(expect_gapless(json, 1), 4);
	const char *a = strstr(json, "\"msg\":\"a1 a2\""), *c = strstr(json, "\"msg\":\"c1 c2\"");
	const char *b = strstr(json, "\"msg\":\"b1 b2\"");
	const char *d = strstr(json, "\"msg\":\"d1 d2\",\"source\":\"stdout\"");
	assert_true(a && c && b && d && a < c && c < b && b < d);
	expect_file("raw", "a1 b1 c1 d1 a2\nc2\nb2\nd2\n");
}

static void test_partial(void **state)
{
	(void)state;
	case_begin("file:@/json?format=json");
	say("no end");
	case_settle();
	expect_file("json", "");
	case_wait(201 * CASE_MS);
	case_settle();
	assert_non_null(strstr(case_got("json"), "\"msg\":\"no end\""));
	assert_non_null(strstr(case_got("json"), "\"partial\":true"));
	say("last words");
	say_as((struct writer){ .kind = RECORD_LEAVING }, "");
	case_settle();
	assert_non_null(strstr(case_got("json"), "\"msg\":\"last words\""));
	assert_int_equal(expect_gapless(case_got("json"), 1), 2);
}

/* While the ring is not read to its end, the rest of a line may be in it: the clock alone says nothing. */
static void test_behind(void **state)
{
	(void)state;
	case_begin("file:@/json?format=json&queue=64K&overflow=block");
	say("begin ");
	for (int i = 0; i < 1000 && !scene.c.in_hand; i++) {
		say_as(writer_other(), "filled filled filled filled filled\n");
		case_read();
	}
	assert_true(scene.c.in_hand);
	say("end\n");
	case_wait(500 * CASE_MS);
	case_settle();
	assert_non_null(strstr(case_got("json"), "\"msg\":\"begin end\""));
	assert_null(strstr(case_got("json"), "partial"));
}

/* But where there is always more to read, lines do not wait for its end. */
static void test_always_behind(void **state)
{
	(void)state;
	case_begin("file:@/json?format=json&queue=64K&overflow=block");
	say("a prompt");
	for (int i = 0; i < 1000 && !strstr(case_got("json"), "a prompt"); i++) {
		while (say_bytes(writer_other(), "filled filled filled filled\n", 28) == 0)
			;
		case_round();
		assert_true(scene.c.in_hand);
		poll(NULL, 0, 5);
	}
	assert_non_null(strstr(case_got("json"), "\"msg\":\"a prompt\""));
}

static void test_death(void **state)
{
	(void)state;
	case_begin("file:@/json?format=json");
	case_join((uint32_t)scene.other, "other", 0, 1);
	say_as(writer_other(), "cut short");
	case_settle();
	expect_file("json", "");
	kill(scene.other, SIGKILL);
	case_wait_for_death("json");
	assert_non_null(strstr(case_got("json"), "\"msg\":\"cut short\""));
	assert_int_equal(scene.c.watch.ended_count, 0); /* said, and forgotten */
}

/* What it left in the ring bears its name, even if another collector reads it. */
static void test_name_of_the_dead(void **state)
{
	(void)state;
	case_begin("file:@/json?format=json");
	case_join((uint32_t)scene.other, "renamed", 0, 1);
	case_settle();
	say_as(writer_other(), "left behind\n");
	kill(scene.other, SIGKILL);
	waitpid(scene.other, NULL, 0);
	case_succeed();
	case_settle();
	assert_non_null(strstr(case_got("json"), "\"comm\":\"renamed\""));
	case_succeed(); /* and is then forgotten */
	case_settle();
	assert_int_equal(scene.c.state.people, 1); /* the first process, ours */
	scene.other = -1;
}

static void test_number_has_new_owner(void **state)
{
	uint32_t pid = (uint32_t)scene.other;
	(void)state;

	case_begin("file:@/json?format=json file:@/raw?format=raw");
	say_as(writer_other(), "of the old one");
	case_settle();
	struct watched *p = watch_process(&scene.c.watch, pid);
	p->ended = true;
	p->ended_at = UINT64_MAX; /* the ring is not read so far */
	p->start--;
	close(p->pidfd);
	p->pidfd = -1;
	scene.c.watch.alive--;
	scene.c.watch.ended_count++;
	case_join(pid, "newcomer", scene.c.watch.own_namespace, 1);
	say_as(writer_other(), " new\n");
	case_settle();
	const char *json = case_got("json");
	assert_non_null(strstr(json, "\"msg\":\"of the old one\""));
	assert_non_null(strstr(json, "\"msg\":\" new\""));
	assert_non_null(strstr(json, "\"comm\":\"newcomer\""));
}

/* Nothing has been heard of the old one's end yet. */
static void test_fork_has_the_number_again(void **state)
{
	struct record_join join = { .comm = "child", .parent = (uint32_t)getpid() };
	struct writer child = writer_other();
	(void)state;

	child.fd = 0xffff;
	child.kind = RECORD_JOIN;
	child.source = SOURCE_HARK;
	child.detail = JOIN_CHILD;
	case_begin("file:@/json?format=json");
	say_as(writer_other(), "of the old one");
	assert_int_equal(say_bytes(child, &join, offsetof(struct record_join, path)), 0);
	say_as(writer_other(), "of the new one\n");
	case_settle();
	assert_non_null(strstr(case_got("json"), "\"msg\":\"of the old one\""));
	assert_non_null(strstr(case_got("json"), "\"msg\":\"of the new one\""));
}

static void test_renamed_goes_on_with_the_line(void **state)
{
	struct record_join join = { .path = "/bin/image" };
	struct writer writer = writer_other();
	(void)state;

	case_begin("file:@/json?format=json");
	say_as(writer, "begun here, ");
	writer.fd = 0xffff;
	writer.kind = RECORD_JOIN;
	writer.source = SOURCE_HARK;
	assert_int_equal(say_bytes(writer, &join, sizeof join), 0); /* its next image */
	case_join((uint32_t)scene.other, "renamed", 0, (uint32_t)getpid());
	say_as(writer_other(), "ended there\n");
	case_settle();
	assert_non_null(strstr(case_got("json"), "\"msg\":\"begun here, ended there\""));
}

/* ---- who wants it --------------------------------------------------------------------------------- */

static void test_filters(void **state)
{
	(void)state;
	case_begin("file:@/all?format=raw file:@/bad?format=raw&level=warning "
		   "file:@/out?format=raw&source=stdout,fd:* file:@/none?format=raw&level=none");
	say("plain\nERROR: bad\n");
	say_as((struct writer){ .fd = 1, .source = SOURCE_STDOUT }, "to stdout\n");
	say_as((struct writer){ .fd = 7, .source = SOURCE_FD, .detail = 7 }, "to seven\n");
	case_settle();
	expect_file("all", "plain\nERROR: bad\nto stdout\nto seven\n");
	expect_file("bad", "ERROR: bad\n");
	expect_file("out", "to stdout\nto seven\n");
	expect_file("none", "");
}

static void test_level_of_session(void **state)
{
	(void)state;
	case_sinks("file:@/raw?format=raw file:@/json?format=json");
	scene.config.level = LEVEL_WARNING;
	case_create(getpid(), "/nonexistent");
	case_open();
	say("plain\nERROR: bad\n");
	say_as((struct writer){ .kind = RECORD_NOTE, .source = SOURCE_HARK, .detail = LEVEL_INFO },
	       "hark's own");
	case_settle();
	expect_file("raw", "ERROR: bad\nhark: hark's own\n");
	assert_int_equal(expect_gapless(case_got("json"), 1), 2);
}

static void test_paths(void **state)
{
	struct writer first = { .source = SOURCE_PATH }, second = first, beyond = first;
	(void)state;

	second.detail = 1;
	beyond.detail = UINT32_MAX;
	case_sinks("file:@/json?format=json");
	memcpy(scene.config.capture.paths, "/a/*\0/b/*\0", 10);
	case_create(getpid(), "/nonexistent");
	case_open();
	say_as(first, "1\n");
	say_as(second, "2\n");
	say_as(beyond, "3\n");
	case_settle();
	memset(case_settings()->paths, 'x', sizeof scene.session.control->paths);
	say_as(first, "4\n");
	case_settle();
	const char *json = case_got("json");
	assert_non_null(strstr(json, "\"msg\":\"1\",\"source\":\"path:/a/*\""));
	assert_non_null(strstr(json, "\"msg\":\"2\",\"source\":\"path:/b/*\""));
	assert_non_null(strstr(json, "\"msg\":\"3\",\"source\":\"path:\""));
	assert_non_null(strstr(json, "\"msg\":\"4\",\"source\":\"path:xxx"));
	assert_int_equal(count_of(json, "x"), 1023);
}

/* ---- what is no text ------------------------------------------------------------------------------ */

static void test_syslog(void **state)
{
	struct writer w = { .fd = 0xffff, .source = SOURCE_SYSLOG, .kind = RECORD_SYSLOG,
			    .detail = 3 << 3 | 4 };
	(void)state;

	case_begin("file:@/json?format=json file:@/raw?format=raw");
	assert_int_equal(say_bytes(w, "me[1]\0hello", 11), 0);
	w.detail = 0xffffffff; /* no facility has that number */
	assert_int_equal(say_bytes(w, "no end of ident", 15), 0);
	w.flags = RECORD_CONTINUES;
	assert_int_equal(say_bytes(w, "rest\0of it", 10), 0);
	case_settle();
	const char *json = case_got("json");
	assert_non_null(
		strstr(json, "\"level\":\"warning\",\"msg\":\"hello\",\"source\":\"syslog\""));
	assert_non_null(strstr(json, "\"ident\":\"me[1]\",\"facility\":\"daemon\""));
	assert_non_null(strstr(json, "\"msg\":\"no end of ident\""));
	assert_non_null(strstr(json, "\"msg\":\"rest\\u0000of it\""));
	assert_int_equal(count_of(json, "facility"), 1);
	assert_int_equal(memcmp(case_got("raw"), "hello\nno end of ident\nrest\0of it\n", 33), 0);
}

static void test_notes_and_nonsense(void **state)
{
	(void)state;
	case_begin("file:@/json?format=json");
	say_as((struct writer){ .kind = RECORD_NOTE, .detail = 99, .source = 99 }, "strange level");
	say_as((struct writer){ .kind = RECORD_LOG, .detail = 3, .source = SOURCE_LOG }, "logged");
	say_as((struct writer){ .kind = 15, .source = 250 }, "no such kind");
	say_as((struct writer){ .source = 250 }, "no such source\n");
	say_as((struct writer){ .kind = RECORD_JOIN }, "short");
	say_as((struct writer){ .pid = UINT32_MAX }, "no such process\n");
	case_settle();
	const char *json = case_got("json");
	assert_non_null(
		strstr(json, "\"level\":\"notice\",\"msg\":\"strange level\",\"source\":\"hark\""));
	assert_non_null(strstr(json, "\"level\":\"error\",\"msg\":\"logged\",\"source\":\"log\""));
	assert_non_null(strstr(json, "\"msg\":\"no such source\",\"source\":\"unknown\""));
	assert_non_null(strstr(json, "\"msg\":\"no such process\""));
	assert_int_equal(expect_gapless(json, 1), 4);
}

static void test_leaving_of_nobody(void **state)
{
	struct ring_author nobody = { .tid = 1 };
	struct record_info info = { .kind = RECORD_LEAVING };
	struct ring_policy policy = { .overflow = RING_LOSE_NEWEST };
	(void)state;

	case_begin("file:@/json?format=json");
	say("still being wri");
	assert_int_equal(ring_append(&scene.session.ring, &nobody, &info, NULL, 0, &policy), 0);
	say("tten\n");
	case_settle();
	assert_non_null(strstr(case_got("json"), "\"msg\":\"still being written\""));
}

/* Times do not run backwards, and one stamp from the future is not everybody's. */
static void test_time(void **state)
{
	struct collector *c = &scene.c;
	struct reader_record r = {
		.pid = (uint32_t)getpid(), .tid = 1, .payload = "x\n", .bytes = 2
	};
	uint64_t ticks, second;
	int64_t before = 0;
	(void)state;

	case_begin("file:@/json?format=json");
	case_clock();
	ticks = c->clock.now.ticks;
	second = c->clock.first.counter ? 3000000000 : CASE_SECOND; /* ticks, roughly */
	const uint64_t stamps[] = {
		ticks - second, ticks, ticks - 2 * second, ticks + 3600 * second, UINT64_MAX, 0,
		ticks
	};
	for (size_t i = 0; i < sizeof stamps / sizeof *stamps; i++) {
		r.ticks = stamps[i];
		c->record = r;
		c->state.streamed = 0;
		c->state.done = 0;
		assert_int_equal(deliver_record(c), 0);
		assert_true(c->state.time_ns >= before);
		assert_true(c->state.time_ns - deliver_time(c) < 100 * CASE_MS);
		before = c->state.time_ns;
	}
	assert_int_equal(c->state.seq, 7);
}

/* ---- full sinks ----------------------------------------------------------------------------------- */

enum { MANY = 4000, BATCH = 400 };

static void say_number(int i)
{
	char text[64];

	snprintf(text, sizeof text, "message number %d, ended here\n", i);
	say(text);
}

static void expect_numbers(const char *got, const char *before, const char *after, int count)
{
	char expected[96];

	for (int i = 0; i < count; i++) {
		snprintf(expected, sizeof expected, "%smessage number %d, ended here%s", before, i,
			 after);
		got = strstr(got, expected);
		if (!got)
			fail_msg("%s is not there, or not there in order", expected);
		got += strlen(expected);
	}
	assert_null(strstr(got, "message number"));
}

/* Nobody gets anything twice or not at all, though each step is refused somewhere all the time. */
static void test_waited_for(void **state)
{
	unsigned refused = 0;
	(void)state;

	case_begin("file:@/raw?format=raw&queue=64K&overflow=block file:@/large?format=raw "
		   "file:@/json?format=json&queue=64K&overflow=block");
	for (int i = 0; i < MANY; i++) {
		say_number(i);
		if (i % BATCH == BATCH - 1) {
			case_read(); /* more than finds room */
			refused += scene.c.in_hand;
			round_write_down(&scene.c);
			round_pump(&scene.c, &scene.wait);
			while (case_read() || scene.c.in_hand) {
				round_write_down(&scene.c);
				round_pump(&scene.c, &scene.wait);
			}
		}
	}
	assert_int_equal(refused, MANY / BATCH);
	case_settle();
	expect_numbers(case_got("raw"), "", "\n", MANY);
	expect_numbers(case_got("large"), "", "\n", MANY);
	expect_numbers(case_got("json"), "\"msg\":\"", "\"", MANY);
	assert_int_equal(expect_gapless(case_got("json"), 1), MANY);
}

/* Formats promise little beforehand of a line that is long for the queue. What fits, is waited for. */
static void test_long_for_the_queue(void **state)
{
	static char text[60001];
	struct ring_policy policy = { .overflow = RING_LOSE_NEWEST };
	struct record_info info = { .fd = 2 };
	struct ring_author author = { .pid = (uint32_t)getpid(), .tid = (uint32_t)sysio_gettid() };
	(void)state;

	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\n';
	case_begin("file:@/json?format=json&queue=64K&overflow=block file:@/raw?format=raw");
	for (int i = 0; i < 2; i++) {
		for (size_t at = 0; at < sizeof text; at += 20000) {
			size_t left = sizeof text - at;
			struct iovec part = { text + at, left < 20000 ? left : 20000 };
			if (at == 0)
				say("in between\n");
			assert_int_equal(
				ring_append(&scene.session.ring, &author, &info, &part, 1, &policy),
				0);
			case_settle();
		}
		memset(text, '\001', sizeof text - 1); /* six times as long in JSON: that does not fit */
	}
	const char *json = case_got("json");
	assert_int_equal(count_of(json, "x"), sizeof text - 1);
	assert_int_equal(scene.c.sinks[0].lost_messages, 1);
	assert_int_equal(scene.c.sinks[0].lost_bytes, sizeof text - 1);
	assert_int_equal(count_of(json, "in between"), 2);
}

static void test_lost(void **state)
{
	unsigned long lost = 0;
	(void)state;

	case_begin("file:@/few?format=json&queue=64K&overflow=drop file:@/all?format=raw");
	for (int i = 0; i < 800; i++)
		say_number(i);
	while (case_read())
		assert_false(scene.c.in_hand);
	lost = scene.c.sinks[0].lost_messages;
	assert_true(lost > 300 && lost < 750);
	assert_int_equal(scene.c.sinks[1].lost_messages, 0);
	assert_int_equal(scene.c.state.seq, 800);
	case_wait(2ull * CASE_SECOND);
	case_settle();
	const char *few = case_got("few"), *all = case_got("all");
	assert_int_equal(count_of(few, "message number"), 800 - lost);
	expect_numbers(all, "", "\n", 800);
	char text[64];
	snprintf(text, sizeof text, "%lu message", lost);
	assert_non_null(strstr(few, text));
	assert_non_null(strstr(all, text));
	assert_non_null(strstr(few, "\"level\":\"warning\",\"msg\":\""));
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		CASE(test_formats),
		CASE(test_lines_of_two_writers),
		CASE(test_partial),
		CASE(test_behind),
		CASE(test_always_behind),
		CASE(test_death),
		CASE(test_name_of_the_dead),
		CASE(test_number_has_new_owner),
		CASE(test_fork_has_the_number_again),
		CASE(test_renamed_goes_on_with_the_line),
		CASE(test_filters),
		CASE(test_level_of_session),
		CASE(test_paths),
		CASE(test_syslog),
		CASE(test_notes_and_nonsense),
		CASE(test_leaving_of_nobody),
		CASE(test_time),
		CASE(test_waited_for),
		CASE(test_long_for_the_queue),
		CASE(test_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
