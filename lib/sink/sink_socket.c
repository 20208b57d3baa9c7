/*
 * sink_socket.c - tcp, udp, unix and unixgram: how they connect, write, and notice a peer's end.
 *
 * Driven by sink_pump() through the four sink_ops at the end. Must never wait for a peer or for a
 * name, never raise SIGPIPE, and never call received what the peer may not have.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/sink/planted.h"
#include "lib/sink/resolve.h"
#include "lib/sink/sink.h"

#define MS UINT64_C(1000000)

enum {
	SEND_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL,
	BATCH = 64,              /* datagrams a system call */
	DISCARDS = 16,           /* reads of what a peer sends, at a time */
	SYN_RETRIES = 3,         /* some 15 s; sink_pump() gives up earlier */
	USER_TIMEOUT_MS = 60000, /* a peer that acknowledges nothing for so long is dead */
	KEEPALIVE_IDLE = 60, KEEPALIVE_INTERVAL = 10, KEEPALIVE_COUNT = 3,
};

struct link {
	struct resolve *lookup;    /* under way; NULL: none */
	struct resolve_list list;  /* s->u.socket.address is the next one to try */
	int broken;                /* why this connection has ended; reading SO_ERROR clears it */
	size_t left;               /* unix: what the peer had not read when it was last certain */
};

static struct link *link_of(struct sink *s)
{
	return s->state_of_kind;
}

static int make_link(struct sink *s)
{
	if (!s->state_of_kind)
		s->state_of_kind = calloc(1, sizeof(struct link));
	if (!s->state_of_kind)
		return -ENOMEM;
	link_of(s)->broken = 0;
	link_of(s)->left = 0;
	return 0;
}

static void set_option(int fd, int level, int name, int value)
{
	/* Each of them is an improvement; none is worth giving up a connection. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_tcp_options(int fd)
{
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
	set_option(fd, IPPROTO_TCP, TCP_SYNCNT, SYN_RETRIES);
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* batches are made in the queue already */
}

static int connect_to(struct sink *s, int socktype, const struct sockaddr *to, socklen_t length)
{
	s->fd = socket(to->sa_family, socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return -errno;
	if (socktype == SOCK_STREAM && to->sa_family != AF_UNIX)
		set_tcp_options(s->fd);
	if (!connect(s->fd, to, length))
		return 0;
	int rc = -errno;
	if (rc == -EINPROGRESS || rc == -EINTR)
		return -EINPROGRESS;
	close(s->fd);
	s->fd = -1;
	return rc;
}

static int socktype_of(const struct sink *s)
{
	return s->ops->datagrams ? SOCK_DGRAM : SOCK_STREAM;
}

/* The next connection asks for the name anew: it may have moved by then. Not so for datagrams: that
 * nobody listens at this address shows only when one was sent, and then it is the next one's turn. */
static void connected(struct sink *s)
{
	if (!s->ops->datagrams)
		s->u.socket.address = link_of(s)->list.count;
}

/* Tries the addresses that are left: 0, -EINPROGRESS, or the last one's error. */
static int connect_next(struct sink *s)
{
	const struct resolve_list *list = &link_of(s)->list;
	int rc = -EDESTADDRREQ;

	s->opens_on = POLLOUT;
	while (s->u.socket.address < list->count) {
		unsigned i = s->u.socket.address++;
		const struct sockaddr *to = (const void *)&list->each[i].at;
		rc = connect_to(s, socktype_of(s), to, list->each[i].length);
		if (!rc)
			connected(s);
		if (!rc || rc == -EINPROGRESS)
			return rc;
	}
	return rc;
}

/* A host by name or number. Addresses that an earlier try left over come first. */
static int host_open(struct sink *s)
{
	int rc = make_link(s);
	if (rc)
		return rc;
	struct link *l = link_of(s);
	if (s->u.socket.address < l->list.count)
		return connect_next(s);
	s->u.socket.address = 0;
	l->list.count = 0;
	rc = resolve_numeric(s->spec.target, s->spec.port, socktype_of(s), &l->list);
	if (!rc)
		return connect_next(s);
	rc = resolve_start(&l->lookup, s->spec.target, s->spec.port, socktype_of(s));
	if (rc)
		return rc;
	s->fd = resolve_fd(l->lookup);
	s->opens_on = POLLIN;
	return -EINPROGRESS;
}

static int host_resolved(struct sink *s)
{
	struct link *l = link_of(s);
	int rc = resolve_result(l->lookup, &l->list);
	if (rc == -EINPROGRESS)
		return -EAGAIN;
	resolve_drop(l->lookup);
	l->lookup = NULL;
	s->fd = -1;
	return rc ? rc : connect_next(s);
}

static int pending_error(int fd)
{
	int error = 0;
	socklen_t length = sizeof(error);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length))
		return -errno;
	return -error;
}

static int host_ready(struct sink *s)
{
	if (link_of(s)->lookup)
		return host_resolved(s);
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };
	if (poll(&p, 1, 0) < 1)
		return -EAGAIN;
	int rc = pending_error(s->fd);
	if (rc) {
		close(s->fd);
		s->fd = -1;
		int next = connect_next(s);
		return next == -EDESTADDRREQ ? rc : next;
	}
	connected(s);
	return 0;
}

static void socket_close(struct sink *s)
{
	struct link *l = link_of(s);
	if (l && l->lookup) {
		resolve_drop(l->lookup);
		l->lookup = NULL;
	} else if (s->fd >= 0) {
		close(s->fd);
	}
	s->fd = -1;
}

