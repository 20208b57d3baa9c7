/*
 * sink_user.h - a console sink on a descriptor of the test's making, and the user at its other end.
 */
#ifndef HARK_TESTS_UNIT_SINK_USER_H
#define HARK_TESTS_UNIT_SINK_USER_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/sink/sink.h"

#define MS UINT64_C(1000000)

enum { READ_MS = 5000, FILL = 256 << 10, NOBODY = 65534 };

static char directory[64];
static char path[96], other[96];
static struct sink sink;
static struct sink_wish wish;
static uint64_t now;
static int ends[2] = { -1, -1 }; /* 0: what the user has, 1: the original descriptor */

static inline int setup(void **state)
{
	(void)state;
	now = 1000000 * MS;
	snprintf(directory, sizeof(directory), "/tmp/hark-test-console-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/q", directory);
	snprintf(other, sizeof(other), "%s/other", directory);
	return 0;
}

static inline void hang_up(int which)
{
	if (ends[which] >= 0)
		close(ends[which]);
	ends[which] = -1;
}

static inline int teardown(void **state)
{
	(void)state;
	if (sink.queue.bytes)
		sink_fini(&sink);
	hang_up(0);
	hang_up(1);
	unlink(path);
	unlink(other);
	return rmdir(directory);
}

static inline int start(int fd)
{
	struct sink_spec spec = { .kind = SINK_CONSOLE, .level = LEVEL_DEBUG };
	return sink_init(&sink, &spec, path, fd);
}

static inline void say_bytes(const char *bytes, size_t count)
{
	assert_true(queue_room(&sink.queue) >= count);
	memcpy(queue_fill(&sink.queue), bytes, count);
	queue_filled(&sink.queue, count);
}

static inline void say(const char *text)
{
	say_bytes(text, strlen(text));
}

static inline void pump(void)
{
	sink_pump(&sink, now, sink.queue.head, &wish);
}

static inline void say_much(void)
{
	static char much[FILL];
	memset(much, 'm', sizeof(much));
	for (size_t i = 99; i < sizeof(much); i += 100)
		much[i] = '\n';
	much[sizeof(much) - 1] = '\n';
	say_bytes(much, sizeof(much));
}

/* Reads what there is within a limit that only a failure reaches. */
static inline size_t read_some(int fd, char *into, size_t room)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	if (poll(&p, 1, READ_MS) < 1)
		return 0;
	ssize_t n = read(fd, into, room);
	return n > 0 ? (size_t)n : 0;
}

static inline void expect_read(int fd, const char *text)
{
	char got[256];
	size_t have = 0;
	while (have < strlen(text)) {
		size_t n = read_some(fd, got + have, sizeof(got) - have);
		assert_true(n > 0);
		have += n;
	}
	assert_int_equal(have, strlen(text));
	assert_memory_equal(got, text, have);
}

/* Takes all that was said from a sink that stalls, and says how much it was. */
static inline size_t drain_stalled(int fd)
{
	static char got[FILL];
	size_t have = 0;
	while (have < FILL) {
		size_t n = read_some(fd, got, sizeof(got));
		if (!n)
			break;
		for (size_t i = 0; i < n; i++)
			have += got[i] != '\r'; /* a terminal's addition */
		pump();
	}
	return have;
}

static inline int status_flags(int fd)
{
	return fcntl(fd, F_GETFL);
}

static inline int ignore_sigpipe(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN); /* as the collector does: a pipe knows no MSG_NOSIGNAL */
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
