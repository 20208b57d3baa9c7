/*
 * setup.h - opening and closing all that a collector needs.
 */
#ifndef HARK_COLLECT_SETUP_H
#define HARK_COLLECT_SETUP_H

#include "lib/collect/collector.h"

int setup_open(struct collector *c, const struct collect_plan *plan);
	/* Maps the session, opens sinks and queues, and goes on from the last checkpoint where there is
	 * one. 0; or -errno, and c->step says what could not be opened. */
void setup_tell_clock(const struct collector *c);
	/* To the trace, if there is one: the present by both clocks. The later, the better is their rate
	 * known. */
void setup_close(struct collector *c);
void setup_end(struct collector *c);
	/* Likewise, for a process that ends now: only what somebody else waits for. Mappings that exit takes
	 * away all at once cost more one by one. */
int setup_console_fd(const struct collector *c);
	/* the original descriptor, -1 where it is not held (any more) */
void setup_release_console(struct collector *c, unsigned sink);

#endif
