/*
 * packed.c - see packed.h. Reading: where frames are, and what is in them.
 */
#include "lib/profile/packed.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "lib/profile/packed_table.h"

enum {
	/* no frame of so many bytes takes more in the file */
	TAKES_MOST = ZSTD_COMPRESSBOUND(PACKED_FRAME_MOST) + 64,
	ENTRIES_TOGETHER = 4096,
};

struct unpacker {
	ZSTD_DCtx *context;
	uint8_t bytes[TAKES_MOST];
};

static uint32_t number(const uint8_t *at)
{
	uint32_t n;

	memcpy(&n, at, sizeof n);
	return le32toh(n);
}

/* All of them, or an error: -EBADMSG where the file ends before. */
static int read_all(int fd, void *to, size_t count, uint64_t at)
{
	for (size_t have = 0; have < count;) {
		ssize_t n = pread(fd, (char *)to + have, count - have, (off_t)(at + have));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EBADMSG;
		have += (size_t)n;
	}
	return 0;
}

void packed_free(struct packed *packed)
{
	free(packed->frames);
	*packed = (struct packed){ .frames = NULL };
}

size_t packed_find(const struct packed *packed, uint64_t offset)
{
	size_t low = 0, high = packed->count;

	/* the first one that ends behind it */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (packed->frames[middle + 1].from <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Behind the last one, which it makes one that holds so many bytes and takes so many. */
static int add(struct packed *packed, size_t *room, uint64_t takes, uint64_t holds)
{
	if (packed->count + 2 > *room) {
		size_t more = *room ? *room * 2 : 16;
		struct packed_frame *frames =
			reallocarray(packed->frames, more, sizeof *frames);
		if (!frames)
			return -ENOMEM;
		packed->frames = frames;
		*room = more;
	}
	struct packed_frame *last = &packed->frames[packed->count];
	if (packed->count == 0)
		*last = (struct packed_frame){ .at = 0 };
	last[1].at = last->at + takes;
	last[1].from = last->from + holds;
	packed->count++;
	return 0;
}

/* ---- by the table ------------------------------------------------------------------------------ */

/* How many entries the table has and where it begins; false: there is none that ends this file. */
static bool find_table(int fd, uint64_t bytes, uint64_t *begin, uint32_t *count, uint32_t *entry)
{
	uint8_t head[TABLE_HEAD], foot[TABLE_FOOT];

	if (bytes < TABLE_HEAD + TABLE_FOOT ||
	    read_all(fd, foot, sizeof foot, bytes - TABLE_FOOT) != 0 ||
	    number(foot + 5) != TABLE_MAGIC || foot[4] & TABLE_RESERVED)
		return false;
	*count = number(foot);
	*entry = foot[4] & TABLE_CHECKSUMS ? 12 : 8;
	uint64_t table = (uint64_t)*count * *entry + TABLE_FOOT;
	if (*count > TABLE_FRAMES || table + TABLE_HEAD > bytes)
		return false;
	*begin = bytes - table - TABLE_HEAD;
	return read_all(fd, head, sizeof head, *begin) == 0 && number(head) == TABLE_SKIPPED &&
	       number(head + 4) == table;
}

static int take_entries(struct packed *packed, size_t *room, const uint8_t *entries, uint32_t count,
			uint32_t entry, uint64_t end)
{
	for (uint32_t i = 0; i < count; i++, entries += entry) {
		uint32_t takes = number(entries), holds = number(entries + 4);
		int rc = takes == 0 || takes > TAKES_MOST || holds > PACKED_FRAME_MOST ?
				 -EBADMSG :
				 add(packed, room, takes, holds);
		if (rc != 0)
			return rc;
	}
	return packed->frames[packed->count].at <= end ? 0 : -EBADMSG;
}

/* What it says must be true of the file: frames one behind the other, and then the table. */
static int read_table(struct packed *packed, int fd, uint64_t bytes)
{
	static const uint32_t together = ENTRIES_TOGETHER;
	uint64_t begin, at;
	uint32_t count, entry;
	size_t room = 0;
	int rc = 0;

	if (!find_table(fd, bytes, &begin, &count, &entry) || count == 0)
		return -EBADMSG;
	uint8_t *entries = malloc((size_t)together * entry);
	if (!entries)
		return -ENOMEM;
	at = begin + TABLE_HEAD;
	for (uint32_t left = count; left && rc == 0;) {
		uint32_t some = left < together ? left : together;
		rc = read_all(fd, entries, (size_t)some * entry, at);
		if (rc == 0)
			rc = take_entries(packed, &room, entries, some, entry, begin);
		at += (uint64_t)some * entry;
		left -= some;
	}
	free(entries);
	if (rc == 0 && packed->frames[packed->count].at != begin)
		rc = -EBADMSG;
	return rc;
}

/* ---- one after the other ----------------------------------------------------------------------- */

/* Bytes in the file of the frame there, and of the original in it. -EBADMSG: none, or none of ours. */
static int measure(const uint8_t *bytes, size_t count, uint64_t *takes, uint64_t *holds)
{
	if (count >= TABLE_HEAD && (number(bytes) & ~UINT32_C(15)) == ZSTD_MAGIC_SKIPPABLE_START) {
		*takes = TABLE_HEAD + (uint64_t)number(bytes + 4);
		*holds = 0;
		return 0;
	}
	size_t size = ZSTD_findFrameCompressedSize(bytes, count);
	*takes = size;
	*holds = ZSTD_isError(size) ? 0 : ZSTD_getFrameContentSize(bytes, count);
	return ZSTD_isError(size) || *holds > PACKED_FRAME_MOST ? -EBADMSG : 0;
}

/* What is read of a file at once: a frame that is cut off by its end is read again from its beginning, so
 * it has room for many that are whole. */
struct window {
	int fd;
	uint8_t *bytes;
	uint64_t at, size;         /* where it lies in the file, and how long that is */
	size_t count;
};

enum { WINDOW = 8 * TAKES_MOST };

static int move_window(struct window *w, uint64_t to)
{
	w->at = to;
	w->count = w->size - to < WINDOW ? (size_t)(w->size - to) : WINDOW;
	return read_all(w->fd, w->bytes, w->count, to);
}

static int measure_at(struct window *w, uint64_t at, uint64_t *takes, uint64_t *holds)
{
	int rc = at < w->at + w->count ? 0 : move_window(w, at);

	for (; rc == 0; rc = move_window(w, at)) {
		size_t offset = (size_t)(at - w->at);
		rc = measure(w->bytes + offset, w->count - offset, takes, holds);
		if (rc == 0 || offset == 0 || w->at + w->count == w->size)
			break;
	}
	return rc;
}

static int read_frames(struct packed *packed, int fd, uint64_t bytes)
{
	struct window w = { .fd = fd, .bytes = malloc(WINDOW), .size = bytes };
	uint64_t at = 0, takes = 0, holds = 0;
	size_t room = 0;
	int rc = w.bytes ? 0 : -ENOMEM;

	while (rc == 0 && at < bytes) {
		rc = measure_at(&w, at, &takes, &holds);
		if (rc == 0 && (takes > bytes - at || packed->count == TABLE_FRAMES))
			rc = -EBADMSG;
		if (rc == 0)
			rc = add(packed, &room, takes, holds);
		at += takes;
	}
	free(w.bytes);
	if (rc != -EBADMSG || packed->count == 0)
		return packed->count ? rc : -EBADMSG;
	packed->cut = true; /* behind what there is */
	return 0;
}

int packed_index(struct packed *packed, int fd)
{
	struct stat st;

	*packed = (struct packed){ .frames = NULL };
	if (fstat(fd, &st) != 0)
		return -errno;
	int rc = read_table(packed, fd, (uint64_t)st.st_size);
	if (rc == -EBADMSG) {
		packed_free(packed);
		rc = read_frames(packed, fd, (uint64_t)st.st_size);
	}
	if (rc != 0)
		packed_free(packed);
	return rc;
}

/* ---- what is in a frame ------------------------------------------------------------------------ */

struct unpacker *unpacker_open(void)
{
	struct unpacker *u = malloc(sizeof *u);

	if (!u)
		return NULL;
	u->context = ZSTD_createDCtx();
	if (u->context)
		return u;
	free(u);
	return NULL;
}

void unpacker_close(struct unpacker *u)
{
	if (!u)
		return;
	ZSTD_freeDCtx(u->context);
	free(u);
}

int unpacker_take(struct unpacker *u, const struct packed *packed, int fd, size_t frame, void *to)
{
	const struct packed_frame *f = &packed->frames[frame];
	size_t takes = (size_t)(f[1].at - f->at), holds = (size_t)(f[1].from - f->from);

	if (takes > sizeof u->bytes) /* one that is skipped */
		return -EBADMSG;
	int rc = read_all(fd, u->bytes, takes, f->at);
	if (rc != 0)
		return rc;
	size_t got = ZSTD_decompressDCtx(u->context, to, holds, u->bytes, takes);
	return ZSTD_isError(got) || got != holds ? -EBADMSG : 0;
}
