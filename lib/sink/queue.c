/*
 * queue.c - a sink's queue in a file: a header page, then the bytes, mapped twice back to back.
 *
 * Called by the sinks and by the collector, one process at a time. The file outlives its process
 * and may have been damaged meanwhile: nothing in its header is believed before it was checked,
 * and no tail, whatever it is, leads outside of the mapping.
 */
#include "lib/sink/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_BYTES = 4096, VERSION = 1 };

static const char magic[8] = "harkque";

#define MOST_BYTES (UINT64_C(1) << 40) /* twice this must fit the address space */
#define TAIL_MOST (UINT64_C(1) << 62)  /* centuries of output; beyond it is damage */
#define REWIND_BYTES (UINT64_C(256) << 10) /* stays within a core's cache */

struct header {
	char magic[8]; /* written last: a file without it was never finished */
	uint32_t version;
	uint32_t header_bytes;
	uint64_t size;
	_Atomic uint64_t tail;
	struct queue_note note;
};

static bool size_is_sane(uint64_t size)
{
	return size >= HEADER_BYTES && size <= MOST_BYTES && !(size & (size - 1));
}

static int allocate(int fd, uint64_t bytes)
{
	int rc;
	do
		rc = posix_fallocate(fd, 0, (off_t)bytes);
	while (rc == EINTR);
	return -rc;
}

static int create(int fd, uint64_t wanted, uint64_t *size)
{
	uint64_t rounded = HEADER_BYTES;
	while (rounded < wanted && rounded < MOST_BYTES)
		rounded <<= 1;
	if (wanted > rounded)
		return -EINVAL;
	/* An unfinished one may hold anything: let it begin as zeros. */
	if (ftruncate(fd, 0))
		return -errno;
	int rc = allocate(fd, HEADER_BYTES + rounded);
	if (rc)
		return rc;
	*size = rounded;
	return 0;
}

/* 1: a queue; 0: one that was never finished; else -errno. */
static int examine(int fd, uint64_t *size)
{
	struct stat st;
	if (fstat(fd, &st))
		return -errno;
	if (st.st_uid != geteuid())
		return -EPERM;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (!st.st_size)
		return 0;
	struct header h;
	memset(&h, 0, sizeof(h));
	ssize_t n = pread(fd, &h, sizeof(h), 0);
	if (n < 0)
		return -errno;
	static const char nothing[sizeof(h.magic)];
	if (!memcmp(h.magic, nothing, sizeof(nothing)))
		return 0;
	if ((size_t)n < sizeof(h) || memcmp(h.magic, magic, sizeof(magic)))
		return -EINVAL;
	if (h.version != VERSION || h.header_bytes != HEADER_BYTES || !size_is_sane(h.size))
		return -EINVAL;
	if ((uint64_t)st.st_size != HEADER_BYTES + h.size || h.tail > TAIL_MOST)
		return -EINVAL;
	*size = h.size;
	/* A hole in it would be a SIGBUS on a full file system. */
	int rc = allocate(fd, HEADER_BYTES + h.size);
	return rc ? rc : 1;
}

static int map(struct queue *q, int fd, uint64_t size)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_FIXED;
	size_t span = HEADER_BYTES + 2 * size;
	const int reserved = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	char *base = mmap(NULL, span, PROT_NONE, reserved, -1, 0);
	if (base == MAP_FAILED)
		return -errno;
	char *bytes = base + HEADER_BYTES;
	if (mmap(base, HEADER_BYTES + size, prot, flags, fd, 0) == MAP_FAILED ||
	    mmap(bytes + size, size, prot, flags, fd, HEADER_BYTES) == MAP_FAILED) {
		int rc = -errno;
		munmap(base, span);
		return rc;
	}
	q->bytes = bytes;
	q->size = size;
	return 0;
}

static int open_with(struct queue *q, int fd, uint64_t wanted, bool *fresh)
{
	uint64_t size = 0;
	int found = examine(fd, &size);
	if (found < 0)
		return found;
	if (!found) {
		*fresh = true;
		int rc = create(fd, wanted, &size);
		if (rc)
			return rc;
	}
	int rc = map(q, fd, size);
	if (rc)
		return rc;
	void *page = q->bytes - HEADER_BYTES;
	struct header *h = page;
	if (!found) {
		h->version = VERSION;
		h->header_bytes = HEADER_BYTES;
		h->size = size;
		atomic_store_explicit(&h->tail, 0, memory_order_relaxed);
		/* After a kill, the kernel keeps what was stored; only the compiler could reorder. */
		atomic_signal_fence(memory_order_release);
		memcpy(h->magic, magic, sizeof(magic));
	}
	q->tail = &h->tail;
	q->note = &h->note;
	q->head = atomic_load_explicit(q->tail, memory_order_relaxed);
	return 0;
}

int queue_open(struct queue *q, const char *path, uint64_t size)
{
	memset(q, 0, sizeof(*q));
	/* O_NONBLOCK: the name may lead to a FIFO. */
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = open(path, flags, 0600);
	if (fd < 0)
		return -errno;
	bool fresh = false;
	int rc = open_with(q, fd, size, &fresh);
	close(fd);
	if (rc && fresh)
		unlink(path);
	return rc;
}

void queue_close(struct queue *q)
{
	if (q->bytes)
		munmap(q->bytes - HEADER_BYTES, HEADER_BYTES + 2 * q->size);
	memset(q, 0, sizeof(*q));
}

static uint64_t tail_of(const struct queue *q)
{
	return atomic_load_explicit(q->tail, memory_order_relaxed);
}

uint64_t queue_used(const struct queue *q)
{
	/* The tail lies in a file that others could scribble on: never promise more than is mapped. */
	uint64_t used = q->head - tail_of(q);
	return used <= q->size ? used : q->size;
}

uint64_t queue_room(const struct queue *q)
{
	return q->size - queue_used(q);
}

char *queue_fill(struct queue *q)
{
	return q->bytes + (q->head & (q->size - 1));
}

void queue_filled(struct queue *q, uint64_t bytes)
{
	q->head += bytes;
}

const char *queue_peek(const struct queue *q)
{
	return q->bytes + (tail_of(q) & (q->size - 1));
}

void queue_taken(struct queue *q, uint64_t bytes)
{
	/* release: whoever succeeds a killed process must not find the tail ahead of what was done. */
	atomic_store_explicit(q->tail, tail_of(q) + bytes, memory_order_release);
}

void queue_rewind(struct queue *q)
{
	uint64_t tail = tail_of(q);
	uint64_t least = q->size / 2 < REWIND_BYTES ? q->size / 2 : REWIND_BYTES;
	/* Not for every few bytes: each rewind of a large queue consumes positions by the gigabyte. */
	if (q->head != tail || (tail & (q->size - 1)) < least)
		return;
	q->head = (tail | (q->size - 1)) + 1;
	atomic_store_explicit(q->tail, q->head, memory_order_release);
}
