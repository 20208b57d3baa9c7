/*
 * test_flight.c - segments that are copied while their owner writes: what is copied is whole.
 */
#include "lib/snapshot/flight.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/stamp/trace.h"
#include "tests/unit/sanitizer.h"

enum { WORDS = 16384, LAPS = 100, PART = TRACE_SEGMENT_LEAST, PARTS = 4 };

/* ---- records ----------------------------------------------------------------------------------- */

static void skips_what_is_not_there(void **state)
{
	(void)state;
	uint32_t from[8] = { 0, TRACE_SHORT(TRACE_ENTRY, 5), 7, 0, 0, TRACE_SHORT(TRACE_EXIT, 6) };
	uint32_t to[8];

	assert_int_equal(flight_words(from, to, 8), 6);
	assert_memory_equal(from, to, sizeof from);
}

/* A long record that goes beyond the end, or is of no kind, is the last thing that is believed. */
static void stops_at_nonsense(void **state)
{
	(void)state;
	static const uint32_t ends[] = { TRACE_LONG_WORD(TRACE_TIME, 9, 0),
					 TRACE_LONG_WORD(TRACE_TIME, 0, 0), 5, 7 };

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		uint32_t from[6] = { TRACE_SHORT(TRACE_EXIT, 6), ends[i], 1, 1, 1, 1 };
		uint32_t to[6];
		assert_int_equal(flight_words(from, to, 6), 1);
		assert_int_equal(to[0], from[0]);
		for (int k = 1; k < 6; k++)
			assert_int_equal(to[k], 0);
	}
}

static void full_to_the_last_word(void **state)
{
	(void)state;
	uint32_t from[3] = { TRACE_LONG_WORD(TRACE_END, 3, 1), 1, 0 }, to[3];

	assert_int_equal(flight_words(from, to, 3), 3);
	assert_memory_equal(from, to, sizeof from);
}

/* ---- a writer at work -------------------------------------------------------------------------- */

static struct {
	uint32_t words[WORDS];
	_Atomic uint32_t lap;      /* which it is at; writers of the next wait until it is wanted */
	_Atomic uint32_t wanted;
} shared;

/* As the shim does: short records by one store, long ones with their first word last. At odd places,
 * so that some lie across the lines of the cache. */
static void write_lap(uint32_t lap)
{
	uint32_t at = 0, n = 1;

	for (; at + 8 <= WORDS; n++) {
		if (n % 5 == 0) {
			uint32_t body[2] = { n, ~n };
			__atomic_store_n(&shared.words[at], TRACE_LONG_WORD(TRACE_VOID, 3, 0),
					 __ATOMIC_RELEASE);
			memcpy(&shared.words[at + 1], body, sizeof body);
			__atomic_store_n(&shared.words[at], TRACE_LONG_WORD(TRACE_TIME, 3, lap),
					 __ATOMIC_RELEASE);
			at += 3;
		} else if (n % 3 == 0) {
			__atomic_store_n(&shared.words[at], TRACE_SHORT(TRACE_EXIT, n),
					 __ATOMIC_RELAXED);
			at += 1;
		} else {
			uint64_t record = TRACE_SHORT(TRACE_ENTRY, n) | (uint64_t)~n << 32;
			__asm__ volatile("" ::: "memory");
			memcpy(&shared.words[at], &record, sizeof record);
			at += 2;
		}
	}
}

static void *writer(void *nothing)
{
	for (uint32_t lap = 1; lap <= LAPS; lap++) {
		while (shared.wanted < lap)
			;
		write_lap(lap);
		shared.lap = lap;
	}
	return nothing;
}

/* Every record is the next one, and whole. How many there are. */
static uint32_t check(const uint32_t *words, size_t count)
{
	uint32_t n = 0;

	for (size_t at = 0; at < count;) {
		uint32_t kind = TRACE_WORD_KIND(words[at]);
		n++;
		if (kind == TRACE_LONG && TRACE_WORD_TYPE(words[at]) == TRACE_VOID) {
			assert_int_equal(n % 5, 0);
			at += 3;
		} else if (kind == TRACE_LONG) {
			assert_int_equal(words[at + 1], n);
			assert_int_equal(words[at + 2], ~n);
			at += 3;
		} else if (kind == TRACE_EXIT) {
			assert_int_equal(words[at++] >> TRACE_KIND_BITS, n);
		} else {
			assert_int_equal(kind, TRACE_ENTRY);
			assert_int_equal(words[at] >> TRACE_KIND_BITS, n);
			assert_int_equal(words[at + 1], ~n);
			at += 2;
		}
	}
	return n;
}

static void whole_while_it_is_written(void **state)
{
#ifdef CASE_THREAD_SANITIZER
	skip(); /* the races are meant, and what they spoil is found out: that is what this is about */
#endif
	(void)state;
	static uint32_t copy[WORDS];
	unsigned amidst = 0;
	pthread_t id;

	assert_int_equal(pthread_create(&id, NULL, writer, NULL), 0);
	for (uint32_t lap = 1; lap <= LAPS; lap++) {
		memset(shared.words, 0, sizeof shared.words);
		shared.wanted = lap;
		while (shared.lap < lap) {
			size_t count = flight_words(shared.words, copy, WORDS);
			check(copy, count);
			amidst += count > 0 && count < WORDS - 8;
		}
	}
	pthread_join(id, NULL);
	print_message("%u copies of a part\n", amidst);
}

