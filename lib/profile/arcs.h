/*
 * arcs.h - who called whom, how often and for how long, added up over all of a trace.
 */
#ifndef HARK_PROFILE_ARCS_H
#define HARK_PROFILE_ARCS_H

#include "lib/profile/calls.h"
#include "lib/profile/edges.h"

struct arc {
	const struct function *caller; /* NULL: called from outside */
	const struct function *callee; /* NULL: a free place */
	uint64_t calls;
	uint64_t total_ns;         /* of the callee's outermost activations */
	uint64_t self_ns;
};

struct arcs {
	struct arc *slots;
	size_t mask, count;
	int rc;                    /* -ENOMEM: some are missing */
};

void arcs_fini(struct arcs *arcs);
void arcs_leave(struct arcs *arcs, const struct call *call);
void arcs_edge(void *arcs, const struct edge *edge);
int arcs_sort(struct arcs *arcs);
	/* Slots 0 to count - 1 are the arcs afterwards, those of the longest total first; nothing more may be
	 * added. 0, or -ENOMEM of all that was added. */

#endif
