/*
 * export.h - a trace in the formats of other tools. One file per format, one row each in exports.def.
 *
 * A format is a visitor of calls.h and what stands before and behind. What is in a trace may be
 * hostile: names and messages go into a format by its own rules of quotation.
 */
#ifndef HARK_PROFILE_EXPORT_H
#define HARK_PROFILE_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/profile/calls.h"

struct export {
	const struct export_ops *ops;
	const struct trace_dir *dir;
	const char *path;    /* of the file, or directory, that is made */
	FILE *to;            /* NULL: a directory */
	bool late;           /* enter() may come late, since short calls are left out */
	int error;           /* the first failure, -errno: visitors cannot return it */
	char note[256];      /* what people should know of the result, "" */
	void *state;         /* the format's own */
};

struct export_ops {
	int (*open)(struct export *e);
		/* Writes what stands before. 0 or -errno, then close() is not called. */
	int (*close)(struct export *e);
		/* Writes what stands behind, unless e->error; releases what open() took. 0 or -errno. */
	struct calls_visitor visitor;
		/* its `arg` is the struct export */
	bool merged;         /* of calls_merge(), with messages; else of calls_walk(), which is faster */
	bool directory;      /* open() makes the directory e->path */
};

#define EXPORT(name, suffix, doc) extern const struct export_ops export_##name;
#include "lib/profile/exports.def"

extern const struct export_row {
	const char *name;
	const char *suffix;
	const char *doc;
	const struct export_ops *ops;
} export_rows[];
extern const size_t export_count;

const struct export_row *export_find(const char *name);
	/* NULL: there is none */
int export_open(struct export *e, const struct export_row *row, const struct trace_dir *dir,
		const char *path, bool late);
	/* path: is made, or written over; "-": standard output, where the format is no directory. 0, or
	 * -errno of what could not be made. */
int export_close(struct export *e);
	/* 0, or -errno of the first failure: then a regular file is removed again. */

/* ---- for formats ------------------------------------------------------------------------------- */

void export_fail(struct export *e, int error);
	/* keeps the first; 0 is none */
void export_json(FILE *to, const char *text, size_t bytes);
	/* A JSON string with its quotation marks; < is \u003c, so that it may stand in a page. */
void export_line(FILE *to, const char *text, const char *but);
	/* In one line: control characters and those of `but` become underscores. */
uint64_t export_since(const struct export *e, int64_t time_ns);
	/* nanoseconds since the trace began, 0 for what was before */

/* Functions in the order in which they are met. */
struct export_functions {
	uint32_t *index;     /* by function->number: 1 + place in rows, 0: not met yet */
	size_t indexed;
	const struct function **rows;
	uint32_t count, room;
};

int64_t export_function(struct export_functions *f, const struct function *function, bool *first);
	/* Its place, from 0 on; *first: it was not there. -ENOMEM. */
void export_functions_fini(struct export_functions *f);

/* Threads and their stacks: what goes on beside each other is drawn beside each other. */
struct export_lane {
	uint32_t fiber;      /* that it is on now */
	bool met;
};

struct export_lanes {
	const struct trace_dir *dir;
	struct export_lane *threads;
};

int export_lanes_init(struct export_lanes *lanes, const struct trace_dir *dir);
void export_lanes_fini(struct export_lanes *lanes);
struct export_lane *export_lane(struct export_lanes *lanes, const struct trace_thread *thread);
	/* NULL: none of this trace's */

#endif
