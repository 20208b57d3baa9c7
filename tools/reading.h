/*
 * reading.h - a trace that is being read by a command: opened, walked with a bar, and all told of it
 * that people have to know: what is missing, what is torn, who died where.
 */
#ifndef HARK_TOOLS_READING_H
#define HARK_TOOLS_READING_H

#include "tools/progress.h"
#include "tools/trace_options.h"

enum { READING_DEATHS = 100 };

struct reading_muted {
	char *name;
	uint64_t calls;
};

struct reading {
	struct trace_dir dir;
	struct calls *calls;
	struct progress progress;
	struct {
		uint64_t places, records;
	} gaps[TRACE_GAPS];        /* by reason; 0: segments that are not there */
	char *deaths[READING_DEATHS]; /* sentences */
	size_t death_count;        /* of all */
	struct reading_muted *muted; /* functions, in all threads and processes */
	size_t muted_count;
	uint64_t others;           /* calls in a profile that found no room, and have no names */
};

int reading_open(struct reading *reading, const char *data, const struct calls_filter *filter);
	/* 0, or CLI_FAILED: the user has been told */
bool reading_calls(const struct reading *reading);
	/* false: there are sums in it and no calls (--stamp profile), and the user has been told. */
void reading_close(struct reading *reading);
int reading_failed(const struct reading *reading, int rc);
	/* says that reading ended by this error; CLI_FAILED */

/* What a visitor of calls_walk() forwards to. */
void reading_mark(struct reading *reading, const struct trace_thread *thread,
		  const struct mark *mark, const struct call *innermost);
void reading_progress(struct reading *reading, uint64_t done, uint64_t all);

void reading_tell(struct reading *reading, FILE *deaths);
	/* Muted functions, those without names, gaps and torn places on standard error; deaths there, too,
	 * where `deaths` is NULL. */

#endif
