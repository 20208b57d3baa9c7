/*
 * test_ring_steal.c - RING_LOSE_OLDEST: producers take chunks away from a reader that is too slow.
 */
#include <pthread.h>

#include "tests/unit/ring_case.h"

enum { WRITERS = 4, EACH = 20000, RING = 64 << 10 };

static struct ring *shared_ring;

/* A flight recorder: the newest are there, and what is not is counted. Also when the reader is
 * several laps behind. */
static void test_lose_oldest(void **state)
{
	(void)state;
	const struct ring_policy policy = { .overflow = RING_LOSE_OLDEST };
	struct ring_case c;
	struct reader_record record;
	case_open(&c, RING, true);
	struct ring_author author = case_author();
	uint64_t last = 0, got = 0, said = 0;

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 10000; i++, said++)
			assert_int_equal(
				case_say_with(&c.ring, &author, &policy, &said, sizeof said), 0);
		while (reader_next(&c.reader, clock_monotonic_ns(), &record) == READER_RECORD) {
			uint64_t number;
			memcpy(&number, record.payload, sizeof number);
			assert_true(got == 0 || number > last);
			last = number;
			got++;
		}
		assert_int_equal(last, said - 1);
		reader_release(&c.reader, c.reader.at, clock_monotonic_ns());
	}
	assert_int_equal(got + c.ring.shared->lost_messages, said);
	assert_int_equal(c.ring.shared->lost_bytes, c.ring.shared->lost_messages * sizeof said);
	assert_true(c.reader.overtaken >= 5);
	assert_int_equal(c.reader.corrupt, 0);
	case_close(&c);
}

static void *oldest_thread(void *writer)
{
	const struct ring_policy policy = { .overflow = RING_LOSE_OLDEST };
	struct ring_author author = case_author();
	uint64_t message[12] = { (uintptr_t)writer };

	for (uint64_t i = 1; i <= EACH; i++) {
		for (int k = 1; k < 12; k++)
			message[k] = i;
		if (case_say_with(shared_ring, &author, &policy, message, sizeof message) != 0)
			abort();
	}
	return NULL;
}

static void test_lose_oldest_race(void **state)
{
	(void)state;
	struct ring_case c;
	pthread_t threads[WRITERS];
	uint64_t last[WRITERS] = { 0 }, message[12];
	struct reader_record record;

	case_open(&c, RING, true);
	shared_ring = &c.ring;
	for (uintptr_t i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, oldest_thread, (void *)i);
	for (int ended = 0; ended < WRITERS;) {
		if (!case_take(&c.reader, MS, &record)) {
			while (ended < WRITERS && pthread_tryjoin_np(threads[ended], NULL) == 0)
				ended++;
			continue;
		}
		assert_int_equal(record.bytes, sizeof message);
		memcpy(message, record.payload, sizeof message);
		assert_true(message[0] < WRITERS && message[1] > last[message[0]]);
		last[message[0]] = message[1];
		for (int k = 2; k < 12; k++)
			assert_int_equal(message[k], message[1]);
		if (message[1] % 8 == 0)
			reader_release(&c.reader, record.next, clock_monotonic_ns());
	}
	assert_int_equal(c.reader.corrupt, 0);
	/* no piece was lost on the way */
	reader_release(&c.reader, c.reader.at, clock_monotonic_ns());
	reader_tend(&c.reader, clock_monotonic_ns());
	assert_int_equal(c.reader.missing, 0);
	assert_int_equal(c.reader.aside_count, 0);
	case_close(&c);
}

static struct ring_author *thief;

static void overrun_now(const char *name)
{
	const struct ring_policy policy = { .overflow = RING_LOSE_OLDEST };
	if (strcmp(name, "reader_copying") != 0)
		return;
	testpoint_handler = NULL;
	for (int i = 0; i < 2 * RING / 48; i++)
		assert_int_equal(case_say_with(shared_ring, thief, &policy, "new", 3), 0);
}

