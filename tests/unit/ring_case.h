/*
 * ring_case.h - what the tests of the ring share: a ring in memory, one reader, short texts.
 *
 * Included by tests/unit/test_ring*.c and tests/stress only.
 */
#ifndef HARK_TESTS_RING_CASE_H
#define HARK_TESTS_RING_CASE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/sysio.h"
#include "lib/base/testpoint.h"
#include "lib/ring/reader.h"
#include "tests/unit/sanitizer.h"

enum { MS = 1000000 };

struct ring_case {
	int fd;
	struct ring ring;
	struct reader reader;
};

static const struct ring_policy case_block = { .overflow = RING_BLOCK };

/* ready: chunks that have memory from the beginning */
static inline void case_open_ready(struct ring_case *c, size_t bytes, uint32_t ready, bool steals)
{
	c->fd = memfd_create("ring", MFD_CLOEXEC);
	assert_true(c->fd >= 0);
	assert_int_equal(ring_create(c->fd, bytes, ready), 0);
	assert_int_equal(ring_map(&c->ring, c->fd), 0);
	assert_int_equal(reader_open(&c->reader, &c->ring, c->fd, 0, steals), 0);
}

static inline void case_open(struct ring_case *c, size_t bytes, bool steals)
{
	case_open_ready(c, bytes, RING_WHOLE, steals);
}

static inline void case_close(struct ring_case *c)
{
	reader_close(&c->reader);
	ring_unmap(&c->ring);
	close(c->fd);
	testpoint_handler = NULL;
}

static inline struct ring_author case_author(void)
{
	return (struct ring_author){ .pid = (uint32_t)getpid(), .tid = (uint32_t)sysio_gettid() };
}

static inline int case_say_with(struct ring *ring, struct ring_author *author,
				const struct ring_policy *policy, const void *bytes, size_t count)
{
	struct record_info info = { .fd = 2, .source = SOURCE_STDERR, .kind = RECORD_TEXT };
	struct iovec part = { (void *)(uintptr_t)bytes, count };

	return ring_append(ring, author, &info, &part, 1, policy);
}

static inline int case_say(struct ring *ring, struct ring_author *author, const char *text)
{
	return case_say_with(ring, author, &case_block, text, strlen(text));
}

/* How often the last case_take() napped: who else had the processor meanwhile does not count. */
static unsigned case_naps;
enum { CASE_NAPS_IN_50_MS = 250 };

/* The next record, waited for; false: none within the time. */
static inline bool case_take(struct reader *reader, uint64_t timeout_ns,
			     struct reader_record *record)
{
	uint64_t until = clock_monotonic_ns() + timeout_ns;

	case_naps = 0;
	do {
		if (reader_next(reader, clock_monotonic_ns(), record) == READER_RECORD)
			return true;
		case_naps++;
		reader_sleep(reader, READER_NAPPING, MS / 5);
	} while (clock_monotonic_ns() < until);
	return false;
}

static inline void case_expect(struct reader *reader, const char *text)
{
	struct reader_record record;

	assert_true(case_take(reader, 30000ull * MS, &record));
	assert_int_equal(record.bytes, strlen(text));
	assert_memory_equal(record.payload, text, record.bytes);
}

static inline void case_expect_nothing(struct reader *reader)
{
	struct reader_record record;
	assert_int_equal(reader_next(reader, clock_monotonic_ns(), &record), READER_NOTHING);
}

/* Appends, reads and releases so many bytes in messages of the caller's own, and checks them. */
static inline void case_laps(struct ring_case *c, struct ring_author *author, uint64_t bytes)
{
	static uint64_t number;
	struct reader_record record;
	uint64_t last = number, said = 0;
	char text[120], expected[120];

	for (uint64_t sent = 0; sent < bytes; sent += sizeof text) {
		snprintf(text, sizeof text, "lap %0100lu", (unsigned long)++number);
		assert_int_equal(case_say(&c->ring, author, text), 0);
		said++;
		assert_true(case_take(&c->reader, 30000ull * MS, &record));
		assert_true(case_naps < 2 * CASE_NAPS_IN_50_MS);
		snprintf(expected, sizeof expected, "lap %0100lu", (unsigned long)++last);
		assert_int_equal(record.bytes, strlen(expected));
		assert_memory_equal(record.payload, expected, record.bytes);
		reader_release(&c->reader, record.next, clock_monotonic_ns());
	}
	assert_int_equal(last, number);
	assert_true(said > 0);
}

/* ---- what happens at a test point, by a child to itself */

static const char *case_point;
static int case_countdown, case_point_signal;

static inline void case_signal_myself(const char *name)
{
	if (strcmp(name, case_point) == 0 && --case_countdown == 0)
		sysio_kill(sysio_getpid(), case_point_signal);
}

static inline void case_arm(const char *name, int nth, int signal)
{
	case_point = name;
	case_countdown = nth;
	case_point_signal = signal;
	testpoint_handler = case_signal_myself;
}

/* A child that says something and is hit at the point. Returns when it has been hit. */
static inline pid_t case_hit(struct ring_case *c, const struct ring_policy *policy,
			     const char *name, int nth, int signal, const char *text)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* none is left behind stopped when a test fails */
		struct ring_author author = case_author();
		case_arm(name, nth, signal);
		_exit(case_say_with(&c->ring, &author, policy, text, strlen(text)) ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	if (signal == SIGKILL)
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	else
		assert_true(WIFSTOPPED(status));
	return child;
}

static inline void case_continue(pid_t child)
{
	int status;
	kill(child, SIGCONT);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static inline void case_expect_whole(struct ring_case *c)
{
	reader_release(&c->reader, c->reader.at, clock_monotonic_ns());
	reader_tend(&c->reader, clock_monotonic_ns());
	assert_int_equal(c->reader.missing, 0);
	assert_int_equal(c->reader.corrupt, 0);
}

#endif
