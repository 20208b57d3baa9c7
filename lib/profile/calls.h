/*
 * calls.h - a trace as calls: who was entered and left, when, below whom. Everything that shows a trace
 * (reports, graphs, time lines, exports) is a visitor of this walk.
 *
 * A trace may be larger than memory: what is kept is a stack for each thread and fiber, and one buffer
 * for each thread that is being read.
 */
#ifndef HARK_PROFILE_CALLS_H
#define HARK_PROFILE_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/profile/trace_dir.h"

/* How it is known that it ran. METHOD_SAMPLE: its stack was looked at, and all times are estimates; a
 * function that was recorded as well is another one, for it would be counted twice. */
enum method { METHOD_ENTRY, METHOD_CALL, METHOD_SAMPLE };

/* A function, once for the whole trace whatever images it ran in: the same path, build-id and start. */
struct function {
	uint32_t number;           /* from 0 on: an index for tables of the visitor's own */
	const char *name;          /* demangled */
	const char *module;        /* the file's name without its directories */
	const char *path;          /* with them */
	uint64_t start;            /* offset in the module */
	const char *file;          /* NULL: not known, or not asked for */
	int line;
	enum method method;        /* METHOD_CALL: start is a number that is its own, and no offset */
};

enum call_end {
	CALL_OPEN,     /* it has not ended, so far */
	CALL_RETURNED,
	CALL_UNWOUND,  /* longjmp, exception, thread's end: without an exit of its own */
	CALL_DIED,     /* its thread was killed inside of it */
	CALL_EXITED,   /* exit() or exec inside of it */
};

struct call {
	const struct function *function;
	const struct call *caller; /* NULL: outermost */
	uint32_t depth;            /* 0: outermost */
	int64_t begin_ns, end_ns;  /* UTC; end_ns of an open one: the last time of its thread */
	int64_t below_ns;          /* spent in calls that it made: self is end - begin - below */
	enum call_end end;
	bool before;               /* entered before recording began (flight, fork): begin_ns is when it was
				    * seen first */
	bool recursive;            /* the function is open further out, too: total times count that one */
	void *user;                /* the visitor's; NULL at enter() */
	/* as text, until the call ends; NULL: not recorded */
	const char *arguments;     /* without parentheses */
	const char *result;        /* known at leave(); NULL also where there is none */
};

enum mark_kind { MARK_STAMP, MARK_GAP, MARK_MESSAGE, MARK_FIBER, MARK_DEATH, MARK_MUTED,
		 MARK_TIMER };

struct mark {
	enum mark_kind kind;
	int64_t time_ns;
	uint64_t id, step;         /* of a stamp; of a gap: how many records, and enum trace_gap */
	const char *text;          /* of a stamp or message, valid during the call; else NULL */
	size_t text_bytes;
	const char *level, *source; /* of a message */
	const char *stack;         /* of a message: functions, the innermost first, each ended by NUL … */
	size_t stack_bytes;        /* … all together; 0: not known */
	int32_t pid, tid;          /* of a message, stamp or timer: whose; thread may then be NULL */
	/* of a timer: one of its last intervals, which ended now. text: its name; id: its number */
	uint64_t took_ns;
	const struct timer_figures *timer; /* with the last one, all its figures; else NULL */
};

struct calls_filter {
	const char *const *only, *const *never; /* lists as in lib/base/filter.h, ended by NULL; NULL: none.
				    * only: these and what they call; never: not these, nor what they call */
	const char *module;        /* glob */
	uint32_t depth;            /* how many levels are shown; 0: all */
	uint64_t min_ns;           /* shorter calls are left out: enter() comes late, from leave() */
	int32_t tid;               /* 0: all */
	const char *thread;        /* glob on a thread's comm; NULL: all */
	int64_t since_ns, until_ns;
	bool lines;                /* look for file and line (slow) */
};

struct calls_visitor {
	void (*enter)(void *arg, const struct trace_thread *thread, struct call *call);
	void (*leave)(void *arg, const struct trace_thread *thread, struct call *call);
		/* Once for each enter(), innermost first, also for calls that died. */
	void (*mark)(void *arg, const struct trace_thread *thread, const struct mark *mark,
		     const struct call *innermost);
	void (*begin)(void *arg, const struct trace_thread *thread);
	void (*end)(void *arg, const struct trace_thread *thread);
		/* around each thread; calls_merge: amid the others' calls */
	void (*progress)(void *arg, uint64_t done_bytes, uint64_t all_bytes);
	/* Each may be NULL. */
};

struct calls; /* functions, names, threads' stacks */

struct calls *calls_open(struct trace_dir *dir, const struct calls_filter *filter);
void calls_close(struct calls *calls);
int calls_walk(struct calls *calls, const struct calls_visitor *visitor, void *arg);
	/* Thread by thread. Messages, public stamps and timers are not visited. 0, or -errno of what could
	 * not be read at all. */
int calls_merge(struct calls *calls, const struct calls_visitor *visitor, void *arg);
	/* All threads in the order of time, the session's messages, stamps and timers between them (after
	 * what happened before them in the same nanosecond: whoever speaks is in that call already). */
const char *calls_method(const struct function *function);
	/* in a word: entry, call, sample */
uint32_t calls_function_count(const struct calls *calls);
const struct function *calls_function(const struct calls *calls, uint32_t number);
const char *calls_trouble(const struct calls *calls, unsigned *files);
	/* Why functions of one file, the first, have offsets for names; NULL: there is none. files: how many
	 * there are. The calls' own. */

#endif
