/*
 * trace_options.h - what the readers of a trace share: which one, and which part of it.
 *
 * The options are the rows of TRACE_OPTIONS() in cmds.def.
 */
#ifndef HARK_TOOLS_TRACE_OPTIONS_H
#define HARK_TOOLS_TRACE_OPTIONS_H

#include "lib/profile/calls.h"
#include "tools/cli.h"

enum { TRACE_GLOBS = 64 };

struct trace_options {
	const char *data;
	struct calls_filter filter; /* points into what follows */
	const char *only[TRACE_GLOBS + 1], *never[TRACE_GLOBS + 1];
	char *globs[2 * TRACE_GLOBS]; /* what was given, cut up */
	size_t glob_count;
};

void trace_options_init(struct trace_options *options);
	/* The defaults: hark.data, or what HARK_DATA says, and all of it. Must not be moved afterwards. */
void trace_options_fini(struct trace_options *options);
int trace_options_take(struct trace_options *options, const struct cli *cli);
	/* At CLI_OPTION. 1: it was one of these; 0: it is the command's own; -EINVAL: its value is
	 * nothing, and the user has been told. */

#endif
