/*
 * test_ring.c - the message ring in good health: making, order, fragments, policies, sleep.
 *
 * What happens when writers and readers die or stop is in test_ring_holes.c.
 */
#include <pthread.h>

#include "tests/unit/ring_case.h"

enum { WRITERS = 4, EACH = 20000, RING = 64 << 10 };

static void test_create_refuses(void **state)
{
	(void)state;
	int fd = memfd_create("ring", MFD_CLOEXEC);
	assert_int_equal(ring_create(fd, 0, RING_WHOLE), -EINVAL);
	assert_int_equal(ring_create(fd, RING_LEAST_BYTES - 1, RING_WHOLE), -EINVAL);
	assert_int_equal(ring_create(fd, (UINT64_C(1) << 31) + 1, RING_WHOLE), -EINVAL);
	assert_int_equal(ring_file_bytes(1), 0);
	close(fd);
	/* a full file system, or a file that may not grow, is an error and no SIGBUS later */
	fd = memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	assert_true(ring_create(fd, RING, RING_WHOLE) < 0);
	close(fd);
}

static void test_map_refuses(void **state)
{
	(void)state;
	struct ring ring;
	int fd = memfd_create("ring", MFD_CLOEXEC);
	assert_int_equal(ring_map(&ring, fd), -EINVAL);
	assert_int_equal(ring_map(&ring, -1), -EBADF);
	assert_int_equal(ring_create(fd, RING, RING_WHOLE), 0);
	assert_int_equal(ring_map(&ring, fd), 0);
	assert_int_equal(ring.mapped_bytes, ring_file_bytes(RING));
	ring_unmap(&ring);
	/* each of the first six words, spoilt in turn */
	for (off_t at = 0; at < 24; at += 4) {
		static const uint32_t bad[] = { 0, 1, 0xffffffff, 0x10001, 64, 1u << 30 };
		uint32_t good;
		assert_int_equal(pread(fd, &good, sizeof good, at), sizeof good);
		for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
			assert_int_equal(pwrite(fd, &bad[i], sizeof *bad, at), sizeof *bad);
			assert_int_equal(ring_map(&ring, fd), -EINVAL);
		}
		assert_int_equal(pwrite(fd, &good, sizeof good, at), sizeof good);
	}
	assert_int_equal(ftruncate(fd, (off_t)ring_file_bytes(RING) - 4096), 0);
	assert_int_equal(ring_map(&ring, fd), -EINVAL);
	close(fd);
}

static void test_fields(void **state)
{
	(void)state;
	struct ring_case c;
	case_open(&c, RING, false);
	struct ring_author author = case_author();
	struct record_info info = { .fd = 7, .source = SOURCE_SYSLOG, .kind = RECORD_SYSLOG,
				    .flags = RECORD_MIRRORED, .detail = 0xdeadbeef };
	struct iovec parts[] = {
		{ NULL, 0 }, { (char *)"ab", 2 }, { NULL, 0 }, { (char *)"cde", 3 }
	};
	struct reader_record record;

	errno = 4711;
	uint64_t before = clock_monotonic_ns();
	assert_int_equal(ring_append(&c.ring, &author, &info, parts, 4, &case_block), 0);
	assert_int_equal(ring_append(&c.ring, &author, &info, parts, 1, &case_block), 0);
	assert_int_equal(errno, 4711);
	uint64_t after = clock_monotonic_ns();

	assert_int_equal(reader_next(&c.reader, after, &record), READER_RECORD);
	assert_int_equal(record.bytes, 5);
	assert_memory_equal(record.payload, "abcde", 5);
	assert_true(record.ticks >= before && record.ticks <= after);
	assert_int_equal(record.pid, getpid());
	assert_int_equal(record.tid, gettid());
	assert_int_equal(record.fd, 7);
	assert_int_equal(record.source, SOURCE_SYSLOG);
	assert_int_equal(record.kind, RECORD_SYSLOG);
	assert_int_equal(record.flags, RECORD_MIRRORED);
	assert_int_equal(record.detail, 0xdeadbeef);
	uint64_t next = record.next;
	assert_int_equal(reader_next(&c.reader, after, &record), READER_RECORD);
	assert_int_equal(record.position, next);
	assert_int_equal(record.bytes, 0); /* an empty message is one, too */
	case_expect_nothing(&c.reader);
	case_close(&c);
}

struct numbered {
	uint64_t writer, number;
	unsigned char fill[200];
};

static struct ring *shared_ring;

