/*
 * perf.h - the kernel's samples of other processes: perf_event_open(2), its rings, and their records in
 * the order of time.
 *
 * Nothing is in the program: the kernel copies a thread's registers and the top of its stack when its
 * time is up. Only the sampler's process calls this.
 */
#ifndef HARK_SAMPLE_PERF_H
#define HARK_SAMPLE_PERF_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/image/unwind.h"

struct perf_plan {
	uint64_t period_ns;
	bool wall;                 /* also when a thread begins and ends to wait */
	bool on_exec;              /* begins when the process becomes another program */
	uint32_t stack_bytes;      /* of a stack, a multiple of 8 */
};

struct perf_ring {
	int fd;
	struct perf_event_mmap_page *page;
	size_t bytes;              /* one may be smaller than the one before it */
	uint64_t at, head;         /* read, written */
	uint8_t *wrapped;          /* a record that goes over the end, in one piece */
};

struct perf {
	struct perf_plan plan;
	struct perf_ring *rings;   /* one for each processor */
	size_t ring_count;
	int *more;                 /* descriptors of events without a ring of their own */
	size_t more_count;
	uint64_t *ids;             /* of events that count switches */
	size_t id_count;
	size_t ring_bytes;         /* of the next one that is made */
	bool kernel;               /* time in the kernel is sampled */
	bool switches;             /* stacks of threads that begin to wait are sampled */
};

/* A sample, as it lies in the ring. */
struct perf_sample {
	bool in_kernel;
	bool is_switch;            /* its thread stops running */
	pid_t pid, tid;
	uint64_t time;             /* CLOCK_MONOTONIC */
	bool native;               /* registers are those of this machine's own programs */
	const uint64_t *registers; /* in the kernel's order; NULL: there are none */
	const uint8_t *stack;      /* from the stack pointer on */
	size_t stack_bytes;
};

int perf_open(struct perf *perf, const struct perf_plan *plan, pid_t pid);
	/* Every thread of the process and all that will be its children. 0, or -errno of what the kernel
	 * refuses (-EACCES, -EPERM: perf_event_paranoid, seccomp; -ENOSYS), or -ENOMEM, -ESRCH. */
void perf_close(struct perf *perf);
bool perf_wait(struct perf *perf, int timeout_ms);
	/* Until there is much to read, or so long. false: nobody is left who could be sampled. */
void perf_look(struct perf *perf);
	/* takes notice of what there is */
const struct perf_event_header *perf_next(struct perf *perf, uint64_t until, uint64_t *time);
	/* The oldest record that is not younger than `until`, among those that perf_look() saw; NULL: there is
	 * none. It is good until the next call. */
bool perf_sample(const struct perf *perf, const struct perf_event_header *record,
		 struct perf_sample *sample);
	/* false: it is none */
void perf_stack(const struct perf_sample *sample, struct unwind_stack *stack);
	/* of one that is native */

#endif
