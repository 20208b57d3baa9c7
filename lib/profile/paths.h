/*
 * paths.h - calls added up by their path: a tree of who called whom, with calls and times.
 *
 * For exports of sums. Memory is as the number of different paths, which is bounded: what finds no
 * room, or lies deeper than wanted, is left in the time of its caller and counted.
 */
#ifndef HARK_PROFILE_PATHS_H
#define HARK_PROFILE_PATHS_H

#include "lib/profile/calls.h"
#include "lib/profile/numbering.h"

enum { PATHS_MOST = 1 << 21, PATHS_NONE = 0 };

struct path {
	uint32_t parent;     /* PATHS_NONE: a root */
	uint32_t child, sibling; /* the first, the next; PATHS_NONE: there is none */
	uint32_t depth;      /* of a root: 0 */
	const struct function *function; /* NULL: a root */
	uint64_t calls;
	int64_t total_ns, below_ns;
};

struct paths {
	struct path *rows;   /* from 1 on; row 0 is the parent of the roots */
	uint32_t count, room;
	uint32_t depth;      /* calls as deep as this and no deeper; 0: all */
	uint32_t root;       /* of the thread that is walked */
	char (*names)[TRACE_THREAD_NAME];   /* of the roots, in their order: threads' names */
	uint32_t *roots, root_count;
	struct numbering by_parent; /* parent << 32 | function's number */
	uint64_t hidden;     /* calls that had no path of their own */
};

int paths_init(struct paths *paths, uint32_t depth);
void paths_fini(struct paths *paths);
int paths_begin(struct paths *paths, const struct trace_thread *thread);
	/* What follows is of this thread; threads of one name share a root. 0 or -ENOMEM. */
int paths_enter(struct paths *paths, struct call *call);
	/* uses call->user; 0 or -ENOMEM */
void paths_leave(struct paths *paths, const struct call *call);
int paths_sort(struct paths *paths);
	/* Callees of one caller come by their total time from then on, the longest first. 0 or -ENOMEM. */
uint32_t paths_next(const struct paths *paths, uint32_t at);
	/* From callers to callees, a path behind its parent: begins with PATHS_NONE, ends with it. */
const char *paths_name(const struct paths *paths, uint32_t at);
	/* of the function, or of the root's threads */
int64_t paths_self(const struct path *path);
	/* total less what was below, never below 0 */

#endif
