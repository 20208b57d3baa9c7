/*
 * snapshots.h - those that a trace has already: their numbers, and which of them go.
 */
#ifndef HARK_SNAPSHOT_SNAPSHOTS_H
#define HARK_SNAPSHOT_SNAPSHOTS_H

#include <stdint.h>

int snapshots_next(int trace, uint64_t seq, uint32_t *number);
	/* The number of the next one in that directory. -EEXIST: a message of that number has one; 0 is no
	 * message's. */
void snapshots_prune(int trace, uint32_t keep);
	/* Of those that messages made, the first and the newest remain, `keep` in all. */
void snapshots_remove(int trace, const char *name);
	/* A directory and the files in it; whatever stands in the way is left. */

#endif
