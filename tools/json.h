/*
 * json.h - the little JSON that the tools print. Names that begin with json_ are those of a library.
 */
#ifndef HARK_TOOLS_JSON_H
#define HARK_TOOLS_JSON_H

#include <stdint.h>
#include <stdio.h>

void emit_string(FILE *to, const char *text);
	/* with its quotation marks; invalid UTF-8 becomes \ufffd; NULL is null */
void emit_pair(FILE *to, const char *before, const char *key, const char *value);
	/* before: "," or "{", or "" */
void emit_number(FILE *to, const char *before, const char *key, uint64_t value);
void emit_strings(FILE *to, const char *before, const char *key, const char *list, size_t bytes);
	/* strings, each ended by NUL, as an array */
void emit_time(FILE *to, const char *before, const char *key, uint64_t time_ns);
	/* RFC 3339, UTC, nanoseconds */

#endif
