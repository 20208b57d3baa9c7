/*
 * export_flamegraph.c - a flame graph as one page: flamegraph.html with the sums of all call paths.
 *
 * What a trace holds is JSON in the page and becomes text there, never markup.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/profile/export.h"
#include "lib/profile/paths.h"
#include "lib/profile/samples.h"

/* What is thinner than a MANY'th of everything cannot be seen; it is left out where there is so much. */
enum { MANY = 200000 };

#define MARK "@DATA@"

extern const char flamegraph_page[];
extern const uint64_t flamegraph_page_bytes;
__asm__(".pushsection .rodata\n"
	".globl flamegraph_page, flamegraph_page_bytes\n"
	".hidden flamegraph_page, flamegraph_page_bytes\n"
	"flamegraph_page: .incbin \"lib/profile/flamegraph.html\"\n"
	"flamegraph_page_end: .balign 8\n"
	"flamegraph_page_bytes: .quad flamegraph_page_end - flamegraph_page\n"
	".popsection\n");

struct flamegraph {
	struct paths paths;
	struct export_functions functions;
};

static void begin(void *arg, const struct trace_thread *thread)
{
	struct export *e = arg;
	struct flamegraph *g = e->state;

	export_fail(e, paths_begin(&g->paths, thread));
}

static void enter(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct export *e = arg;
	struct flamegraph *g = e->state;

	(void)thread;
	export_fail(e, paths_enter(&g->paths, call));
}

static void leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct export *e = arg;
	struct flamegraph *g = e->state;

	(void)thread;
	paths_leave(&g->paths, call);
}

static int flamegraph_open(struct export *e)
{
	struct flamegraph *g = calloc(1, sizeof *g);

	if (!g || paths_init(&g->paths, 0) != 0) {
		free(g);
		return -ENOMEM;
	}
	e->state = g;
	return 0;
}

static void put_pair(FILE *to, const char *key, const char *text)
{
	fprintf(to, "\"%s\":", key);
	export_json(to, text, strlen(text));
}

/* The function's place, or below 0 that of the threads' name. */
static int64_t place_of(struct export *e, uint32_t at, int64_t *threads)
{
	struct flamegraph *g = e->state;
	const struct path *row = &g->paths.rows[at];
	bool first;

	if (!row->function)
		return --*threads;
	int64_t place = export_function(&g->functions, row->function, &first);
	if (place < 0)
		export_fail(e, (int)place);
	return place;
}

static void put_rows(struct export *e)
{
	struct flamegraph *g = e->state;
	struct path *rows = g->paths.rows;
	int64_t threads = 0, all = 0, least;
	uint64_t thin = 0;
	const char *comma = "";

	for (uint32_t root = rows[PATHS_NONE].child; root; root = rows[root].sibling)
		all += rows[root].total_ns;
	least = g->paths.count > MANY ? all / MANY : 0;
	fputs("\"rows\":[", e->to);
	for (uint32_t at = paths_next(&g->paths, PATHS_NONE); at && !e->error;) {
		/* What is below is thinner still. */
		if (rows[at].function && rows[at].total_ns < least) {
			rows[at].child = PATHS_NONE;
			thin++;
		} else {
			int64_t place = place_of(e, at, &threads);

			fprintf(e->to, "%s%" PRIu32 ",%" PRId64 ",%" PRIu64 ",%" PRId64, comma,
				rows[at].depth, place, rows[at].calls, rows[at].total_ns);
			comma = ",\n";
		}
		at = paths_next(&g->paths, at);
	}
	fputs("],\n", e->to);
	if (thin || g->paths.hidden)
		snprintf(e->note, sizeof e->note,
			 "%" PRIu64 " paths, too thin to be seen, and %" PRIu64
			 " calls on too many paths are left in their callers",
			 thin, g->paths.hidden);
}

static void put_names(struct export *e)
{
	struct flamegraph *g = e->state;
	struct path *rows = g->paths.rows;
	const char *comma = "";

	fputs("\"threads\":[", e->to);
	for (uint32_t root = rows[PATHS_NONE].child; root; root = rows[root].sibling) {
		const char *name = paths_name(&g->paths, root);

		fputs(comma, e->to);
		export_json(e->to, name, strlen(name));
		comma = ",";
	}
	fputs("],\n\"functions\":[", e->to);
	for (uint32_t i = 0; i < g->functions.count; i++) {
		const struct function *f = g->functions.rows[i];

		fputs(i ? ",\n{" : "\n{", e->to);
		put_pair(e->to, "name", f->name);
		putc(',', e->to);
		put_pair(e->to, "module", f->module);
		if (f->file) {
			putc(',', e->to);
			put_pair(e->to, "file", f->file);
			fprintf(e->to, ",\"line\":%d", f->line);
		}
		if (f->method == METHOD_SAMPLE)
			fputs(",\"sampled\":true", e->to);
		putc('}', e->to);
	}
	fputs("]", e->to);
}

/* How often was looked, by whom, and what is known to be missing. */
static void put_samples(struct export *e)
{
	const struct samples *s = e->dir->samples;
	uint64_t missing = 0;

	if (!s)
		return;
	for (unsigned i = 0; i < TRACE_SAMPLE_GAPS; i++)
		missing += s->gaps[i];
	fprintf(e->to, ",\"samples\":{\"period_ns\":%" PRIu64 ",\"inside\":%s,", s->head.period_ns,
		s->head.source == TRACE_SOURCE_TIMER ? "true" : "false");
	fprintf(e->to, "\"missing\":%" PRIu64 "}", missing);
}

static void put_data(struct export *e)
{
	const struct trace_image *image = e->dir->image_count ? e->dir->images : NULL;
	const char *program = image && image->path ? image->path : "";
	const char *slash = strrchr(program, '/');
	time_t second = (time_t)(e->dir->realtime_ns / 1000000000);
	char start[64] = "";
	struct tm tm;

	if (gmtime_r(&second, &tm))
		strftime(start, sizeof start, "%Y-%m-%d %H:%M:%S UTC", &tm);
	putc('{', e->to);
	put_rows(e);
	put_names(e);
	fputs(",\n", e->to);
	put_pair(e->to, "command", e->dir->command ? e->dir->command : "");
	putc(',', e->to);
	put_pair(e->to, "program", slash ? slash + 1 : program);
	putc(',', e->to);
	put_pair(e->to, "start", start);
	putc(',', e->to);
	put_pair(e->to, "note", e->note);
	put_samples(e);
	putc('}', e->to);
}

static int flamegraph_close(struct export *e)
{
	struct flamegraph *g = e->state;
	const char *page = flamegraph_page, *end = page + flamegraph_page_bytes;
	const char *mark = memmem(page, flamegraph_page_bytes, MARK, strlen(MARK));

	export_fail(e, paths_sort(&g->paths));
	if (!e->error && mark) {
		fwrite(page, 1, (size_t)(mark - page), e->to);
		put_data(e);
		mark += strlen(MARK);
		fwrite(mark, 1, (size_t)(end - mark), e->to);
	}
	paths_fini(&g->paths);
	export_functions_fini(&g->functions);
	free(g);
	return 0;
}

const struct export_ops export_flamegraph = {
	.open = flamegraph_open,
	.close = flamegraph_close,
	.visitor = { .begin = begin, .enter = enter, .leave = leave },
};
