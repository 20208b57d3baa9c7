/*
 * blocked.h - threads that block SIGPROF: their timers cannot look at them, and what they consume is missing.
 *
 * For by_timer.c.
 */
#ifndef HARK_SAMPLE_BLOCKED_H
#define HARK_SAMPLE_BLOCKED_H

#include "lib/sample/sampler_inside.h"

enum { BLOCKED_LOOK_MS = 100, BLOCKED_NONE_MS = 1000 }; /* where there are some, where there were none */

void blocked_begun(struct sampler *s, struct space_thread *thread);
	/* It says that it begins so. */
void blocked_ended(struct sampler *s, bool all);
	/* Tells of those that began so and ended before anybody looked. all: nobody is left */
bool blocked_look(struct sampler *s);
	/* Asks /proc for all threads, some of them where there are many, and tells what is missing. Whether
	 * there are any. */
int blocked_read(const char *status, uint64_t signal);
	/* What /proc/PID/status says of a signal: 1, blocked; 0; or -EINVAL. */

#endif
