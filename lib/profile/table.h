/*
 * table.h - a trace's functions, each with its figures, from calls_walk() and edges_each(). What was
 * recorded and what was sampled of a function are two rows.
 */
#ifndef HARK_PROFILE_TABLE_H
#define HARK_PROFILE_TABLE_H

#include "lib/profile/calls.h"
#include "lib/profile/edges.h"
#include "lib/profile/histogram.h"

struct table_row {
	const struct function *function;
	uint64_t calls;            /* entries that were seen */
	uint64_t total_ns;         /* of outermost activations: who calls himself counts once */
	uint64_t self_ns;          /* without what it called */
	uint64_t min_ns, avg_ns, p50_ns, p99_ns, max_ns; /* of single calls, recursive ones too */
	uint32_t threads;          /* that called it */
	bool sampled;              /* stacks were looked at: times are estimates, calls and the times of single
				    * ones are not known */
	uint64_t samples;          /* with it in the stack, once each */
	uint64_t self_samples;     /* with it innermost */
};

enum table_key {
	TABLE_TOTAL, TABLE_SELF, TABLE_CALLS, TABLE_MIN, TABLE_AVG, TABLE_P50, TABLE_P99, TABLE_MAX,
	TABLE_THREADS, TABLE_NAME, TABLE_KEYS
};
extern const char *const table_keys[TABLE_KEYS + 1];
	/* as people name them; the last is NULL */

struct table;

struct table *table_open(void);
	/* NULL: without memory */
void table_close(struct table *table);
void table_leave(void *table, const struct trace_thread *thread, struct call *call);
	/* for a visitor's leave */
void table_edge(void *table, const struct edge *edge);
uint64_t table_value(const struct table_row *row, enum table_key key);
	/* TABLE_NAME: 0 */
int table_sort(struct table *table, enum table_key key, struct table_row **rows, size_t *count);
	/* The rows of all functions that were called, the greatest first (names: from A on), in memory of
	 * the table's. To be called once, at the end. 0; -ENOMEM, also of whatever was visited. */

#endif
