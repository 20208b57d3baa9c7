/*
 * sysio.h - system calls made directly: they meet no hook of ours or of anybody else, touch no
 * errno, are no cancellation points and may be made anywhere, signal handlers included.
 *
 * Each returns what the kernel returns: a count or descriptor, or -errno.
 */
#ifndef HARK_BASE_SYSIO_H
#define HARK_BASE_SYSIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

long sysio_call(long number, long a, long b, long c, long d, long e, long f);

ssize_t sysio_read(int fd, void *buf, size_t count);
ssize_t sysio_write(int fd, const void *buf, size_t count);
ssize_t sysio_writev(int fd, const struct iovec *iov, int count);
int sysio_write_all(int fd, const void *buf, size_t count);
	/* until all is written: 0 or -errno; EINTR is retried */
int sysio_open(const char *path, int flags, mode_t mode);
int sysio_close(int fd);
int sysio_fstat(int fd, struct stat *st);
void *sysio_map(size_t bytes, int protection, int flags, int fd, off_t offset);
	/* the address, or -errno as a pointer: see sysio_is_error() */
int sysio_is_error(const void *mapped);
int sysio_unmap(void *at, size_t bytes);
int sysio_protect(void *at, size_t bytes, int protection);
pid_t sysio_getpid(void);
pid_t sysio_gettid(void);
int sysio_kill(pid_t pid, int signal);
int sysio_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns);
	/* Shared between processes. 0, -EAGAIN (the word differs), -EINTR, -ETIMEDOUT.
	 * UINT64_MAX: no time limit. */
int sysio_futex_wake(_Atomic uint32_t *word, int count);

#endif
