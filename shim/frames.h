/*
 * frames.h - arrays of open calls, which grow where they are: a signal handler that has one grow comes amid
 * calls that are about to write into it, and would find it elsewhere.
 */
#ifndef HARK_SHIM_FRAMES_H
#define HARK_SHIM_FRAMES_H

#include <stdbool.h>
#include <stddef.h>

void *frames_reserve(size_t first, size_t most, size_t *reserved);
	/* Bytes: zeros to begin with, and addresses alone for what may be needed, as many as there are to spare
	 * and first at least. NULL: none. To be unmapped as a whole. Async-signal-safe, not in a sandbox. */
bool frames_extend(void *frames, size_t bytes, size_t reserved);
	/* So many are memory now. Async-signal-safe, not in a sandbox. */

#endif
