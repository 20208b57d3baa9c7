/*
 * format.c - the registry of formats, built from formats.def.
 *
 * Called by the sinks when they are made. To add a format: a row, and a file format_<name>.c.
 */
#include "lib/format/format.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

const struct format_row format_rows[] = {
#define FORMAT(name, doc) { #name, doc, &format_##name },
#include "lib/format/formats.def"
#undef FORMAT
};

const size_t format_count = sizeof(format_rows) / sizeof(format_rows[0]);

/* The same for every format of this process, so it may outlive any of them. */
static const char *this_host(void)
{
	static char name[256];

	if (gethostname(name, sizeof(name) - 1))
		name[0] = '\0';
	for (char *c = name; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '_';
	return name[0] ? name : "-";
}

int format_init(struct format *f, const char *name, const char *pattern, bool color)
{
	const struct format_row *row = format_rows, *end = format_rows + format_count;

	while (row < end && strcmp(row->name, name))
		row++;
	if (row == end)
		return -ENOENT;
	memset(f, 0, sizeof(*f));
	f->ops = row->ops;
	f->pattern = pattern;
	f->color = color;
	f->hostname = this_host();
	f->cached_second = INT64_MIN;
	tzset();
	return f->ops->init ? f->ops->init(f) : 0;
}
