/*
 * lost.h - why something was lost, in words: the key in `hark stats --json`, and the end of a sentence
 * that begins with how much it was.
 */
#ifndef HARK_SESSION_LOST_H
#define HARK_SESSION_LOST_H

#include "lib/session/control.h"

const char *lost_key(enum lost_reason reason);
	/* "full", "overwritten", …; "unknown" for what is no reason */
const char *lost_sentence(enum lost_reason reason);
	/* "the ring was full", to stand behind "12 messages lost: "; never NULL */

#endif
