/*
 * test_reader.c - when a ring gets the memory that it does not begin with. What is read of it is in
 * test_ring*.c.
 */
#include "tests/unit/ring_case.h"

enum { RING = 256 << 10, READY = 2 };

/* Until there is no room. */
static void fill(struct ring_case *c)
{
	const struct ring_policy lose = { .overflow = RING_LOSE_NEWEST };
	struct ring_author author = case_author();

	while (case_say_with(&c->ring, &author, &lose, "something", 9) == 0)
		;
}

static void read_all(struct ring_case *c, uint64_t now_ns)
{
	struct reader_record record;

	while (reader_next(&c->reader, now_ns, &record) == READER_RECORD)
		;
	reader_release(&c->reader, c->reader.at, now_ns);
}

/* Milliseconds of work: not for a session in which little is said. */
static void test_memory_when_a_chunk_is_used_up(void **state)
{
	struct ring_case c;
	struct ring_author author = case_author();

	(void)state;
	case_open_ready(&c, RING, READY, false);
	uint32_t missing = c.reader.missing;
	assert_true(missing > 0);
	assert_int_equal(case_say(&c.ring, &author, "one"), 0);
	read_all(&c, 1000ull * MS);
	assert_int_equal(c.reader.missing, missing);
	fill(&c);
	read_all(&c, 2000ull * MS);
	assert_int_equal(c.reader.missing, 0);
	case_close(&c);
}

static void test_memory_when_asked_for(void **state)
{
	struct ring_case c;

	(void)state;
	case_open_ready(&c, RING, READY, false);
	reader_tend(&c.reader, 1000ull * MS); /* as the collector does after a second */
	assert_int_equal(c.reader.missing, 0);
	case_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_when_a_chunk_is_used_up),
		cmocka_unit_test(test_memory_when_asked_for),
	};

	return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
