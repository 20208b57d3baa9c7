/*
 * test_round.c - round.c: a collector's steps, and collectors that are killed between any two of them.
 */
#include "tests/unit/collect_case.h"

#include <pthread.h>

/* ---- killed at each test point --------------------------------------------------------------------- */

static const char *point;
static int countdown;

static void kill_myself(const char *name)
{
	if (strcmp(name, point) == 0 && --countdown == 0)
		sysio_kill(sysio_getpid(), SIGKILL);
}

/* A collector in a process of its own, which is killed at the nth passing of the point, or ends when
 * there is nothing to do. Whether it was killed. */
static bool collector_is_killed(const char *name, int nth)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setup_open(&scene.c, &scene.plan) != 0)
			_exit(1);
		point = name;
		countdown = nth;
		testpoint_handler = kill_myself;
		for (int idle = 0; idle < 3;)
			idle = case_round() == 0 && !scene.c.in_hand &&
					       sink_idle(&scene.c.sinks[0]) &&
					       sink_idle(&scene.c.sinks[1])
				       ? idle + 1
				       : 0;
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFSIGNALED(status))
		assert_int_equal(status, 0);
	return WIFSIGNALED(status);
}

enum { EACH = 120 };

static int said;

static void say_some(void)
{
	char text[100];

	for (int i = 0; i < EACH; i++, said++) {
		snprintf(text, sizeof text, "message number %d.", said);
		if (said % 3) {
			say(text);
			say(" Its second part, said later.\n");
		} else {
			text[strlen(text) - 1] = '\n';
			say(text);
		}
		if (said % 10)
			continue;
		/* a large call, with somebody else in between */
		say_as((struct writer){ .flags = RECORD_MORE }, "<one ");
		say_as((struct writer){ .pid = (uint32_t)scene.other, .tid = 5 }, "[other]\n");
		say_as((struct writer){ .flags = RECORD_CONTINUES }, "call>\n");
	}
}

/* Every seq is there; one that comes again is, byte for byte, what it was before. */
static unsigned long check_json(const char *json, unsigned *again)
{
	static char lines[1 << 14][256];
	unsigned long most = 0;

	memset(lines, 0, sizeof lines);
	while (*json) {
		size_t length = strcspn(json, "\n");
		const char *seq = strstr(json, "\"seq\":");
		assert_true(json[length] == '\n' && length < sizeof *lines && seq);
		unsigned long number = strtoul(seq + strlen("\"seq\":"), NULL, 10);
		assert_true(number > 0 && number < sizeof lines / sizeof *lines);
		if (lines[number][0]) {
			assert_int_equal(strlen(lines[number]), length);
			assert_memory_equal(lines[number], json, length);
			++*again;
		} else {
			assert_int_equal(number, most + 1); /* never one before the one before it */
			memcpy(lines[number], json, length);
			most = number;
		}
		json += length + 1;
	}
	return most;
}

/* The raw stream holds all in order; what comes again is a piece that was there before. */
static void check_raw(const char *raw)
{
	char expected[100];
	const char *at = raw;

	for (int i = 0; i < said; i++) {
		snprintf(expected, sizeof expected,
			 i % 3 ? "message number %d. Its second part, said later.\n"
			       : "message number %d\n",
			 i);
		at = strstr(at, expected);
		if (!at)
			fail_msg("not there in its place: %s", expected);
	}
	assert_true(count_of(raw, "[other]\n<one call>\n") >= (unsigned)(said + 9) / 10);
}

