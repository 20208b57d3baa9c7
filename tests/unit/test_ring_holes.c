/*
 * test_ring_holes.c - writers, thieves and readers that die, stop or jump away at each test point.
 *
 * A child does one thing and is killed or stopped by itself at the point; what the others see
 * of it is the test.
 */
#include "tests/unit/ring_case.h"

enum { RING = 64 << 10 };

static const char *const before_commit[] = { "ring_claimed", "ring_filling", "ring_filled" };

static void test_writer_killed(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct ring_case c;
		case_open(&c, RING, false);
		struct ring_author author = case_author();
		case_say(&c.ring, &author, "before");
		case_hit(&c, &case_block, before_commit[i], 1, SIGKILL, "never said");
		case_say(&c.ring, &author, "after");
		case_expect(&c.reader, "before");
		case_expect(&c.reader, "after");
		assert_true(case_naps < CASE_NAPS_IN_50_MS / 3); /* the dead get no patience */
		assert_int_equal(c.reader.torn, 1);
		case_laps(&c, &author, 3 * RING);
		assert_int_equal(c.reader.torn, 1);
		case_expect_whole(&c);
		case_close(&c);
	}
}

static void test_writer_killed_after(void **state)
{
	(void)state;
	struct ring_case c;
	case_open(&c, RING, false);
	case_hit(&c, &case_block, "ring_committed", 1, SIGKILL, "said");
	case_expect(&c.reader, "said");
	assert_int_equal(c.reader.torn, 0);
	case_close(&c);
}

static void test_writer_stopped(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct ring_case c;
		case_open(&c, RING, false);
		struct ring_author author = case_author();
		case_say(&c.ring, &author, "before");
		pid_t child = case_hit(&c, &case_block, before_commit[i], 1, SIGSTOP, "late");
		case_say(&c.ring, &author, "after");
		case_expect(&c.reader, "before");
		case_expect(&c.reader, "after");
		assert_true(case_naps < 2 * CASE_NAPS_IN_50_MS);
		case_laps(&c, &author, 5 * RING);
		assert_int_equal(c.reader.aside_count, 1);
		assert_int_equal(c.reader.missing, 0); /* a spare has taken its turn */
		case_continue(child);
		case_expect(&c.reader, "late");
		case_expect_nothing(&c.reader);
		case_laps(&c, &author, 5 * RING);
		case_expect_whole(&c);
		assert_int_equal(c.reader.aside_count, 0);
		assert_int_equal(c.reader.torn, 0); /* it was said in the end */
		case_close(&c);
	}
}

/* Who stops where he is about to claim the beginning of a chunk, and goes on when that has become a
 * spare, does not claim there: nobody would ever read it. */
static void test_writer_comes_late(void **state)
{
	(void)state;
	struct ring_case c;
	case_open(&c, RING, false);
	struct ring_author author = case_author();
	pid_t late = case_hit(&c, &case_block, "ring_claiming", 1, SIGSTOP, "late");
	pid_t revoked = case_hit(&c, &case_block, "ring_filling", 1, SIGSTOP, "again");
	case_laps(&c, &author, 2 * RING);
	assert_int_equal(c.reader.aside_count, 1); /* that chunk */
	case_continue(revoked);
	case_expect(&c.reader, "again");
	case_expect_whole(&c);
	assert_int_equal(c.reader.aside_count, 0); /* a spare */
	case_continue(late);
	case_expect(&c.reader, "late");
	case_laps(&c, &author, 2 * RING);
	case_expect_whole(&c);
	assert_int_equal(c.reader.torn, 0);
	case_close(&c);
}

/* Many stop at once and are killed where they stand: each costs one message, and no memory. */
static void test_many_stopped(void **state)
{
	(void)state;
	enum { MANY = 12 };
	struct ring_case c;
	pid_t child[MANY];
	case_open(&c, RING, false);
	struct ring_author author = case_author();
	for (int i = 0; i < MANY; i++) {
		child[i] = case_hit(&c, &case_block, before_commit[i % 3], 1, SIGSTOP, "stopped");
		case_laps(&c, &author, 5000);
	}
	case_laps(&c, &author, 4 * RING);
	assert_true(c.reader.aside_count >= MANY / 2);
	for (int i = 0; i < MANY; i++) {
		kill(child[i], SIGKILL);
		waitpid(child[i], NULL, 0);
	}
	case_laps(&c, &author, 4 * RING);
	case_expect_whole(&c);
	assert_int_equal(c.reader.torn, MANY);
	case_close(&c);
}

