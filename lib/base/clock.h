/*
 * clock.h - one clock for messages, stamps and samples.
 *
 * Ticks are the time-stamp counter where the kernel's own clock is made of it, else nanoseconds of
 * CLOCK_MONOTONIC. Which of the two, a session decides once (struct clock_base, in the control block).
 */
#ifndef HARK_BASE_CLOCK_H
#define HARK_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct clock_base {
	uint64_t ticks;        /* at the same moment … */
	uint64_t monotonic_ns; /* … as this */
	int64_t realtime_ns;   /* … and this */
	uint32_t counter;      /* 1: ticks are the time-stamp counter; 0: nanoseconds */
};

typedef int (*clock_function)(clockid_t which, struct timespec *now);

void clock_use(clock_function function);
	/* Instead of clock_gettime(), which another library may have taken over to show the program a
	 * time of its own. NULL: nothing changes. Before there are threads. */
uint64_t clock_monotonic_ns(void);
void clock_freeze(uint64_t ticks);
	/* The process, or a thread of it, is about to lose the right to read any clock (seccomp's strict mode,
	 * PR_SET_TSC): from now on ticks are these, and monotonic time is what it was, a little later each
	 * time that it is asked for, so that whoever waits by it comes to an end. 0: thaws. Whoever has
	 * passed `counter` to clock_ticks() passes false from now on. */
bool clock_frozen(void);
	/* whether it is so now */
uint64_t clock_slow_ticks(void);
int64_t clock_realtime_ns(void);
bool clock_counter_usable(void);
	/* whether the kernel keeps time by the time-stamp counter, itself or through the host of a virtual
	 * machine. Reads a file of /sys, and looks how long the clock takes: not for the shim. */
void clock_base_now(struct clock_base *base, bool counter);

static inline uint64_t clock_ticks(bool counter)
{
#if defined(__x86_64__)
	if (counter)
		return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	if (counter) {
		uint64_t value;
		__asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
		return value;
	}
#endif
	return clock_slow_ticks();
}

/* Turns ticks into time. One process's: the collector's or a reader's. */
struct clock_map {
	struct clock_base first, now;
	double rate;           /* nanoseconds a tick; 0: not known */
	int64_t offset_ns;     /* realtime - monotonic; only grows, so that time never runs backwards */
};

void clock_map_init(struct clock_map *map, const struct clock_base *first);
void clock_map_refresh(struct clock_map *map);
	/* takes a new pair of both clocks; the longer ago the first one, the better the rate */
void clock_map_take(struct clock_map *map, const struct clock_base *now);
	/* takes this one. Where the counter has jumped against the other clock, it begins anew. */
int64_t clock_map_ns(const struct clock_map *map, uint64_t ticks);
	/* UTC in nanoseconds since 1970 */

#endif
