/*
 * export_pprof.c - pprof's profile: a sample for each call path, with its calls and its own
 * nanoseconds; a label says the thread. Compressed by gzip, as its readers want it.
 *
 * The numbers of fields are those of pprof's profile.proto. A sample names all its callers, so
 * what is deeper than MOST levels is counted with the last one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/base/text.h"
#include "lib/profile/export.h"
#include "lib/profile/paths.h"
#include "lib/profile/proto.h"

enum {
	MOST = 1000,

	PROFILE_TYPE = 1, PROFILE_SAMPLE = 2, PROFILE_MAPPING = 3, PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5, PROFILE_STRING = 6, PROFILE_TIME = 9, PROFILE_COMMENT = 13,
	PROFILE_DEFAULT = 14,
	TYPE_NAME = 1, TYPE_UNIT = 2,
	SAMPLE_LOCATIONS = 1, SAMPLE_VALUES = 2, SAMPLE_LABEL = 3, LABEL_KEY = 1, LABEL_TEXT = 2,
	MAPPING_ID = 1, MAPPING_LIMIT = 3, MAPPING_FILE = 5, MAPPING_HAS_FUNCTIONS = 7,
	LOCATION_ID = 1, LOCATION_MAPPING = 2, LOCATION_ADDRESS = 3, LOCATION_LINE = 4,
	LINE_FUNCTION = 1, LINE_NUMBER = 2,
	FUNCTION_ID = 1, FUNCTION_NAME = 2, FUNCTION_LINKAGE = 3, FUNCTION_FILE = 4,
	FUNCTION_LINE = 5,
};

/* The first strings of the table, in this order. */
enum { STRING_EMPTY, STRING_CALLS, STRING_COUNT, STRING_TIME, STRING_NS, STRING_THREAD, STRINGS };
static const char *const strings[STRINGS] = {
	"", "calls", "count", "time", "nanoseconds", "thread"
};

struct pprof {
	struct paths paths;
	struct export_functions functions; /* that are written: place + 1 is their number */
	const char **modules;  /* likewise, by their paths */
	size_t module_count;
	uint64_t string_count;
	gzFile to;
	struct proto all, message, inner;
};

static void begin(void *arg, const struct trace_thread *thread)
{
	struct export *e = arg;
	struct pprof *p = e->state;

	export_fail(e, paths_begin(&p->paths, thread));
}

static void enter(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct export *e = arg;
	struct pprof *p = e->state;

	(void)thread;
	export_fail(e, paths_enter(&p->paths, call));
}

static void leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct export *e = arg;
	struct pprof *p = e->state;

	(void)thread;
	paths_leave(&p->paths, call);
}

static void put(struct export *e)
{
	struct pprof *p = e->state;

	if (p->all.failed)
		export_fail(e, -ENOMEM);
	else if (p->all.len && gzwrite(p->to, p->all.at, (unsigned)p->all.len) <= 0)
		export_fail(e, errno ? -errno : -EIO);
	proto_clear(&p->all);
}

static uint64_t put_string(struct pprof *p, const char *text)
{
	if (!*text && p->string_count)
		return STRING_EMPTY;
	proto_text(&p->all, PROFILE_STRING, text);
	return p->string_count++;
}

static uint64_t module_of(struct export *e, const char *path)
{
	struct pprof *p = e->state;

	for (size_t i = p->module_count; i > 0; i--)
		if (p->modules[i - 1] == path || strcmp(p->modules[i - 1], path) == 0)
			return i;
	const char **modules = realloc(p->modules, (p->module_count + 1) * sizeof(char *));
	if (!modules) {
		export_fail(e, -ENOMEM);
		return 0;
	}
	p->modules = modules;
	modules[p->module_count++] = path;
	uint64_t file = put_string(p, path);
	proto_clear(&p->message);
	proto_number(&p->message, MAPPING_ID, p->module_count);
	proto_number(&p->message, MAPPING_LIMIT, INT64_MAX);
	proto_number(&p->message, MAPPING_FILE, file);
	proto_number(&p->message, MAPPING_HAS_FUNCTIONS, 1);
	proto_message(&p->all, PROFILE_MAPPING, &p->message);
	return p->module_count;
}

