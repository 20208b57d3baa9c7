/*
 * timer_list.h - the public timers of a trace (hark_timer_begin()), with their figures and last intervals.
 *
 * For messages.c, which puts the intervals on the time line, and for who lists them. Files may hold
 * anything.
 */
#ifndef HARK_PROFILE_TIMER_LIST_H
#define HARK_PROFILE_TIMER_LIST_H

#include "lib/profile/trace_dir.h"

struct timer_figures {
	char name[TRACE_TIMER_NAME], comm[17];
	int32_t pid;
	uint64_t count, total_ns, avg_ns, min_ns, max_ns;
	uint64_t last_ns[TRACE_TIMER_LAST]; /* the latest first */
	unsigned last_count;
	int64_t end_ns;            /* of the latest, UTC; INT64_MIN: none */
};

/* One of a timer's last intervals. */
struct timer_interval {
	int64_t end_ns;            /* UTC */
	uint64_t took_ns;
	uint64_t number;           /* which of the timer's it was, from 1 on */
	int32_t tid;
	bool last;                 /* there is no later one of this timer */
	size_t timer;              /* its place in the list */
};

struct timer_list {
	struct timer_figures *timers; /* by process and name */
	size_t count;
	struct timer_interval *intervals; /* by time */
	size_t interval_count;
};

int timer_list_read(struct timer_list *list, struct trace_dir *dir);
	/* 0 or -ENOMEM. What is torn is counted in dir and left out. */
void timer_list_fini(struct timer_list *list);

#endif