/* ---- segments ---------------------------------------------------------------------------------- */

struct made {
	char from[64], to[64];
	int fds[2];
	uint8_t *file;
};

static int set_up(void **state)
{
	struct made *m = calloc(1, sizeof *m);

	strcpy(m->from, "/tmp/hark-flight-from-XXXXXX");
	strcpy(m->to, "/tmp/hark-flight-to-XXXXXX");
	if (!mkdtemp(m->from) || !mkdtemp(m->to))
		return -1;
	m->fds[0] = open(m->from, O_RDONLY | O_DIRECTORY);
	m->fds[1] = open(m->to, O_RDONLY | O_DIRECTORY);
	int fd = openat(m->fds[0], "image.1", O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)2 * PARTS * PART) != 0)
		return -1;
	m->file = mmap(NULL, (size_t)2 * PARTS * PART, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	struct made *m = *state;

	munmap(m->file, (size_t)2 * PARTS * PART);
	for (int i = 0; i < 2; i++) {
		unlinkat(m->fds[i], "image.1", 0);
		close(m->fds[i]);
	}
	rmdir(m->from);
	rmdir(m->to);
	free(m);
	return 0;
}

static void put(struct made *m, unsigned place, uint32_t kind, uint32_t thread, uint32_t part)
{
	struct trace_segment head = { .magic = TRACE_MAGIC, .bytes = PART, .kind = kind, .image = 1,
				      .tid = INT32_MAX, .thread = thread, .part = part,
				      .ticks = 1000 + part };
	uint32_t entry[2] = { TRACE_SHORT(TRACE_ENTRY, part), part };

	memcpy(m->file + (size_t)place * PART, &head, sizeof head);
	memcpy(m->file + (size_t)place * PART + sizeof head, entry, sizeof entry);
}

static uint64_t no_time(void *arg)
{
	(void)arg;
	return 77;
}

static struct flight_copy copied(struct made *m, uint64_t most)
{
	struct flight_copy copy = { .most = most, .first_ticks = UINT64_MAX, .now = no_time };

	assert_int_equal(flight_copy(&copy, m->fds[0], m->fds[1], 1), 0);
	return copy;
}

/* The parts in the copy, in their order, as decimal digits. */
static unsigned parts_in(struct made *m)
{
	int fd = openat(m->fds[1], "image.1", O_RDONLY);
	struct trace_segment head;
	unsigned parts = 0;

	for (off_t at = 0; pread(fd, &head, sizeof head, at) == sizeof head; at += PART) {
		assert_true(head.magic == TRACE_MAGIC);
		parts = parts * 10 + head.part;
	}
	if (fd >= 0)
		close(fd);
	return parts;
}

static void in_the_order_of_parts(void **state)
{
	struct made *m = *state;

	put(m, 0, TRACE_FLIGHT, 1, 8);
	for (uint32_t i = 1; i < PARTS; i++)
		put(m, i, TRACE_FLIGHT, 1, 4 + i);
	struct flight_copy copy = copied(m, UINT64_MAX);
	assert_int_equal(parts_in(m), 5678);
	assert_int_equal(copy.threads, 1);
	assert_int_equal(copy.bytes, PARTS * PART);
	assert_int_equal(copy.first_ticks, 1005);
}

/* 7 is being cleared: what came before it would look as if 8 were next. */
static void nothing_before_a_gap(void **state)
{
	struct made *m = *state;

	put(m, 0, TRACE_FLIGHT, 1, 8);
	put(m, 1, TRACE_FLIGHT, 1, 5);
	put(m, 2, TRACE_FLIGHT, 1, 6);
	put(m, 4, TRACE_FLIGHT, 2, 3); /* another's */
	copied(m, UINT64_MAX);
	assert_int_equal(parts_in(m), 38);
}

/* What stays as it was written needs no snapshot. */
static void of_flight_recorders_alone(void **state)
{
	struct made *m = *state;

	put(m, 0, TRACE_RECORDS, 1, 1);
	put(m, 1, TRACE_PROFILE, 2, 1);
	assert_int_equal(copied(m, UINT64_MAX).threads, 0);
	assert_int_equal(faccessat(m->fds[1], "image.1", F_OK, 0), -1);
}

static void no_more_than_there_is_room_for(void **state)
{
	struct made *m = *state;

	put(m, 0, TRACE_FLIGHT, 1, 1);
	put(m, 1, TRACE_FLIGHT, 2, 2);
	struct flight_copy copy = copied(m, PART);
	assert_int_equal(copy.threads, 1);
	assert_int_equal(copy.left_out, 1);
	assert_int_equal(parts_in(m), 2); /* the newer thread's */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(skips_what_is_not_there),
		cmocka_unit_test(stops_at_nonsense),
		cmocka_unit_test(full_to_the_last_word),
		cmocka_unit_test(whole_while_it_is_written),
		cmocka_unit_test_setup_teardown(in_the_order_of_parts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_before_a_gap, set_up, tear_down),
		cmocka_unit_test_setup_teardown(of_flight_recorders_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_more_than_there_is_room_for, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
