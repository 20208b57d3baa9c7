/*
 * namespace.h - of namespaces, what must be known before a process is made.
 */
#ifndef HARK_BASE_NAMESPACE_H
#define HARK_BASE_NAMESPACE_H

#include <stdbool.h>

bool namespace_awaits_first(void);
	/* Whether the caller's next child begins a pid namespace (unshare(CLONE_NEWPID)): after the end of
	 * that child it can have no other. False where /proc does not tell. Async-signal-safe, and errno
	 * is kept. */

#endif
