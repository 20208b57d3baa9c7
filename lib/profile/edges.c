/*
 * edges.c - see edges.h.
 */
#include "lib/profile/edges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/profile/calls_inside.h"

#define OFFSET_MASK ((UINT64_C(1) << 40) - 1)

uint64_t edge_bucket(const struct edge *edge, unsigned bucket)
{
	/* two for each power of two of ticks: from 2^k and from 2^k * 3/2 on, each half a power wide */
	double power = (double)(UINT64_C(1) << (bucket / 2));

	return (uint64_t)(power * (bucket % 2 ? 1.75 : 1.25) * edge->ns_per_tick);
}

static uint64_t ns_of(const struct trace_dir *dir, uint64_t ticks)
{
	double ns = (double)ticks * dir->ns_per_tick;

	return ns < 4e18 ? (uint64_t)ns : UINT64_C(4000000000000000000);
}

static struct named *function_of(struct calls *calls, const struct trace_thread *thread,
				 uint64_t address)
{
	return names_find(&calls->names, (uint64_t)thread->image->number << 32 | address >> 40,
			  address & OFFSET_MASK);
}

/* By the function itself, and by its caller where the filter asks for that: who was further out, nobody
 * knows any more. */
static bool shown(const struct calls *calls, const struct named *named, const struct named *caller)
{
	const struct filter_rules *rules = &calls->names.paths.rules;
	struct filter_state state = { 0, 0 };

	if (caller)
		state = filter_step(rules, state, caller->fits);
	state = filter_step(rules, state, named->fits);
	state.ever = state.now;
	return filter_wants(rules, state) && !(named->flags & NAMES_HIDDEN);
}

static int visit_edge(struct calls *calls, const struct trace_thread *thread,
		      const struct trace_edge *from, struct edge *edge)
{
	struct named *callee = function_of(calls, thread, from->callee);
	struct named *caller = from->caller ? function_of(calls, thread, from->caller) : NULL;

	if (!callee || (from->caller && !caller))
		return -ENOMEM;
	*edge = (struct edge){
		.thread = thread,
		.caller = caller && shown(calls, caller, NULL) ? &caller->function : NULL,
		.callee = shown(calls, callee, caller) ? &callee->function : NULL,
		.calls = from->calls,
		.total_ns = ns_of(calls->dir, from->total),
		.self_ns = ns_of(calls->dir, from->self),
		.min_ns = ns_of(calls->dir, from->min),
		.max_ns = ns_of(calls->dir, from->max),
		.buckets = from->buckets,
		.ns_per_tick = calls->dir->ns_per_tick,
	};
	return 0;
}

struct visit {
	struct calls *calls;
	void (*visit)(void *arg, const struct edge *edge);
	void *arg;
	struct edges_found *found;
	struct trace_edge *table;  /* one part's */
};

static int visit_part(struct visit *v, const struct trace_thread *thread,
		      const struct trace_part *part)
{
	const size_t before = sizeof part->head + sizeof(struct trace_profile);
	size_t count = (part->head.bytes - before) / sizeof *v->table;
	struct edge edge;
	int rc = 0;
	ssize_t n = trace_dir_read(v->calls->dir, thread->image->number, v->table,
				   count * sizeof *v->table, part->at + before);

	if (n < 0)
		trace_dir_torn(v->calls->dir, "cannot read " TRACE_IMAGE "%u: %s",
			       thread->image->number, store_error(n));
	for (size_t i = 0; rc == 0 && n > 0 && i < (size_t)n / sizeof *v->table; i++) {
		const struct trace_edge *from = &v->table[i];
		if (from->callee == 0)
			continue;
		if (from->callee == TRACE_EDGE_OTHERS) {
			v->found->others += from->calls;
			continue;
		}
		rc = visit_edge(v->calls, thread, from, &edge);
		if (rc == 0)
			v->found->edges++;
		if (rc == 0 && edge.callee)
			v->visit(v->arg, &edge);
	}
	return rc;
}

int edges_each(struct calls *calls, void (*visit)(void *arg, const struct edge *edge), void *arg,
	       struct edges_found *found)
{
	struct visit v = { .calls = calls, .visit = visit, .arg = arg, .found = found };
	const struct trace_dir *dir = calls->dir;
	int rc = 0;

	*found = (struct edges_found){ .edges = 0 };
	v.table = malloc(TRACE_SEGMENT_MOST);
	if (!v.table)
		return -ENOMEM;
	for (size_t i = 0; i < dir->thread_count; i++) {
		const struct trace_thread *thread = &dir->threads[i];
		if (!calls_wanted(calls, thread))
			continue;
		for (size_t p = 0; rc == 0 && p < thread->part_count; p++)
			if (thread->parts[p].head.kind == TRACE_PROFILE)
				rc = visit_part(&v, thread, &thread->parts[p]);
	}
	free(v.table);
	return rc;
}
