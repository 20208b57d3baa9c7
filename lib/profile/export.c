/*
 * export.c - see export.h: what the formats share.
 */
#include "lib/profile/export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/format/escape.h"

const struct export_row export_rows[] = {
#define EXPORT(name, suffix, doc) { #name, suffix, doc, &export_##name },
#include "lib/profile/exports.def"
};
const size_t export_count = sizeof export_rows / sizeof *export_rows;

const struct export_row *export_find(const char *name)
{
	for (size_t i = 0; i < export_count; i++)
		if (strcmp(export_rows[i].name, name) == 0)
			return &export_rows[i];
	return NULL;
}

int export_open(struct export *e, const struct export_row *row, const struct trace_dir *dir,
		const char *path, bool late)
{
	*e = (struct export){ .ops = row->ops, .dir = dir, .path = path, .late = late };
	if (!row->ops->directory) {
		e->to = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
		if (!e->to)
			return -errno;
	}
	int rc = row->ops->open(e);
	if (rc != 0 && e->to && e->to != stdout) {
		fclose(e->to);
		unlink(path);
	}
	return rc;
}

/* Half a file looks like a whole one to who comes later. What is no file of its own stays. */
static void remove_half(const struct export *e)
{
	struct stat st;

	if (e->to && e->to != stdout && lstat(e->path, &st) == 0 && S_ISREG(st.st_mode))
		unlink(e->path);
}

/* A write failed when nobody looked, and errno is gone: what fails once fails again. */
static int why_not(FILE *to)
{
	errno = EIO;
	putc('\n', to);
	return fflush(to) != 0 ? -errno : -EIO;
}

int export_close(struct export *e)
{
	export_fail(e, e->ops->close(e));
	if (e->to) {
		if (fflush(e->to) != 0)
			export_fail(e, -errno);
		else if (ferror(e->to))
			export_fail(e, why_not(e->to));
		if (e->to != stdout && fclose(e->to) != 0)
			export_fail(e, -errno);
	}
	if (e->error)
		remove_half(e);
	return e->error;
}

void export_fail(struct export *e, int error)
{
	if (!e->error)
		e->error = error;
}

void export_json(FILE *to, const char *text, size_t bytes)
{
	enum { PIECE = 128 };
	char buffer[PIECE * ESCAPE_JSON_MOST];

	putc('"', to);
	while (bytes) {
		size_t n = bytes < PIECE ? bytes : PIECE;
		/* no cut inside a character, unless there are no characters at all */
		for (unsigned back = 0;
		     n < bytes && back < 3 && ((unsigned char)text[n] & 0xc0) == 0x80; back++)
			n--;
		struct text t = text_in(buffer, sizeof buffer);
		escape_json(&t, text, n);
		for (size_t from = 0; from < t.len;) {
			const char *less = memchr(buffer + from, '<', t.len - from);
			size_t length = less ? (size_t)(less - buffer) - from : t.len - from;
			fwrite(buffer + from, 1, length, to);
			if (less)
				fputs("\\u003c", to);
			from += length + (less ? 1 : 0);
		}
		text += n;
		bytes -= n;
	}
	putc('"', to);
}

void export_line(FILE *to, const char *text, const char *but)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		putc(c < 0x20 || c == 0x7f || strchr(but, c) ? '_' : c, to);
	}
}

uint64_t export_since(const struct export *e, int64_t time_ns)
{
	int64_t since = 0;

	if (__builtin_sub_overflow(time_ns, e->dir->realtime_ns, &since) || since < 0)
		return 0;
	return (uint64_t)since;
}

/* ---- functions --------------------------------------------------------------------------------- */

static void *more(void *rows, size_t size, size_t room)
{
	return room > SIZE_MAX / 2 / size ? NULL : realloc(rows, room * size);
}

static int make_room(struct export_functions *f, uint32_t number)
{
	if (number >= f->indexed) {
		size_t room = ((size_t)number + 1) * 2;
		uint32_t *index = more(f->index, sizeof *index, room);

		if (!index)
			return -ENOMEM;
		memset(index + f->indexed, 0, (room - f->indexed) * sizeof *index);
		f->index = index;
		f->indexed = room;
	}
	if (f->count == f->room) {
		uint32_t room = f->room ? 2 * f->room : 64;
		const struct function **rows = more(f->rows, sizeof(struct function *), room);

		if (!rows)
			return -ENOMEM;
		f->rows = rows;
		f->room = room;
	}
	return 0;
}

int64_t export_function(struct export_functions *f, const struct function *function, bool *first)
{
	uint32_t number = function->number;

	*first = number >= f->indexed || !f->index[number];
	if (*first) {
		int rc = make_room(f, number);

		if (rc != 0)
			return rc;
		f->rows[f->count] = function;
		f->index[number] = ++f->count;
	}
	return f->index[number] - 1;
}

void export_functions_fini(struct export_functions *f)
{
	free(f->index);
	free(f->rows);
	*f = (struct export_functions){ 0 };
}

/* ---- lanes ------------------------------------------------------------------------------------- */

int export_lanes_init(struct export_lanes *lanes, const struct trace_dir *dir)
{
	lanes->dir = dir;
	lanes->threads = calloc(dir->thread_count + 1, sizeof *lanes->threads);
	return lanes->threads ? 0 : -ENOMEM;
}

void export_lanes_fini(struct export_lanes *lanes)
{
	free(lanes->threads);
	lanes->threads = NULL;
}

struct export_lane *export_lane(struct export_lanes *lanes, const struct trace_thread *thread)
{
	if (!thread || thread < lanes->dir->threads ||
	    thread >= lanes->dir->threads + lanes->dir->thread_count)
		return NULL;
	return &lanes->threads[thread - lanes->dir->threads];
}
