/*
 * sink_console.c - the session's original descriptor: a terminal, pipe, file, socket or nothing.
 *
 * Driven by sink_pump(). The open file behind the descriptor is shared with the program, so its
 * flags and offset are the program's: never set O_NONBLOCK on it, never wait in a write to it.
 *
 * Job control does not reach the collector: it is in a session of its own, where a terminal with
 * TOSTOP neither stops a writer nor sends SIGTTOU.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/sink/resume.h"
#include "lib/sink/sink.h"

enum way {
	DIRECT,      /* regular files, /dev/null: a write waits for no reader */
	OWN_FILE,    /* terminal or FIFO, opened anew without waiting */
	ASK_PIPE,    /* the same where that is not permitted: ask first, write little */
	ASK_TTY,
	SEND_STREAM, /* sockets cannot be opened anew, but can be told not to wait */
	SEND_FRAMES,
};

enum {
	/* A pipe that is writable has room for PIPE_BUF; a terminal promises a byte or two, and waits
	 * where it has less room than is written. It seldom has as little as this. */
	PIPE_MOST = 4096,
	TTY_MOST = 256,
};

const char *sink_console_format(int fd)
{
	return isatty(fd) ? "pretty" : "raw";
}

bool sink_console_color(enum color_when when, bool is_tty, const char *no_color,
			const char *clicolor_force, const char *term)
{
	if (when != COLOR_AUTO)
		return when == COLOR_ALWAYS;
	if (no_color && *no_color)
		return false;
	if (clicolor_force && *clicolor_force && strcmp(clicolor_force, "0") != 0)
		return true;
	return is_tty && term && *term && strcmp(term, "dumb") != 0;
}

/* The name of a terminal's master, or of "the controlling terminal", opens another one. */
static bool can_open_anew(int fd, const struct stat *st)
{
	unsigned number;
	if (S_ISFIFO(st->st_mode))
		return true;
	return st->st_rdev != makedev(5, 0) && ioctl(fd, TIOCGPTN, &number) != 0;
}

/* The same file as an open file of our own; -1 where that cannot be. */
static int open_anew(int fd, const struct stat *st)
{
	char name[32];
	if (!can_open_anew(fd, st))
		return -1;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	int own = open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return -1;
	struct stat found;
	if (!fstat(own, &found) && found.st_dev == st->st_dev && found.st_ino == st->st_ino)
		return own;
	close(own);
	return -1;
}

static int gone(struct sink *s, int error)
{
	s->gone = true;
	return -error;
}

static int socket_way(int fd)
{
	int type = 0;
	socklen_t length = sizeof(type);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length))
		return -errno;
	return type == SOCK_STREAM ? SEND_STREAM : SEND_FRAMES;
}

static int console_open(struct sink *s)
{
	struct stat st;
	int fd = s->console_fd, rc = DIRECT;

	s->u.console.reopened = false;
	if (fd < 0 || fstat(fd, &st))
		return gone(s, EBADF); /* the program was started without */
	s->u.console.is_tty = isatty(fd);
	s->fd = fd;
	if (S_ISSOCK(st.st_mode)) {
		rc = socket_way(fd);
	} else if (S_ISFIFO(st.st_mode) || s->u.console.is_tty) {
		int own = open_anew(fd, &st);
		rc = own >= 0 ? OWN_FILE : s->u.console.is_tty ? ASK_TTY : ASK_PIPE;
		s->u.console.reopened = own >= 0;
		s->fd = own >= 0 ? own : fd;
	}
	if (rc < 0)
		return rc;
	s->u.console.way = rc;
	if (!s->was_open && s->queue.note)
		resume_find(s);
	return 0;
}

static void console_close(struct sink *s)
{
	if (s->u.console.reopened)
		close(s->fd);
	s->u.console.reopened = false;
	s->fd = -1;
}

static ssize_t write_if_ready(int fd, const char *bytes, size_t count, size_t most)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	/* An error or hang-up counts as ready: the write says which. */
	if (poll(&p, 1, 0) < 1) {
		errno = EAGAIN;
		return -1;
	}
	return write(fd, bytes, count < most ? count : most);
}

static ssize_t send_frame(struct sink *s, const char *bytes, size_t count)
{
	const char *newline = memchr(bytes, '\n', count);
	size_t length = newline ? (size_t)(newline - bytes) + 1 : count;
	ssize_t n = send(s->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno == EMSGSIZE) {
		sink_lose(s, 1, length);
		return (ssize_t)length;
	}
	return n;
}

static ssize_t write_by_way(struct sink *s, const char *bytes, size_t count)
{
	switch ((enum way)s->u.console.way) {
	case ASK_PIPE:
		return write_if_ready(s->fd, bytes, count, PIPE_MOST);
	case ASK_TTY:
		return write_if_ready(s->fd, bytes, count, TTY_MOST);
	case SEND_STREAM:
		return send(s->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
	case SEND_FRAMES:
		return send_frame(s, bytes, count);
	case DIRECT:
		if (s->queue.note)
			resume_intend(s);
		break;
	case OWN_FILE:
		break;
	}
	return write(s->fd, bytes, count);
}

static ssize_t console_write(struct sink *s, const char *bytes, size_t count)
{
	ssize_t n = write_by_way(s, bytes, count);
	if (n >= 0)
		return n;
	switch (errno) {
	case EIO:        /* the terminal hung up */
	case ENXIO:
	case EPIPE:      /* no reader is left */
	case ECONNRESET:
	case ENOTCONN:
	case EBADF:      /* not open for writing */
		return gone(s, errno);
	default:
		return -errno;
	}
}

const struct sink_ops sink_console = {
	.default_queue = 1 << 20,
	.default_overflow = OVERFLOW_BLOCK,
	.open = console_open,
	.write = console_write,
	.close = console_close,
};
