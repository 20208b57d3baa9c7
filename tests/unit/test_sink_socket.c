/*
 * test_sink_socket.c - tcp, against peers that refuse, read slowly, close in the middle of a frame and
 * come back; and hosts whose name does not resolve, resolves late, or has several addresses.
 */
#include "tests/unit/sink_peer.h"

static void tcp_delivers(void **state)
{
	(void)state;
	listener = listen_port();
	start(SINK_TCP, "127.0.0.1");
	until_state(SINK_OPEN);
	accept_peer();
	say("one\ntwo\n");
	until_idle();
	expect_got("one\ntwo\n");
	assert_int_equal(sink.written_frames, 2);
	assert_int_equal(sink.errors, 0);
	assert_true(fcntl(sink.fd, F_GETFD) & FD_CLOEXEC);
}

static void tcp_takes_numbers_of_both_families(void **state)
{
	(void)state;
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	socklen_t length = sizeof(at);
	listener = socket(AF_INET6, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)))
		skip(); /* no IPv6 here */
	listen(listener, 1);
	getsockname(listener, (struct sockaddr *)&at, &length);
	port = ntohs(at.sin6_port);
	start(SINK_TCP, "::1");
	say("six\n");
	until_state(SINK_OPEN);
	accept_peer();
	expect_got("six\n");
}

static void tcp_refused_then_there(void **state)
{
	(void)state;
	listener = bind_port(SOCK_STREAM);
	start(SINK_TCP, "127.0.0.1");
	say("early\n");
	until_state(SINK_BACKOFF);
	assert_int_equal(sink.error, -ECONNREFUSED);
	for (unsigned i = 2; i < 5; i++) {
		now = wish.deadline_ns;
		pump();
		until_state(SINK_BACKOFF);
		assert_int_equal(sink.errors, i);
	}
	assert_int_equal(queue_used(&sink.queue), 6);
	assert_int_equal(listen(listener, 8), 0);
	now = wish.deadline_ns;
	until_state(SINK_OPEN);
	accept_peer();
	expect_got("early\n");
	until_idle();
	assert_int_equal(sink.error, 0);
	assert_int_equal(sink.reconnects, 0); /* it was the first connection */
}

