/*
 * hook_write.c - the system calls that write, called by name.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/sysio.h"
#include "shim/real.h"
#include "shim/shim.h"

HOOKED ssize_t write(int fd, const void *buf, size_t count)
{
	unsigned state = capture_state(fd);
	if (__builtin_expect(!capture_is(state), 1)) {
		capture_order(state);
		return REAL(write)(fd, buf, count);
	}
	pthread_testcancel(); /* write is a cancellation point: here, where nothing is claimed yet */
	return capture_bytes(fd, state, buf, count);
}
HOOKED_AS(__write, write);

static bool captured_vector(unsigned state, const struct iovec *iov, int count)
{
	if (!capture_is(state) || count < 0 || count > IOV_MAX)
		return false; /* EINVAL is the kernel's to say */
	if (memory_readable(iov, (size_t)count * sizeof *iov) < (size_t)count * sizeof *iov)
		return false;
	size_t total = 0;
	for (int i = 0; i < count; i++)
		if (__builtin_add_overflow(total, iov[i].iov_len, &total) || total > SSIZE_MAX)
			return false;
	pthread_testcancel();
	return true;
}

HOOKED ssize_t writev(int fd, const struct iovec *iov, int count)
{
	unsigned state = capture_state(fd);
	if (captured_vector(state, iov, count))
		return capture_write(fd, state, iov, (unsigned)count);
	capture_pass(state);
	return REAL(writev)(fd, iov, count);
}

/* At an offset: on what cannot seek it is an error, which the kernel knows best; on a file it is not a
 * message that follows others, so it goes where the program wants it. */
HOOKED ssize_t pwrite(int fd, const void *buf, size_t count, off_t offset)
{
	capture_pass(capture_state(fd));
	return REAL(pwrite)(fd, buf, count, offset);
}
HOOKED_AS(pwrite64, pwrite);
HOOKED_AS(__pwrite64, pwrite);

HOOKED ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	capture_pass(capture_state(fd));
	return REAL(pwritev)(fd, iov, count, offset);
}
HOOKED_AS(pwritev64, pwritev);

HOOKED ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	unsigned state = capture_state(fd);
	/* -1: where the file is, like writev. What flags mean for this file, the kernel knows. */
	if (offset == -1 && flags == 0 && captured_vector(state, iov, count))
		return capture_write(fd, state, iov, (unsigned)count);
	capture_pass(state);
	return REAL(pwritev2)(fd, iov, count, offset, flags);
}
HOOKED_AS(pwritev64v2, pwritev2);

/* A captured socket: only what an ordinary write would do to it. Anything else is the kernel's. */
static bool captured_socket(int fd, unsigned state, int flags)
{
	int type;
	socklen_t size = sizeof type;

	if (!capture_is(state) || shim.sandboxed ||
	    (flags & ~(MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE)))
		return false;
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0; /* ENOTSOCK is the kernel's, too */
}

HOOKED ssize_t send(int fd, const void *buf, size_t count, int flags)
{
	unsigned state = capture_state(fd);
	if (captured_socket(fd, state, flags)) {
		struct iovec part = { (void *)buf, count };
		pthread_testcancel();
		return capture_write(fd, state, &part, 1);
	}
	capture_pass(state);
	return REAL(send)(fd, buf, count, flags);
}
HOOKED_AS(__send, send);

HOOKED ssize_t sendto(int fd, const void *buf, size_t count, int flags, const struct sockaddr *to,
		      socklen_t size)
{
	unsigned state = capture_state(fd);
	if (!to && captured_socket(fd, state, flags)) {
		struct iovec part = { (void *)buf, count };
		pthread_testcancel();
		return capture_write(fd, state, &part, 1);
	}
	capture_pass(state);
	return REAL(sendto)(fd, buf, count, flags, to, size);
}

static bool plain_message(const struct msghdr *message)
{
	return memory_readable(message, sizeof *message) == sizeof *message && !message->msg_name &&
	       message->msg_controllen == 0 && message->msg_iovlen <= IOV_MAX;
}

HOOKED ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	unsigned state = capture_state(fd);
	if (captured_socket(fd, state, flags) && plain_message(message) &&
	    captured_vector(state, message->msg_iov, (int)message->msg_iovlen))
		return capture_write(fd, state, message->msg_iov, (unsigned)message->msg_iovlen);
	capture_pass(state);
	return REAL(sendmsg)(fd, message, flags);
}

HOOKED int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
	unsigned state = capture_state(fd);
	if (captured_socket(fd, state, flags) && count <= IOV_MAX &&
	    memory_readable(messages, count * sizeof *messages) == count * sizeof *messages) {
		for (unsigned i = 0; i < count; i++) {
			ssize_t n = sendmsg(fd, &messages[i].msg_hdr, flags);
			if (n < 0)
				return i ? (int)i : -1;
			messages[i].msg_len = (unsigned)n;
		}
		return (int)count;
	}
	capture_pass(state);
	return REAL(sendmmsg)(fd, messages, count, flags);
}

