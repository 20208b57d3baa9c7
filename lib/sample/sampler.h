/*
 * sampler.h - the sampler: gets the stacks of a program's threads, and writes them down.
 *
 * A process of its own beside the collector. It looks from outside, through the kernel; where that is
 * refused, the shim looks, and the sampler reads what it has seen. Its death harms nobody: what it has
 * written stays. It ends when nobody is left to be sampled.
 */
#ifndef HARK_SAMPLE_SAMPLER_H
#define HARK_SAMPLE_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/config/config.h"

enum { SAMPLER_RATE_MOST = 10000 };

struct sampler_plan {
	const char *data;          /* the trace's directory */
	const char *session;       /* the session's, where timers would look; NULL: they cannot */
	enum sample_by by;
	pid_t pid;                 /* whose threads and descendants */
	uint32_t rate;             /* samples for each second of a thread's time, up to SAMPLER_RATE_MOST */
	bool wall;                 /* also of the time in which it waits */
	bool on_exec;              /* begin when it becomes another program */
};

struct sampler;

int sampler_open(struct sampler **sampler, const struct sampler_plan *plan, char *why,
		 size_t why_bytes);
	/* 0, and everything is ready; or -errno and a sentence. */
void sampler_run(struct sampler *sampler);
	/* until nobody is left */
void sampler_close(struct sampler *sampler);

#endif