static void test_killed(void **state)
{
	static const char *const points[] = {
		"collect_delivered", "checkpoint_written", "collect_checkpointed",
		"reader_released", "ring_stamped", "sink_written", "collect_pumped",
	};
	unsigned kills = 0, again = 0;
	(void)state;

	said = 0;
	case_sinks("file:@/json?format=json file:@/raw?format=raw");
	case_create(getpid(), "/nonexistent");
	for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
		for (int nth = 1; nth <= 3; nth++) {
			say_some();
			kills += collector_is_killed(points[i], nth);
		}
		collector_is_killed("none", 1); /* room for more */
	}
	assert_true(kills >= 16);
	case_open();
	case_settle();
	assert_int_equal(check_json(case_got("json"), &again), said + 2 * ((said + 9) / 10));
	check_raw(case_got("raw"));
	assert_int_equal(scene.c.state.messages, scene.c.state.seq);
	for (unsigned reason = 0; reason < LOST_NR; reason++)
		assert_int_equal(atomic_load(&scene.session.control->lost[reason].messages), 0);
}

/* Nothing is left to read, but what was read is still in the way of others. */
static void test_killed_before_release(void **state)
{
	uint64_t first;
	(void)state;

	case_sinks("file:@/json?format=json file:@/raw?format=raw");
	case_create(getpid(), "/nonexistent");
	first = atomic_load(&scene.session.ring.shared->first);
	while (say_bytes((struct writer){ 0 }, "a line that fills the ring\n", 27) == 0)
		;
	assert_true(collector_is_killed("collect_checkpointed", 1));
	assert_int_equal(atomic_load(&scene.session.ring.shared->first), first);
	case_open();
	assert_int_equal(case_round(), 0);
	assert_true(atomic_load(&scene.session.ring.shared->first) > first);
	say("there is room again\n");
	case_settle();
	assert_int_equal(count_of(case_got("raw"), "there is room again\n"), 1);
}

/* The oldest may be taken away while nobody reads: what was begun of it is not gone on with. */
static void test_overtaken(void **state)
{
	struct collector *c = &scene.c;
	struct ring_policy policy = { .overflow = RING_LOSE_OLDEST };
	struct record_info info = { .fd = 2 };
	struct ring_author author = { .pid = (uint32_t)getpid(), .tid = (uint32_t)sysio_gettid() };
	char text[] = "a line that is new\n";
	struct iovec part = { text, sizeof text - 1 };
	(void)state;

	case_sinks("file:@/json?format=json file:@/raw?format=raw");
	scene.config.overflow = OVERFLOW_OVERWRITE;
	case_create(getpid(), "/nonexistent");
	case_open();
	/* As if a sink had been full in the middle of the first record. */
	say("first\nsecond\nthird\n");
	c->state.done = 13;
	c->state.streamed = 1;
	c->dirty = true;
	round_write_down(c);
	for (int i = 0; i < 4000; i++)
		assert_int_equal(
			ring_append(&scene.session.ring, &author, &info, &part, 1, &policy), 0);
	case_succeed();
	case_settle();
	const char *raw = case_got("raw");
	assert_null(strstr(raw, "third"));
	assert_int_equal(strncmp(raw, text, sizeof text - 1), 0);
	unsigned there = count_of(raw, text);
	uint64_t lost = atomic_load(&scene.session.ring.shared->lost_messages);
	assert_true(there > 100 && there < 4000);
	assert_int_equal(there + lost, 4001);
	assert_int_equal(count_of(case_got("json"), "a line that is new"), there);
}

/* ---- what a round leaves for the next -------------------------------------------------------------- */

/* The last words of one who died find no room at first; nobody speaks any more. */
static void test_last_words_wait(void **state)
{
	struct collector *c = &scene.c;
	(void)state;

	case_begin("file:@/json?format=json&queue=64K&overflow=block");
	say_as(writer_other(), "last words");
	case_read();
	struct watched *p = watch_process(&c->watch, (uint32_t)scene.other);
	kill(scene.other, SIGKILL);
	while (!p->ended) {
		watch_events(&c->watch);
		poll(NULL, 0, 1);
	}
	uint64_t head = c->sinks[0].queue.head;
	queue_filled(&c->sinks[0].queue, queue_room(&c->sinks[0].queue));
	case_read();
	round_last_words(c);
	assert_int_equal(c->watch.ended_count, 1);
	assert_true(c->retry_ns > c->now_ns); /* it will not sleep over it */
	c->sinks[0].queue.head = head;
	case_settle();
	assert_int_equal(c->watch.ended_count, 0);
	assert_non_null(strstr(case_got("json"), "\"msg\":\"last words\""));
}

