/*
 * calls_inside.h - what the files calls*.c share.
 *
 * calls.c walks, calls_step.c turns a record into calls, calls_end.c knows how threads ended,
 * calls_merge.c goes by time.
 */
#ifndef HARK_PROFILE_CALLS_INSIDE_H
#define HARK_PROFILE_CALLS_INSIDE_H

#include "lib/profile/cursor.h"
#include "lib/profile/names.h"
#include "lib/profile/stack.h"

struct calls {
	struct trace_dir *dir;
	struct calls_filter filter;
	bool plain;                /* nothing is left out */
	bool late;                 /* some calls are shown later than they begin */
	struct names names;
	uint8_t *exited;           /* by image: enum calls_exited */
	uint64_t done;             /* bytes read before the threads that are open now */
};

/* A thread that is being read. */
struct walk {
	struct calls *calls;
	const struct calls_visitor *visitor;
	void *arg;
	const struct trace_thread *thread;
	uint64_t image;            /* its number, shifted as names want it */
	struct cursor cursor;
	struct record record;      /* the next one */
	struct stacks stacks;
	int64_t now_ns;            /* of the next record; never goes back */
	enum record_kind last;     /* the kind of the one before, and its detail */
	uint32_t last_detail;
	bool repeats;              /* OPEN records tell what is known already: segments of a flight recorder */
	bool left;                 /* it has said that its process exits */
	bool begun;
	int rc;                    /* -ENOMEM ends it */
};

/* calls.c */
int calls_begin(struct walk *walk, struct calls *calls, const struct calls_visitor *visitor,
		void *arg, const struct trace_thread *thread, size_t buffer);
void calls_done(struct walk *walk);
	/* ends what is open, and the walk */
bool calls_wanted(const struct calls *calls, const struct trace_thread *thread);
void calls_notes(struct calls *calls, const struct calls_visitor *visitor, void *arg);
	/* the marks of `events` */

/* calls_step.c */
void calls_step(struct walk *walk, enum record_kind kind);
	/* walk->record is one of that kind, and happened at now_ns */
void calls_close_all(struct walk *walk, enum call_end how);
const struct call *calls_told(const struct walk *walk);
	/* the innermost open call that the visitor knows of */

/* calls_end.c */
enum call_end calls_fate(struct walk *walk);
	/* how the calls ended that are open at the thread's last record */
bool calls_killed(struct calls *calls, const struct trace_thread *thread);
	/* It is not there any more, and its process did not leave of its own will. */

static inline enum record_kind calls_read(struct walk *walk)
	/* the next record, and its time */
{
	enum record_kind kind = cursor_next(&walk->cursor, &walk->record);
	int64_t ns = trace_dir_ns(walk->calls->dir, walk->cursor.ticks);

	if (kind != RECORD_END && ns > walk->now_ns)
		walk->now_ns = ns;
	return kind;
}

#endif
