/*
 * frames.c - see frames.h.
 */
#include "shim/frames.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "lib/base/sysio.h"

enum { SHARE = 256 }; /* of the addresses that a limited program may have */

/* Addresses cost nothing, unless they are limited. */
static size_t to_spare(size_t first, size_t most)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	sysio_call(SYS_prlimit64, 0, RLIMIT_AS, 0, (long)&limit, 0, 0);
	if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur / SHARE < most)
		most = limit.rlim_cur / SHARE;
	return most < first ? first : most;
}

void *frames_reserve(size_t first, size_t most, size_t *reserved)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

	*reserved = to_spare(first, most);
	void *frames = sysio_map(*reserved, PROT_NONE, flags, -1, 0);
	if (sysio_is_error(frames)) {
		*reserved = first;
		frames = sysio_map(first, PROT_NONE, flags, -1, 0);
	}
	if (sysio_is_error(frames))
		return NULL;
	if (frames_extend(frames, first, *reserved))
		return frames;
	sysio_unmap(frames, *reserved);
	return NULL;
}

bool frames_extend(void *frames, size_t bytes, size_t reserved)
{
	return bytes <= reserved && sysio_call(SYS_mprotect, (long)frames, (long)bytes,
					       PROT_READ | PROT_WRITE, 0, 0, 0) == 0;
}
