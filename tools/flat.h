/*
 * flat.h - a trace's table of functions, made by reading all of it: for `hark report` and `hark diff`.
 */
#ifndef HARK_TOOLS_FLAT_H
#define HARK_TOOLS_FLAT_H

#include "lib/profile/table.h"
#include "tools/reading.h"

struct flat {
	struct reading reading;
	struct table *table;
	struct table_row *rows;
	size_t count;
};

int flat_read(struct flat *flat, const char *data, const struct calls_filter *filter,
	      enum table_key sort);
	/* 0, or CLI_FAILED: the user has been told. reading_tell() is left to the caller. */
void flat_close(struct flat *flat);

#endif
