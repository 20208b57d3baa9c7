/*
 * sysio.c - see sysio.h. The only place that knows how this machine enters the kernel.
 */
#include "lib/base/sysio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
long sysio_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
long sysio_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "hark knows the system call instruction of x86_64 and aarch64 only"
#endif

ssize_t sysio_read(int fd, void *buf, size_t count)
{
	return sysio_call(SYS_read, fd, (long)buf, (long)count, 0, 0, 0);
}

ssize_t sysio_write(int fd, const void *buf, size_t count)
{
	return sysio_call(SYS_write, fd, (long)buf, (long)count, 0, 0, 0);
}

ssize_t sysio_writev(int fd, const struct iovec *iov, int count)
{
	return sysio_call(SYS_writev, fd, (long)iov, count, 0, 0, 0);
}

int sysio_write_all(int fd, const void *buf, size_t count)
{
	const char *at = buf;

	while (count) {
		ssize_t n = sysio_write(fd, at, count);
		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		at += n;
		count -= (size_t)n;
	}
	return 0;
}

int sysio_open(const char *path, int flags, mode_t mode)
{
	return (int)sysio_call(SYS_openat, AT_FDCWD, (long)path, flags, (long)mode, 0, 0);
}

int sysio_close(int fd)
{
	return (int)sysio_call(SYS_close, fd, 0, 0, 0, 0, 0);
}

int sysio_fstat(int fd, struct stat *st)
{
	return (int)sysio_call(SYS_newfstatat, fd, (long)"", (long)st, AT_EMPTY_PATH, 0, 0);
}

void *sysio_map(size_t bytes, int protection, int flags, int fd, off_t offset)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): this is what the call returns */
	return (void *)sysio_call(SYS_mmap, 0, (long)bytes, protection, flags, fd, (long)offset);
}

int sysio_is_error(const void *mapped)
{
	return (uintptr_t)mapped > (uintptr_t)-4096L;
}

int sysio_unmap(void *at, size_t bytes)
{
	return (int)sysio_call(SYS_munmap, (long)at, (long)bytes, 0, 0, 0, 0);
}

int sysio_protect(void *at, size_t bytes, int protection)
{
	return (int)sysio_call(SYS_mprotect, (long)at, (long)bytes, protection, 0, 0, 0);
}

pid_t sysio_getpid(void)
{
	return (pid_t)sysio_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

pid_t sysio_gettid(void)
{
	return (pid_t)sysio_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

int sysio_kill(pid_t pid, int signal)
{
	return (int)sysio_call(SYS_kill, pid, signal, 0, 0, 0, 0);
}

int sysio_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
	struct timespec ts = { .tv_sec = (time_t)(timeout_ns / 1000000000u),
			       .tv_nsec = (long)(timeout_ns % 1000000000u) };

	return (int)sysio_call(SYS_futex, (long)word, FUTEX_WAIT, (long)expected,
			       timeout_ns == UINT64_MAX ? 0 : (long)&ts, 0, 0);
}

int sysio_futex_wake(_Atomic uint32_t *word, int count)
{
	return (int)sysio_call(SYS_futex, (long)word, FUTEX_WAKE, count, 0, 0, 0);
}
