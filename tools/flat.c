/*
 * flat.c - see flat.h.
 */
#include "tools/flat.h"

#include <errno.h>

#include "lib/profile/edges_open.h"

static void on_leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	table_leave(((struct flat *)arg)->table, thread, call);
}

static void on_mark(void *arg, const struct trace_thread *thread, const struct mark *mark,
		    const struct call *innermost)
{
	reading_mark(&((struct flat *)arg)->reading, thread, mark, innermost);
}

static void on_progress(void *arg, uint64_t done, uint64_t all)
{
	reading_progress(&((struct flat *)arg)->reading, done, all);
}

static void on_death(void *arg, const struct trace_thread *thread, const struct call *innermost)
{
	reading_mark(&((struct flat *)arg)->reading, thread, &(struct mark){ .kind = MARK_DEATH },
		     innermost);
}

int flat_read(struct flat *flat, const char *data, const struct calls_filter *filter,
	      enum table_key sort)
{
	static const struct calls_visitor visitor = { .leave = on_leave, .mark = on_mark,
						      .progress = on_progress };
	struct edges_found edges = { 0 };

	*flat = (struct flat){ .table = NULL };
	if (reading_open(&flat->reading, data, filter) != 0)
		return CLI_FAILED;
	flat->table = table_open();
	int rc = flat->table ? calls_walk(flat->reading.calls, &visitor, flat) : -ENOMEM;
	if (rc == 0)
		rc = edges_each(flat->reading.calls, table_edge, flat->table, &edges);
	flat->reading.others = edges.others;
	if (rc == 0)
		rc = edges_deaths(flat->reading.calls, on_death, flat);
	if (rc == 0)
		rc = table_sort(flat->table, sort, &flat->rows, &flat->count);
	if (rc == 0)
		return 0;
	rc = reading_failed(&flat->reading, rc);
	flat_close(flat);
	return rc;
}

void flat_close(struct flat *flat)
{
	table_close(flat->table);
	flat->table = NULL;
	reading_close(&flat->reading);
}
