/*
 * deep.h - deep mode: a pipe, or a pseudo-terminal, in place of a descriptor.
 *
 * It hears what no hook can: static programs, system calls made directly, setuid children. Its
 * limits: the pseudo-terminal keeps the window size that the terminal had at the start, what is set
 * on descriptor 2 by tcsetattr(3) does not reach the terminal, and job control stays with standard
 * input and /dev/tty, which are left alone.
 */
#ifndef HARK_TOOLS_DEEP_H
#define HARK_TOOLS_DEEP_H

#include <stdbool.h>

struct deep {
	int fd;             /* the end to read from, close-on-exec; -1: nothing was replaced */
	int saved_stdout, saved_stderr; /* what was replaced; -1: it was not */
	bool terminal;      /* a pseudo-terminal, not a pipe */
};

int deep_open(struct deep *deep, bool replace_stderr, bool replace_stdout);
/* Replaces those of the two that are open. A pseudo-terminal where the first of them is a terminal
	 * and one can be had, else a pipe. 0, or -errno with everything as it was. */
void deep_undo(struct deep *deep);
	/* Puts everything back. */
void deep_close(struct deep *deep);
	/* What was handed on: closes our own copies and leaves the replacement in place. */

#endif