static void write_numbered(struct ring *ring, uint64_t writer)
{
	struct ring_author author = case_author();
	struct numbered message = { .writer = writer };

	for (uint64_t i = 1; i <= EACH; i++) {
		message.number = i;
		memset(message.fill, (int)(i & 0xff), sizeof message.fill);
		if (case_say_with(ring, &author, &case_block, &message, 16 + i % 200) != 0)
			abort();
	}
}

static void read_numbered(struct reader *reader, bool own_pids)
{
	uint64_t last[WRITERS] = { 0 };
	uint32_t pids[WRITERS] = { 0 };
	struct reader_record record;

	for (int left = WRITERS * EACH; left; left--) {
		struct numbered message;
		assert_true(case_take(reader, 10000ull * MS, &record));
		assert_true(record.bytes >= 16 && record.bytes <= sizeof message);
		memcpy(&message, record.payload, record.bytes);
		assert_true(message.writer < WRITERS);
		assert_int_equal(message.number, ++last[message.writer]);
		assert_int_equal(record.bytes, 16 + message.number % 200);
		for (uint32_t i = 0; i < record.bytes - 16; i++)
			if (message.fill[i] != (message.number & 0xff))
				fail_msg("byte %u of message %lu", i,
					 (unsigned long)message.number);
		uint32_t *pid = &pids[message.writer];
		assert_true(*pid == 0 || *pid == record.pid);
		*pid = record.pid;
		if (left % 16 == 0)
			reader_release(reader, record.next, clock_monotonic_ns());
	}
	for (int i = 0; i < WRITERS; i++)
		for (int k = 0; own_pids && k < i; k++)
			assert_int_not_equal(pids[i], pids[k]);
	assert_int_equal(reader->corrupt, 0);
	assert_int_equal(reader->torn, 0);
}

static void *writer_thread(void *number)
{
	write_numbered(shared_ring, (uintptr_t)number);
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	struct ring_case c;
	pthread_t threads[WRITERS];
	case_open(&c, RING, false);
	shared_ring = &c.ring;
	for (uintptr_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, writer_thread, (void *)i), 0);
	read_numbered(&c.reader, false);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	case_expect_nothing(&c.reader);
	case_close(&c);
}

