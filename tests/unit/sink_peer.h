/*
 * sink_peer.h - a sink that sends to a peer in the same process: refusing, slow, or about to close.
 *
 * The sink's clock is the test's; real time passes only inside of poll(), which waits for the kernel.
 */
#ifndef HARK_TESTS_UNIT_SINK_PEER_H
#define HARK_TESTS_UNIT_SINK_PEER_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/sink/resolve.h"
#include "lib/sink/sink.h"

#define MS UINT64_C(1000000)

enum { READ_MS = 5000, ROUNDS = 20000, FRAME = 100, MUCH = 4 << 20 };

static char directory[64];
static char path[96], other[96];
static struct sink sink;
static struct sink_wish wish;
static uint64_t now;
static int listener = -1, peer = -1;
static uint16_t port;
static char *got;
static size_t got_bytes;

static inline void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline int setup(void **state)
{
	(void)state;
	now = 1000000 * MS;
	snprintf(directory, sizeof(directory), "/tmp/hark-test-socket-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/q", directory);
	snprintf(other, sizeof(other), "%s/socket", directory);
	got = malloc(MUCH);
	got_bytes = 0;
	return got ? 0 : -1;
}

static inline int teardown(void **state)
{
	(void)state;
	if (sink.queue.bytes)
		sink_fini(&sink);
	drop(&peer);
	drop(&listener);
	free(got);
	unlink(path);
	unlink(other);
	return rmdir(directory);
}

/* A socket bound to a free port of 127.0.0.1: until it listens, nobody else gets the port, and who
 * connects is refused. */
static inline int bind_port(int type)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t length = sizeof(at);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), small = 4096;
	if (type == SOCK_STREAM) /* connections inherit it */
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &length), 0);
	port = ntohs(at.sin_port);
	return fd;
}

static inline int listen_port(void)
{
	int fd = bind_port(SOCK_STREAM);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static inline void start(enum sink_kind kind, const char *target)
{
	struct sink_spec spec = { .kind = kind, .level = LEVEL_DEBUG, .port = port,
				  .format = "raw",
				  .backoff_least_ns = 100 * MS, .backoff_most_ns = 400 * MS };
	snprintf(spec.target, sizeof(spec.target), "%s", target);
	assert_int_equal(sink_init(&sink, &spec, path, -1), 0);
}

static inline void say(const char *text)
{
	size_t length = strlen(text);
	assert_true(queue_room(&sink.queue) >= length);
	memcpy(queue_fill(&sink.queue), text, length);
	queue_filled(&sink.queue, length);
}

/* Numbered frames of a fixed size, so that a lost, repeated or torn one shows. */
static inline void say_numbered(unsigned from, unsigned count)
{
	for (unsigned i = from; i < from + count; i++) {
		char frame[FRAME + 1];
		snprintf(frame, sizeof(frame), "%-*u\n", FRAME - 1, i);
		say(frame);
	}
}

static inline void pump(void)
{
	sink_pump(&sink, now, sink.queue.head, &wish);
}

/* Waits for what the sink wishes, and lets its clock go on where nothing comes. What opens here
 * always gets an answer, however late on a busy machine. */
static inline void step(void)
{
	struct pollfd p = { .fd = wish.events ? sink.fd : -1, .events = wish.events };
	bool opening = sink.state == SINK_OPENING;
	if (poll(&p, 1, opening ? READ_MS : 1) < 1 && wish.deadline_ns != UINT64_MAX)
		now = wish.deadline_ns > now ? wish.deadline_ns : now;
	pump();
}

static inline void until_state(enum sink_state state)
{
	pump();
	for (int i = 0; i < ROUNDS && sink.state != state; i++)
		step();
	assert_int_equal(sink.state, state);
}

static inline void until_idle(void)
{
	pump();
	for (int i = 0; i < ROUNDS && !sink_idle(&sink); i++)
		step();
	assert_true(sink_idle(&sink));
	assert_int_equal(wish.events, 0);
	assert_true(wish.deadline_ns == UINT64_MAX);
}

static inline void accept_peer(void)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };
	assert_int_equal(poll(&p, 1, READ_MS), 1);
	drop(&peer);
	peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	got_bytes = 0;
}

static inline void read_peer(size_t bytes)
{
	size_t wanted = got_bytes + bytes;
	assert_true(wanted <= MUCH);
	while (got_bytes < wanted) {
		struct pollfd p = { .fd = peer, .events = POLLIN };
		assert_int_equal(poll(&p, 1, READ_MS), 1);
		ssize_t n = read(peer, got + got_bytes, wanted - got_bytes);
		assert_true(n > 0);
		got_bytes += (size_t)n;
	}
}

/* Pumps and reads in turn, until the sink is idle and the peer has all that will come. */
static inline void pump_and_read(void)
{
	pump();
	for (int i = 0; i < ROUNDS; i++) {
		ssize_t n = recv(peer, got + got_bytes, MUCH - got_bytes, MSG_DONTWAIT);
		if (n > 0)
			got_bytes += (size_t)n;
		else if (sink_idle(&sink))
			return;
		step();
	}
	fail_msg("the sink never became idle");
}

static inline void expect_got(const char *text)
{
	read_peer(strlen(text) - got_bytes);
	assert_int_equal(got_bytes, strlen(text));
	assert_memory_equal(got, text, got_bytes);
}

static inline void expect_numbered(unsigned from, unsigned count)
{
	assert_int_equal(got_bytes, (size_t)count * FRAME);
	for (unsigned i = 0; i < count; i++) {
		char frame[FRAME + 1];
		snprintf(frame, sizeof(frame), "%-*u\n", FRAME - 1, from + i);
		assert_memory_equal(got + (size_t)i * FRAME, frame, FRAME);
	}
}

/* The number of the first frame that came on this connection, which must begin with a whole one. */
static inline unsigned first_number(void)
{
	char *end;
	assert_true(got_bytes >= FRAME);
	unsigned long number = strtoul(got, &end, 10);
	assert_true(end > got && got[FRAME - 1] == '\n');
	return (unsigned)number;
}

static inline int finds_two(const char *host, uint16_t at, int type, struct resolve_list *found)
{
	struct resolve_list one;
	if (strcmp(host, "two.test") != 0)
		return -EINVAL;
	resolve_numeric("127.0.0.2", at, type, &one);
	resolve_numeric("127.0.0.1", at, type, found);
	found->each[1] = found->each[0];
	found->each[0] = one.each[0];
	found->count = 2;
	return 0;
}

static inline int setup_with_real_names(void **state)
{
	static int (*system_lookup)(const char *, uint16_t, int, struct resolve_list *);
	if (!system_lookup)
		system_lookup = resolve_lookup;
	resolve_lookup = system_lookup;
	return setup(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_with_real_names, teardown)

#endif
