/*
 * progress.c - see progress.h. Called by the readers of traces.
 */
#include "tools/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/format/escape.h"

enum { PATIENCE_NS = 2000000000, BETWEEN_NS = 100000000, WIDTH = 30, NAME_MOST = 40 };

void progress_begin(struct progress *progress, const char *what)
{
	*progress = (struct progress){ .what = what, .begun_ns = clock_monotonic_ns() };
}

static void draw(const struct progress *progress, uint64_t done, uint64_t all)
{
	char line[NAME_MOST + WIDTH + 32], name[NAME_MOST];
	double share = all ? (double)done / (double)all : 0.0;

	share = share > 1.0 ? 1.0 : share;
	int full = (int)(share * WIDTH);
	snprintf(name, sizeof name, "%s", progress->what);
	escape_tame(name);
	int n = snprintf(line, sizeof line, "\r%s [%.*s%*s] %3d %%", name, full,
			 "##############################", WIDTH - full, "",
			 (int)(share * 100.0));
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nobody looks */
}

void progress_tell(struct progress *progress, uint64_t done, uint64_t all)
{
	uint64_t now = clock_monotonic_ns();

	if (now - progress->begun_ns < PATIENCE_NS || now - progress->told_ns < BETWEEN_NS ||
	    !isatty(STDERR_FILENO))
		return;
	progress->told_ns = now;
	progress->shown = true;
	draw(progress, done, all);
}

void progress_end(struct progress *progress)
{
	static const char clear[] = "\r\033[K";

	if (progress->shown && write(STDERR_FILENO, clear, strlen(clear)) < 0)
		return;
	progress->shown = false;
}
