/*
 * remains.h - which sessions are alive, and which died and left something behind.
 */
#ifndef HARK_TOOLS_REMAINS_H
#define HARK_TOOLS_REMAINS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/session/place.h"

bool remains_in(const struct place_session *session);
	/* Nobody collects there any more, and not all was delivered. */
int64_t remains_said_ns(const struct place_session *session);
	/* The time of the last message that was collected there; where there is none, of the session's
	 * start. UTC. */
void remains_announce(void);
	/* Says on standard error, once for each such session, that `hark salvage` can deliver it. Looks for a
	 * millisecond at most. */
void remains_time(char text[32], int64_t time_ns);
	/* "2024-02-29 13:00:00", by TZ */

#endif