/* Who was stopped while it was revoked, and then killed before the chunk was released, is counted. */
static void test_killed_after_revoked(void **state)
{
	(void)state;
	struct ring_case c;
	case_open(&c, RING, false);
	struct ring_author author = case_author();
	pid_t child = case_hit(&c, &case_block, "ring_filling", 1, SIGSTOP, "never");
	case_say(&c.ring, &author, "after");
	case_expect(&c.reader, "after");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	case_laps(&c, &author, 2 * RING);
	assert_int_equal(c.reader.torn, 1);
	case_expect_whole(&c);
	case_close(&c);
}

/* ---- readers that die */

struct checkpoint {
	_Atomic uint64_t at, numbers;
};

/* As the collector does it: what is read is delivered, then checkpointed, then released. */
static void read_until_killed(struct ring_case *c, struct checkpoint *mark, const char *name,
			      int nth)
{
	struct reader_record record;
	struct reader reader;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	case_arm(name, nth, SIGKILL);
	if (reader_open(&reader, &c->ring, c->fd, mark->at, false) != 0)
		_exit(2);
	for (;;) {
		uint64_t now = clock_monotonic_ns(), number;
		if (reader_next(&reader, now, &record) != READER_RECORD) {
			reader_release(&reader, reader.at, now);
			reader_sleep(&reader, READER_NAPPING, MS / 10);
			continue;
		}
		memcpy(&number, record.payload, sizeof number);
		if (number != mark->numbers + 1)
			_exit(3);
		/* one after the other: a death in between would make us read it again, as it may be */
		mark->numbers = number;
		mark->at = record.next;
		if (number % 7 == 0)
			reader_release(&reader, record.next, now);
	}
}

static void test_readers_killed(void **state)
{
	(void)state;
	static const char *const points[] = { "reader_released", "ring_stamped", "reader_revoked" };
	struct ring_case c;
	case_open(&c, RING, false);
	struct checkpoint *mark =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t writer = fork();
	if (writer == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		struct ring_author author = case_author();
		for (uint64_t i = 1;; i++) {
			uint64_t message[4] = { i };
			case_say_with(&c.ring, &author, &case_block, message, sizeof message);
		}
	}
	for (int i = 0; i < 60; i++) {
		pid_t stopped = 0;
		pid_t reader = fork();
		int status;
		if (reader == 0)
			read_until_killed(&c, mark, points[i % 3], i % 3 == 2 ? 1 : 1 + i % 5);
		if (i % 3 == 2) /* somebody to be revoked */
			stopped = case_hit(&c, &case_block, "ring_filling", 1, SIGSTOP, "");
		assert_int_equal(waitpid(reader, &status, 0), reader);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		if (stopped) {
			kill(stopped, SIGKILL);
			waitpid(stopped, NULL, 0);
		}
	}
	kill(writer, SIGKILL);
	waitpid(writer, NULL, 0);
	reader_close(&c.reader);
	assert_int_equal(reader_open(&c.reader, &c.ring, c.fd, mark->at, false), 0);
	struct reader_record record;
	uint64_t last = mark->numbers, number;
	while (case_take(&c.reader, 100 * MS, &record)) {
		memcpy(&number, record.payload, sizeof number);
		assert_int_equal(number, ++last);
	}
	case_expect_whole(&c);
	struct ring_author author = case_author();
	case_laps(&c, &author, 3 * RING);
	munmap(mark, 4096);
	case_close(&c);
}

/* ---- signals */

static const char *point;
static sigjmp_buf back;
static const struct ring_policy *patient_policy;

static void jump_away(const char *name)
{
	if (strcmp(name, point) == 0)
		raise(SIGUSR1);
}

static void jump_handler(int signal)
{
	siglongjmp(back, signal);
}

__attribute__((noinline)) static void say_deep(struct ring_case *c, struct ring_author *author,
					       int depth)
{
	volatile char space[100];
	space[0] = 0;
	if (depth > 0)
		say_deep(c, author, depth - 1);
	else
		case_say_with(&c->ring, author, patient_policy, "jumped", 6);
	space[1] = space[0];
}

static struct reader *idle_reader;

/* Asked while the writer waits: reader and writer are one thread here. */
static bool tend_meanwhile(void)
{
	reader_tend(idle_reader, clock_monotonic_ns());
	return true;
}