/* ---- copies inside of the kernel: we read what it would have read ------------------------------- */

static bool waits(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec now = { 0 };

	return sysio_call(SYS_ppoll, (long)&p, 1, (long)&now, 0, 0, 0) == 0;
}

/* From a pipe, what is in it: it is waited for before the first byte only, and not even then where the
 * program does not want it. */
static ssize_t copy_from(int in, off_t *offset, int out, unsigned state, size_t count, bool wait)
{
	char some[1024];
	size_t done = 0;

	while (done < count) {
		size_t want = count - done < sizeof some ? count - done : sizeof some;
		if (!wait && waits(in)) {
			if (done)
				return (ssize_t)done;
			errno = EAGAIN;
			return -1;
		}
		ssize_t n = offset ? pread(in, some, want, *offset) : read(in, some, want);
		if (n <= 0)
			return done ? (ssize_t)done : n;
		if (offset)
			*offset += n;
		struct iovec part = { some, (size_t)n };
		if (capture_write(out, state, &part, 1) < 0)
			return done ? (ssize_t)done : -1;
		done += (size_t)n;
		wait = false;
	}
	return (ssize_t)done;
}

/* Whether it goes to a file that we capture, by pages that can be taken; whatever else is asked is for
 * the kernel to judge, and behind a filter we may not even look. */
static bool takes_pages(int out, unsigned state, const off_t *offset, unsigned flags)
{
	const unsigned known = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;
	struct stat st;

	if (!capture_is(state) || shim.sandboxed || flags & ~known ||
	    (offset && memory_readable(offset, sizeof *offset) < sizeof *offset))
		return false;
	/* Pages of one file are not put behind another: refused, but for a pipe. */
	long status = sysio_call(SYS_fcntl, out, F_GETFL, 0, 0, 0, 0);
	return !(status > 0 && status & O_APPEND && sysio_fstat(out, &st) == 0 &&
		 !S_ISFIFO(st.st_mode));
}

/* A file with pages, which those of /proc do not have. */
static bool has_pages(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_size > 0;
}

HOOKED ssize_t sendfile(int out, int in, off_t *offset, size_t count)
{
	struct stat from;
	unsigned state = capture_state(out);
	if (takes_pages(out, state, offset, 0) && sysio_fstat(in, &from) == 0 && has_pages(&from))
		return copy_from(in, offset, out, state, count, true);
	capture_pass(state);
	return REAL(sendfile)(out, in, offset, count);
}
HOOKED_AS(sendfile64, sendfile);

HOOKED ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t count,
		      unsigned int flags)
{
	struct stat from, to;
	unsigned state = capture_state(out);
	if (takes_pages(out, state, in_offset, flags) && !out_offset &&
	    sysio_fstat(in, &from) == 0 && sysio_fstat(out, &to) == 0 &&
	    (S_ISFIFO(from.st_mode) ? !in_offset : has_pages(&from) && S_ISFIFO(to.st_mode)))
		return copy_from(in, in_offset, out, state, count, !(flags & SPLICE_F_NONBLOCK));
	capture_pass(state);
	return REAL(splice)(in, in_offset, out, out_offset, count, flags);
}

HOOKED ssize_t vmsplice(int fd, const struct iovec *iov, size_t count, unsigned int flags)
{
	struct stat st;
	unsigned state = capture_state(fd);
	if (takes_pages(fd, state, NULL, flags) && sysio_fstat(fd, &st) == 0 &&
	    S_ISFIFO(st.st_mode) &&
	    captured_vector(state, iov, (int)(count > INT_MAX ? INT_MAX : count)))
		return capture_write(fd, state, iov, (unsigned)count);
	capture_pass(state);
	return REAL(vmsplice)(fd, iov, count, flags);
}

/* What stays in the pipe cannot be read without taking it out, and on which files a range can be copied
 * is for the kernel to say: both go past us, in their turn. */
HOOKED ssize_t tee(int in, int out, size_t count, unsigned int flags)
{
	capture_pass(capture_state(out));
	return REAL(tee)(in, out, count, flags);
}

HOOKED ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset,
			       size_t count, unsigned int flags)
{
	capture_pass(capture_state(out));
	return REAL(copy_file_range)(in, in_offset, out, out_offset, count, flags);
}

/* At a place of the file, by a thread of libc's: after what was said before it was asked for. */
HOOKED int aio_write(struct aiocb *wish)
{
	capture_pass(capture_state(wish->aio_fildes));
	return REAL(aio_write)(wish);
}

HOOKED int aio_write64(struct aiocb64 *wish)
{
	capture_pass(capture_state(wish->aio_fildes));
	return REAL(aio_write64)(wish);
}
