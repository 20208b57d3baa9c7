/*
 * show_as.h - how the readers of a trace print: --format text or json, --sort KEY.
 */
#ifndef HARK_TOOLS_SHOW_AS_H
#define HARK_TOOLS_SHOW_AS_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/cli.h"

int show_as_choice(const struct cli *cli, const char *const *choices, unsigned *chosen);
	/* The value of the present option, one of these (the last is NULL). 0, or -EINVAL: the user has
	 * been told which there are. */
int show_as_format(const struct cli *cli, bool *json);
	/* The same of text and json. */
int show_as_unknown(const struct cli *cli);
	/* A word that the command does not take: says so. CLI_FAILED */
char *show_as_safe(const char *name);
	/* A copy of what a trace calls something, harmless on a terminal; the caller's. Never NULL. */

#endif
