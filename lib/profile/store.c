/*
 * store.c - see store.h. Where frames are is kept for each packed file; what was in the last few of them
 * is, too, for those who read less than a frame.
 */
#include "lib/profile/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/profile/packed.h"

enum { PAGE = 4096, NAME_MOST = 64, FILES = 1024, KEPT = 64 };

/* A packed file. */
struct store_file {
	struct store_file *next;   /* of the same slot */
	char name[NAME_MOST];
	struct packed packed;
	int error;                 /* -errno of what its frames are, or 0 */
};

struct kept {
	const struct store_file *file;
	size_t frame;
	size_t bytes;
	int error;
	uint8_t *data;
	size_t room;
};

struct store {
	int dir;
	struct store_file *files[FILES];
	struct kept kept[KEPT];
	struct unpacker *unpacker;
};

/* A file that is being read. */
struct source {
	int fd;
	struct store_file *packed; /* NULL: it is not */
};

struct store *store_open(int dir)
{
	struct store *store = calloc(1, sizeof *store);

	if (store)
		store->dir = dir;
	return store;
}

void store_close(struct store *store)
{
	struct store_file *file, *next;

	if (!store)
		return;
	for (unsigned i = 0; i < FILES; i++)
		for (file = store->files[i]; file; file = next) {
			next = file->next;
			packed_free(&file->packed);
			free(file);
		}
	for (unsigned i = 0; i < KEPT; i++)
		free(store->kept[i].data);
	unpacker_close(store->unpacker);
	free(store);
}

const char *store_error(ssize_t error)
{
	return error == -EBADMSG ? "the packed file is damaged" :
	       error == -EPROTO	 ? "not packed by hark, or damaged; `zstd -d` may unpack it" :
				   strerror((int)-error);
}

/* ---- by name ----------------------------------------------------------------------------------- */