static int path_open(struct sink *s)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t length = strlen(s->spec.target);
	int rc = make_link(s);
	if (rc)
		return rc;
	if (length >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, s->spec.target, length + 1);
	const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	rc = connect_to(s, socktype_of(s), (const struct sockaddr *)&to, size);
	int planted = rc == 0 ? planted_socket(s->spec.target) : 0;
	return planted ? planted : rc; /* a failure closes the descriptor */
}

/* What a peer says is of no interest, but left unread it would block a peer that echoes. */
static void discard(int fd)
{
	char ignored[4096];
	for (int i = 0; i < DISCARDS; i++)
		if (recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT) < (ssize_t)sizeof(ignored))
			break;
}

static int stream_check(struct sink *s)
{
	struct link *l = link_of(s);
	struct pollfd p = { .fd = s->fd, .events = POLLIN | POLLRDHUP };
	if (l->broken || poll(&p, 1, 0) < 1)
		return l->broken;
	if (p.revents & (POLLERR | POLLHUP))
		l->broken = pending_error(s->fd);
	/* Whoever sends no more has closed, for all that can be known: to write on would mean to learn
	 * of it only when the connection is reset. */
	if (!l->broken && (p.revents & (POLLHUP | POLLRDHUP)))
		l->broken = -EPIPE;
	if (!l->broken && (p.revents & POLLIN))
		discard(s->fd);
	return l->broken;
}

static ssize_t stream_write(struct sink *s, const char *bytes, size_t count)
{
	ssize_t n = send(s->fd, bytes, count, SEND_FLAGS);
	if (n >= 0)
		return n;
	if (errno == ECONNRESET) /* told only once, and unix_unacked() must know */
		link_of(s)->broken = -ECONNRESET;
	return -errno;
}

static size_t queued(const struct sink *s)
{
	int bytes = 0;
	if (ioctl(s->fd, SIOCOUTQ, &bytes))
		return SIZE_MAX;
	return bytes > 0 ? (size_t)bytes : 0;
}

/* TCP's count stays true when the connection has ended. */
static size_t tcp_unacked(struct sink *s)
{
	return queued(s);
}

/* What the peer has not read, with the kernel's overhead for each piece: too much rather than too
 * little. A peer that closes throws away what it has not read, and the count falls to 0 with it. So
 * it holds only where no end was seen after it was taken, and is taken no more after an end. */
static size_t unix_unacked(struct sink *s)
{
	struct link *l = link_of(s);
	if (!l->broken) {
		size_t bytes = queued(s);
		l->left = stream_check(s) == -ECONNRESET ? SIZE_MAX : bytes;
	}
	return l->broken == -ECONNRESET ? SIZE_MAX : l->left;
}

struct batch {
	struct mmsghdr message[BATCH];
	struct iovec part[BATCH];
	size_t taken[BATCH];  /* of the queue: with the newline */
	unsigned count;
};

static void cut(struct batch *b, const char *bytes, size_t count)
{
	memset(b->message, 0, sizeof(b->message));
	for (b->count = 0; b->count < BATCH && count; b->count++) {
		const char *newline = memchr(bytes, '\n', count);
		size_t length = newline ? (size_t)(newline - bytes) : count;
		size_t taken = newline ? length + 1 : length;
		/* sendmsg() only reads; struct iovec serves both ways */
		b->part[b->count] = (struct iovec){ .iov_base = (void *)(uintptr_t)bytes,
						    .iov_len = length };
		b->message[b->count].msg_hdr.msg_iov = &b->part[b->count];
		b->message[b->count].msg_hdr.msg_iovlen = 1;
		b->taken[b->count] = taken;
		bytes += taken;
		count -= taken;
	}
}

static ssize_t datagram_write(struct sink *s, const char *bytes, size_t count)
{
	struct batch b;
	size_t done = 0;

	while (done < count) {
		cut(&b, bytes + done, count - done);
		int n = sendmmsg(s->fd, b.message, b.count, SEND_FLAGS);
		for (int i = 0; i < n; i++)
			done += b.taken[i];
		if (n >= 0)
			continue;
		if (errno == EMSGSIZE) {
			sink_lose_long(s, 1, b.taken[0]);
			done += b.taken[0];
		} else if (errno != EINTR) {
			return done ? (ssize_t)done : -errno;
		}
	}
	return (ssize_t)done;
}

#define SOCKET_DEFAULTS                                                                            \
	.default_format = "json", .default_queue = 8 << 20,                                        \
	.default_overflow = OVERFLOW_TIMEOUT, .default_overflow_ns = 250 * MS

const struct sink_ops sink_tcp = {
	SOCKET_DEFAULTS,
	.open = host_open,
	.ready = host_ready,
	.write = stream_write,
	.close = socket_close,
	.unacked = tcp_unacked,
	.check = stream_check,
};

const struct sink_ops sink_udp = {
	SOCKET_DEFAULTS,
	.datagrams = true,
	.open = host_open,
	.ready = host_ready,
	.write = datagram_write,
	.close = socket_close,
};

const struct sink_ops sink_unix = {
	SOCKET_DEFAULTS,
	.open = path_open,
	.write = stream_write,
	.close = socket_close,
	.unacked = unix_unacked,
	.check = stream_check,
};

const struct sink_ops sink_unixgram = {
	SOCKET_DEFAULTS,
	.datagrams = true,
	.open = path_open,
	.write = datagram_write,
	.close = socket_close,
};
