/*
 * json.h - the little JSON that the tools print.
 */
#ifndef HARK_TOOLS_JSON_H
#define HARK_TOOLS_JSON_H

#include <stdint.h>
#include <stdio.h>

void json_string(FILE *to, const char *text);
	/* with its quotation marks; invalid UTF-8 becomes \ufffd; NULL is null */
void json_pair(FILE *to, const char *before, const char *key, const char *value);
	/* before: "," or "{", or "" */
void json_number(FILE *to, const char *before, const char *key, uint64_t value);
void json_strings(FILE *to, const char *before, const char *key, const char *list, size_t bytes);
	/* strings, each ended by NUL, as an array */
void json_time(FILE *to, const char *before, const char *key, uint64_t time_ns);
	/* RFC 3339, UTC, nanoseconds */

#endif
