/*
 * tap.c - see tap.h.
 */
#include "lib/collect/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "lib/base/sysio.h"

static struct {
	int fd;               /* -1: not in deep mode, or all writers are gone */
	size_t held, entered; /* bytes that were read; of them, in the ring already */
	struct ring_author author;
	char bytes[4096];
} tap = { .fd = -1 };

void tap_attach(struct collector *c)
{
	tap.fd = c->plan->deep_fd;
	if (tap.fd < 0)
		return;
	fcntl(tap.fd, F_SETFL, fcntl(tap.fd, F_GETFL) | O_NONBLOCK);
	tap.author = (struct ring_author){ .pid = (uint32_t)c->session.control->first_pid,
					   .tid = (uint32_t)sysio_gettid() };
	watch_add_fd(&c->watch, tap.fd, WATCH_DEEP, true);
}

static bool append_held(struct collector *c)
{
	/* We are the ring's reader: to wait for room here would be to wait for ourselves. */
	struct ring_policy policy = { .overflow = RING_LOSE_NEWEST };
	struct record_info info = { .fd = STDERR_FILENO,
				    .source = SOURCE_STDERR,
				    .kind = RECORD_TEXT,
				    .detail = STDERR_FILENO };
	size_t most = c->session.ring.most_payload;

	/* A record at a time, so that we know what went in. */
	while (tap.entered < tap.held) {
		size_t left = tap.held - tap.entered;
		struct iovec part = { tap.bytes + tap.entered, left < most ? left : most };
		if (ring_append(&c->session.ring, &tap.author, &info, &part, 1, &policy) != 0)
			return false;
		tap.entered += part.iov_len;
	}
	tap.held = tap.entered = 0;
	return true;
}

void tap_read(struct collector *c)
{
	enum { ROUNDS = 16 };

	for (int i = 0; tap.fd >= 0 && i < ROUNDS && append_held(c); i++) {
		ssize_t n = read(tap.fd, tap.bytes, sizeof tap.bytes);
		if (n > 0) {
			tap.held = (size_t)n;
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		/* Nobody has the other end any more: end of file of a pipe, EIO of a terminal. */
		watch_remove_fd(&c->watch, tap.fd);
		close(tap.fd);
		tap.fd = -1;
		c->look_at_console = true;
	}
	if (tap.fd >= 0)
		watch_again(&c->watch, tap.fd, WATCH_DEEP);
}

bool tap_open(const struct watch *w)
{
	struct pollfd p = { .fd = tap.fd, .events = POLLIN };

	(void)w;
	/* With all processes gone, what is still unread has been said before. */
	return tap.fd >= 0 && (tap.held || (poll(&p, 1, 0) > 0 && p.revents & POLLIN));
}

bool tap_attached(void)
{
	return tap.fd >= 0;
}
