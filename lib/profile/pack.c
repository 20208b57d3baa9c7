/*
 * pack.c - see pack.h.
 *
 * Frames of segments are small: a frame is unpacked as a whole for whatever is wanted of it, and where
 * thousands of threads are read side by side there is no room to keep them. They are not larger for
 * that: records of nearby times compress as well in small ones, and with the least effort. Text does not.
 */
#include "lib/profile/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/parse.h"
#include "lib/profile/packed.h"
#include "lib/profile/store.h"
#include "lib/stamp/trace.h"

enum { PIECE = PACKED_FRAME_MOST };

#define BESIDE ".new"

struct pack_work {
	size_t piece;              /* bytes of a frame that is made */
	struct packer *packer;
	struct unpacker *unpacker;
	struct packed packed;
	size_t frame;              /* the next one */
	uint8_t bytes[PIECE];
};

bool pack_wants(const char *name, char plain[PACK_NAME], bool *packed)
{
	const size_t prefix = strlen(TRACE_IMAGE), suffix = strlen(PACKED_SUFFIX);
	size_t length = strlen(name);
	uint64_t number;

	if (length + sizeof PACKED_SUFFIX + sizeof BESIDE > PACK_NAME)
		return false;
	strcpy(plain, name);
	*packed = length > suffix && strcmp(name + length - suffix, PACKED_SUFFIX) == 0;
	if (*packed)
		plain[length - suffix] = '\0';
	return strcmp(plain, TRACE_MESSAGES) == 0 ||
	       (strncmp(plain, TRACE_IMAGE, prefix) == 0 &&
		parse_u64(plain + prefix, 1, UINT32_MAX, &number) == 0);
}

/* ---- begin and end ----------------------------------------------------------------------------- */

static uint64_t mtime_of(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
}

static int open_old(struct pack *p, struct stat *st)
{
	p->from = openat(p->dir, p->old, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (p->from < 0)
		return errno == ELOOP ? -EINVAL : -errno;
	if (fstat(p->from, st) != 0)
		return -errno;
	if (!S_ISREG(st->st_mode))
		return -EINVAL;
	p->size = p->all = (uint64_t)st->st_size;
	p->mtime = mtime_of(st);
	return 0;
}

/* What somebody left there that was cut off goes; so it is ours alone. */
static int open_new(struct pack *p, const struct stat *st)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };

	if (unlinkat(p->dir, p->beside, 0) != 0 && errno != ENOENT)
		return errno == EISDIR || errno == EPERM ? -EEXIST : -errno;
	p->to = openat(p->dir, p->beside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->to < 0)
		return -errno;
	/* Only root gives files away. What a group may read must not become another group's. */
	mode_t mode = st->st_mode & 07777;
	if (fchown(p->to, st->st_uid, st->st_gid) != 0 && fchown(p->to, -1, st->st_gid) != 0)
		mode &= 0700;
	if (fchmod(p->to, mode) != 0)
		return -errno;
	return futimens(p->to, times) == 0 ? 0 : -errno;
}

static bool is_text(const char *plain)
{
	return strcmp(plain, TRACE_MESSAGES) == 0;
}

static int open_packer(struct pack *p, const char *plain)
{
	p->work->packer = packer_open(p->to, is_text(plain) ? 3 : 1);
	return p->work->packer ? 0 : -ENOMEM;
}

/* Whether somebody was cut off when all that was missing was to remove the packed one: 1, 0, or -EEXIST
 * where what bears the name is something else. */
