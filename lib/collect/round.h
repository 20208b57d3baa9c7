/*
 * round.h - the steps of a collector's round.
 *
 * Read records and turn them into frames in the sinks' queues; write down how far that is; give the
 * memory back to the ring; let the sinks write what is written down; tell who waits. Nothing here
 * sleeps: that is collect.c's.
 */
#ifndef HARK_COLLECT_ROUND_H
#define HARK_COLLECT_ROUND_H

#include <poll.h>

#include "lib/collect/collector.h"

enum { ROUND_RECORDS = 2048 };

struct round_wait {
	struct pollfd fds[CONTROL_SINKS];
	unsigned fd_count;
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; UINT64_MAX: none */
};

unsigned round_drain(struct collector *c, enum reader_found *found);
	/* Reads until there is nothing, a sink is full, or ROUND_RECORDS are read. How many were. */
void round_again_if(struct collector *c, int refused);
	/* Something found no room: it is tried again in a while. */
uint64_t round_lines_due(const struct collector *c);
	/* When a pending line has waited long enough, if nothing else comes: CLOCK_MONOTONIC, perhaps in the
	 * past; UINT64_MAX: there is none. */
void round_last_words(struct collector *c);
	/* what those have left behind who have ended, and of whom all was read */
void round_write_down(struct collector *c);
	/* The checkpoint. What lies before it may be overwritten in the ring, and goes to the sinks. */
void round_pump(struct collector *c, struct round_wait *wait);
	/* wait: what the sinks wait for */

#endif
