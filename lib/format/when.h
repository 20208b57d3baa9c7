/*
 * when.h - times as formats write them.
 *
 * A second is rendered once and kept in the format, since thousands of messages share it. Used by
 * the format_*.c and pattern.c only.
 */
#ifndef HARK_FORMAT_WHEN_H
#define HARK_FORMAT_WHEN_H

#include <stdint.h>
#include <time.h>

#include "lib/base/text.h"

struct format;

enum { WHEN_UTC_MOST = 32 };

int64_t when_split(int64_t time_ns, uint32_t *ns);
	/* the second, and what is beyond it: *ns is below 1e9 for times before 1970 too */
void when_utc(struct format *f, struct text *out, int64_t time_ns, unsigned digits);
	/* RFC 3339 in UTC: 2024-02-29T12:00:00.123456789Z. digits: 6 or 9 of a second's fraction. */
void when_local(int64_t second, struct tm *tm);
	/* by TZ */

extern const char when_weekdays[7][10];
extern const char when_months[12][10];
	/* English, whatever the locale */

#endif
