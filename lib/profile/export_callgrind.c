/*
 * export_callgrind.c - the format of callgrind's files: for each function its own nanoseconds, and for
 * each of its callees calls and nanoseconds.
 *
 * The time of a call counts where its function is not open further out already, so that nothing is
 * counted twice in what a function took with all that it called.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "lib/profile/export.h"
#include "lib/profile/numbering.h"

struct edge {
	uint32_t caller, callee; /* places in functions */
	uint64_t calls;
	int64_t total_ns;
};

struct callgrind {
	struct export_functions functions;
	int64_t *self;       /* by place */
	uint32_t self_room;
	struct numbering by_pair;
	struct edge *edges;
	uint32_t edge_room;
};

static int64_t place_of(struct callgrind *c, const struct function *function)
{
	bool first;
	int64_t at = export_function(&c->functions, function, &first);

	if (at < 0 || !first)
		return at;
	if (at >= c->self_room) {
		uint32_t room = c->self_room ? 2 * c->self_room : 64;
		int64_t *self = realloc(c->self, room * sizeof *self);

		if (!self)
			return -ENOMEM;
		c->self = self;
		c->self_room = room;
	}
	c->self[at] = 0;
	return at;
}

static int count_edge(struct callgrind *c, uint32_t caller, uint32_t callee, int64_t took)
{
	bool first;
	int64_t at = numbering_of(&c->by_pair, (uint64_t)caller << 32 | callee, &first);

	if (at < 0)
		return (int)at;
	if (at >= c->edge_room) {
		uint32_t room = c->edge_room ? 2 * c->edge_room : 64;
		struct edge *edges = realloc(c->edges, room * sizeof *edges);

		if (!edges)
			return -ENOMEM;
		c->edges = edges;
		c->edge_room = room;
	}
	if (first)
		c->edges[at] = (struct edge){ caller, callee, 0, 0 };
	c->edges[at].calls++;
	c->edges[at].total_ns += took;
	return 0;
}

static void enter(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct export *e = arg;
	int64_t at = place_of(e->state, call->function);

	(void)thread;
	if (at < 0)
		export_fail(e, (int)at);
	else
		call->user = (void *)((uintptr_t)at + 1);
}

static void leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct export *e = arg;
	struct callgrind *c = e->state;
	const struct call *caller = call->caller;
	int64_t took = call->end_ns > call->begin_ns ? call->end_ns - call->begin_ns : 0;

	(void)thread;
	/* Calls that a filter hides were never entered here. */
	while (caller && !caller->user)
		caller = caller->caller;
	if (!call->user || e->error)
		return;
	uint32_t callee = (uint32_t)((uintptr_t)call->user - 1);
	c->self[callee] += took;
	if (!caller)
		return;
	uint32_t from = (uint32_t)((uintptr_t)caller->user - 1);
	c->self[from] -= took;
	export_fail(e, count_edge(c, from, callee, call->recursive ? 0 : took));
}

static int by_caller(const void *a, const void *b)
{
	const struct edge *left = a, *right = b;

	if (left->caller != right->caller)
		return left->caller < right->caller ? -1 : 1;
	return left->callee < right->callee ? -1 : left->callee > right->callee;
}

static int callgrind_open(struct export *e)
{
	e->state = calloc(1, sizeof(struct callgrind));
	return e->state ? 0 : -ENOMEM;
}

/* Names are given once; later (N) stands for them. prefix: "" or "c", of a callee. */
static void put_place(FILE *to, const struct callgrind *c, uint32_t at, const char *prefix)
{
	const struct function *f = c->functions.rows[at];

	fprintf(to, "%sob=", prefix);
	export_line(to, f->path && *f->path ? f->path : "???", "");
	fprintf(to, "\n%s=", *prefix ? "cfi" : "fl");
	export_line(to, f->file ? f->file : "???", "");
	fprintf(to, "\n%sfn=(%" PRIu32 ") ", prefix, at + 1);
	export_line(to, f->name, "");
	if (f->method == METHOD_SAMPLE)
		fputs(" (sampled)", to);
	putc('\n', to);
}

static void put_all(struct export *e)
{
	const struct callgrind *c = e->state;
	const struct edge *edge = c->edges, *last = edge + c->by_pair.count;
	int64_t sum = 0;

	for (uint32_t at = 0; at < c->functions.count; at++) {
		int line = c->functions.rows[at]->line;

		putc('\n', e->to);
		put_place(e->to, c, at, "");
		/* times that went back may leave less than nothing */
		int64_t self = c->self[at] > 0 ? c->self[at] : 0;
		fprintf(e->to, "%d %" PRId64 "\n", line, self);
		sum += self;
		for (; edge < last && edge->caller == at; edge++) {
			put_place(e->to, c, edge->callee, "c");
			fprintf(e->to, "calls=%" PRIu64 " %d\n%d %" PRId64 "\n", edge->calls,
				c->functions.rows[edge->callee]->line, line, edge->total_ns);
		}
	}
	fprintf(e->to, "\ntotals: %" PRId64 "\n", sum);
}

static int callgrind_close(struct export *e)
{
	struct callgrind *c = e->state;

	fputs("# callgrind format\nversion: 1\ncreator: hark\n", e->to);
	fprintf(e->to, "pid: %" PRId32 "\ncmd: ", e->dir->pid);
	export_line(e->to, e->dir->command ? e->dir->command : "", "");
	fputs("\npart: 1\n\npositions: line\nevent: ns : nanoseconds\nevents: ns\n", e->to);
	if (c->by_pair.count)
		qsort(c->edges, c->by_pair.count, sizeof *c->edges, by_caller);
	if (!e->error)
		put_all(e);
	export_functions_fini(&c->functions);
	numbering_fini(&c->by_pair);
	free(c->edges);
	free(c->self);
	free(c);
	return 0;
}

const struct export_ops export_callgrind = {
	.open = callgrind_open,
	.close = callgrind_close,
	.visitor = { .enter = enter, .leave = leave },
};
