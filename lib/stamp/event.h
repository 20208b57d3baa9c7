/*
 * event.h - lines of a trace's `events`: what happens seldom, in words.
 *
 * Used by the shim, so: no malloc, no descriptor kept, async-signal-safe.
 */
#ifndef HARK_STAMP_EVENT_H
#define HARK_STAMP_EVENT_H

#include <stdint.h>

#include "lib/base/text.h"

/* The line is in a page of its own, for what happens on small stacks, or, where there is none, here. */
struct event {
	struct text text;
	char *line;
	char spare[256];
};

void event_begin(struct event *event, const char *word);
	/* Each is followed by its event_append(), which releases the page. */
void event_number(struct event *event, const char *key, uint64_t value);
void event_hex(struct event *event, const char *key, uint64_t value);
void event_bytes(struct event *event, const char *key, const void *bytes, size_t count);
	/* in hexadecimal */
void event_text(struct event *event, const char *key, const char *value);
	/* escaped as TRACE.md says */
int event_append(struct event *event, const char *path);
	/* The line, whole, by one write: 0; -EMSGSIZE: it was too long and is not written; or what open(2)
	 * and write(2) say. */

#endif
