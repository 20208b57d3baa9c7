/*
 * ring.c - making and mapping a ring. See ring.h, and record.h for the layout.
 */
#include "lib/ring/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/base/sysio.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define RING_MAGIC UINT64_C(0x31676e69726b7268) /* "hrkring1" */

enum { PAGE = 4096, PIECES_MOST = 0xffff };

struct geometry {
	uint32_t shift, chunks, pieces, offset;
	size_t file_bytes;
};

static int geometry_of(size_t bytes, struct geometry *g)
{
	uint64_t chunk = RING_CHUNK_LEAST;

	if (bytes < RING_LEAST_BYTES || bytes > UINT64_C(1) << 31)
		return -EINVAL;
	while (chunk < RING_CHUNK_MOST && chunk * 64 < bytes)
		chunk *= 2;
	g->shift = (uint32_t)__builtin_ctzll(chunk);
	g->chunks = RING_LEAST_BYTES / RING_CHUNK_LEAST;
	while (g->chunks * chunk < bytes)
		g->chunks *= 2;
	/* Spares take the place of pieces in which a stopped writer might still write. */
	g->pieces = g->chunks + g->chunks / 8 + 4;
	if (g->pieces > PIECES_MOST)
		return -EINVAL;
	size_t head = sizeof(struct ring_shared) + (g->chunks + g->pieces) * sizeof(uint64_t) +
		      g->pieces * sizeof(uint32_t);
	g->offset = (uint32_t)((head + PAGE - 1) & ~(size_t)(PAGE - 1));
	g->file_bytes = g->offset + (size_t)g->pieces * chunk;
	return 0;
}

size_t ring_file_bytes(size_t bytes)
{
	struct geometry g;
	return geometry_of(bytes, &g) ? 0 : g.file_bytes;
}

static int write_at(int fd, const void *bytes, size_t count, size_t offset)
{
	for (size_t done = 0; done < count;) {
		ssize_t n = pwrite(fd, (const char *)bytes + done, count - done,
				   (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* So many times the same page: a chunk's words are all alike, and a page that is touched costs more than
 * what is written of it. */
static int write_again(int fd, const void *page, size_t times, size_t offset)
{
	enum { AT_ONCE = 16 };
	struct iovec same[AT_ONCE];

	for (size_t i = 0; i < AT_ONCE; i++)
		same[i] = (struct iovec){ (void *)(uintptr_t)page, PAGE };
	for (size_t done = 0; done < times;) {
		size_t count = times - done < AT_ONCE ? times - done : AT_ONCE;
		ssize_t n = pwritev(fd, same, (int)count, (off_t)(offset + done * PAGE));
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n / PAGE : 0;
		/* The page that it was in the midst of says by itself what is wrong. */
		if (n >= 0 && (size_t)n < count * PAGE) {
			int error = write_at(fd, page, PAGE, offset + done++ * PAGE);
			if (error)
				return error;
		}
	}
	return 0;
}

static void fill_head(struct ring_shared *shared, const struct geometry *g, uint32_t ready)
{
	_Atomic uint32_t *piece_word =
		(_Atomic uint32_t *)(void *)&shared->place[g->chunks + g->pieces];

	shared->magic = RING_MAGIC;
	shared->chunk_shift = g->shift;
	shared->chunks = g->chunks;
	shared->pieces = g->pieces;
	shared->offset = g->offset;
	/* Numbers begin with `chunks`: 0 would make zeroed memory look free. */
	shared->first = g->chunks;
	shared->tail = shared->head = (uint64_t)g->chunks << g->shift;
	shared->reader = READER_ASLEEP;
	shared->room = ready;
	for (uint64_t i = 0; i < ready; i++)
		shared->place[i] = (g->chunks + i) << 16 | i;
	for (uint32_t piece = ready; piece < g->pieces; piece++)
		piece_word[piece] = PIECE_VIRGIN;
}

/* Written, not mapped: a full file system is an error here and no SIGBUS in somebody's program later,
 * and thousands of page faults are saved. All else is allocated when it is needed (reader.c). */
int ring_create(int fd, size_t bytes, uint32_t ready)
{
	struct geometry g;

	int error = geometry_of(bytes, &g);
	if (error)
		return error;
	size_t chunk = (size_t)1 << g.shift;
	void *buffer = aligned_alloc(PAGE, (g.offset + PAGE - 1) & ~(size_t)(PAGE - 1));
	if (!buffer)
		return -ENOMEM;
	memset(buffer, 0, g.offset);
	if (ready > g.chunks)
		ready = g.chunks;
	fill_head(buffer, &g, ready);
	error = write_at(fd, buffer, g.offset, 0);
	for (uint32_t piece = 0; !error && piece < ready; piece++) {
		ring_stamp(buffer, PAGE, g.chunks + piece);
		error = write_again(fd, buffer, chunk / PAGE, g.offset + piece * chunk);
	}
	free(buffer);
	if (!error && ftruncate(fd, (off_t)g.file_bytes) != 0)
		error = -errno;
	return error;
}

int ring_map(struct ring *ring, int fd)
{
	struct stat st;
	struct geometry g;

	int error = sysio_fstat(fd, &st);
	if (error)
		return error;
	if (st.st_size < PAGE)
		return -EINVAL;
	struct ring_shared *shared =
		sysio_map((size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (sysio_is_error(shared))
		return (int)(intptr_t)shared;
	/* The geometry must be one that we would have made, and fit the file. Each word is read once. */
	uint32_t shift = *(const volatile uint32_t *)&shared->chunk_shift;
	uint32_t chunks = *(const volatile uint32_t *)&shared->chunks;
	if (shared->magic != RING_MAGIC || shift > 20 || chunks > PIECES_MOST ||
	    geometry_of((size_t)chunks << shift, &g) != 0 || g.shift != shift ||
	    g.chunks != chunks || g.pieces != shared->pieces || g.offset != shared->offset ||
	    g.file_bytes != (size_t)st.st_size) {
		sysio_unmap(shared, (size_t)st.st_size);
		return -EINVAL;
	}
	*ring = (struct ring){
		.shared = shared,
		.memory = (char *)shared + g.offset,
		.number_mask = chunks - 1,
		.chunk_shift = shift,
		.pieces = g.pieces,
		.most_payload = (1u << shift) / 4 - RECORD_HEADER,
		.read_to = &shared->place[chunks],
		.piece_word = (_Atomic uint32_t *)(void *)&shared->place[chunks + g.pieces],
		.mapped_bytes = (size_t)st.st_size,
	};
	return 0;
}

void ring_unmap(struct ring *ring)
{
	if (ring->shared)
		sysio_unmap(ring->shared, ring->mapped_bytes);
	ring->shared = NULL;
}
