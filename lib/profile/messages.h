/*
 * messages.h - what the session said, read back from a trace's file `messages`, with its public stamps;
 * and between them, at their ends, the last intervals of its timers.
 *
 * For calls_merge.c. Lines of JSON, in the order in which they were said; whatever else stands there
 * is counted and skipped.
 */
#ifndef HARK_PROFILE_MESSAGES_H
#define HARK_PROFILE_MESSAGES_H

#include "lib/profile/calls.h"
#include "lib/profile/timer_list.h"

struct message {
	enum mark_kind kind;       /* MARK_MESSAGE, MARK_STAMP or MARK_TIMER */
	int64_t time_ns;           /* UTC; not before that of the message before */
	const char *text;
	size_t text_bytes;
	const char *level, *source; /* "" where it says nothing */
	int32_t pid, tid;
	const char *comm;          /* "" where it is not known */
	const char *stack;         /* functions, the innermost first, each ended by NUL … */
	size_t stack_bytes;        /* … all together; 0: not known */
	uint64_t id, step;         /* of a stamp; id: of a timer's intervals, which one */
	uint64_t took_ns;          /* of a timer's interval */
	const struct timer_figures *timer; /* as in struct mark */
};

struct messages;

int messages_open(struct messages **messages, struct trace_dir *dir);
	/* 0, also where there are none; -ENOMEM */
void messages_close(struct messages *messages);
bool messages_next(struct messages *messages, struct message *message);
	/* False: there are no more. What it points to holds until the next call. */
const struct timer_list *messages_timers(const struct messages *messages);
	/* all of them, until messages_close() */

#endif
