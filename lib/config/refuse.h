/*
 * refuse.h - how a bad setting is answered: on one line, with what was given, what is accepted and
 * the nearest word to a misspelt one.
 *
 * Used by the parsers of settings, sink specifications and configuration files. What they append
 * fits or is cut; it never holds a control character, whatever the user gave.
 */
#ifndef HARK_CONFIG_REFUSE_H
#define HARK_CONFIG_REFUSE_H

#include <stddef.h>

#include "lib/base/text.h"

enum {
	REFUSE_SHOWN = 160, /* bytes of a value that a message repeats */
};

void refuse_show(struct text *t, const char *value);
	/* Appends the value: control characters as \n, \t or \x1b, its end replaced by "..." where it
	 * is longer than REFUSE_SHOWN. */
void refuse_nearest(struct text *t, const char *word, const char *const *among, size_t count);
	/* Appends ` did you mean "X"?` if one is near, between `;` and ` accepted: …`. */
void refuse_value(struct text *t, const char *value, const char *wrong, const char *accepted);
	/* Appends `WRONG; did you mean "X"? accepted: ACCEPTED`. X is one of the words that ACCEPTED
	 * lists, separated by ", "; only those made of small letters, digits and - count as words. */

#endif
