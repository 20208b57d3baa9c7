/*
 * pattern_time.h - the letters of a pattern that change with the second only.
 */
#ifndef HARK_FORMAT_PATTERN_TIME_H
#define HARK_FORMAT_PATTERN_TIME_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "lib/base/text.h"

bool pattern_time_is(char letter);
void pattern_time(struct text *out, char letter, const struct tm *tm, int64_t second);
	/* at most 40 bytes */

#endif
