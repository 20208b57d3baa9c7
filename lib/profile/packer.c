/*
 * packer.c - see packed.h. Writing: frames, and the table of them.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "lib/profile/packed.h"
#include "lib/profile/packed_table.h"

enum { PENDING = 1 << 20, FRAME_TAKES = ZSTD_COMPRESSBOUND(PACKED_FRAME_MOST) };

struct packer {
	ZSTD_CCtx *context;
	int fd;
	uint32_t *entries;         /* two numbers each, as they are written */
	size_t count, room;
	size_t pending;            /* bytes that are not written yet */
	uint8_t bytes[PENDING];
};
_Static_assert(PENDING >= FRAME_TAKES, "there is room for any frame");

struct packer *packer_open(int fd, int level)
{
	struct packer *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->fd = fd;
	p->context = ZSTD_createCCtx();
	/* what is damaged later will be noticed */
	if (p->context &&
	    !ZSTD_isError(ZSTD_CCtx_setParameter(p->context, ZSTD_c_compressionLevel, level)) &&
	    !ZSTD_isError(ZSTD_CCtx_setParameter(p->context, ZSTD_c_checksumFlag, 1)))
		return p;
	packer_close(p);
	return NULL;
}

void packer_close(struct packer *p)
{
	if (!p)
		return;
	ZSTD_freeCCtx(p->context);
	free(p->entries);
	free(p);
}

static int write_all(int fd, const void *bytes, size_t count)
{
	for (const char *at = bytes; count;) {
		ssize_t n = write(fd, at, count);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		at += n;
		count -= (size_t)n;
	}
	return 0;
}

static int flush(struct packer *p)
{
	int rc = write_all(p->fd, p->bytes, p->pending);

	p->pending = 0;
	return rc;
}

int packer_put(struct packer *p, const void *bytes, size_t count)
{
	int rc = 0;

	if (p->count == TABLE_FRAMES)
		return -EFBIG;
	if (p->count == p->room) {
		size_t room = p->room ? p->room * 2 : 256;
		uint32_t *entries = reallocarray(p->entries, room, 2 * sizeof *entries);
		if (!entries)
			return -ENOMEM;
		p->entries = entries;
		p->room = room;
	}
	if (PENDING - p->pending < FRAME_TAKES)
		rc = flush(p);
	if (rc != 0)
		return rc;
	size_t room = PENDING - p->pending;
	size_t takes = ZSTD_compress2(p->context, p->bytes + p->pending, room, bytes, count);
	if (ZSTD_isError(takes))
		return -ENOMEM;
	p->pending += takes;
	p->entries[2 * p->count] = htole32((uint32_t)takes);
	p->entries[2 * p->count + 1] = htole32((uint32_t)count);
	p->count++;
	return 0;
}

int packer_end(struct packer *p)
{
	const size_t entries = p->count * 2 * sizeof *p->entries;
	const uint32_t head[] = { htole32(TABLE_SKIPPED),
				  htole32((uint32_t)(entries + TABLE_FOOT)) };
	const uint32_t count = htole32((uint32_t)p->count), magic = htole32(TABLE_MAGIC);
	uint8_t foot[TABLE_FOOT] = { 0 };
	int rc = flush(p);

	memcpy(foot, &count, sizeof count);
	memcpy(foot + TABLE_FOOT - sizeof magic, &magic, sizeof magic);
	if (rc == 0)
		rc = write_all(p->fd, head, sizeof head);
	if (rc == 0 && entries)
		rc = write_all(p->fd, p->entries, entries);
	return rc ? rc : write_all(p->fd, foot, sizeof foot);
}
