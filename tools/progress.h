/*
 * progress.h - a bar on the terminal, when something takes longer than two seconds.
 */
#ifndef HARK_TOOLS_PROGRESS_H
#define HARK_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what;          /* "reading hark.data" */
	uint64_t begun_ns, told_ns;
	bool shown;
};

void progress_begin(struct progress *progress, const char *what);
void progress_tell(struct progress *progress, uint64_t done, uint64_t all);
	/* as often as one likes; draws ten times a second at most, on standard error if that is a terminal */
void progress_end(struct progress *progress);
	/* leaves nothing behind */

#endif
