/*
 * rotate.c - see rotate.h. Called by sink_file.c; must never overwrite a file that is to be kept,
 * and never wait.
 */
#include "lib/sink/rotate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RESTARTS_MOST = 3 };

struct name {
	char text[PATH_MAX + ROTATE_SUFFIX];
};

static const char *numbered(const struct rotate *r, unsigned index, struct name *name)
{
	if (index == 0)
		return r->live;
	snprintf(name->text, sizeof name->text, "%s.%u", r->live, index);
	return name->text;
}

int rotate_begin(struct rotate *r, const char *live, unsigned keep, int fd, uint64_t dev,
		 uint64_t ino)
{
	size_t length = strlen(live);
	if (length == 0 || keep > ROTATE_KEEP_MOST)
		return -EINVAL;
	if (length >= sizeof r->live)
		return -ENAMETOOLONG;
	memcpy(r->live, live, length + 1);
	r->state = ROTATE_LOCK;
	r->keep = keep;
	r->index = 1;
	r->restarts = 0;
	r->fd = fd;
	r->dev = dev;
	r->ino = ino;
	return 0;
}

static int lock(struct rotate *r)
{
	/* Some network file systems have no locks. There the check of the name and renames that
	 * refuse to overwrite must do. */
	if (flock(r->fd, LOCK_EX | LOCK_NB) != 0 && errno != EOPNOTSUPP && errno != ENOLCK &&
	    errno != EINVAL && errno != ENOSYS)
		return -errno;
	r->state = ROTATE_CHECK;
	return 1;
}

static int check(struct rotate *r)
{
	struct stat st;

	/* Whoever waited for the lock finds here that its file has a number by now. An empty file
	 * has been emptied by somebody else (copytruncate) and needs no rotation any more. */
	if (lstat(r->live, &st) != 0) {
		if (errno != ENOENT)
			return -errno;
		r->state = ROTATE_OVERTAKEN;
		return 0;
	}
	if (st.st_dev != r->dev || st.st_ino != r->ino || st.st_size == 0) {
		r->state = ROTATE_OVERTAKEN;
		return 0;
	}
	r->index = 1;
	r->state = r->keep > 1 ? ROTATE_FIND : ROTATE_RETIRE;
	return 1;
}

static int find(struct rotate *r)
{
	struct name name;
	struct stat st;

	if (lstat(numbered(r, r->index, &name), &st) == 0) {
		/* The highest number is not looked at: free or not, it may be overwritten. */
		if (++r->index < r->keep)
			return 1;
	} else if (errno != ENOENT) {
		return -errno;
	}
	r->state = r->index > 1 ? ROTATE_SHIFT : ROTATE_RETIRE;
	return 1;
}

/* Only the oldest file may be overwritten. Everywhere else the number was found free, and if that
 * is no longer so, somebody else is at work in the directory: look again. */
static int move_up(struct rotate *r)
{
	struct name from, to;
	const char *old = numbered(r, r->index - 1, &from);
	const char *new = numbered(r, r->index, &to);
	bool overwrites = r->index == r->keep;
	int rc = renameat2(AT_FDCWD, old, AT_FDCWD, new, overwrites ? 0 : RENAME_NOREPLACE);

	if (rc != 0 && (errno == EINVAL || errno == ENOSYS) && !overwrites)
		rc = rename(old, new);
	if (rc == 0 || errno == ENOENT)
		return 0; /* a file that has been taken away needs no move */
	if (errno != EEXIST || overwrites || r->restarts == RESTARTS_MOST)
		return -errno;
	r->restarts++;
	r->index = 1;
	r->state = ROTATE_CHECK;
	return 1;
}

static int shift(struct rotate *r)
{
	int rc = move_up(r);
	if (rc != 0)
		return rc;
	if (--r->index == 1)
		r->state = ROTATE_RETIRE;
	return 1;
}

static int retire(struct rotate *r)
{
	if (r->keep == 0) {
		if (unlink(r->live) != 0 && errno != ENOENT)
			return -errno;
	} else {
		int rc = move_up(r);
		if (rc != 0)
			return rc;
	}
	r->state = ROTATE_DONE;
	return 0;
}

int rotate_step(struct rotate *r)
{
	switch (r->state) {
	case ROTATE_LOCK: return lock(r);
	case ROTATE_CHECK: return check(r);
	case ROTATE_FIND: return find(r);
	case ROTATE_SHIFT: return shift(r);
	case ROTATE_RETIRE: return retire(r);
	case ROTATE_DONE:
	case ROTATE_OVERTAKEN: break;
	}
	return 0;
}

void rotate_abandon(struct rotate *r)
{
	flock(r->fd, LOCK_UN);
}
