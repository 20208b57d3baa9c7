/*
 * progress.c - see progress.h. One line, drawn again and again; standard output may be the same terminal,
 * so it is for commands that print when they have read, or into a file.
 */
#include "tools/progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/clock.h"

enum { WIDTH = 30 };

static const uint64_t patience_ns = 2000000000, pause_ns = 100000000;
static const char *name;
static uint64_t began_ns, drawn_ns;
static bool terminal, drawn;

void progress_begin(const char *what)
{
	name = what;
	began_ns = clock_monotonic_ns();
	terminal = isatty(STDERR_FILENO);
}

void progress_show(void *arg, uint64_t done, uint64_t all)
{
	uint64_t now = terminal && name ? clock_monotonic_ns() : 0;

	(void)arg;
	if (!now || now - began_ns < patience_ns || now - drawn_ns < pause_ns || !all)
		return;
	if (done > all)
		done = all;
	int full = (int)((double)done / (double)all * WIDTH);
	fprintf(stderr, "\r%s  [%.*s%*s] %3d %%\033[K", name, full, "##############################",
		WIDTH - full, "", (int)(100.0 * (double)done / (double)all));
	drawn_ns = now;
	drawn = true;
}

void progress_end(void)
{
	if (drawn)
		fputs("\r\033[K", stderr);
	drawn = false;
	name = NULL;
}
