/*
 * paths.c - see paths.h.
 */
#include "lib/profile/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int paths_init(struct paths *paths, uint32_t depth)
{
	*paths = (struct paths){ .depth = depth, .count = 1, .room = 64 };
	paths->rows = calloc(paths->room, sizeof *paths->rows);
	return paths->rows ? 0 : -ENOMEM;
}

void paths_fini(struct paths *paths)
{
	free(paths->rows);
	free(paths->names);
	free(paths->roots);
	numbering_fini(&paths->by_parent);
}

/* Where the path of this key is or will be. 0: there is no room for it. */
static int64_t find(struct paths *paths, uint32_t parent, uint32_t number, bool *first)
{
	uint64_t key = (uint64_t)parent << 32 | number;

	*first = false;
	if (paths->count >= PATHS_MOST) {
		int64_t at = numbering_find(&paths->by_parent, key);
		return at < 0 ? 0 : at + 1;
	}
	if (paths->count == paths->room) {
		uint32_t room = 2 * paths->room;
		struct path *rows = realloc(paths->rows, room * sizeof *rows);
		if (!rows)
			return -ENOMEM;
		paths->rows = rows;
		paths->room = room;
	}
	int64_t at = numbering_of(&paths->by_parent, key, first);
	return at < 0 ? at : at + 1;
}

static int64_t take(struct paths *paths, uint32_t parent, uint32_t number,
		    const struct function *function)
{
	bool first;
	int64_t at = find(paths, parent, number, &first);

	if (at <= 0 || !first)
		return at;
	struct path *row = &paths->rows[at], *above = &paths->rows[parent];
	*row = (struct path){
		.parent = parent,
		.sibling = above->child,
		.depth = parent == PATHS_NONE ? 0 : above->depth + 1,
		.function = function,
	};
	above->child = (uint32_t)at;
	paths->count++;
	return at;
}

int paths_begin(struct paths *paths, const struct trace_thread *thread)
{
	char name[TRACE_THREAD_NAME];

	trace_thread_name(thread, name);
	for (uint32_t i = 0; i < paths->root_count; i++)
		if (strcmp(paths->names[i], name) == 0) {
			paths->root = paths->roots[i];
			return 0;
		}
	char(*names)[TRACE_THREAD_NAME] =
		realloc(paths->names, (paths->root_count + 1) * sizeof *names);
	if (!names)
		return -ENOMEM;
	paths->names = names;
	uint32_t *roots = realloc(paths->roots, (paths->root_count + 1) * sizeof *roots);
	if (!roots)
		return -ENOMEM;
	paths->roots = roots;
	int64_t at = take(paths, PATHS_NONE, paths->root_count, NULL);
	if (at <= 0)
		return -ENOMEM;
	memcpy(names[paths->root_count], name, sizeof *names);
	roots[paths->root_count++] = (uint32_t)at;
	paths->root = (uint32_t)at;
	return 0;
}

/* call->user is the path, twice, and 1 where that is the caller's. */
static void keep(struct call *call, uint32_t at, bool callers)
{
	call->user = (void *)(2 * (uintptr_t)at + (callers ? 1 : 0));
}

static uint32_t path_of(const struct call *call)
{
	return (uint32_t)((uintptr_t)call->user / 2);
}

/* Calls that a filter hides were never entered here. */
static uint32_t caller_of(const struct paths *paths, const struct call *call)
{
	for (call = call->caller; call; call = call->caller)
		if (call->user)
			return path_of(call);
	return paths->root;
}

int paths_enter(struct paths *paths, struct call *call)
{
	uint32_t parent = caller_of(paths, call);
	int64_t at = 0;

	if (!paths->depth || paths->rows[parent].depth < paths->depth)
		at = take(paths, parent, call->function->number, call->function);
	if (at < 0)
		return (int)at;
	if (at == 0)
		paths->hidden++;
	keep(call, at ? (uint32_t)at : parent, !at);
	return 0;
}

void paths_leave(struct paths *paths, const struct call *call)
{
	int64_t took = call->end_ns - call->begin_ns;

	if (!call->user || (uintptr_t)call->user % 2)
		return;
	struct path *row = &paths->rows[path_of(call)];
	if (took < 0)
		took = 0;
	row->calls++;
	row->total_ns += took;
	paths->rows[row->parent].below_ns += took;
	if (paths->rows[row->parent].depth == 0)
		paths->rows[row->parent].total_ns += took;
}

static int by_total(const void *a, const void *b, void *arg)
{
	const struct path *rows = arg;
	const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	if (rows[left].total_ns != rows[right].total_ns)
		return rows[left].total_ns > rows[right].total_ns ? -1 : 1;
	return left < right ? -1 : left > right; /* as they came */
}

int paths_sort(struct paths *paths)
{
	uint32_t *callees = malloc(paths->count * sizeof *callees);

	if (!callees)
		return -ENOMEM;
	for (uint32_t at = 0; at < paths->count; at++) {
		uint32_t count = 0, *link = &paths->rows[at].child;

		for (uint32_t i = *link; i; i = paths->rows[i].sibling)
			callees[count++] = i;
		qsort_r(callees, count, sizeof *callees, by_total, paths->rows);
		for (uint32_t i = 0; i < count; i++) {
			*link = callees[i];
			link = &paths->rows[callees[i]].sibling;
		}
		*link = PATHS_NONE;
	}
	free(callees);
	return 0;
}

uint32_t paths_next(const struct paths *paths, uint32_t at)
{
	if (paths->rows[at].child)
		return paths->rows[at].child;
	while (at && !paths->rows[at].sibling)
		at = paths->rows[at].parent;
	return at ? paths->rows[at].sibling : PATHS_NONE;
}

const char *paths_name(const struct paths *paths, uint32_t at)
{
	if (paths->rows[at].function)
		return paths->rows[at].function->name;
	for (uint32_t i = 0; i < paths->root_count; i++)
		if (paths->roots[i] == at)
			return paths->names[i];
	return "";
}

int64_t paths_self(const struct path *path)
{
	return path->total_ns > path->below_ns ? path->total_ns - path->below_ns : 0;
}
