/*
 * rotate.h - app.log becomes app.log.1, what was app.log.1 becomes app.log.2, and so on.
 *
 * A rotation has no memory beyond the names in the directory. Files move up from the lowest free
 * number downward, each by one rename, so that wherever a rotation is cut off the directory holds
 * every file exactly once, with a free number where the cut fell, and the next rotation fills it.
 * A number that somebody freed by hand is filled in the same way: nothing is overwritten for it.
 *
 * Called by sink_file.c. Opens and closes nothing: the caller has the live file open and, when the
 * rotation is done, creates the new one.
 */
#ifndef HARK_SINK_ROTATE_H
#define HARK_SINK_ROTATE_H

#include <limits.h>
#include <stdint.h>

enum {
	ROTATE_KEEP_MOST = 9999,
	ROTATE_SUFFIX = 16,    /* room for ".9999" */
};

enum rotate_state {
	ROTATE_LOCK,      /* one process rotates: the lock is on the live file itself */
	ROTATE_CHECK,     /* does the name still mean that file? */
	ROTATE_FIND,      /* the lowest free number */
	ROTATE_SHIFT,     /* index - 1 becomes index */
	ROTATE_RETIRE,    /* the live file becomes number 1; with keep 0 it is removed */
	ROTATE_DONE,      /* the live name is free */
	ROTATE_OVERTAKEN, /* the live name means another file: somebody else has rotated */
};

struct rotate {
	enum rotate_state state;
	unsigned keep;
	unsigned index;
	unsigned restarts;
	int fd;                /* the live file; borrowed */
	uint64_t dev, ino;
	char live[PATH_MAX];
};

int rotate_begin(struct rotate *r, const char *live, unsigned keep, int fd, uint64_t dev,
		 uint64_t ino);
	/* live: the name, with symbolic links resolved. keep: at most ROTATE_KEEP_MOST. fd: open on the
	 * live file, which is dev and ino. Makes no system call. 0, -EINVAL, -ENAMETOOLONG. */
int rotate_step(struct rotate *r);
	/* Makes one system call. 1: call again; 0: finished, DONE or OVERTAKEN; -errno: nothing has
	 * changed, and calling again tries the same step. -EWOULDBLOCK: another process has the lock.
	 * The lock goes with the file description: closing fd, or rotate_abandon(), gives it up. */
void rotate_abandon(struct rotate *r);
	/* Gives the lock up, wherever the rotation stands. */

#endif
