/*
 * numbering.h - gives keys numbers in the order in which they first come: 0, 1, 2 …
 *
 * A hash table for what exports and reports of a trace count by: call paths, edges, stacks.
 */
#ifndef HARK_PROFILE_NUMBERING_H
#define HARK_PROFILE_NUMBERING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct numbering_slot {
	uint64_t key;
	uint32_t number;     /* and 1; 0: free */
};

struct numbering {
	struct numbering_slot *slots;
	size_t room;         /* a power of two, or 0 */
	uint32_t count;
};

int64_t numbering_of(struct numbering *n, uint64_t key, bool *first);
	/* The key's number; *first: it is a new one. -ENOMEM, -EOVERFLOW (2^31 keys). */
int64_t numbering_find(const struct numbering *n, uint64_t key);
	/* -ENOENT: it has none */
void numbering_fini(struct numbering *n);
	/* and it is empty again; {0} is, too */

#endif
