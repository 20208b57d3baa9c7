/*
 * data.h - the directory of a trace: made before the program starts, the one before kept.
 */
#ifndef HARK_TOOLS_DATA_H
#define HARK_TOOLS_DATA_H

#include <stddef.h>

#include "lib/config/config.h"
#include "lib/session/control.h"

enum { DATA_PATH = sizeof(((struct control *)0)->trace) };

int data_make(struct config *config, char path[DATA_PATH], char *why, size_t why_bytes);
	/* Makes config->data, a trace that is there already becomes its .old; and adds the sink that brings
	 * the session's messages into it. path: absolute, "" where nothing is to be stamped. 0, or -errno
	 * with a sentence; then nothing was changed. What is there and is no trace, or one that a live
	 * session still writes to, is left alone: -EEXIST, -EBUSY. */
int data_identify(const char *path, const char *session_dir, const char *command, pid_t pid,
		  char *why, size_t why_bytes);
	/* Writes the trace's identity, with the session's clock. */

#endif
