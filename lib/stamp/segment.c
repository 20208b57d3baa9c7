/*
 * segment.c - see segment.h.
 */
#include "lib/stamp/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <wchar.h>

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

/* The next bytes of the file, and where they begin. A descriptor, or an -errno. */
static int open_end(struct segment_file *file, uint32_t bytes, uint64_t *at)
{
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;

	*at = atomic_fetch_add(&file->bytes, bytes);
	int error = within_limit(*at + bytes);
	int fd = error ? error : sysio_open(file->path, flags, 0600);
	if (fd >= 0 && *at == 0) /* whatever the program's umask, it will be opened again */
		sysio_call(SYS_fchmod, fd, 0600, 0, 0, 0, 0);
	return fd;
}

static int put(int fd, const char *from, uint32_t bytes, uint64_t at)
{
	for (uint32_t done = 0; done < bytes;) {
		long n = sysio_call(SYS_pwrite64, fd, (long)(from + done), bytes - done,
				    (long)(at + done), 0, 0);
		if (n <= 0 && n != -EINTR)
			return n ? (int)n : -ENOSPC;
		if (n > 0)
			done += (uint32_t)n;
	}
	return 0;
}

/* Where the file system cannot allocate, writing zeros does. */
static int fill(int fd, uint64_t at, uint32_t bytes)
{
	static const char zeros[BLOCK];
	int error = 0;

	for (uint32_t done = 0; done < bytes && !error; done += BLOCK)
		error = put(fd, zeros, bytes - done < BLOCK ? bytes - done : BLOCK, at + done);
	return error;
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
	uint64_t at;
	int fd = open_end(file, bytes, &at);

	if (fd < 0)
		return (void *)(intptr_t)fd;
	long error = allocate(fd, at, bytes);
	void *mapped = (void *)error;
	if (!error)
		mapped = sysio_map(bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)at);
	sysio_close(fd);
	return mapped;
}

int segment_copy(struct segment_file *file, const struct trace_segment *segment, uint32_t bytes)
{
	uint64_t at;
	int fd = open_end(file, bytes, &at);

	if (fd < 0)
		return fd;
	int error = put(fd, (const char *)segment, bytes, at);
	sysio_close(fd);
	return error;
}

static bool is_begun(uint32_t word)
{
	return TRACE_WORD_KIND(word) == TRACE_LONG && TRACE_WORD_TYPE(word) == TRACE_VOID &&
	       TRACE_WORD_DETAIL(word) == TRACE_VOID_BEGUN;
}

bool segment_whole(const struct trace_segment *segment, const void *end, bool begun)
{
	_Static_assert(sizeof(wchar_t) == sizeof(uint32_t), "wmemchr() looks at words");
	const uint32_t *at = (const uint32_t *)(segment + 1), *to = end;

	/* A hundred times as fast as looking at each. Most have no zero, not even within a record. */
	if (!begun && !wmemchr((const wchar_t *)at, 0, (size_t)(to - at)))
		return true;
	for (uint32_t words = 1; at < to && words; at += words)
		words = is_begun(*at) ? 0 : trace_words(*at);
	return at >= to;
}

void segment_ready(void *from, size_t bytes)
{
	sysio_call(SYS_madvise, (long)from, (long)bytes, MADV_POPULATE_WRITE, 0, 0, 0);
}
