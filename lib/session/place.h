/*
 * place.h - where sessions live: the user's runtime directory and what stands in it.
 */
#ifndef HARK_SESSION_PLACE_H
#define HARK_SESSION_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/session/control.h"

enum { PLACE_PATH = 400 };

int place_open(char path[PLACE_PATH], char *why, size_t why_bytes);
	/* The first usable of $HARK_RUNTIME_DIR, $XDG_RUNTIME_DIR/hark, /dev/shm/hark-UID, /tmp/hark-UID; made
	 * if need be, mode 0700. One that belongs to somebody else or that others may enter is refused, as
	 * is one below a directory where somebody else but root could put another in its place.
	 * A descriptor of the directory (the caller's), or -errno with a sentence in `why`. */

struct place_session {
	char dir[PLACE_PATH];
	struct control control; /* a copy */
	bool alive;             /* a collector or guardian is there */
};

typedef int (*place_visit)(void *arg, const struct place_session *session);
int place_each(place_visit visit, void *arg);
	/* Every session of this user, live or dead, oldest first; in all of those places, or in
	 * $HARK_RUNTIME_DIR alone where that is set. Stops when visit returns other than 0, and
	 * returns that. Directories that hold no session of this version are passed over. */
int place_read(const char *dir, struct place_session *session);
	/* 0, -EINVAL (no session), -EPERM (not ours), or open(2)'s. Never blocks. */
int place_lock(const char *dir);
	/* For salvage, one at a time: a descriptor that holds the lock until it is closed; -EWOULDBLOCK:
	 * somebody else has it; or as place_read(). */
int place_remove(const char *dir);
	/* Removes a session's directory and the files in it; follows no link. 0 or -errno. */

#endif
