/*
 * export_folded.c - folded stacks: a line for each call path and its own nanoseconds,
 * "thread;main;parse 1234".
 *
 * A line holds all its callers. So that a recursion of 100,000 levels does not become 50 gigabytes,
 * what is deeper than MOST levels is counted with the last one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "lib/base/text.h"
#include "lib/profile/export.h"
#include "lib/profile/paths.h"

enum { MOST = 1000 };

static void begin(void *arg, const struct trace_thread *thread)
{
	struct export *e = arg;

	export_fail(e, paths_begin(e->state, thread));
}

static void enter(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct export *e = arg;

	(void)thread;
	export_fail(e, paths_enter(e->state, call));
}

static void leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct export *e = arg;

	(void)thread;
	paths_leave(e->state, call);
}

static int folded_open(struct export *e)
{
	struct paths *paths = malloc(sizeof *paths);

	if (!paths || paths_init(paths, MOST) != 0) {
		free(paths);
		return -ENOMEM;
	}
	e->state = paths;
	return 0;
}

static void put_line(FILE *to, const struct paths *paths, uint32_t at)
{
	uint32_t chain[MOST + 1], count = 0;
	int64_t self = paths_self(&paths->rows[at]);

	for (uint32_t up = at; up != PATHS_NONE; up = paths->rows[up].parent)
		chain[count++] = up;
	while (count) {
		export_line(to, paths_name(paths, chain[--count]), ";");
		putc(count ? ';' : ' ', to);
	}
	fprintf(to, "%" PRId64 "\n", self);
}

static int folded_close(struct export *e)
{
	struct paths *paths = e->state;

	for (uint32_t at = paths_next(paths, PATHS_NONE); at; at = paths_next(paths, at))
		if (paths_self(&paths->rows[at]) > 0 && !e->error)
			put_line(e->to, paths, at);
	if (paths->hidden)
		snprintf(e->note, sizeof e->note,
			 "%" PRIu64 " %s, deeper than %d levels or on too many paths, %s "
			 "counted with their callers",
			 paths->hidden, text_one(paths->hidden, "call", "calls"), MOST,
			 text_one(paths->hidden, "is", "are"));
	paths_fini(paths);
	free(paths);
	return 0;
}

const struct export_ops export_folded = {
	.open = folded_open,
	.close = folded_close,
	.visitor = { .begin = begin, .enter = enter, .leave = leave },
};