/* The ring's head is anybody's to spoil. */
static void test_spoilt_head(void **state)
{
	(void)state;
	case_begin("file:@/json?format=json");
	case_join((uint32_t)scene.other, "other", 0, 1);
	say_as(writer_other(), "last words");
	case_settle();
	assert_int_equal(scene.c.watch.alive, 2);
	atomic_store(&scene.session.ring.shared->head, UINT64_MAX / 2);
	kill(scene.other, SIGKILL);
	case_wait_for_death("json");
	assert_non_null(strstr(case_got("json"), "\"msg\":\"last words\""));
	assert_int_equal(scene.c.watch.ended_count, 0);
}

static void test_progress(void **state)
{
	struct control *control;
	(void)state;

	assert_int_equal(pipe(scene.console), 0);
	case_begin("console file:@/raw?format=raw");
	control = scene.session.control;
	say("something\n");
	uint64_t end = session_position(&scene.session);
	case_read();
	round_write_down(&scene.c);
	assert_true(atomic_load(&control->shown) < end);
	assert_true(atomic_load(&control->delivered) < end);
	round_pump(&scene.c, &scene.wait);
	assert_int_equal(atomic_load(&control->shown), end);
	assert_int_equal(atomic_load(&control->delivered), end);
	/* Who asked when all was done already is answered, too. */
	uint32_t before = atomic_load(&control->progress);
	atomic_store(&control->progress_wanted, 1);
	case_round();
	assert_int_equal(atomic_load(&control->progress), before + 1);
	assert_int_equal(atomic_load(&control->progress_wanted), 0);
	assert_int_equal(session_wait_for(&scene.session, SESSION_DELIVERED, end, 0), 0);
}

/* Nothing reaches a sink that a checkpoint does not cover. */
static void test_nothing_before_its_checkpoint(void **state)
{
	(void)state;
	case_begin("file:@/raw?format=raw");
	case_settle();
	say("something\n");
	case_read();
	round_pump(&scene.c, &scene.wait);
	expect_file("raw", "");
	case_succeed(); /* it never happened */
	case_settle();
	expect_file("raw", "something\n");
}

/* ---- with others beside it ------------------------------------------------------------------------- */

enum { TALKERS = 3, WORDS = 3000 };

static void *talk(void *argument)
{
	struct ring_author author = { .pid = (uint32_t)getpid(), .tid = (uint32_t)sysio_gettid() };
	struct record_info info = { .fd = 2 };
	struct ring_policy policy = { .overflow = RING_BLOCK };
	char text[2000];

	for (int i = 0; i < WORDS; i++) {
		int n = snprintf(text, sizeof text, "talker %c %d ", *(char *)argument, i);
		size_t length = i % 100 ? (size_t)n : sizeof text - 1; /* more than a record holds */
		memset(text + n, 'x', length - (size_t)n);
		text[length] = '\n';
		struct iovec part = { text, length + 1 };
		if (ring_append(&scene.session.ring, &author, &info, &part, 1, &policy) != 0)
			abort();
	}
	return NULL;
}

