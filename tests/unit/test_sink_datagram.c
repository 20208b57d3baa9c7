/*
 * test_sink_datagram.c - udp, unixgram and unix, against peers that are not there yet, take no datagram
 * of that size, do not read what they were sent, and come back.
 */
#include "tests/unit/sink_peer.h"

/* A datagram socket that is connected refuses what all others send to its port, and keeps it. */
static int refusing_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = bind_port(SOCK_DGRAM), on = 1;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	return fd;
}

/* Beside that one, a socket that takes what is sent to the port. */
static int taking_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static int bind_path(int type)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", other);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void udp_sends_a_frame_a_datagram(void **state)
{
	(void)state;
	peer = bind_port(SOCK_DGRAM);
	start(SINK_UDP, "127.0.0.1");
	say("one\n\nthree\nno newline");
	until_idle();
	static const char *const expected[] = { "one", "", "three", "no newline" };
	for (size_t i = 0; i < 4; i++) {
		ssize_t n = recv(peer, got, 100, MSG_DONTWAIT);
		assert_int_equal(n, strlen(expected[i]));
		assert_memory_equal(got, expected[i], (size_t)n);
	}
	assert_int_equal(sink.written_frames, 4);
}

static void udp_sends_more_than_a_batch(void **state)
{
	(void)state;
	peer = bind_port(SOCK_DGRAM);
	start(SINK_UDP, "127.0.0.1");
	say_numbered(0, 200);
	until_idle();
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(recv(peer, got, 1000, MSG_DONTWAIT), FRAME - 1);
		assert_int_equal(strtoul(got, NULL, 10), i);
	}
	assert_int_equal(recv(peer, got, 1000, MSG_DONTWAIT), -1);
}

static void say_long(size_t length)
{
	memset(queue_fill(&sink.queue), 'l', length - 1);
	queue_fill(&sink.queue)[length - 1] = '\n';
	queue_filled(&sink.queue, length);
}

static void a_frame_too_long_for_a_datagram_is_lost(enum sink_kind kind, size_t length)
{
	start(kind, kind == SINK_UDP ? "127.0.0.1" : other);
	say("before\n");
	say_long(length);
	say("after\n");
	until_idle();
	assert_int_equal(sink.lost_messages, 1);
	assert_int_equal(sink.lost_bytes, length);
	assert_int_equal(sink.long_messages, 1);
	assert_int_equal(sink.long_bytes, length);
	assert_int_equal(sink.written_frames, 2);
	assert_int_equal(sink.written_bytes, 13);
	assert_int_equal(sink.errors, 0);
	assert_int_equal(recv(peer, got, 100, MSG_DONTWAIT), 6);
	assert_memory_equal(got, "before", 6);
	assert_int_equal(recv(peer, got, 100, MSG_DONTWAIT), 5);
	assert_memory_equal(got, "after", 5);
}

static void udp_loses_what_fits_no_datagram(void **state)
{
	(void)state;
	peer = bind_port(SOCK_DGRAM);
	a_frame_too_long_for_a_datagram_is_lost(SINK_UDP, 65508 + 1);
}

static void unixgram_loses_what_fits_no_datagram(void **state)
{
	(void)state;
	peer = bind_path(SOCK_DGRAM);
	a_frame_too_long_for_a_datagram_is_lost(SINK_UNIXGRAM, 4 << 20);
}

static void udp_refused_then_there(void **state)
{
	(void)state;
	listener = refusing_port();
	start(SINK_UDP, "127.0.0.1");
	say("into the void\n");
	pump(); /* nobody can know before the answer has come */
	say("one\n");
	until_state(SINK_BACKOFF);
	assert_int_equal(sink.error, -ECONNREFUSED);
	assert_int_equal(queue_used(&sink.queue), 4);
	peer = taking_port();
	now = wish.deadline_ns;
	until_idle();
	assert_int_equal(recv(peer, got, 100, MSG_DONTWAIT), 3);
	assert_memory_equal(got, "one", 3);
	assert_int_equal(sink.reconnects, 1);
}

static void udp_goes_on_to_the_next_address(void **state)
{
	(void)state;
	peer = bind_port(SOCK_DGRAM);
	resolve_lookup = finds_two;
	start(SINK_UDP, "two.test");
	until_state(SINK_OPEN);
	say("to 127.0.0.2\n");
	pump();
	say("one\n");
	until_idle();
	assert_int_equal(sink.errors, 1);
	assert_int_equal(recv(peer, got, 100, MSG_DONTWAIT), 3);
	assert_memory_equal(got, "one", 3);
}

static void unix_path_missing_then_made(void **state)
{
	(void)state;
	start(SINK_UNIX, other);
	say("one\n");
	until_state(SINK_BACKOFF);
	assert_int_equal(sink.error, -ENOENT);
	listener = bind_path(SOCK_STREAM);
	now = wish.deadline_ns;
	until_state(SINK_OPEN);
	accept_peer();
	expect_got("one\n");
	until_idle();
}

static void unix_unread_bytes_stay_until_they_are_read(void **state)
{
	(void)state;
	listener = bind_path(SOCK_STREAM);
	start(SINK_UNIX, other);
	say("first\nsecond\n");
	pump();
	accept_peer();
	assert_false(sink_idle(&sink));
	assert_true(wish.deadline_ns == now + 10 * MS);
	expect_got("first\nsecond\n");
	until_idle();
	drop(&peer); /* having read all: nothing comes again */
	say("third\n");
	until_state(SINK_BACKOFF);
	until_state(SINK_OPEN);
	accept_peer();
	expect_got("third\n");
	until_idle();
	assert_int_equal(sink.written_frames, 3);
}