static void test_jumps(void **state)
{
	(void)state;
	const struct ring_policy patient = { .overflow = RING_BLOCK, .alive = tend_meanwhile };
	struct ring_case c;
	case_open(&c, RING, false);
	struct ring_author author = case_author();
	idle_reader = &c.reader;
	patient_policy = &patient;
	signal(SIGUSR1, jump_handler);
	for (int i = 0; i < 4000; i++) {
		point = before_commit[i % 3];
		testpoint_handler = jump_away;
		if (sigsetjmp(back, 1) == 0) {
			say_deep(&c, &author, i % 40);
			fail();
		}
		testpoint_handler = NULL;
		assert_true(author.depth <= 4);
		if (i % 8 != 7)
			continue; /* from ever deeper: the frames tell nothing then */
		uint64_t since = clock_monotonic_ns();
		assert_int_equal(case_say_with(&c.ring, &author, &patient, "said", 4), 0);
		assert_true(clock_monotonic_ns() - since < 5000ull * MS); /* or it would be 10 s */
		case_expect(&c.reader, "said");
		reader_release(&c.reader, c.reader.at, clock_monotonic_ns());
	}
	case_laps(&c, &author, 2 * RING);
	assert_true(author.depth < 4);
	assert_int_equal(c.reader.corrupt, 0);
	signal(SIGUSR1, SIG_DFL);
	case_close(&c);
}

static struct ring_case *nest_case;
static struct ring_author *nest_author;
static int nest_left;

static void nest_handler(int signal)
{
	(void)signal;
	case_say(&nest_case->ring, nest_author, "inner");
}

static void nest(const char *name)
{
	(void)name;
	if (nest_left <= 0)
		return;
	nest_left--;
#ifdef CASE_THREAD_SANITIZER
	nest_handler(SIGUSR2); /* signals come late under it */
#else
	raise(SIGUSR2);
#endif
}

/* A handler that appends, interrupted by one that appends, at each point: none is lost or torn. */
static void test_nested(void **state)
{
	(void)state;
	struct ring_case c;
	struct reader_record record;
	case_open(&c, RING, false);
	struct ring_author author = case_author();
	nest_case = &c;
	nest_author = &author;
	struct sigaction action = { .sa_handler = nest_handler, .sa_flags = SA_NODEFER };
	sigaction(SIGUSR2, &action, NULL);
	for (int levels = 1; levels <= 6; levels++) {
		nest_left = levels;
		testpoint_handler = nest;
		assert_int_equal(case_say(&c.ring, &author, "outer"), 0);
		testpoint_handler = NULL;
		int inner = 0, outer = 0;
		for (int i = 0; i <= levels; i++) {
			assert_true(case_take(&c.reader, 500ull * MS, &record));
			inner += record.bytes == 5 && memcmp(record.payload, "inner", 5) == 0;
			outer += record.bytes == 5 && memcmp(record.payload, "outer", 5) == 0;
		}
		assert_int_equal(inner, levels);
		assert_int_equal(outer, 1);
		case_expect_nothing(&c.reader);
		assert_int_equal(author.depth, 0);
	}
	assert_int_equal(c.reader.torn, 0);
	case_close(&c);
}

static void forget(const char *name)
{
	if (strcmp(name, "ring_filling") == 0)
		nest_author->depth = 0;
}

/* Who was given up wrongly (its stack is elsewhere) ends without upsetting the count. */
static void test_given_up_wrongly(void **state)
{
	(void)state;
	struct ring_case c;
	case_open(&c, RING, false);
	struct ring_author author = case_author();
	nest_author = &author;
	testpoint_handler = forget;
	assert_int_equal(case_say(&c.ring, &author, "said"), 0);
	assert_int_equal(author.depth, 0);
	case_expect(&c.reader, "said");
	case_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writer_killed),   cmocka_unit_test(test_writer_killed_after),
		cmocka_unit_test(test_writer_stopped),  cmocka_unit_test(test_writer_comes_late),
		cmocka_unit_test(test_many_stopped),
		cmocka_unit_test(test_killed_after_revoked),
		cmocka_unit_test(test_readers_killed),  cmocka_unit_test(test_jumps),
		cmocka_unit_test(test_nested),          cmocka_unit_test(test_given_up_wrongly),
	};
	return cmocka_run_group_tests_name("ring, holes", tests, NULL, NULL);
}
