/*
 * snapshot.h - what the flight recorders of a trace hold now, as a trace of its own: snapshot.N in
 * the trace's directory.
 *
 * Called by `hark snapshot`, and by a child of the collector's when a message is bad enough.
 */
#ifndef HARK_SNAPSHOT_SNAPSHOT_H
#define HARK_SNAPSHOT_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_NAME "snapshot."

enum { SNAPSHOT_PATH = 600 };

struct snapshot_plan {
	const char *trace;         /* its directory */
	uint64_t seq, ticks;       /* of the message that is the reason; 0: somebody asked */
	const char *line;          /* that message, as `messages` will have it, with its newline; else NULL */
	size_t line_bytes;
	uint32_t keep;             /* of those that messages made: this one, the first and the newest others */
};

int snapshot_make(const struct snapshot_plan *plan, char path[SNAPSHOT_PATH], char *why,
		  size_t why_bytes);
	/* 0, and its directory; it is there as a whole or not at all. -ENODATA: no flight recorder has recorded
	 * anything; -EEXIST: that message has its snapshot already; -ENOSPC: it would take more than a
	 * quarter of what is free on the disk; or what a system call says. why: a sentence for people. */

#endif
