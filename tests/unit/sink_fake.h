/*
 * sink_fake.h - a sink of a kind that does as it is told, and a clock that the test moves.
 */
#ifndef HARK_TESTS_UNIT_SINK_FAKE_H
#define HARK_TESTS_UNIT_SINK_FAKE_H

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/sink/sink.h"

#define MS UINT64_C(1000000)

enum { PAGE = 4096 };

/* The kind that does as it is told, and what it was told to do. */
static struct {
	int open_rc, ready_rc, check_rc, reopen_rc;
	ssize_t write_rc;      /* once `room` is used up */
	size_t room;           /* bytes it still takes */
	size_t unacked;        /* of what it took */
	unsigned opens, closes, readies, writes;
	unsigned interrupts;   /* to come before a write succeeds */
	char got[2 * PAGE];    /* on the present connection */
	size_t got_bytes;
	bool lose;             /* gives up what it takes */
	bool gone;
} fake;

static char directory[64];
static char path[96];
static struct sink sink;
static struct sink_wish wish;
static uint64_t now;

static inline int fake_open(struct sink *s)
{
	fake.opens++;
	fake.got_bytes = 0;
	s->gone = fake.gone;
	return fake.open_rc;
}

static inline int fake_ready(struct sink *s)
{
	(void)s;
	fake.readies++;
	return fake.ready_rc;
}

static inline ssize_t fake_write(struct sink *s, const char *bytes, size_t count)
{
	fake.writes++;
	if (fake.interrupts) {
		fake.interrupts--;
		return -EINTR;
	}
	size_t n = count < fake.room ? count : fake.room;
	if (!n) {
		s->gone = fake.gone;
		return fake.write_rc;
	}
	assert_true(fake.got_bytes + n <= sizeof(fake.got));
	memcpy(fake.got + fake.got_bytes, bytes, n);
	fake.got_bytes += n;
	fake.room -= n;
	if (fake.lose)
		sink_lose(s, 1, n);
	return (ssize_t)n;
}

static inline void fake_close(struct sink *s)
{
	(void)s;
	fake.closes++;
}

static inline int fake_reopen(struct sink *s)
{
	(void)s;
	return fake.reopen_rc;
}

static inline size_t fake_unacked(struct sink *s)
{
	(void)s;
	return fake.unacked;
}

static inline int fake_check(struct sink *s)
{
	(void)s;
	return fake.check_rc;
}

static const struct sink_ops file_like = {
	.open = fake_open, .ready = fake_ready, .write = fake_write, .close = fake_close,
	.reopen = fake_reopen,
};
static const struct sink_ops connection_like = {
	.open = fake_open, .ready = fake_ready, .write = fake_write, .close = fake_close,
	.unacked = fake_unacked, .check = fake_check,
};

static inline struct sink_spec spec_of(enum sink_kind kind)
{
	struct sink_spec spec = { .kind = kind, .level = LEVEL_DEBUG, .format = "raw",
				  .backoff_least_ns = 100 * MS, .backoff_most_ns = 400 * MS };
	return spec;
}

static inline void start(const struct sink_ops *ops)
{
	struct sink_spec spec = spec_of(SINK_TCP);
	spec.queue_bytes = PAGE;
	spec.has_overflow = true;
	spec.overflow = OVERFLOW_TIMEOUT;
	spec.overflow_ns = 250 * MS;
	assert_int_equal(sink_init(&sink, &spec, path, -1), 0);
	sink.ops = ops;
}

static inline int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.room = SIZE_MAX;
	fake.write_rc = -EAGAIN;
	now = 1000000 * MS;
	snprintf(directory, sizeof(directory), "/tmp/hark-test-sink-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/q", directory);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	if (sink.queue.bytes)
		sink_fini(&sink);
	unlink(path);
	return rmdir(directory);
}

static inline void say(const char *text)
{
	size_t length = strlen(text);
	assert_true(queue_room(&sink.queue) >= length);
	memcpy(queue_fill(&sink.queue), text, length);
	queue_filled(&sink.queue, length);
}

static inline void pump(void)
{
	sink_pump(&sink, now, sink.queue.head, &wish);
}

static inline void expect_got(const char *text)
{
	assert_int_equal(fake.got_bytes, strlen(text));
	assert_memory_equal(fake.got, text, strlen(text));
}

static inline void expect_wish(short events, uint64_t deadline)
{
	assert_int_equal(wish.events, events);
	assert_true(wish.deadline_ns == deadline);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
