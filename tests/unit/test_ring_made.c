/*
 * test_ring_made.c - ring_append_made(): bytes that are made in their place. Messages with a stack are said so.
 */
#include "tests/unit/ring_case.h"

enum { RING = 64 << 10 };

static struct made {
	size_t bytes;
	unsigned times;
	const char *at;
	struct ring *interrupted; /* by a message said amid the making */
} made;

static void make(void *arg, char *payload)
{
	struct made *m = arg;
	struct ring *ring = m->interrupted;
	struct ring_author author = case_author();

	m->times++;
	m->at = payload;
	for (size_t i = 0; i < m->bytes; i++) {
		if (ring && i == m->bytes / 2)
			assert_int_equal(case_say(ring, &author, "amid"), 0);
		payload[i] = (char)('a' + i % 23);
	}
}

static int append(struct ring *ring, size_t bytes, const struct ring_policy *policy)
{
	struct ring_author author = case_author();
	struct record_info info = { .fd = 2, .kind = RECORD_TEXT, .flags = RECORD_STACK };

	made.bytes = bytes;
	int error = ring_append_made(ring, &author, &info, make, &made, bytes, policy);
	assert_int_equal(author.depth, 0);
	return error;
}

static void expect_made(struct reader *reader, size_t bytes)
{
	struct reader_record record;

	assert_true(case_take(reader, 30000ull * MS, &record));
	assert_int_equal(record.bytes, bytes);
	assert_int_equal(record.flags, RECORD_STACK);
	assert_int_equal(record.kind, RECORD_TEXT);
	for (size_t i = 0; i < bytes; i++)
		assert_int_equal(record.payload[i], 'a' + i % 23);
}

static void test_sizes(void **state)
{
	(void)state;
	struct ring_case c;
	case_open(&c, RING, false);
	const size_t most = ring_record_most(&c.ring), sizes[] = { 0, 1, 17, most };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		made = (struct made){ .times = 0 };
		errno = 4711;
		assert_int_equal(append(&c.ring, sizes[i], &case_block), 0);
		assert_int_equal(errno, 4711);
		assert_int_equal(made.times, 1);
		assert_true(made.at > c.ring.memory &&
			    made.at + sizes[i] <=
				    (char *)c.ring.shared + c.ring.mapped_bytes);
		expect_made(&c.reader, sizes[i]);
	}
	/* one record, or none */
	made = (struct made){ .times = 0 };
	assert_int_equal(append(&c.ring, most + 1, &case_block), -EAGAIN);
	assert_int_equal(made.times, 0);
	case_expect_nothing(&c.reader);
	case_close(&c);
}

static void test_full(void **state)
{
	(void)state;
	struct ring_case c;
	struct ring_policy newest = { .overflow = RING_LOSE_NEWEST };
	unsigned appended = 0;

	case_open(&c, RING, false);
	const size_t most = ring_record_most(&c.ring);
	made = (struct made){ .times = 0 };
	while (append(&c.ring, most, &newest) == 0)
		appended++;
	assert_int_equal(made.times, appended); /* nothing is made that has no room */
	assert_true(appended > 0 && appended * most <= RING);
	for (unsigned i = 0; i < appended; i++)
		expect_made(&c.reader, most);
	case_expect_nothing(&c.reader);
	case_close(&c);
}

/* A signal's handler speaks while it is made: two records, both whole. */
static void test_nested(void **state)
{
	(void)state;
	struct ring_case c;

	case_open(&c, RING, false);
	made = (struct made){ .interrupted = &c.ring };
	assert_int_equal(append(&c.ring, 100, &case_block), 0);
	made.interrupted = NULL;
	expect_made(&c.reader, 100);
	case_expect(&c.reader, "amid");
	case_expect_whole(&c);
	case_close(&c);
}

/* The reader has given up waiting for it: it is made once more, elsewhere. */
static struct ring_case *slow;

static void give_up(const char *name)
{
	struct reader_record record;

	if (strcmp(name, case_point) != 0 || --case_countdown)
		return;
	for (int i = 0; i < 3; i++) { /* first seen, then too old */
		reader_next(&slow->reader, clock_monotonic_ns() + i * (uint64_t)RING_PATIENCE_NS,
			    &record);
	}
}

static void test_revoked(void **state)
{
	(void)state;
	struct ring_case c;

	case_open(&c, RING, false);
	slow = &c;
	case_arm("ring_filled", 1, 0);
	testpoint_handler = give_up;
	made = (struct made){ .times = 0 };
	assert_int_equal(append(&c.ring, 100, &case_block), 0);
	testpoint_handler = NULL;
	assert_int_equal(made.times, 2);
	expect_made(&c.reader, 100);
	case_expect_nothing(&c.reader);
	case_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_revoked),
	};

	return cmocka_run_group_tests_name("ring_made", tests, NULL, NULL);
}
