/*
 * difference.h - two traces beside each other: for `hark diff` and `hark report --diff`.
 */
#ifndef HARK_TOOLS_DIFFERENCE_H
#define HARK_TOOLS_DIFFERENCE_H

#include "lib/profile/table.h"

int difference_show(const char *before, const char *after, const struct calls_filter *filter,
		    enum table_key sort, bool json);
	/* Functions are the same where their names and those of their modules are. Those that changed most
	 * by `sort` come first. An exit status; the user has been told what went wrong. */

#endif
