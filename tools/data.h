/*
 * data.h - the directory of a trace: made before the program starts, the one before kept.
 */
#ifndef HARK_TOOLS_DATA_H
#define HARK_TOOLS_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/config/config.h"
#include "lib/session/control.h"

enum { DATA_PATH = sizeof(((struct control *)0)->trace) };

int data_path(const struct config *config, char path[DATA_PATH], char *why, size_t why_bytes);
	/* config->data, absolute: 0, or -errno with a sentence. */
int data_make(const char *path, char *why, size_t why_bytes);
	/* Makes the directory; a trace that is there already becomes its .old. 0, or -errno with a sentence.
	 * What is there and is no trace, or one that a live session still writes to, is left alone:
	 * -EEXIST, -EBUSY. */
int data_listen(struct config *config, const char *path);
	/* Adds the sink that brings the session's messages into the trace. 0 or -E2BIG. */
void data_session(const char *path, char *dir, size_t bytes);
	/* The directory of the session that writes to the trace there; "": nobody knows. */
bool data_live(const char *path, pid_t *pid, char *command, size_t bytes);
	/* Whether a session goes on that writes to the trace there, and which: its first process. Waits
	 * where it is at its end, 3 s at most. */
int data_identify(const char *path, const char *session_dir, const char *command, pid_t pid,
		  char *why, size_t why_bytes);
	/* Writes the trace's identity, with the session's clock. -EEXIST: it has one. */

#endif
