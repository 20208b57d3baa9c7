/*
 * hook_fd.c - every call that makes, moves or closes a descriptor. They change nothing: they tell
 * capture.c what a number means from now on.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/base/sysio.h"
#include "shim/hook.h"
#include "shim/real.h"
#include "shim/shim.h"

/* ---- closing ------------------------------------------------------------------------------------ */

static void closed_range(unsigned first, unsigned last)
{
	if (last >= SHIM_FDS)
		last = SHIM_FDS - 1;
	for (unsigned fd = first; fd <= last; fd++)
		capture_closed((int)fd);
}

HOOKED int close(int fd)
{
	int result = REAL(close)(fd);
	capture_closed(fd);
	return result;
}
HOOKED_AS(__close, close);

HOOKED int close_range(unsigned int first, unsigned int last, int flags)
{
	int result = REAL(close_range)(first, last, flags);
	/* CLOSE_RANGE_CLOEXEC closes later, CLOSE_RANGE_UNSHARE in a table of its own: looking again
	 * is right in every case. */
	if (result == 0)
		closed_range(first, last);
	return result;
}

HOOKED void closefrom(int low)
{
	REAL(closefrom)(low);
	closed_range(low > 0 ? (unsigned)low : 0, SHIM_FDS - 1);
}

HOOKED int fclose(FILE *stream)
{
	int fd = stream->_fileno;
	int result = REAL(fclose)(stream); /* flushes first: what it holds is still captured */
	capture_closed(fd);
	return result;
}

HOOKED int pclose(FILE *stream)
{
	int fd = stream->_fileno;
	int result = REAL(pclose)(stream);
	capture_closed(fd);
	return result;
}

HOOKED int closedir(DIR *directory)
{
	int fd = maybe_null(directory) ? dirfd(directory) : -1;
	int result = REAL(closedir)(directory);
	capture_closed(fd);
	return result;
}

static int open_flags(const char *mode)
{
	bool both = false;

	for (const char *at = mode; *at && *at != ','; at++)
		both = both || *at == '+';
	return both ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;
}

static FILE *reopened(FILE *stream, int before, const char *path, const char *mode)
{
	if (before >= 0)
		capture_closed(before);
	if (stream && path)
		capture_opened(stream->_fileno, path, open_flags(mode));
	else if (stream)
		capture_created(stream->_fileno);
	return stream;
}

HOOKED FILE *freopen(const char *path, const char *mode, FILE *stream)
{
	int before = stream->_fileno;
	return reopened(REAL(freopen)(path, mode, stream), before, path, mode);
}

HOOKED FILE *freopen64(const char *path, const char *mode, FILE *stream)
{
	int before = stream->_fileno;
	return reopened(REAL(freopen64)(path, mode, stream), before, path, mode);
}

/* ---- copying ------------------------------------------------------------------------------------ */

HOOKED int dup(int fd)
{
	int copy = REAL(dup)(fd);
	capture_copied(fd, copy);
	return copy;
}

HOOKED int dup2(int fd, int to)
{
	int copy = REAL(dup2)(fd, to);
	capture_copied(fd, copy);
	return copy;
}
HOOKED_AS(__dup2, dup2);

HOOKED int dup3(int fd, int to, int flags)
{
	int copy = REAL(dup3)(fd, to, flags);
	capture_copied(fd, copy);
	return copy;
}

HOOKED int fcntl(int fd, int command, ...)
{
	va_list arguments;

	va_start(arguments, command);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	int result = REAL(fcntl)(fd, command, argument);
	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		capture_copied(fd, result);
	return result;
}
HOOKED_AS(fcntl64, fcntl);
HOOKED_AS(__fcntl, fcntl);

HOOKED int daemon(int nochdir, int noclose)
{
	int result = REAL(daemon)(nochdir, noclose);
	for (int fd = 0; fd < 3 && !noclose; fd++)
		capture_created(fd);
	return result;
}

