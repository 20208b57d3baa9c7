/*
 * values.h - arguments and results of a call as text: "/etc/passwd", O_RDONLY.
 */
#ifndef HARK_PROFILE_VALUES_H
#define HARK_PROFILE_VALUES_H

#include <stddef.h>

#include "lib/base/text.h"

void values_text(struct text *text, const void *values, size_t bytes);
	/* values: the body of a VALUES record behind its time, which may hold anything. Separated by commas;
	 * an error's name stands behind what failed. Bytes of strings that are no text are escaped as in C;
	 * those above 127 are as they were. */

#endif
