/*
 * segment.h - room for a thread's records: a stretch of its image's file, mapped.
 *
 * Used by the shim in every process, so: system calls only, no malloc, no descriptor kept.
 */
#ifndef HARK_STAMP_SEGMENT_H
#define HARK_STAMP_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/stamp/trace.h"

/* A file of segments, which all threads of an image extend. */
struct segment_file {
	char path[512];
	_Atomic uint64_t bytes;    /* its length: where the next segment begins */
};

struct trace_segment *segment_map(struct segment_file *file, uint32_t bytes);
	/* A new segment, all zeros, its blocks allocated: writing to it cannot fail later. bytes: a multiple
	 * of TRACE_PAGE. An -errno as a pointer (sysio_is_error()) where there is no room (-ENOSPC,
	 * -EDQUOT), it would be larger than files may be (-EFBIG, without the signal), or what open(2)
	 * and mmap(2) say. Async-signal-safe. */
int segment_copy(struct segment_file *file, const struct trace_segment *segment, uint32_t bytes);
	/* The segment of so many bytes once more, behind all others: as it is, header and all. 0, or an
	 * -errno as above; there may be a part of the copy then. Async-signal-safe. */
bool segment_whole(const struct trace_segment *segment, const void *end, bool begun);
	/* Whether records follow each other from the header to `end` or beyond. Room that was taken and not
	 * filled yet is none, nor is a VOID_BEGUN, which is looked for only if `begun` says so. */
void segment_ready(void *from, size_t bytes);
	/* Makes the pages present in one system call, since a fault for each costs more. Where the kernel
	 * cannot, nothing happens. */

#endif