/* libc's own login_tty() is called inside. */
HOOKED int forkpty(int *master, char *name, const struct termios *settings,
		   const struct winsize *size)
{
	int result = REAL(forkpty)(master, name, settings, size);
	for (int fd = 0; fd < 3 && result == 0; fd++)
		capture_created(fd);
	if (result > 0)
		capture_created(*master);
	return result;
}

HOOKED int login_tty(int fd)
{
	int result = REAL(login_tty)(fd);
	for (int low = 0; low < 3; low++)
		capture_created(low);
	capture_closed(fd);
	return result;
}

/* ---- making ------------------------------------------------------------------------------------- */

static int made(int fd)
{
	capture_created(fd);
	return fd;
}

static mode_t mode_of(int flags, va_list arguments)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

HOOKED int open(const char *path, int flags, ...)
{
	va_list arguments;

	va_start(arguments, flags);
	mode_t mode = mode_of(flags, arguments);
	va_end(arguments);
	int fd = REAL(open)(path, flags, mode);
	capture_opened(fd, path, flags);
	return fd;
}
HOOKED_AS(open64, open);
HOOKED_AS(__open, open);
HOOKED_AS(__open64, open);

HOOKED int openat(int directory, const char *path, int flags, ...)
{
	va_list arguments;

	va_start(arguments, flags);
	mode_t mode = mode_of(flags, arguments);
	va_end(arguments);
	int fd = REAL(openat)(directory, path, flags, mode);
	capture_opened(fd, path, flags);
	return fd;
}
HOOKED_AS(openat64, openat);

HOOKED int __open_2(const char *path, int flags)
{
	int fd = REAL(__open_2)(path, flags);
	capture_opened(fd, path, flags);
	return fd;
}
HOOKED_AS(__open64_2, __open_2);

HOOKED int __openat_2(int directory, const char *path, int flags)
{
	int fd = REAL(__openat_2)(directory, path, flags);
	capture_opened(fd, path, flags);
	return fd;
}
HOOKED_AS(__openat64_2, __openat_2);

HOOKED int creat(const char *path, mode_t mode)
{
	int fd = REAL(creat)(path, mode);
	capture_opened(fd, path, O_WRONLY);
	return fd;
}
HOOKED_AS(creat64, creat);

HOOKED FILE *fopen(const char *path, const char *mode)
{
	FILE *stream = REAL(fopen)(path, mode);
	if (stream)
		capture_opened(stream->_fileno, path, open_flags(mode));
	return stream;
}
HOOKED_AS(fopen64, fopen);

static FILE *stream_made(FILE *stream)
{
	if (stream)
		capture_created(stream->_fileno);
	return stream;
}

HOOKED FILE *tmpfile(void)
{
	return stream_made(REAL(tmpfile)());
}
HOOKED_AS(tmpfile64, tmpfile);

HOOKED DIR *opendir(const char *path)
{
	DIR *directory = REAL(opendir)(path);
	if (directory)
		capture_created(dirfd(directory));
	return directory;
}

HOOKED int mkstemp(char *pattern)
{
	return made(REAL(mkstemp)(pattern));
}
HOOKED_AS(mkstemp64, mkstemp);

HOOKED int mkostemp(char *pattern, int flags)
{
	return made(REAL(mkostemp)(pattern, flags));
}
HOOKED_AS(mkostemp64, mkostemp);

HOOKED int mkstemps(char *pattern, int suffix)
{
	return made(REAL(mkstemps)(pattern, suffix));
}
HOOKED_AS(mkstemps64, mkstemps);

HOOKED int mkostemps(char *pattern, int suffix, int flags)
{
	return made(REAL(mkostemps)(pattern, suffix, flags));
}
HOOKED_AS(mkostemps64, mkostemps);

HOOKED int shm_open(const char *name, int flags, mode_t mode)
{
	return made(REAL(shm_open)(name, flags, mode));
}

HOOKED int socket(int domain, int type, int protocol)
{
	return made(REAL(socket)(domain, type, protocol));
}

