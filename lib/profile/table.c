/*
 * table.c - see table.h.
 */
#include "lib/profile/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/profile/samples.h"

struct tally {
	struct table_row row;
	uint64_t sum_ns, timed;    /* of all calls that ended, recursive ones too; how many they are */
	const struct trace_thread *thread; /* that was counted last */
	struct histogram *histogram;
};

struct half {
	struct tally *tallies;     /* by the function's number */
	uint32_t room;
};

struct table {
	struct half halves[2];     /* recorded, sampled */
	struct table_row *rows;
	int rc;
};

const char *const table_keys[TABLE_KEYS + 1] = {
	"total", "self", "calls", "min", "avg", "p50", "p99", "max", "threads", "function", NULL,
};

struct table *table_open(void)
{
	return calloc(1, sizeof(struct table));
}

void table_close(struct table *table)
{
	if (!table)
		return;
	for (int h = 0; h < 2; h++) {
		struct half *half = &table->halves[h];
		for (uint32_t i = 0; i < half->room; i++)
			if (half->tallies[i].histogram) {
				histogram_fini(half->tallies[i].histogram);
				free(half->tallies[i].histogram);
			}
		free(half->tallies);
	}
	free(table->rows);
	free(table);
}

static int grow(struct half *half, uint32_t number)
{
	uint32_t room = half->room ? half->room : 64;

	while (room <= number)
		room *= 2;
	struct tally *tallies = reallocarray(half->tallies, room, sizeof *tallies);
	if (!tallies)
		return -ENOMEM;
	memset(tallies + half->room, 0, (room - half->room) * sizeof *tallies);
	half->tallies = tallies;
	half->room = room;
	return 0;
}

static struct tally *first_seen(struct table *table, struct half *half,
				const struct function *function)
{
	if (function->number >= half->room && grow(half, function->number) != 0) {
		table->rc = -ENOMEM;
		return NULL;
	}
	struct tally *tally = &half->tallies[function->number];
	if (!tally->histogram)
		tally->histogram = calloc(1, sizeof *tally->histogram);
	if (!tally->histogram) {
		table->rc = -ENOMEM;
		return NULL;
	}
	tally->row.function = function;
	tally->row.sampled = half != table->halves;
	return tally;
}

static inline struct tally *find(struct table *table, const struct function *function, bool sampled)
{
	struct half *half = &table->halves[sampled];

	if (__builtin_expect(function->number < half->room, 1) &&
	    half->tallies[function->number].histogram)
		return &half->tallies[function->number];
	return first_seen(table, half, function);
}

static inline void count_thread(struct tally *tally, const struct trace_thread *thread)
{
	const struct trace_thread *before = tally->thread;

	/* who went on in another mode (`hark set`) is the same */
	if (before != thread)
		tally->row.threads += !before || before->image != thread->image ||
				      before->tid != thread->tid;
	tally->thread = thread;
}

/* A wait is as many samples as there would have been meanwhile. */
static void count_samples(struct table_row *row, const struct trace_thread *thread,
			  const struct call *call, uint64_t took)
{
	uint64_t period = thread->sampled->samples->head.period_ns;
	uint64_t self = took - (uint64_t)call->below_ns;

	if (!call->recursive)
		row->samples += (took + period / 2) / period;
	row->self_samples += (self + period / 2) / period;
}

void table_leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct table *table = arg;
	struct tally *tally = find(table, call->function, thread->sampled != NULL);
	uint64_t took = (uint64_t)(call->end_ns - call->begin_ns);

	if (!tally)
		return;
	struct table_row *row = &tally->row;
	count_thread(tally, thread);
	if (!call->recursive)
		row->total_ns += took;
	row->self_ns += took - (uint64_t)call->below_ns;
	if (thread->sampled) {
		count_samples(row, thread, call, took);
		return;
	}
	/* how long it takes, nobody knows of one that was not seen to its beginning */
	if (call->before)
		return;
	row->calls++;
	tally->sum_ns += took;
	if (tally->timed++ == 0 || took < row->min_ns)
		row->min_ns = took;
	if (took > row->max_ns)
		row->max_ns = took;
	if (histogram_add(tally->histogram, took, 1) != 0)
		table->rc = -ENOMEM;
}

