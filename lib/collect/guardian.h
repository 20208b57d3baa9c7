/*
 * guardian.h - the collector's guardian: a process that waits for the collector to die, and then
 * becomes the collector.
 *
 * The two are a pair: each notices the other's end by a pidfd. Who is left starts a new partner. So
 * only the loss of both at once ends the collecting (then programs write for themselves, and `hark
 * salvage` delivers what the ring holds).
 *
 * Or that the same kills each of them: bytes that no collector survives, a queue that cannot be opened
 * again. When many in a row have not come through a single round, the session is abandoned.
 */
#ifndef HARK_COLLECT_GUARDIAN_H
#define HARK_COLLECT_GUARDIAN_H

#include "lib/collect/collect.h"
#include "lib/session/control.h"

int guardian_start(const struct collect_plan *plan, struct control *control, int console_fd);
	/* Forks it, unless the caller was one and has left it behind. A pidfd of it (the caller's), or
	 * -errno. Its pid is in control->guardian_pid. */
void guardian_stop(struct control *control, int pidfd);
	/* Ends it and waits for it. pidfd: of guardian_start(), which closes it; below 0: there is none. */

#endif
