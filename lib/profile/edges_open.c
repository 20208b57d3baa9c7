/*
 * edges_open.c - see edges_open.h.
 *
 * An edge counts a call when it is entered, and its time when it ends. The calls that have not ended are a
 * walk from outside over such edges, each as often as it is open: with recursion, one of those that
 * there may be.
 */
#include "lib/profile/edges_open.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/profile/calls_inside.h"

enum { CHAIN_MOST = 4096, EDGES_MOST = 1024 };
#define OFFSET_MASK ((UINT64_C(1) << 40) - 1)

struct open_edge {
	uint64_t caller, callee, left;
};

struct open {
	struct calls *calls;
	const struct trace_thread *thread;
	struct trace_edge *table;  /* one part's */
	struct open_edge edges[EDGES_MOST];
	size_t count;
	uint64_t total;            /* calls */
	uint64_t on[CHAIN_MOST + 1], walk[CHAIN_MOST + 1];
	struct call chain[CHAIN_MOST];
};

static void take_edge(struct open *o, const struct trace_edge *edge)
{
	uint64_t ended = 0;

	for (size_t i = 0; i < TRACE_BUCKETS; i++)
		ended += edge->buckets[i];
	if (edge->callee == 0 || edge->callee == TRACE_EDGE_OTHERS || edge->calls <= ended)
		return;
	o->total += edge->calls - ended;
	if (o->count < EDGES_MOST)
		o->edges[o->count++] =
			(struct open_edge){ edge->caller, edge->callee, edge->calls - ended };
	else
		o->total = CHAIN_MOST + 1; /* no chain */
}

static void take_part(struct open *o, const struct trace_part *part)
{
	const size_t before = sizeof part->head + sizeof(struct trace_profile);
	size_t count = (part->head.bytes - before) / sizeof *o->table;
	ssize_t n = trace_dir_read(o->calls->dir, o->thread->image->number, o->table,
				   count * sizeof *o->table, part->at + before);

	/* what could not be read, edges_each() has said */
	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof *o->table && o->total <= CHAIN_MOST; i++)
		take_edge(o, &o->table[i]);
}

static struct open_edge *way_from(struct open *o, uint64_t caller)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->edges[i].caller == caller && o->edges[i].left)
			return &o->edges[i];
	return NULL;
}

static bool is_edge(const struct open *o, uint64_t caller, uint64_t callee)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->edges[i].caller == caller && o->edges[i].callee == callee)
			return true;
	return false;
}

/* Over every edge as often as it is open, by Hierholzer's method: the way back gives the walk. */
static bool find_walk(struct open *o)
{
	size_t depth = 0, end = o->total + 1;

	o->on[depth++] = 0;
	while (depth) {
		struct open_edge *edge = way_from(o, o->on[depth - 1]);
		if (edge) {
			edge->left--;
			o->on[depth++] = edge->callee;
		} else {
			o->walk[--end] = o->on[--depth];
		}
	}
	for (size_t i = end; i < o->total; i++)
		if (!is_edge(o, o->walk[i], o->walk[i + 1]))
			return false;
	return end == 0 && o->walk[0] == 0;
}

/* NULL: there is no memory for a name. */
static const struct call *name_chain(struct open *o)
{
	for (size_t i = 0; i < o->total; i++) {
		uint64_t function = o->walk[i + 1];
		struct named *named = names_find(
			&o->calls->names, (uint64_t)o->thread->image->number << 32 | function >> 40,
			function & OFFSET_MASK);
		if (!named)
			return NULL;
		o->chain[i] = (struct call){ .function = &named->function,
					     .caller = i ? &o->chain[i - 1] : NULL,
					     .depth = (uint32_t)i };
	}
	return &o->chain[o->total - 1];
}

static void gather(struct open *o, const struct trace_thread *thread)
{
	o->thread = thread;
	o->count = 0;
	o->total = 0;
	for (size_t p = 0; p < thread->part_count; p++)
		if (thread->parts[p].head.kind == TRACE_PROFILE)
			take_part(o, &thread->parts[p]);
}

int edges_deaths(struct calls *calls,
		 void (*died)(void *arg, const struct trace_thread *thread,
			      const struct call *innermost),
		 void *arg)
{
	const struct trace_dir *dir = calls->dir;
	struct open *o = malloc(sizeof *o);
	int rc = 0;

	if (!o || !(o->table = malloc(TRACE_SEGMENT_MOST))) {
		free(o);
		return -ENOMEM;
	}
	o->calls = calls;
	for (size_t i = 0; i < dir->thread_count && rc == 0; i++) {
		const struct trace_thread *thread = &dir->threads[i];
		if (!calls_wanted(calls, thread))
			continue;
		gather(o, thread);
		if (o->total == 0 || o->total > CHAIN_MOST || !calls_killed(calls, thread) ||
		    !find_walk(o))
			continue;
		const struct call *innermost = name_chain(o);
		if (innermost)
			died(arg, thread, innermost);
		else
			rc = -ENOMEM;
	}
	free(o->table);
	free(o);
	return rc;
}
