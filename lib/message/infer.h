/*
 * infer.h - the level of a line, from what stands in it.
 */
#ifndef HARK_MESSAGE_INFER_H
#define HARK_MESSAGE_INFER_H

#include <stddef.h>

#include "lib/base/level.h"

enum { INFER_SCAN = 64 }; /* severity words begin within so many bytes */

enum level infer_level(const char *text, size_t length, enum level preset, size_t *skip);
	/* The level that the line claims: a leading <N> (syslog's PRI, the kernel's), or the first
	 * severity word that cannot be meant otherwise: in upper case (ERROR), bracketed ([warn], (WW)),
	 * before a colon (warning:), as the value of a key (level=error, "level":"warn"); or a form that
	 * a well-known program begins its lines with (E1120 12:34:56). Else preset.
	 * *skip: bytes at the beginning that are no part of the message (the PRI); mostly 0.
	 *
	 * FATAL is crit, as is panic; "fatal:" in other than capitals is error, since that is how git and
	 * others begin any complaint. */

#endif