static void test_processes(void **state)
{
	(void)state;
	struct ring_case c;
	case_open(&c, RING, false);
	for (uint64_t i = 0; i < WRITERS; i++) {
		if (fork() == 0) {
			write_numbered(&c.ring, i);
			_exit(0);
		}
	}
	read_numbered(&c.reader, true);
	for (int i = 0; i < WRITERS; i++) {
		int status;
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	case_close(&c);
}

static unsigned char huge[300000];

static void *huge_thread(void *unused)
{
	struct ring_author author = case_author();
	if (case_say_with(shared_ring, &author, &case_block, huge, sizeof huge) != 0)
		abort();
	return unused;
}

static void test_fragments(void **state)
{
	(void)state;
	struct ring_case c;
	pthread_t thread;
	struct reader_record record;
	size_t done = 0;

	case_open(&c, RING, false);
	shared_ring = &c.ring;
	for (size_t i = 0; i < sizeof huge; i++)
		huge[i] = (unsigned char)(i * 7 + i / 251);
	pthread_create(&thread, NULL, huge_thread, NULL);
	do {
		assert_true(case_take(&c.reader, 5000ull * MS, &record));
		assert_true(record.bytes <= sizeof huge - done);
		assert_memory_equal(record.payload, huge + done, record.bytes);
		assert_int_equal(!!(record.flags & RECORD_CONTINUES), done != 0);
		done += record.bytes;
		assert_int_equal(!!(record.flags & RECORD_MORE), done != sizeof huge);
		reader_release(&c.reader, record.next, clock_monotonic_ns());
	} while (done < sizeof huge);
	pthread_join(thread, NULL);
	case_expect_nothing(&c.reader);
	case_close(&c);
}

static uint64_t fill(struct ring_case *c, struct ring_author *author)
{
	const struct ring_policy lose = { .overflow = RING_LOSE_NEWEST };
	uint64_t said = 0;
	int error;

	while ((error = case_say_with(&c->ring, author, &lose, &said, sizeof said)) == 0)
		said++;
	assert_int_equal(error, -EAGAIN);
	return said;
}

static bool nobody(void)
{
	return false;
}

static void test_full(void **state)
{
	(void)state;
	struct ring_case c;
	struct reader_record record;
	case_open(&c, RING, false);
	struct ring_author author = case_author();
	uint64_t said = fill(&c, &author), number;

	assert_true(said >= RING / 48 - 64); /* all but fillers is used */
	struct ring_policy policy = { .overflow = RING_TIMEOUT, .timeout_ns = 100 * MS };
	uint64_t before = clock_monotonic_ns();
	assert_int_equal(case_say_with(&c.ring, &author, &policy, "x", 1), -EAGAIN);
	uint64_t took = clock_monotonic_ns() - before;
	assert_in_range(took, 100 * MS, 10000ull * MS);
	policy = (struct ring_policy){ .overflow = RING_BLOCK, .alive = nobody };
	assert_int_equal(case_say_with(&c.ring, &author, &policy, "x", 1), -EPIPE);
	policy = (struct ring_policy){ .overflow = RING_BLOCK, .no_calls = true };
	assert_int_equal(case_say_with(&c.ring, &author, &policy, "x", 1), -EPIPE);
	assert_int_equal(author.depth, 0);

	for (uint64_t i = 0; i < said; i++) { /* what was there first is what is there */
		assert_int_equal(reader_next(&c.reader, before, &record), READER_RECORD);
		memcpy(&number, record.payload, sizeof number);
		assert_int_equal(number, i);
	}
	case_expect_nothing(&c.reader);
	reader_release(&c.reader, c.reader.at, before);
	assert_true(fill(&c, &author) >= said - 2048 / 3);
	case_close(&c);
}

static void *delayed_release(void *reader)
{
	struct reader_record record;
	usleep(50000); /* the writer is to be found waiting */
	while (reader_next(reader, clock_monotonic_ns(), &record) == READER_RECORD)
		;
	reader_release(reader, ((struct reader *)reader)->at, clock_monotonic_ns());
	return NULL;
}

static void test_block(void **state)
{
	(void)state;
	struct ring_case c;
	pthread_t thread;
	case_open(&c, RING, false);
	struct ring_author author = case_author();

	fill(&c, &author);
	uint64_t number = (atomic_load(&c.ring.shared->head) >> c.ring.chunk_shift) + 0;
	if (ring_place(&c.ring, number) >= 0)
		number++;
	uint64_t before = clock_monotonic_ns();
	assert_false(ring_wait_room(&c.ring, number, 30 * MS));
	assert_true(clock_monotonic_ns() - before >= 30 * MS);
	before = clock_monotonic_ns();
	pthread_create(&thread, NULL, delayed_release, &c.reader);
	/* woken, and not by its own impatience: that is far away */
	while (!ring_wait_room(&c.ring, number, 60000ull * MS))
		;
	assert_true(clock_monotonic_ns() - before < 30000ull * MS);
	pthread_join(thread, NULL);
	fill(&c, &author);
	pthread_create(&thread, NULL, delayed_release, &c.reader);
	assert_int_equal(case_say(&c.ring, &author, "in the end"), 0);
	pthread_join(thread, NULL);
	case_close(&c);
}

struct sleeper {
	struct ring *ring;
	uint64_t number;
	pthread_t thread;
	_Atomic int tid, woken;
};

static void *sleep_for_room(void *argument)
{
	struct sleeper *s = argument;
	atomic_store(&s->tid, sysio_gettid());
	ring_wait_room(s->ring, s->number, 20000ull * MS);
	atomic_store(&s->woken, 1);
	return NULL;
}

static bool is_asleep(const struct sleeper *s)
{
	char path[64], text[256] = "";
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", atomic_load(&s->tid));
	FILE *file = fopen(path, "r");
	if (!file)
		return false;
	bool have = fgets(text, sizeof text, file) != NULL;
	fclose(file);
	const char *name_end = strrchr(text, ')');
	return have && name_end && name_end[2] == 'S';
}

static int count_woken(struct sleeper *sleepers, int most)
{
	int n = 0;
	for (int i = 0; i < most; i++)
		n += atomic_load(&sleepers[i].woken);
	return n;
}

/* Of thousands that wait, no more are woken than find room; and nobody is forgotten over that. */
static void test_wakes_as_many_as_fit(void **state)
{
	(void)state;
	enum { ALL = 5 };
	struct ring_case c;
	struct sleeper sleepers[ALL] = { 0 };
	case_open(&c, RING, false);
	struct ring_author author = case_author();

	for (int i = 0; i < ALL; i++) {
		sleepers[i].ring = &c.ring;
		sleepers[i].number = 1u << 20; /* not there for a long time */
		pthread_create(&sleepers[i].thread, NULL, sleep_for_room, &sleepers[i]);
	}
	for (int i = 0; i < ALL; i++)
		while (!atomic_load(&sleepers[i].tid) || !is_asleep(&sleepers[i]))
			sched_yield();
	ring_wake_waiting(&c.ring, 2, false);
	while (count_woken(sleepers, ALL) < 2)
		sched_yield();
	for (int i = 0; i < ALL; i++)
		while (!atomic_load(&sleepers[i].woken) && !is_asleep(&sleepers[i]))
			sched_yield();
	assert_int_equal(count_woken(sleepers, ALL), 2);
	/* something to read is no room */
	case_say(&c.ring, &author, "said");
	reader_sleep(&c.reader, READER_NAPPING, 1);
	assert_int_equal(count_woken(sleepers, ALL), 2);
	case_expect(&c.reader, "said");
	reader_sleep(&c.reader, READER_NAPPING, 1);
	uint64_t before = clock_monotonic_ns();
	for (int i = 0; i < ALL; i++)
		pthread_join(sleepers[i].thread, NULL);
	assert_true(clock_monotonic_ns() - before < 10000ull * MS); /* long before their time */
	case_close(&c);
}

/* A piece more than there are places pushes nobody out. */
static void test_one_too_many(void **state)
{
	(void)state;
	struct ring_case c;
	case_open(&c, RING, false);
	struct ring_author author = case_author();
	case_say(&c.ring, &author, "still there");
	uint32_t spare = (uint32_t)c.ring.number_mask + 1;
	assert_true(ring_take(&c.ring, spare, PIECE_VIRGIN, author.tid));
	assert_false(ring_publish(&c.ring, spare, false));
	assert_int_equal(atomic_load(&c.ring.piece_word[spare]), PIECE_ASIDE);
	case_expect(&c.reader, "still there");
	case_close(&c);
}

/* What is said between the reader's last look and its sleep keeps it awake. */
static void test_sleep_looks(void **state)
{
	(void)state;
	struct ring_case c;
	case_open(&c, RING, false);
	struct ring_author author = case_author();
	for (int i = 0; i < 200; i++) { /* over ends of chunks, too */
		atomic_store(&c.ring.shared->reader, READER_AWAKE);
		case_expect_nothing(&c.reader);
		case_say(&c.ring, &author, "x");
		assert_int_equal(reader_sleep(&c.reader, READER_ASLEEP, 30000ull * MS), 0);
		case_expect(&c.reader, "x");
	}
	case_close(&c);
}

static _Atomic uint32_t turn;

static void *single_sayer(void *rounds)
{
	struct ring_author author = case_author();
	for (uint32_t i = 1; i <= (uintptr_t)rounds; i++) {
		while (atomic_load(&turn) != i)
			;
		case_say(shared_ring, &author, "wake up");
	}
	return NULL;
}

static void test_no_lost_wakeup(void **state)
{
	(void)state;
	const uint32_t rounds = 20000;
	struct ring_case c;
	struct reader_record record;
	pthread_t thread;
	case_open(&c, RING, false);
	shared_ring = &c.ring;
	pthread_create(&thread, NULL, single_sayer, (void *)(uintptr_t)rounds);
	for (uint32_t i = 1; i <= rounds; i++) {
		atomic_store(&turn, i);
		uint64_t before = clock_monotonic_ns();
		while (reader_next(&c.reader, before, &record) != READER_RECORD)
			assert_int_not_equal(reader_sleep(&c.reader, READER_ASLEEP, 30000ull * MS),
					     -ETIMEDOUT);
		reader_release(&c.reader, record.next, before);
	}
	pthread_join(thread, NULL);
	assert_int_equal(reader_sleep(&c.reader, READER_ASLEEP, MS), -ETIMEDOUT);
	case_close(&c);
}

static void test_large(void **state)
{
	(void)state;
	struct ring_case c;
	if (sysconf(_SC_AVPHYS_PAGES) < (3 << 18))
		skip();
	uint64_t before = clock_monotonic_ns();
	case_open(&c, 1 << 30, false);
	print_message("a ring of 1 GiB is made in %lu ms\n",
		      (unsigned long)((clock_monotonic_ns() - before) / MS));
	struct ring_author author = case_author();
	case_laps(&c, &author, 1 << 20);
	case_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_refuses), cmocka_unit_test(test_map_refuses),
		cmocka_unit_test(test_fields),         cmocka_unit_test(test_threads),
		cmocka_unit_test(test_processes),      cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_full),           cmocka_unit_test(test_block),
		cmocka_unit_test(test_wakes_as_many_as_fit),
		cmocka_unit_test(test_one_too_many),   cmocka_unit_test(test_sleep_looks),
		cmocka_unit_test(test_no_lost_wakeup), cmocka_unit_test(test_large),
	};
	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
