/*
 * by_timer.h - how often timers on processor time can look: at each tick of the kernel's, and no oftener.
 */
#ifndef HARK_SAMPLE_BY_TIMER_H
#define HARK_SAMPLE_BY_TIMER_H

#include <stdbool.h>
#include <stdint.h>

uint64_t by_timer_tick_ns(void);
	/* from one tick to the next */
bool by_timer_undisturbed(void);
	/* Whether this kernel lets a system call end before the signal of such a timer comes, instead of
	 * interrupting it. Takes the time of a few ticks; no timer or handler is left. */

#endif
