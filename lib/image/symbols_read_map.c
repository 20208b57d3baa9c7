/*
 * symbols_read_map.c - names of code that a program made at run time, in the words of the program itself: the
 * lines of a perf-PID.map. See symbols_read.h; called by symbols.c, of any file that somebody calls one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/array.h"
#include "lib/image/symbols_read.h"

struct row {
	uint64_t start, bytes;
	const char *name;
};

struct rows {
	struct row *all;
	size_t count;
};

/* NULL: nothing that can be read, or no memory */
static char *read_text(struct symbols_table *table, int fd)
{
	struct stat st;
	size_t have = 0;
	ssize_t n = 1;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > SYMBOLS_MAP_MOST)
		return NULL;
	size_t bytes = (size_t)st.st_size;
	char *room = malloc(bytes + 1), *text = NULL;
	while (room && have < bytes && n > 0) {
		n = pread(fd, room + have, bytes - have, (off_t)have);
		have += n > 0 ? (size_t)n : 0;
	}
	if (room)
		text = symbols_table_keep(table, room, have);
	free(room);
	return text;
}

/* "START BYTES NAME", the numbers in hexadecimal. false: it is no such line. */
static bool take_line(char *line, struct row *row)
{
	char *at = line, *end;

	errno = 0;
	row->start = strtoull(at, &end, 16);
	if (end == at || *end != ' ')
		return false;
	at = end + 1;
	row->bytes = strtoull(at, &end, 16);
	if (end == at || *end != ' ' || errno)
		return false;
	row->name = end + 1;
	return *row->name && row->bytes && row->start < SYMBOLS_MAP_END &&
	       row->bytes < SYMBOLS_MAP_END - row->start;
}

static int take_lines(char *text, struct rows *rows)
{
	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (!next)
			break; /* it was being written */
		*next++ = '\0';
		struct row *all = array_grown(rows->all, rows->count, sizeof *all);
		if (!all)
			return -ENOMEM;
		rows->all = all;
		if (rows->count < SYMBOLS_MOST && take_line(line, &rows->all[rows->count]))
			rows->count++;
	}
	return 0;
}

/* What stands further down in the file is younger; the younger one comes first. */
static int by_start(const void *left, const void *right)
{
	const struct row *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->name > b->name ? -1 : 1;
}

int symbols_read_map(struct symbols_table *table, int fd)
{
	struct rows rows = { .count = 0 };
	char *text = read_text(table, fd);
	int error = text ? take_lines(text, &rows) : 0, found = 0;

	if (rows.count)
		qsort(rows.all, rows.count, sizeof *rows.all, by_start);
	for (size_t i = 0; i < rows.count && !error; i++) {
		const struct row *row = &rows.all[i];
		if (i && row[-1].start == row->start)
			continue; /* the code that was there before */
		error = symbols_table_add(table, row->start, row->bytes, row->name, 0);
		found++;
	}
	free(rows.all);
	return error ? error : found;
}