/* Threads that speak, the one that waits for processes, and processes that come and go. */
static void test_threads(void **state)
{
	struct collector *c = &scene.c;
	pthread_t threads[TALKERS];
	unsigned children = 0;
	(void)state;

	case_sinks("file:@/raw?format=raw file:@/json?format=json");
	scene.config.ring_bytes = 4 << 20; /* memory that is used again is for the ring's own tests */
	case_create(getpid(), "/nonexistent");
	case_open();
	assert_int_equal(watch_start(&c->watch), 0);
	for (int i = 0; i < TALKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, talk, (void *)&"abc"[i]), 0);
	while (c->state.seq < TALKERS * WORDS) {
		unsigned records = case_round();
		reader_sleep(&c->reader, records ? READER_NAPPING : READER_ASLEEP, CASE_MS);
		if (children < 20) {
			pid_t child = fork();
			if (child == 0)
				_exit(0);
			watch_process(&c->watch, (uint32_t)child);
			waitpid(child, NULL, 0);
			children++;
		}
	}
	for (int i = 0; i < TALKERS; i++)
		pthread_join(threads[i], NULL);
	while (c->watch.alive > 1 || c->watch.ended_count)
		case_round();
	case_settle();
	assert_int_equal(expect_gapless(case_got("json"), 1), TALKERS * WORDS);
	const char *raw = case_got("raw");
	assert_int_equal(count_of(raw, "talker"), TALKERS * WORDS);
	assert_int_equal(count_of(raw, "\ntalker"), TALKERS * WORDS - 1); /* not one inside another */
}

/* ---- a collector that begins behind an open claim ------------------------------------------------- */

static jmp_buf away;

static void jump_away(const char *name)
{
	if (strcmp(name, "ring_claimed") == 0) {
		testpoint_handler = NULL;
		longjmp(away, 1);
	}
}

/* It has read no record, so it knows nothing of the time: what its predecessor left is not old. */
static void test_begins_behind_an_open_claim(void **state)
{
	(void)state;
	case_begin("file:@/json?format=json");
	say("begin ");
	case_settle();
	if (!setjmp(away)) {
		testpoint_handler = jump_away;
		say_as(writer_other(), "is claimed, no more");
		fail();
	}
	case_succeed();
	case_round();
	assert_false(scene.c.caught_up);
	case_wait(RING_PATIENCE_NS);
	case_settle();
	assert_true(scene.c.caught_up);
	expect_file("json", "");
	say("end\n");
	case_settle();
	const char *json = case_got("json");
	assert_int_equal(expect_gapless(json, 1), 1);
	assert_int_equal(count_of(json, "\"msg\":\"begin end\""), 1);
	assert_null(strstr(json, "partial"));
}

static void claim_no_more(struct writer w)
{
	if (setjmp(away))
		return;
	testpoint_handler = jump_away;
	say_as(w, "is claimed, no more");
	fail();
}

/* No number of another pid namespace's tells here whether its writer lives: it has its patience, and
 * what it was given is not given to others; also when the collector that knew of it has been killed. */
static void claim_abroad(uint64_t pid_namespace)
{
	const uint32_t nobody = 4194000; /* no such process here */

	case_join(nobody, "abroad", pid_namespace, 0);
	case_settle();
	for (int collectors = 0; collectors < 2; collectors++) {
		claim_no_more((struct writer){ .pid = nobody, .tid = nobody });
		case_round();
		assert_false(scene.c.caught_up);
		assert_int_equal(scene.c.reader.torn, 0);
		case_wait(RING_PATIENCE_NS);
		case_settle();
		assert_int_equal(scene.c.reader.torn, 0);
		case_succeed();
	}
	expect_file("json", "");
}

static void test_writer_abroad(void **state)
{
	(void)state;
	case_begin("file:@/json?format=json");
	claim_abroad(scene.c.watch.own_namespace + 1);
}

static void test_writer_born_abroad(void **state)
{
	(void)state;
	case_begin("file:@/json?format=json");
	claim_abroad(0);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		CASE(test_killed),
		CASE(test_killed_before_release),
		CASE(test_overtaken),
		CASE(test_last_words_wait),
		CASE(test_spoilt_head),
		CASE(test_progress),
		CASE(test_nothing_before_its_checkpoint),
		CASE(test_threads),
		CASE(test_begins_behind_an_open_claim),
		CASE(test_writer_abroad),
		CASE(test_writer_born_abroad),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
