/*
 * segment.c - see segment.h.
 */
#include "lib/stamp/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "lib/base/sysio.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum { BLOCK = 64 << 10 };

/* Beyond the limit, the kernel would send the program a SIGXFSZ that it has not earned. */
static int within_limit(uint64_t end)
{
	struct rlimit limit;

	if (sysio_call(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit, 0, 0) != 0)
		return 0;
	return limit.rlim_cur != RLIM_INFINITY && end > limit.rlim_cur ? -EFBIG : 0;
}

/* Where the file system cannot allocate, writing zeros does. */
static int fill(int fd, uint64_t at, uint32_t bytes)
{
	static const char zeros[BLOCK];

	for (uint32_t done = 0; done < bytes;) {
		uint32_t count = bytes - done < BLOCK ? bytes - done : BLOCK;
		long n = sysio_call(SYS_pwrite64, fd, (long)zeros, count, (long)(at + done), 0, 0);
		if (n <= 0 && n != -EINTR)
			return n ? (int)n : -ENOSPC;
		if (n > 0)
			done += (uint32_t)n;
	}
	return 0;
}

static int allocate(int fd, uint64_t at, uint32_t bytes)
{
	int error;

	do
		error = (int)sysio_call(SYS_fallocate, fd, 0, (long)at, bytes, 0, 0);
	while (error == -EINTR);
	return error == -EOPNOTSUPP || error == -ENOSYS ? fill(fd, at, bytes) : error;
}

struct trace_segment *segment_map(struct segment_file *file, uint32_t bytes)
{
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;

	uint64_t at = atomic_fetch_add(&file->bytes, bytes);
	long error = within_limit(at + bytes);
	int fd = error ? (int)error : sysio_open(file->path, flags, 0600);
	if (fd < 0)
		return (void *)(intptr_t)fd;
	error = allocate(fd, at, bytes);
	void *mapped = (void *)error;
	if (!error)
		mapped = sysio_map(bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)at);
	sysio_close(fd);
	return mapped;
}

void segment_ready(void *from, size_t bytes)
{
	sysio_call(SYS_madvise, (long)from, (long)bytes, MADV_POPULATE_WRITE, 0, 0, 0);
}