static int is_finished(const struct pack *p)
{
	const struct packed *packed = &p->work->packed;
	struct stat st;

	if (fstatat(p->dir, p->new, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == packed->frames[packed->count].from ?
		       1 :
		       -EEXIST;
}

static int open_work(struct pack *p, const char *plain)
{
	p->work = calloc(1, sizeof *p->work);
	if (!p->work)
		return -ENOMEM;
	p->work->piece = is_text(plain) ? PIECE : STORE_FRAME;
	if (!p->unpack)
		return 0;
	p->work->unpacker = unpacker_open();
	if (!p->work->unpacker)
		return -ENOMEM;
	int rc = packed_index(&p->work->packed, p->from);
	if (rc == -EBADMSG)
		return -EPROTO;
	return rc == 0 && p->work->packed.cut ? -EBADMSG : rc;
}

int pack_begin(struct pack *p, int dir, const char *plain, bool unpack)
{
	struct stat st;

	*p = (struct pack){ .dir = dir, .from = -1, .to = -1, .unpack = unpack };
	snprintf(p->old, sizeof p->old, "%s%s", plain, unpack ? PACKED_SUFFIX : "");
	snprintf(p->new, sizeof p->new, "%s%s", plain, unpack ? "" : PACKED_SUFFIX);
	snprintf(p->beside, sizeof p->beside, "%s" BESIDE, p->new);
	int rc = open_old(p, &st);
	if (rc == 0)
		rc = open_work(p, plain);
	if (rc == 0 && unpack)
		rc = is_finished(p);
	if (rc == 1) {
		p->state = PACK_SYNC_NAME;
		return 0;
	}
	if (rc == 0)
		rc = open_new(p, &st);
	if (rc == 0 && !unpack)
		rc = open_packer(p, plain);
	return rc;
}

void pack_end(struct pack *p)
{
	if (p->from >= 0)
		close(p->from);
	if (p->to >= 0) {
		close(p->to);
		if (p->state <= PACK_RENAME)
			unlinkat(p->dir, p->beside, 0);
	}
	if (p->work) {
		packer_close(p->work->packer);
		unpacker_close(p->work->unpacker);
		packed_free(&p->work->packed);
		free(p->work);
	}
	*p = (struct pack){ .from = -1, .to = -1 };
}

/* ---- steps ------------------------------------------------------------------------------------- */

/* A frame's worth. */
static ssize_t read_piece(const struct pack *p)
{
	size_t have = 0;
	ssize_t n = 1;

	while (have < p->work->piece && n > 0) {
		n = read(p->from, p->work->bytes + have, p->work->piece - have);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			have += (size_t)n;
	}
	return n < 0 ? -errno : (ssize_t)have;
}

static int pack_piece(struct pack *p)
{
	ssize_t n = read_piece(p);

	if (n < 0)
		return (int)n;
	p->done += (uint64_t)n;
	if (n > 0)
		return packer_put(p->work->packer, p->work->bytes, (size_t)n);
	int rc = packer_end(p->work->packer);
	if (rc == 0)
		p->state = PACK_SYNC;
	return rc;
}

static int write_at(int fd, const uint8_t *bytes, size_t count, uint64_t at)
{
	while (count) {
		ssize_t n = pwrite(fd, bytes, count, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		bytes += n;
		at += (uint64_t)n;
		count -= (size_t)n;
	}
	return 0;
}

static bool all_zero(const uint8_t *bytes, size_t count)
{
	return count == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0);
}

/* What is nothing but zeros becomes a hole. */
static int unpack_frame(struct pack *p)
{
	struct pack_work *w = p->work;
	const struct packed_frame *f = &w->packed.frames[w->frame];

	if (w->frame == w->packed.count) {
		p->state = PACK_SYNC;
		return ftruncate(p->to, (off_t)f->from) == 0 ? 0 : -errno;
	}
	size_t holds = (size_t)(f[1].from - f->from);
	int rc = holds ? unpacker_take(w->unpacker, &w->packed, p->from, w->frame, w->bytes) : 0;
	if (rc == 0 && !all_zero(w->bytes, holds))
		rc = write_at(p->to, w->bytes, holds, f->from);
	p->done = f[1].at;
	w->frame++;
	return rc;
}

/* The old file is what it was when it was read. */
static int bring_to_disk(struct pack *p)
{
	struct stat st;

	if (fstat(p->from, &st) != 0)
		return -errno;
	if ((uint64_t)st.st_size != p->size || mtime_of(&st) != p->mtime)
		return -EBUSY;
	/* its time has moved on by what was written */
	const struct timespec times[] = { st.st_atim, st.st_mtim };
	if (futimens(p->to, times) != 0 || fsync(p->to) != 0 || fstat(p->to, &st) != 0)
		return -errno;
	p->made = (uint64_t)st.st_size;
	p->state = PACK_RENAME;
	return 0;
}

int pack_step(struct pack *p)
{
	int rc = 0;

	switch (p->state) {
	case PACK_COPY: rc = p->unpack ? unpack_frame(p) : pack_piece(p); break;
	case PACK_SYNC: rc = bring_to_disk(p); break;
	case PACK_RENAME:
		if (renameat(p->dir, p->beside, p->dir, p->new) != 0)
			return -errno;
		p->state = PACK_SYNC_NAME;
		break;
	case PACK_SYNC_NAME:
		/* not every file system knows this */
		if (fsync(p->dir) != 0 && errno != EINVAL && errno != ENOSYS)
			return -errno;
		p->state = PACK_REMOVE;
		break;
	case PACK_REMOVE:
		if (unlinkat(p->dir, p->old, 0) != 0)
			return -errno;
		p->state = PACK_DONE;
		break;
	case PACK_DONE: break;
	}
	return rc < 0 ? rc : p->state != PACK_DONE;
}