static void tcp_slow_peer_gets_all_in_order(void **state)
{
	(void)state;
	enum { COUNT = 10000 };
	listener = listen_port();
	start(SINK_TCP, "127.0.0.1");
	until_state(SINK_OPEN);
	accept_peer();
	int small = 8192;
	setsockopt(sink.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	say_numbered(0, COUNT);
	pump();
	assert_int_equal(wish.events, POLLOUT); /* full, and said so without waiting */
	assert_true(queue_used(&sink.queue) > COUNT * FRAME / 2);
	pump_and_read();
	expect_numbered(0, COUNT);
	assert_int_equal(sink.written_frames, COUNT);
}

static void tcp_peer_that_reads_nothing_stalls_the_policy_alone(void **state)
{
	(void)state;
	listener = listen_port();
	start(SINK_TCP, "127.0.0.1");
	until_state(SINK_OPEN);
	accept_peer();
	int small = 8192;
	setsockopt(sink.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	say_numbered(0, 8000);
	for (int i = 0; i < 50; i++)
		step();
	assert_int_equal(sink.state, SINK_OPEN);
	assert_true(wish.deadline_ns - now <= 200 * MS);
	assert_int_equal(sink_full(&sink, sink.progress_ns + 249 * MS), SINK_WAIT);
	assert_int_equal(sink_full(&sink, sink.progress_ns + 250 * MS), SINK_LOSE);
	pump_and_read();
	assert_int_equal(sink_full(&sink, now), SINK_WAIT);
	expect_numbered(0, 8000);
}

static void tcp_peer_that_closed_gets_nothing_more(void **state)
{
	(void)state;
	listener = listen_port();
	start(SINK_TCP, "127.0.0.1");
	until_state(SINK_OPEN);
	accept_peer();
	say("first\n");
	until_idle();
	expect_got("first\n");
	drop(&peer); /* while nothing is said: nobody has to notice */
	pump();
	assert_int_equal(sink.state, SINK_OPEN);
	assert_true(wish.deadline_ns == UINT64_MAX);
	say("second\n");
	pump();
	assert_int_equal(sink.state, SINK_BACKOFF);
	assert_int_equal(sink.error, -EPIPE);
	until_state(SINK_OPEN);
	accept_peer();
	expect_got("second\n");
	until_idle();
	assert_int_equal(sink.written_frames, 2);
	assert_int_equal(sink.reconnects, 1);
}

/* The peer reads into the middle of a frame and goes; with `reset`, leaving bytes unread. */
static void tcp_break(bool reset)
{
	enum { COUNT = 8000 };
	listener = listen_port();
	start(SINK_TCP, "127.0.0.1");
	until_state(SINK_OPEN);
	accept_peer();
	int small = 8192;
	setsockopt(sink.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	say_numbered(0, COUNT);
	pump();
	read_peer(250);
	if (!reset)
		shutdown(peer, SHUT_WR);
	drop(&peer);
	until_state(SINK_BACKOFF);
	assert_true(sink.error == -EPIPE || sink.error == -ECONNRESET);
	until_state(SINK_OPEN);
	accept_peer();
	pump_and_read();
	unsigned first = first_number();
	/* what the old connection's kernel acknowledged may be missing, nothing else */
	assert_true(first < COUNT);
	expect_numbered(first, COUNT - first);
	assert_int_equal(sink.written_frames, COUNT);
	assert_int_equal(sink.lost_messages, 0);
}

static void tcp_peer_closing_inside_a_frame(void **state)
{
	(void)state;
	tcp_break(true);
}

static void tcp_peer_half_closing_inside_a_frame(void **state)
{
	(void)state;
	tcp_break(false);
}

static void tcp_unacknowledged_frames_come_again(void **state)
{
	(void)state;
	enum { COUNT = 8000 };
	listener = listen_port();
	start(SINK_TCP, "127.0.0.1");
	until_state(SINK_OPEN);
	accept_peer();
	say_numbered(0, COUNT);
	pump();
	/* The kernel took far more than the peer has room for: it must not count as written. */
	uint64_t taken = sink.sent - (sink.queue.head - queue_used(&sink.queue));
	assert_true(taken > 100 * FRAME);
	uint64_t acknowledged = sink.written_frames;
	drop(&peer);
	until_state(SINK_BACKOFF);
	until_state(SINK_OPEN);
	accept_peer();
	pump_and_read();
	assert_true(first_number() >= acknowledged);
	assert_true(first_number() < acknowledged + 2000);
	expect_numbered(first_number(), COUNT - first_number());
}

/* Stand-ins for the system's resolver. They run in the lookup's thread. */
static int gate[2] = { -1, -1 };

static int finds_nothing(const char *host, uint16_t at, int type, struct resolve_list *found)
{
	(void)host, (void)at, (void)type, (void)found;
	return -EDESTADDRREQ;
}

static int waits_for_the_gate(const char *host, uint16_t at, int type, struct resolve_list *found)
{
	char c;
	(void)host;
	if (read(gate[0], &c, 1) != 1)
		return -EIO;
	return resolve_numeric("127.0.0.1", at, type, found);
}

static void a_name_that_does_not_resolve_is_asked_for_again(void **state)
{
	(void)state;
	listener = listen_port();
	resolve_lookup = finds_nothing;
	start(SINK_TCP, "two.test");
	say("one\n");
	until_state(SINK_BACKOFF);
	assert_int_equal(sink.error, -EDESTADDRREQ);
	assert_in_range(wish.deadline_ns - now, 80 * MS, 120 * MS);
	resolve_lookup = finds_two;
	now = wish.deadline_ns;
	until_state(SINK_OPEN);
	accept_peer();
	expect_got("one\n");
}

static void all_addresses_are_tried_in_turn(void **state)
{
	(void)state;
	listener = listen_port();
	resolve_lookup = finds_two;
	start(SINK_TCP, "two.test");
	say("one\n");
	until_state(SINK_OPEN); /* 127.0.0.2 refuses, which is no reason to back off */
	assert_int_equal(sink.errors, 0);
	accept_peer();
	expect_got("one\n");
	shutdown(listener, SHUT_RDWR); /* no longer listens, but keeps the port */
	drop(&peer);
	say("two\n");
	until_state(SINK_BACKOFF);
	now = wish.deadline_ns;
	pump();
	until_state(SINK_BACKOFF); /* both refuse now */
	assert_int_equal(sink.error, -ECONNREFUSED);
	assert_int_equal(sink.errors, 2);
}

static void a_slow_lookup_holds_nobody_up(void **state)
{
	(void)state;
	listener = listen_port();
	assert_int_equal(pipe(gate), 0);
	resolve_lookup = waits_for_the_gate;
	start(SINK_TCP, "two.test");
	say("one\n");
	pump();
	assert_int_equal(sink.state, SINK_OPENING);
	assert_int_equal(wish.events, POLLIN);
	struct pollfd p = { .fd = sink.fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 0), 0);
	pump();
	assert_int_equal(sink.state, SINK_OPENING);
	assert_int_equal(write(gate[1], "x", 1), 1);
	assert_int_equal(poll(&p, 1, READ_MS), 1);
	until_state(SINK_OPEN);
	accept_peer();
	expect_got("one\n");

	drop(&peer);
	say("two\n");
	until_state(SINK_BACKOFF);
	now = wish.deadline_ns;
	pump(); /* a name may have moved: asked for anew */
	assert_int_equal(sink.state, SINK_OPENING);
	now = wish.deadline_ns; /* and given up */
	pump();
	assert_int_equal(sink.error, -ETIMEDOUT);
	now = wish.deadline_ns;
	pump();
	sink_fini(&sink); /* waits for neither of the two that are under way */
	assert_int_equal(write(gate[1], "xx", 2), 2);
	drop(&gate[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tcp_delivers),
		TEST(tcp_takes_numbers_of_both_families),
		TEST(tcp_refused_then_there),
		TEST(tcp_slow_peer_gets_all_in_order),
		TEST(tcp_peer_that_reads_nothing_stalls_the_policy_alone),
		TEST(tcp_peer_that_closed_gets_nothing_more),
		TEST(tcp_peer_closing_inside_a_frame),
		TEST(tcp_peer_half_closing_inside_a_frame),
		TEST(tcp_unacknowledged_frames_come_again),
		TEST(a_name_that_does_not_resolve_is_asked_for_again),
		TEST(all_addresses_are_tried_in_turn),
		TEST(a_slow_lookup_holds_nobody_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
