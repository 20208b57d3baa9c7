/*
 * pick.h - which live session does the user mean?
 */
#ifndef HARK_TOOLS_PICK_H
#define HARK_TOOLS_PICK_H

#include "lib/session/place.h"

int pick_session(const char *word, struct place_session *session);
/* word: the pid of any of its processes; NULL: the only live session there is. 0, or -errno: the
	 * user has been told why. */

#endif
