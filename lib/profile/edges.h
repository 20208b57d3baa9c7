/*
 * edges.h - what profiles hold: who called whom, how often and for how long.
 *
 * For whatever shows profiles. A thread that was profiled in several parts comes with the edges of
 * each, to be added up.
 */
#ifndef HARK_PROFILE_EDGES_H
#define HARK_PROFILE_EDGES_H

#include "lib/profile/calls.h"

struct edge {
	const struct trace_thread *thread;
	const struct function *caller; /* NULL: from outside */
	const struct function *callee;
	uint64_t calls;
	uint64_t total_ns, self_ns, min_ns, max_ns; /* of calls that have ended */
	const uint32_t *buckets;   /* TRACE_BUCKETS */
	double ns_per_tick;
};

uint64_t edge_bucket(const struct edge *edge, unsigned bucket);
	/* the middle of what falls into it, in nanoseconds */

struct edges_found {
	uint64_t edges;
	uint64_t others;           /* calls that found no room */
};

int edges_each(struct calls *calls, void (*visit)(void *arg, const struct edge *edge), void *arg,
	       struct edges_found *found);
	/* Of the filter, functions by name, modules and threads count: callees that are left out are not
	 * visited, callers are NULL instead. 0 or -ENOMEM. */

#endif
