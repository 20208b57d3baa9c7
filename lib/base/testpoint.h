/*
 * testpoint.h - race windows have names.
 *
 * TESTPOINT(ring_claimed) is nothing in what is installed. In the test build it calls the handler
 * that the test has set, which may stop or kill the thread just there. The shim of the test build
 * sets one from HARK_TESTPOINT=name:action (see testpoint.c).
 */
#ifndef HARK_BASE_TESTPOINT_H
#define HARK_BASE_TESTPOINT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef HARK_TESTPOINTS
extern void (*testpoint_handler)(const char *name);
void testpoint_from_environment(void);
	/* HARK_TESTPOINT=NAME:stop|kill|exit[:N]: at the Nth passing (1) of NAME the process stops itself
	 * with SIGSTOP, kills itself with SIGKILL, or ends by _exit(99). NAME:on is for TESTPOINT_ON(). */
bool testpoint_is_on(const char *name);
#define TESTPOINT_ON(name) testpoint_is_on(#name) /* whether to take a way that is rare here */
#define TESTPOINT(name)                                                                           \
	do {                                                                                      \
		if (testpoint_handler)                                                            \
			testpoint_handler(#name);                                                 \
	} while (0)
int64_t testpoint_clock_offset_ns(void);
	/* The file that HARK_TESTCLOCK names holds a number of nanoseconds, by which somebody has set the
	 * clock in the meantime. 0 without it. */
bool testpoint_no_counter(void);
	/* HARK_TESTCOUNTER=0: this machine's time-stamp counter is of no use. */
bool testpoint_counter(void);
	/* HARK_TESTCOUNTER=1: it is, whatever the kernel keeps time by. */
#else
#define TESTPOINT(name) ((void)0)
static inline int64_t testpoint_clock_offset_ns(void) { return 0; }
static inline bool testpoint_no_counter(void) { return false; }
static inline bool testpoint_counter(void) { return false; }
#define TESTPOINT_ON(name) false
#endif

#endif
