/*
 * sample.h - samples that the program takes of itself: see sample.c. For hooks and the shim's start.
 */
#ifndef HARK_SHIM_SAMPLE_H
#define HARK_SHIM_SAMPLE_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

extern _Atomic uint32_t sample_stage; /* 1: threads have timers, and SIGPROF a handler of ours */

static inline bool sample_on(void)
{
	return __builtin_expect(atomic_load_explicit(&sample_stage, memory_order_relaxed) != 0, 0);
}

void sample_begin(void);
	/* At the start of a process, if the session wants it. */
void sample_child(void);
	/* The calling process may be a new one, by fork: it has no timers yet. Async-signal-safe. */
void sample_stop(const char *why);
	/* Deletes all timers of the process. The handler stays for signals that are on their way. why: said in
	 * the session; NULL: nothing. Not from a vfork child, whose memory is another process's. */
void sample_unloaded(void);
	/* A module has gone, and another may come in its place. */

void sample_rest(void);
	/* The calling thread is about to block SIGPROF: what expires then would wait for who unblocks it,
	 * or be taken for the program's own by sigwait(3) and its like. */
void sample_wake(void);
	/* It does not block it any more. */

struct sample_start;
struct sample_start *sample_prepare(void *(*routine)(void *), void *argument);
	/* For a new thread: an argument for sample_thread(). NULL: there is no room, it goes without. */
void sample_forget(struct sample_start *start);
	/* there is no new thread */
void *sample_thread(void *start);
	/* What it begins with: gives it a timer, and goes on in its routine. No frame of it stays behind. */

#endif
