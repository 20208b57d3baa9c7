/*
 * progress.h - how far something is that takes long, for who waits at a terminal.
 */
#ifndef HARK_TOOLS_PROGRESS_H
#define HARK_TOOLS_PROGRESS_H

#include <stdint.h>

void progress_begin(const char *what);
	/* what: such as "reading hark.data"; borrowed until progress_end() */
void progress_show(void *arg, uint64_t done, uint64_t all);
	/* On standard error, where that is a terminal and two seconds have passed; may be called as often
	 * as one likes. arg: nothing (it is called as struct calls_visitor calls it). */
void progress_end(void);
	/* takes it away */

#endif