/* What is stolen while the reader copies it is not handed out. */
static void test_stolen_while_copied(void **state)
{
	(void)state;
	struct ring_case c;
	case_open(&c, RING, true);
	struct ring_author author = case_author();
	shared_ring = &c.ring;
	thief = &author;
	assert_int_equal(case_say(&c.ring, &author, "this is old"), 0);
	testpoint_handler = overrun_now;
	case_expect(&c.reader, "new");
	assert_true(c.reader.overtaken >= 1);
	case_close(&c);
}

static const struct ring_policy steal = { .overflow = RING_LOSE_OLDEST };

static void overrun(struct ring_case *c, struct ring_author *author, uint64_t bytes)
{
	char text[100];
	memset(text, 'o', sizeof text);
	for (uint64_t sent = 0; sent < bytes; sent += sizeof text)
		assert_int_equal(case_say_with(&c->ring, author, &steal, text, sizeof text), 0);
}

static void expect_overrun(struct ring_case *c)
{
	struct reader_record record;
	while (reader_next(&c->reader, clock_monotonic_ns(), &record) == READER_RECORD) {
		if (record.bytes == 4 && memcmp(record.payload, "late", 4) == 0)
			continue;
		assert_int_equal(record.bytes, 100);
		for (int i = 0; i < 100; i++)
			assert_int_equal(record.payload[i], 'o');
	}
	assert_int_equal(c->reader.corrupt, 0);
}

/* A stopped writer's chunk is stolen, whether the reader has revoked its claim before or not. When it
 * goes on after several laps, it scribbles over nobody. */
static void test_stolen_from_stopped(void **state)
{
	(void)state;
	for (int revoked = 0; revoked < 2; revoked++) {
		struct ring_case c;
		case_open(&c, RING, true);
		struct ring_author author = case_author();
		pid_t child = case_hit(&c, &steal, "ring_filling", 1, SIGSTOP, "late");
		overrun(&c, &author, 1000);
		struct reader_record record;
		if (revoked)
			assert_true(case_take(&c.reader, 1000ull * MS, &record));
		/* just so far that its piece would be full of others' messages, were it in use */
		overrun(&c, &author, 5 * RING);
		case_continue(child);
		expect_overrun(&c);
		overrun(&c, &author, 5 * RING);
		expect_overrun(&c);
		case_expect_whole(&c);
		case_close(&c);
	}
}

static void test_thieves_killed(void **state)
{
	(void)state;
	static const char *const points[] = { "ring_stolen", "ring_stamped" };
	struct ring_case c;
	case_open(&c, RING, true);
	struct ring_author author = case_author();
	for (int i = 0; i < 60; i++) {
		overrun(&c, &author, 2 * RING);
		/* up to the end of the last chunk, so that the child has to steal */
		const struct ring_policy lose = { .overflow = RING_LOSE_NEWEST };
		while (case_say_with(&c.ring, &author, &lose, "x", 1) == 0)
			;
		case_hit(&c, &steal, points[i % 2], 1, SIGKILL, "thief");
		reader_tend(&c.reader, clock_monotonic_ns());
		assert_int_equal(c.reader.missing, 0);
	}
	overrun(&c, &author, 2 * RING);
	expect_overrun(&c);
	case_expect_whole(&c);
	case_close(&c);
}

/* No reader tends: thieves find by themselves what writers have left. */
static void test_thieves_alone(void **state)
{
	(void)state;
	struct ring_case c;
	case_open(&c, RING, true);
	struct ring_author author = case_author();
	for (int i = 0; i < 60; i++) {
		pid_t child = case_hit(&c, &steal, "ring_filling", 1, SIGSTOP, "late");
		overrun(&c, &author, 2 * RING);
		case_continue(child);
	}
	uint64_t since = clock_monotonic_ns();
	overrun(&c, &author, 4 * RING);
	assert_true(clock_monotonic_ns() - since < 2000ull * MS); /* not 50 ms for each */
	case_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lose_oldest),
		cmocka_unit_test(test_lose_oldest_race),
		cmocka_unit_test(test_stolen_while_copied),
		cmocka_unit_test(test_stolen_from_stopped),
		cmocka_unit_test(test_thieves_killed),
		cmocka_unit_test(test_thieves_alone),
	};
	return cmocka_run_group_tests_name("ring, stealing", tests, NULL, NULL);
}
