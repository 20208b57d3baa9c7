/*
 * edges_open.h - where threads died that were profiled: their call edges say which calls have not ended.
 */
#ifndef HARK_PROFILE_EDGES_OPEN_H
#define HARK_PROFILE_EDGES_OPEN_H

#include "lib/profile/calls.h"

int edges_deaths(struct calls *calls,
		 void (*died)(void *arg, const struct trace_thread *thread,
			      const struct call *innermost),
		 void *arg);
	/* Each thread of a profile that was killed inside of calls. Of a call, function, caller and depth are
	 * there. Where what is open is no single chain (coroutines), or longer than 4,096 calls, nothing is
	 * told. 0 or -ENOMEM. */

#endif
