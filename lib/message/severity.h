/*
 * severity.h - the words that programs use for levels.
 *
 * infer.c's own.
 */
#ifndef HARK_MESSAGE_SEVERITY_H
#define HARK_MESSAGE_SEVERITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEVERITY_MOST = 13 }; /* letters of the longest word */

/* How a word must stand to count. */
enum severity_form {
	SEVERITY_CAPITALS = 1,       /* ERROR */
	SEVERITY_CAPITALS_COLON = 2, /* LOG: */
	SEVERITY_BRACKETS = 4,       /* [error] (Error) <error> [core:error] */
	SEVERITY_COLON = 8,          /* error: Error: */
	SEVERITY_VALUE = 16          /* level=error */
};

struct severity {
	char text[SEVERITY_MOST + 1];
	uint8_t length;
	uint8_t level; /* enum level */
	uint8_t forms; /* in which it counts */
};

const struct severity *severity_find(const char *word, size_t length, unsigned forms);
	/* letters of either case; NULL: not known, or not in any of these forms */
bool severity_key(const char *key, size_t length);
	/* whether the values of such a key are levels: "level", "lvl", "severity" … */

#endif
