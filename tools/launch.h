/*
 * launch.h - starting a session: the directory, the collector, the environment that carries it on.
 */
#ifndef HARK_TOOLS_LAUNCH_H
#define HARK_TOOLS_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/collect/collect.h"
#include "lib/session/create.h"

enum { LAUNCH_PATH = 512, LAUNCH_COMMAND = 256 };

struct launch {
	char program[LAUNCH_PATH];   /* the hark command */
	char preload[LAUNCH_PATH];   /* the shim */
	char dir[PLACE_PATH];        /* the session's, when it was started */
	bool inside;                 /* its programs have to sample themselves */
};

int launch_console(void);
	/* A copy of descriptor 2, close-on-exec and out of the way; -1: it is closed. */
int launch_find(struct launch *launch, char *why, size_t why_bytes);
	/* Fills in program and preload. 0, or -errno with a sentence. */
int launch_session(struct launch *launch, struct session_plan *plan, int deep_fd, char *why,
		   size_t why_bytes);
/* Makes the session that the plan describes (program and preload are filled in here) and starts
	 * its collector, which is set up when this returns. 0, or -errno with a sentence and nothing left
	 * behind. */
int launch_refuse(const char *why, bool strict);
	/* Says that no session can be begun, why, and what follows from it: with `strict`, the program
	 * ends here, CLI_FAILED; else its output passes through, 1. */
const char *launch_advice(int error);
	/* What to do about an -errno of setting a session up, as the end of a sentence: "; raise …". "" where
	 * the error says it all. */
int launch_here(const struct collect_plan *plan);
	/* The collector's life, in this process; its exit status, after words on stderr where it failed. */
void launch_cancel(const struct launch *launch);
	/* The program could not be started after all: ends the session. */
char *launch_preload(const char *ours, const char *others);
/* The value of LD_PRELOAD: ours first and once, then the others in their order. others may be
	 * NULL. malloc'ed; NULL: no memory. */
void launch_command(char text[LAUNCH_COMMAND], char *const *argv);
	/* A command line for people, cut with "..." where it is too long. */
int launch_warn_unknown(void);
/* Says which HARK_* variables nobody knows, unless an outer session has done so. Returns their number. */

#endif
