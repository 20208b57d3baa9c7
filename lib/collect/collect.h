/*
 * collect.h - the collector: reads a session's ring and feeds its sinks.
 *
 * All that it knows is written down after each batch (checkpoint.h), in the session's directory, so a
 * collector that is killed is simply succeeded by the next one.
 */
#ifndef HARK_COLLECT_COLLECT_H
#define HARK_COLLECT_COLLECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a collector says on stderr when it is set up; then it lets go of it. */
#define COLLECT_READY "ready\n"

struct collect_plan {
	const char *dir;     /* the session's */
	int console_fd;      /* what descriptor 2 was; -1: none */
	int deep_fd;         /* deep mode: the end to read from; -1: none */
	bool salvage;        /* the session is dead: deliver what there is and end */
	const char *sinks;   /* salvage --to: instead of the session's; NULL: the session's */
	bool ends;           /* the process ends with it: what exit gives back anyway is left to that */
	int (*here)(const struct collect_plan *plan);
		/* What `program collect …` does, where it may be done by a forked process without an exec;
		 * NULL: it may not. Returns the exit status; its stderr is who waits. */
};

int collect_run(const struct collect_plan *plan);
	/* The collector's whole life, in this process, with a guardian beside it (none for a salvage). Returns
	 * 0 when the session has ended and all is delivered, 1 when something had to be left in the
	 * session's directory, -errno when it could not begin. The caller has detached itself (see
	 * collect_spawn) or is `hark salvage`. */
int collect_spawn(const struct collect_plan *plan, const char *program, char *why,
		  size_t why_bytes);
	/* Starts `program collect …`, or plan->here, as a process of its own, twice removed: no child of the
	 * caller's, in a session (setsid) of its own, with the null device for stdio, default signals and no
	 * descriptors but those of the plan. Waits until all is set up: 0, and the collector's pid is in
	 * the control block. Else -errno with a sentence: what it said before it died (on stderr, until
	 * it is set up), or why it could not be started; the session is declared ended then. */
int collect_spawn_beside(const char *name, const char *program, const char *const *argv, char *why,
			 size_t why_bytes);
	/* Likewise for another process of hark's beside the collector, which says COLLECT_READY on stderr
	 * when it is set up: 0, or -errno with a sentence in which it is called by its name. */

const char *collect_failed_at(void);
	/* where the last collect_run() failed, when it returned -errno: "the queue of file:x", … */

struct collect_delivery { uint64_t messages, bytes, undelivered_bytes; };
void collect_last_delivery(struct collect_delivery *d);
	/* of the last collect_run() in this process, for what `hark salvage` says */

#endif
