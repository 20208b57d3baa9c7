/*
 * create.h - making a session: its directory, control block and ring.
 */
#ifndef HARK_SESSION_CREATE_H
#define HARK_SESSION_CREATE_H

#include "lib/config/config.h"
#include "lib/session/place.h"

struct session_plan {
	struct config *config;
	pid_t first_pid;        /* the process that will be listened to first */
	const char *command;    /* for `hark ps` */
	const char *program;    /* the hark command's path */
	const char *preload;    /* the shim's path */
	const char *trace;      /* where stamps go; NULL or "": nowhere */
	int console_fd;         /* what descriptor 2 was before anything was put in its place; -1: closed */
};

int session_create(const struct session_plan *plan, char dir[PLACE_PATH], char *why,
		   size_t why_bytes);
	/* 0 with the new session's directory, or -errno with a sentence that says what failed. Nothing
	 * is left behind on failure. Descriptors 1, 2 and fd:N must be what is to be captured. */

#endif