static int two_made(int result, const int fds[2])
{
	if (result == 0) {
		capture_created(fds[0]);
		capture_created(fds[1]);
	}
	return result;
}

HOOKED int socketpair(int domain, int type, int protocol, int fds[2])
{
	return two_made(REAL(socketpair)(domain, type, protocol, fds), fds);
}

HOOKED int pipe(int fds[2])
{
	return two_made(REAL(pipe)(fds), fds);
}

HOOKED int pipe2(int fds[2], int flags)
{
	return two_made(REAL(pipe2)(fds, flags), fds);
}

HOOKED int accept(int fd, struct sockaddr *from, socklen_t *size)
{
	return made(REAL(accept)(fd, from, size));
}

HOOKED int accept4(int fd, struct sockaddr *from, socklen_t *size, int flags)
{
	return made(REAL(accept4)(fd, from, size, flags));
}

HOOKED int eventfd(unsigned int value, int flags)
{
	return made(REAL(eventfd)(value, flags));
}

HOOKED int epoll_create(int size)
{
	return made(REAL(epoll_create)(size));
}

HOOKED int epoll_create1(int flags)
{
	return made(REAL(epoll_create1)(flags));
}

HOOKED int signalfd(int fd, const sigset_t *mask, int flags)
{
	return made(REAL(signalfd)(fd, mask, flags));
}

HOOKED int timerfd_create(clockid_t clock, int flags)
{
	return made(REAL(timerfd_create)(clock, flags));
}

HOOKED int inotify_init(void)
{
	return made(REAL(inotify_init)());
}

HOOKED int inotify_init1(int flags)
{
	return made(REAL(inotify_init1)(flags));
}

HOOKED int memfd_create(const char *name, unsigned int flags)
{
	return made(REAL(memfd_create)(name, flags));
}

HOOKED int posix_openpt(int flags)
{
	return made(REAL(posix_openpt)(flags));
}

HOOKED int openpty(int *master, int *slave, char *name, const struct termios *settings,
		   const struct winsize *size)
{
	int result = REAL(openpty)(master, slave, name, settings, size);
	if (result == 0) {
		capture_created(*master);
		capture_created(*slave);
	}
	return result;
}

void hook_fd_received(const struct msghdr *message)
{
	if (!message->msg_controllen)
		return;
	struct msghdr *m = (struct msghdr *)message;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			capture_created(fd);
		}
	}
}

HOOKED ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t n = REAL(recvmsg)(fd, message, flags);
	if (n >= 0)
		hook_fd_received(message);
	return n;
}

HOOKED int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags,
		    struct timespec *timeout)
{
	int n = REAL(recvmmsg)(fd, messages, count, flags, timeout);
	for (int i = 0; i < n; i++)
		hook_fd_received(&messages[i].msg_hdr);
	return n;
}

/* ---- memory that was readable ------------------------------------------------------------------- */

HOOKED int munmap(void *at, size_t bytes)
{
	int result = REAL(munmap)(at, bytes);
	memory_changed();
	return result;
}

HOOKED int truncate(const char *path, off_t length)
{
	int result = REAL(truncate)(path, length);
	memory_changed();
	return result;
}
HOOKED_AS(truncate64, truncate);

HOOKED int mprotect(void *at, size_t bytes, int protection)
{
	int result = REAL(mprotect)(at, bytes, protection);
	memory_changed();
	return result;
}

HOOKED int pkey_mprotect(void *at, size_t bytes, int protection, int key)
{
	int result = REAL(pkey_mprotect)(at, bytes, protection, key);
	memory_changed();
	return result;
}

HOOKED void *mremap(void *at, size_t bytes, size_t wanted, int flags, ...)
{
	va_list arguments;

	va_start(arguments, flags);
	void *place = va_arg(arguments, void *);
	va_end(arguments);
	void *result = REAL(mremap)(at, bytes, wanted, flags, place);
	memory_changed();
	return result;
}

HOOKED int shmdt(const void *at)
{
	int result = REAL(shmdt)(at);
	memory_changed();
	return result;
}
