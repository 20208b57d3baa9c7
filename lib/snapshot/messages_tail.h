/*
 * messages_tail.h - what was said while the calls of a snapshot were made.
 */
#ifndef HARK_SNAPSHOT_MESSAGES_TAIL_H
#define HARK_SNAPSHOT_MESSAGES_TAIL_H

#include <stdint.h>
#include <stdio.h>

#include "lib/snapshot/snapshot.h"

enum { MESSAGES_TAIL = 4 << 20 };

void messages_tail(FILE *from, FILE *to, uint64_t since_ticks, const struct snapshot_plan *plan);
	/* The last MESSAGES_TAIL bytes at most, from `since_ticks` on; and the plan's message in its place,
	 * whether it has arrived in the file or not. from: may be NULL. Errors are ferror()'s. */

#endif
