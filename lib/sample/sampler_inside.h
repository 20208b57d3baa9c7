/*
 * sampler_inside.h - what the sampler and its back ends share: who looks at the stacks is one thing, what is
 * written of them another. For sampler.c and by_*.c alone.
 */
#ifndef HARK_SAMPLE_SAMPLER_INSIDE_H
#define HARK_SAMPLE_SAMPLER_INSIDE_H

#include "lib/sample/out.h"
#include "lib/sample/sampler.h"
#include "lib/sample/space.h"
#include "lib/sample/stacks.h"

enum {
	SAMPLER_SECOND = 1000000000,
	SAMPLER_BUSY_MS = 50, SAMPLER_IDLE_MS = 1000,
	SAMPLER_RECORD_WORDS = 8,  /* of the longest record but FILE */
};

struct sampler;

struct sampler_source {
	enum trace_sample_source source;
	int (*open)(struct sampler *s, struct trace_samples *head, char *why, size_t why_bytes);
		/* head: the period that is asked for; what it will be, and what is reached. 0, or -errno and
		 * a sentence: nothing is left open then. */
	bool (*wait)(struct sampler *s, bool busy);
		/* until there is something to take, or a while. false: nobody is left */
	uint64_t (*take)(struct sampler *s, bool last);
		/* deals with what there is: how many records */
	void (*close)(struct sampler *s);
};

extern const struct sampler_source sampler_by_kernel, sampler_by_timer;

struct sampler {
	const struct sampler_source *source; /* NULL: none is open */
	struct perf *perf;         /* of by_kernel.c */
	struct waits *waits;       /* of by_kernel.c; NULL: the kernel shows where threads wait */
	size_t asked_slot;         /* of the space's threads, where it asks next */
	uint64_t asked_ns;         /* when it asked last */
	uint32_t unlooked;         /* threads of blocked.c's */
	bool some_blocked;         /* then, threads could not be looked at: of blocked.c, with the two before */
	struct timed *timed;       /* of by_timer.c */
	struct space *space;
	struct stacks *stacks;
	struct out out;
	struct sampler_plan plan;
	uint64_t period_ns;
	bool counter;
	uint64_t first_ticks, first_ns, ticks, ns; /* pairs of clocks */
	double ticks_per_ns;
	uint64_t clock_ns;         /* when the file was told of both clocks */
	size_t files_told;         /* of the space's files, in their order */
	uint64_t missed;           /* samples for which the file had no room */
	bool told_full;
};

uint64_t sampler_ticks(const struct sampler *s, uint64_t ns);
	/* of CLOCK_MONOTONIC */
bool sampler_ready(struct sampler *s);
	/* For a whole stack of new nodes, and what stands around it; false: it is counted as missed. */
bool sampler_ready_anew(struct sampler *s);
	/* The same from within sampler_node(), where more has become known to be mapped. */
uint32_t sampler_node(struct sampler *s, struct space_thread *t, struct space_process *p,
		      const struct unwind_stack *stack);
	/* as stacks_of() */
void sampler_tell(struct sampler *s, struct space_thread *t, uint32_t node, uint64_t ticks);
	/* a sample; node 0: none */
void sampler_tell_thread(struct sampler *s, struct space_thread *t);
void sampler_tell_gap(struct sampler *s, enum trace_sample_gap reason, uint64_t count);
void sampler_keep_made(struct sampler *s, pid_t pid);
	/* What the process says of code that it made, if it did and does: it has ended. 0: all of them. */
bool sampler_tell_files(struct sampler *s);

#endif
