/*
 * flight.h - takes what flight recorders hold, while their threads go on writing.
 *
 * From outside of the program, which notices nothing of it: its file is mapped for reading. What is
 * torn by that is left out, so a copy reads like a trace whose threads stopped at that moment.
 */
#ifndef HARK_SNAPSHOT_FLIGHT_H
#define HARK_SNAPSHOT_FLIGHT_H

#include <stddef.h>
#include <stdint.h>

struct flight_copy {
	uint64_t bytes;            /* of segments, so far */
	uint64_t most;             /* that they may be together */
	uint64_t first_ticks;      /* of the earliest segment; UINT64_MAX: none yet */
	uint32_t threads;
	uint32_t left_out;         /* threads for which there was no room any more */
	uint64_t (*now)(void *arg); /* ticks of the trace's clock */
	void *arg;
};

int flight_copy(struct flight_copy *copy, int from, int to, uint32_t image);
	/* The newest segments of each thread of that image, from the directory `from` to the directory
	 * `to`. Whoever is still there gets a record that says so (TRACE_END_SNAPSHOT). No file is made
	 * where there are none. 0, -ENOENT (no such image), or what open(2), mmap(2) and write(2) say. */
size_t flight_words(const uint32_t *from, uint32_t *to, size_t count);
	/* The records of a segment, `count` words behind its header, whose owner may be writing. Returns
	 * up to where there are some; the rest of `to` is zeros. */

#endif
