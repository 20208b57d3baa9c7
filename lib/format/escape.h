/*
 * escape.h - the notations in which formats write arbitrary bytes.
 *
 * Used by the format_*.c only. Each appends to out; where out has not room for the worst case,
 * nothing is appended and out->cut is set, which lets the loops inside run without checks.
 */
#ifndef HARK_FORMAT_ESCAPE_H
#define HARK_FORMAT_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/text.h"

enum {
	ESCAPE_JSON_MOST = 6,    /* bytes written for one byte, at most */
	ESCAPE_SYSLOG_MOST = 4,
	ESCAPE_LINE_MOST = 2
};

#define ESCAPE_INVALID UINT32_MAX

void escape_json(struct text *out, const char *s, size_t count);
	/* the inside of a JSON string; invalid UTF-8 becomes \ufffd */
void escape_syslog(struct text *out, const char *s, size_t count, bool parameter);
	/* Valid UTF-8 in which control characters are #ooo. parameter: for a value of structured data,
	 * where " \ ] get a backslash. */
void escape_line(struct text *out, const char *s, size_t count);
	/* newlines become \n, all else is left as it is */

size_t escape_utf8(const char *s, size_t count, uint32_t *point);
	/* Decodes what s begins with; count is at least 1. Returns the bytes that it takes. Where they
	 * are no UTF-8, *point is ESCAPE_INVALID and they are one maximal invalid subpart, to be
	 * replaced by one U+FFFD. */
size_t escape_copy(char *to, const char *s, size_t count);
	/* Copies the bytes that s begins with up to the first that is no printable ASCII, or is " or \,
	 * and returns their number. `count` bytes at `to` may be written over. */
void escape_replacement(struct text *out);
	/* U+FFFD */
bool escape_deceives(uint32_t point);
	/* Above ASCII: C1 controls, which act like escape sequences; separators that end a line for
	 * some; overrides and isolates, which let a line read as what it is not. */
void escape_tame(char *text);
	/* In place: whatever is a control character, deceives, or is no UTF-8, becomes question marks. */

#endif
