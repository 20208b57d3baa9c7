/*
 * messages.h - what the session said, read back from a trace's file `messages`.
 *
 * For calls_merge.c. Lines of JSON, in the order in which they were said; whatever else stands there
 * is counted and skipped.
 */
#ifndef HARK_PROFILE_MESSAGES_H
#define HARK_PROFILE_MESSAGES_H

#include "lib/profile/trace_dir.h"

struct message {
	int64_t time_ns;           /* UTC; not before that of the message before */
	const char *text;
	size_t text_bytes;
	const char *level, *source; /* "" where it says nothing */
	int32_t pid, tid;
};

struct messages;

int messages_open(struct messages **messages, struct trace_dir *dir);
	/* 0, also where there are none; -ENOMEM */
void messages_close(struct messages *messages);
bool messages_next(struct messages *messages, struct message *message);
	/* False: there are no more. What it points to holds until the next call. */

#endif