/* ---- profiles ---------------------------------------------------------------------------------- */

void table_edge(void *arg, const struct edge *edge)
{
	struct table *table = arg;
	struct tally *tally = find(table, edge->callee, false);
	struct table_row *row;
	uint64_t timed = 0;

	if (!tally)
		return;
	row = &tally->row;
	count_thread(tally, edge->thread);
	row->calls += edge->calls;
	row->total_ns += edge->total_ns;
	row->self_ns += edge->self_ns;
	for (unsigned i = 0; i < TRACE_BUCKETS; i++) {
		uint64_t value = edge_bucket(edge, i);
		if (!edge->buckets[i])
			continue;
		timed += edge->buckets[i];
		tally->sum_ns += value * edge->buckets[i];
		if (histogram_add(tally->histogram, value, edge->buckets[i]) != 0)
			table->rc = -ENOMEM;
	}
	if (timed && (tally->timed == 0 || edge->min_ns < row->min_ns))
		row->min_ns = edge->min_ns;
	if (edge->max_ns > row->max_ns)
		row->max_ns = edge->max_ns;
	tally->timed += timed;
}

/* ---- rows -------------------------------------------------------------------------------------- */

static uint64_t within(uint64_t value, uint64_t least, uint64_t most)
{
	return value < least ? least : value > most ? most : value;
}

static void finish(struct tally *tally)
{
	struct table_row *row = &tally->row;

	if (!tally->timed)
		return;
	row->avg_ns = within(tally->sum_ns / tally->timed, row->min_ns, row->max_ns);
	row->p50_ns = within(histogram_quantile(tally->histogram, tally->timed, 0.50), row->min_ns,
			     row->max_ns);
	row->p99_ns = within(histogram_quantile(tally->histogram, tally->timed, 0.99), row->min_ns,
			     row->max_ns);
}

uint64_t table_value(const struct table_row *row, enum table_key key)
{
	switch (key) {
	case TABLE_TOTAL: return row->total_ns;
	case TABLE_SELF: return row->self_ns;
	case TABLE_CALLS: return row->calls;
	case TABLE_MIN: return row->min_ns;
	case TABLE_AVG: return row->avg_ns;
	case TABLE_P50: return row->p50_ns;
	case TABLE_P99: return row->p99_ns;
	case TABLE_MAX: return row->max_ns;
	case TABLE_THREADS: return row->threads;
	default: return 0;
	}
}

static int by_key(const void *left, const void *right, void *key)
{
	const struct table_row *a = left, *b = right;
	uint64_t x = table_value(a, *(enum table_key *)key);
	uint64_t y = table_value(b, *(enum table_key *)key);

	if (x != y)
		return x > y ? -1 : 1;
	int names = strcmp(a->function->name, b->function->name);
	if (names == 0)
		names = strcmp(a->function->module, b->function->module);
	if (names == 0)
		names = strcmp(a->function->path, b->function->path);
	if (names == 0 && a->function == b->function)
		return a->sampled - b->sampled;
	return names ? names : a->function->start < b->function->start ? -1 : 1;
}

int table_sort(struct table *table, enum table_key key, struct table_row **rows, size_t *count)
{
	size_t n = 0, most = table->halves[0].room + table->halves[1].room + 1UL;

	if (table->rc == 0 && !(table->rows = calloc(most, sizeof *table->rows)))
		table->rc = -ENOMEM;
	if (table->rc != 0)
		return table->rc;
	for (int h = 0; h < 2; h++) {
		const struct half *half = &table->halves[h];
		for (uint32_t i = 0; i < half->room; i++) {
			if (!half->tallies[i].histogram)
				continue;
			finish(&half->tallies[i]);
			table->rows[n++] = half->tallies[i].row;
		}
	}
	if (n)
		qsort_r(table->rows, n, sizeof *table->rows, by_key, &key);
	*rows = table->rows;
	*count = n;
	return 0;
}