static void unix_unread_bytes_come_again(void **state)
{
	(void)state;
	enum { COUNT = 10000 };
	listener = bind_path(SOCK_STREAM);
	start(SINK_UNIX, other);
	pump();
	accept_peer();
	say_numbered(0, COUNT);
	pump();
	assert_int_equal(wish.events, POLLOUT);
	read_peer(1050); /* and closes with the rest unread: the kernel throws it away */
	drop(&peer);
	until_state(SINK_BACKOFF);
	until_state(SINK_OPEN);
	accept_peer();
	pump_and_read();
	assert_true(first_number() <= 10); /* all that was not read, and from a frame's start */
	expect_numbered(first_number(), COUNT - first_number());
}

static void unix_last_bytes_unread_come_again(void **state)
{
	(void)state;
	listener = bind_path(SOCK_STREAM);
	start(SINK_UNIX, other);
	say("all of it was taken\n");
	pump();
	accept_peer();
	drop(&peer); /* SIOCOUTQ says 0 from now on, as if it had been read */
	until_state(SINK_BACKOFF);
	assert_int_equal(sink.error, -ECONNRESET);
	until_state(SINK_OPEN);
	accept_peer();
	expect_got("all of it was taken\n");
	until_idle();
}

static void unix_chatter_of_the_peer_is_discarded(void **state)
{
	(void)state;
	static char chatter[4096];
	size_t sent = 0;
	listener = bind_path(SOCK_STREAM);
	start(SINK_UNIX, other);
	pump();
	accept_peer();
	for (int i = 0; i < 1000 && sent < 2 << 20; i++) {
		ssize_t n = send(peer, chatter, sizeof(chatter), MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
		say("x\n");
		pump();
		read_peer(2);
		got_bytes = 0;
	}
	assert_true(sent >= 2 << 20); /* more than the kernel would keep for us */
	assert_int_equal(sink.errors, 0);
	until_idle();
}

static void unixgram_path_missing_made_and_made_again(void **state)
{
	(void)state;
	start(SINK_UNIXGRAM, other);
	say("one\n");
	until_state(SINK_BACKOFF);
	assert_int_equal(sink.error, -ENOENT);
	peer = bind_path(SOCK_DGRAM);
	now = wish.deadline_ns;
	until_idle();
	assert_int_equal(recv(peer, got, 100, MSG_DONTWAIT), 3);

	drop(&peer);
	say("two\n");
	until_state(SINK_BACKOFF); /* the socket is closed, its name still there */
	assert_int_equal(sink.error, -ECONNREFUSED);
	assert_int_equal(unlink(other), 0);
	peer = bind_path(SOCK_DGRAM);
	until_idle();
	assert_int_equal(recv(peer, got, 100, MSG_DONTWAIT), 3);
	assert_memory_equal(got, "two", 3);
}

static void unixgram_slow_peer_gets_all_in_order(void **state)
{
	(void)state;
	peer = bind_path(SOCK_DGRAM);
	start(SINK_UNIXGRAM, other);
	say_numbered(0, 1000);
	pump();
	assert_int_equal(wish.events, POLLOUT);
	assert_false(sink_idle(&sink));
	for (unsigned i = 0; i < 1000; i++) {
		struct pollfd p = { .fd = peer, .events = POLLIN };
		assert_int_equal(poll(&p, 1, READ_MS), 1);
		assert_int_equal(recv(peer, got, 1000, 0), FRAME - 1);
		assert_int_equal(strtoul(got, NULL, 10), i);
		pump();
	}
	assert_true(sink_idle(&sink));
	assert_int_equal(sink.lost_messages, 0);
}

static void a_path_too_long_is_an_error_of_its_own(void **state)
{
	(void)state;
	char target[200];
	memset(target, 'p', sizeof(target));
	target[0] = '/';
	target[sizeof(target) - 1] = '\0';
	start(SINK_UNIX, target);
	pump();
	assert_int_equal(sink.state, SINK_BACKOFF);
	assert_int_equal(sink.error, -ENAMETOOLONG);
}

static void no_sigpipe_ever(void **state)
{
	(void)state;
	assert_ptr_equal(signal(SIGPIPE, SIG_DFL), SIG_DFL); /* it would end this test */
	listener = bind_path(SOCK_STREAM);
	start(SINK_UNIX, other);
	pump();
	accept_peer();
	shutdown(peer, SHUT_RD); /* so that only the write itself finds out */
	say("one\n");
	until_state(SINK_BACKOFF);
	assert_int_equal(sink.error, -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(udp_sends_a_frame_a_datagram),
		TEST(udp_sends_more_than_a_batch),
		TEST(udp_loses_what_fits_no_datagram),
		TEST(unixgram_loses_what_fits_no_datagram),
		TEST(udp_refused_then_there),
		TEST(udp_goes_on_to_the_next_address),
		TEST(unix_path_missing_then_made),
		TEST(unix_unread_bytes_stay_until_they_are_read),
		TEST(unix_unread_bytes_come_again),
		TEST(unix_last_bytes_unread_come_again),
		TEST(unix_chatter_of_the_peer_is_discarded),
		TEST(unixgram_path_missing_made_and_made_again),
		TEST(unixgram_slow_peer_gets_all_in_order),
		TEST(a_path_too_long_is_an_error_of_its_own),
		TEST(no_sigpipe_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
