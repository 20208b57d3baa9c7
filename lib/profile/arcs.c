/*
 * arcs.c - see arcs.h. For `hark graph`.
 */
#include "lib/profile/arcs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_AT_FIRST = 256 };

void arcs_fini(struct arcs *arcs)
{
	free(arcs->slots);
	*arcs = (struct arcs){ .slots = NULL };
}

static struct arc *place_of(const struct arcs *arcs, const struct function *caller,
			    const struct function *callee)
{
	uint64_t key = (uint64_t)(caller ? caller->number + 1 : 0) << 32 | callee->number;
	size_t slot = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 24) & arcs->mask;

	while (arcs->slots[slot].callee &&
	       (arcs->slots[slot].callee != callee || arcs->slots[slot].caller != caller))
		slot = (slot + 1) & arcs->mask;
	return &arcs->slots[slot];
}

static int grow(struct arcs *arcs)
{
	struct arcs more = { .mask = arcs->slots ? arcs->mask * 2 + 1 : SLOTS_AT_FIRST - 1,
			     .count = arcs->count };

	more.slots = calloc(more.mask + 1, sizeof *more.slots);
	if (!more.slots)
		return -ENOMEM;
	for (size_t i = 0; arcs->slots && i <= arcs->mask; i++)
		if (arcs->slots[i].callee)
			*place_of(&more, arcs->slots[i].caller, arcs->slots[i].callee) =
				arcs->slots[i];
	free(arcs->slots);
	*arcs = more;
	return 0;
}

static struct arc *find(struct arcs *arcs, const struct function *caller,
			const struct function *callee)
{
	if (arcs->rc == 0 && (!arcs->slots || arcs->count * 2 > arcs->mask))
		arcs->rc = grow(arcs);
	if (arcs->rc != 0)
		return NULL;
	struct arc *arc = place_of(arcs, caller, callee);
	if (!arc->callee) {
		arc->caller = caller;
		arc->callee = callee;
		arcs->count++;
	}
	return arc;
}

void arcs_leave(struct arcs *arcs, const struct call *call)
{
	struct arc *arc = find(arcs, call->caller ? call->caller->function : NULL, call->function);
	int64_t took = call->end_ns - call->begin_ns;

	if (!arc)
		return;
	arc->calls += !call->before;
	arc->self_ns += (uint64_t)(took - call->below_ns);
	if (!call->recursive)
		arc->total_ns += (uint64_t)took;
}

void arcs_edge(void *arcs, const struct edge *edge)
{
	struct arc *arc = find(arcs, edge->caller, edge->callee);

	if (!arc)
		return;
	arc->calls += edge->calls;
	arc->total_ns += edge->total_ns;
	arc->self_ns += edge->self_ns;
}

static int by_total(const void *left, const void *right)
{
	const struct arc *a = left, *b = right;

	if (a->total_ns != b->total_ns)
		return a->total_ns > b->total_ns ? -1 : 1;
	if (a->calls != b->calls)
		return a->calls > b->calls ? -1 : 1;
	return strcmp(a->callee->name, b->callee->name);
}

int arcs_sort(struct arcs *arcs)
{
	size_t count = 0;

	for (size_t i = 0; arcs->slots && i <= arcs->mask; i++)
		if (arcs->slots[i].callee)
			arcs->slots[count++] = arcs->slots[i];
	if (count)
		qsort(arcs->slots, count, sizeof *arcs->slots, by_total);
	return arcs->rc;
}