/* The number of the function and of the one place in it, its start. */
static uint64_t location_of(struct export *e, const struct function *f)
{
	struct pprof *p = e->state;
	bool first;
	int64_t place = export_function(&p->functions, f, &first);
	uint64_t id = (uint64_t)place + 1, line = f->line > 0 ? (uint64_t)f->line : 0;

	if (place < 0)
		export_fail(e, (int)place);
	if (place < 0 || !first)
		return id;
	uint64_t name = put_string(p, f->name);
	uint64_t file = put_string(p, f->file ? f->file : "");
	uint64_t mapping = module_of(e, f->path ? f->path : "");
	proto_clear(&p->message);
	proto_number(&p->message, FUNCTION_ID, id);
	proto_number(&p->message, FUNCTION_NAME, name);
	proto_number(&p->message, FUNCTION_LINKAGE, name);
	proto_number(&p->message, FUNCTION_FILE, file);
	proto_number(&p->message, FUNCTION_LINE, line);
	proto_message(&p->all, PROFILE_FUNCTION, &p->message);
	proto_clear(&p->inner);
	proto_number(&p->inner, LINE_FUNCTION, id);
	proto_number(&p->inner, LINE_NUMBER, line);
	proto_clear(&p->message);
	proto_number(&p->message, LOCATION_ID, id);
	proto_number(&p->message, LOCATION_MAPPING, mapping);
	proto_number(&p->message, LOCATION_ADDRESS, f->start);
	proto_message(&p->message, LOCATION_LINE, &p->inner);
	proto_message(&p->all, PROFILE_LOCATION, &p->message);
	return id;
}

static void put_sample(struct export *e, uint32_t at, uint64_t thread)
{
	struct pprof *p = e->state;
	const struct path *rows = p->paths.rows, *row = &rows[at];
	uint64_t chain[MOST + 1], count = 0;

	for (uint32_t up = at; rows[up].function; up = rows[up].parent)
		chain[count++] = location_of(e, rows[up].function);
	proto_clear(&p->inner);
	for (uint64_t i = 0; i < count; i++)
		proto_raw(&p->inner, chain[i]);
	proto_clear(&p->message);
	proto_message(&p->message, SAMPLE_LOCATIONS, &p->inner);
	proto_clear(&p->inner);
	proto_raw(&p->inner, row->calls);
	proto_raw(&p->inner, (uint64_t)paths_self(row));
	proto_message(&p->message, SAMPLE_VALUES, &p->inner);
	proto_clear(&p->inner);
	proto_number(&p->inner, LABEL_KEY, STRING_THREAD);
	proto_number(&p->inner, LABEL_TEXT, thread);
	proto_message(&p->message, SAMPLE_LABEL, &p->inner);
	proto_message(&p->all, PROFILE_SAMPLE, &p->message);
	put(e);
}

static void put_type(struct pprof *p, uint64_t name, uint64_t unit)
{
	proto_clear(&p->message);
	proto_number(&p->message, TYPE_NAME, name);
	proto_number(&p->message, TYPE_UNIT, unit);
	proto_message(&p->all, PROFILE_TYPE, &p->message);
}

static void put_profile(struct export *e)
{
	struct pprof *p = e->state;
	uint64_t thread = 0;

	for (unsigned i = 0; i < STRINGS; i++)
		put_string(p, strings[i]);
	put_type(p, STRING_CALLS, STRING_COUNT);
	put_type(p, STRING_TIME, STRING_NS);
	proto_number(&p->all, PROFILE_DEFAULT, STRING_TIME);
	proto_number(&p->all, PROFILE_TIME, (uint64_t)e->dir->realtime_ns);
	if (e->dir->command)
		proto_number(&p->all, PROFILE_COMMENT, put_string(p, e->dir->command));
	/* The first module is taken for the program itself. */
	if (e->dir->image_count && e->dir->images[0].path)
		module_of(e, e->dir->images[0].path);
	for (uint32_t at = paths_next(&p->paths, PATHS_NONE); at && !e->error;
	     at = paths_next(&p->paths, at)) {
		if (p->paths.rows[at].function)
			put_sample(e, at, thread);
		else
			thread = put_string(p, paths_name(&p->paths, at));
	}
	put(e);
}

static int pprof_open(struct export *e)
{
	struct pprof *p = calloc(1, sizeof *p);

	if (!p || paths_init(&p->paths, MOST) != 0) {
		free(p);
		return -ENOMEM;
	}
	int fd = dup(fileno(e->to));
	p->to = fd < 0 ? NULL : gzdopen(fd, "wb");
	if (!p->to) {
		int error = errno ? errno : ENOMEM;

		if (fd >= 0)
			close(fd);
		paths_fini(&p->paths);
		free(p);
		return -error;
	}
	e->state = p;
	return 0;
}

static int pprof_close(struct export *e)
{
	struct pprof *p = e->state;

	if (!e->error)
		put_profile(e);
	if (p->paths.hidden)
		snprintf(e->note, sizeof e->note,
			 "%" PRIu64 " %s, deeper than %d levels or on too many paths, %s "
			 "counted with their callers",
			 p->paths.hidden, text_one(p->paths.hidden, "call", "calls"), MOST,
			 text_one(p->paths.hidden, "is", "are"));
	errno = 0;
	int rc = gzclose(p->to) == Z_OK ? 0 : errno ? -errno : -EIO;
	paths_fini(&p->paths);
	export_functions_fini(&p->functions);
	free(p->modules);
	proto_fini(&p->all);
	proto_fini(&p->message);
	proto_fini(&p->inner);
	free(p);
	return rc;
}

const struct export_ops export_pprof = {
	.open = pprof_open,
	.close = pprof_close,
	.visitor = { .begin = begin, .enter = enter, .leave = leave },
};