static int open_plain(const struct store *store, const char *name)
{
	struct stat st;
	int fd = openat(store->dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

	if (fd < 0)
		return errno == ELOOP ? -EINVAL : -errno;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

static unsigned slot_of(const char *name)
{
	unsigned h = 5381;

	while (*name)
		h = h * 33 + (unsigned char)*name++;
	return h % FILES;
}

/* What is known of it, which is found out at the first time. */
static struct store_file *file_of(struct store *store, const char *name, int fd)
{
	struct store_file **slot = &store->files[slot_of(name)], *file = *slot;

	while (file && strcmp(file->name, name) != 0)
		file = file->next;
	if (file)
		return file;
	file = calloc(1, sizeof *file);
	if (!store->unpacker)
		store->unpacker = unpacker_open();
	if (!file || !store->unpacker || strlen(name) >= sizeof file->name) {
		free(file);
		return NULL;
	}
	strcpy(file->name, name);
	file->error = packed_index(&file->packed, fd);
	file->error = file->error == -EBADMSG ? -EPROTO : file->error;
	file->next = *slot;
	*slot = file;
	return file;
}

static int open_source(struct store *store, const char *name, struct source *source)
{
	char packed[NAME_MOST + sizeof PACKED_SUFFIX];

	*source = (struct source){ .fd = open_plain(store, name) };
	if (source->fd != -ENOENT)
		return source->fd < 0 ? source->fd : 0;
	snprintf(packed, sizeof packed, "%.*s" PACKED_SUFFIX, NAME_MOST, name);
	source->fd = open_plain(store, packed);
	if (source->fd < 0)
		return source->fd;
	source->packed = file_of(store, name, source->fd);
	int error = source->packed ? source->packed->error : -ENOMEM;
	if (error)
		close(source->fd);
	return error;
}

bool store_cut(struct store *store, const char *name)
{
	struct source source;

	if (open_source(store, name, &source) != 0)
		return false;
	close(source.fd);
	return source.packed && source.packed->packed.cut;
}

/* ---- frames ------------------------------------------------------------------------------------ */

/* Unpacked, until other frames are asked for. NULL: without memory. */
static const struct kept *keep(struct store *store, const struct source *source, size_t frame)
{
	const struct store_file *file = source->packed;
	const struct packed_frame *f = &file->packed.frames[frame];
	struct kept *k = &store->kept[(slot_of(file->name) + frame) % KEPT];
	size_t bytes = (size_t)(f[1].from - f->from);

	if (k->file == file && k->frame == frame)
		return k;
	k->file = NULL;
	if (k->room < bytes) {
		free(k->data);
		k->data = malloc(bytes);
		k->room = k->data ? bytes : 0;
		if (!k->data)
			return NULL;
	}
	k->error = unpacker_take(store->unpacker, &file->packed, source->fd, frame, k->data);
	k->frame = frame;
	k->bytes = bytes;
	k->file = file;
	return k;
}

/* Of one frame, which holds the byte `at`. How many bytes came, or -errno. */
static ssize_t read_frame(struct store *store, const struct source *source, size_t frame, void *to,
			  size_t count, uint64_t at)
{
	const struct packed *packed = &source->packed->packed;
	uint64_t from = packed->frames[frame].from, end = packed->frames[frame + 1].from;
	int rc;

	if (from == end)
		return 0;
	if (at == from && count >= end - from) {
		rc = unpacker_take(store->unpacker, packed, source->fd, frame, to);
		return rc ? rc : (ssize_t)(end - from);
	}
	const struct kept *k = keep(store, source, frame);
	rc = k ? k->error : -ENOMEM;
	if (rc)
		return rc;
	count = count < end - at ? count : (size_t)(end - at);
	memcpy(to, k->data + (at - from), count);
	return (ssize_t)count;
}

static ssize_t read_plain(int fd, void *to, size_t count, uint64_t at)
{
	ssize_t n;

	do
		n = pread(fd, to, count, (off_t)at);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t store_read(struct store *store, const char *name, void *to, size_t count, uint64_t at)
{
	struct source source;
	size_t have = 0, frame = 0;
	ssize_t n = at > INT64_MAX - count ? -EINVAL : open_source(store, name, &source);

	if (n != 0)
		return n;
	const struct packed *packed = source.packed ? &source.packed->packed : NULL;
	if (packed)
		frame = packed_find(packed, at);
	while (have < count) {
		if (!packed)
			n = read_plain(source.fd, (char *)to + have, count - have, at + have);
		else if (frame < packed->count) /* one that holds nothing is passed by */
			n = read_frame(store, &source, frame++, (char *)to + have, count - have,
				       at + have);
		else
			n = 0;
		if (n < 0 || (n == 0 && (!packed || frame >= packed->count)))
			break;
		have += (size_t)n;
	}
	close(source.fd);
	return n < 0 && !have ? n : (ssize_t)have;
}

/* ---- where there is anything ------------------------------------------------------------------- */

/* Files are made longer ahead of need: what nobody wrote to is a hole. */
static uint64_t plain_data(int fd, uint64_t at)
{
	off_t data = lseek(fd, (off_t)at, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? UINT64_MAX : at;
	return (uint64_t)data;
}

static uint64_t packed_data(struct store *store, const struct source *source, uint64_t at)
{
	const struct packed *packed = &source->packed->packed;

	for (size_t frame = packed_find(packed, at); frame < packed->count; frame++) {
		uint64_t from = packed->frames[frame].from;
		const struct kept *k = keep(store, source, frame);

		if (!k || k->error) /* whoever reads there will be told */
			return from > at ? from : at;
		for (size_t i = at > from ? (size_t)(at - from) : 0; i < k->bytes; i++)
			if (k->data[i])
				return from + i;
	}
	return UINT64_MAX;
}

uint64_t store_data(struct store *store, const char *name, uint64_t at)
{
	struct source source;

	if (at > INT64_MAX || open_source(store, name, &source) != 0)
		return at;
	uint64_t data = source.packed ? packed_data(store, &source, at) :
					plain_data(source.fd, at);
	close(source.fd);
	if (data == UINT64_MAX)
		return data;
	data &= ~(uint64_t)(PAGE - 1);
	return data > at ? data : at;
}
