/*
 * export_chrome.c - JSON trace events, as chrome://tracing defined them and many read them.
 *
 * An event a call, when it ends; nothing is kept. Times are microseconds since the trace began, with
 * three digits behind the point: whole ones since 1970 would not fit into the numbers of JavaScript.
 * What a thread does on stacks of its own making is shown as if other threads did it, with numbers
 * that no thread has.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/profile/export.h"
#include "lib/profile/numbering.h"
#include "lib/profile/timer_list.h"

enum { TID_MOST = 1 << 22 }; /* no kernel gives higher ones */

struct chrome {
	struct export_lanes lanes;
	struct numbering fibers; /* thread's place << 32 | fiber */
	bool comma;
};

static void next(struct export *e)
{
	struct chrome *c = e->state;

	fputs(c->comma ? ",\n" : "\n", e->to);
	c->comma = true;
}

static void put_time(FILE *to, const char *key, uint64_t ns)
{
	fprintf(to, ",\"%s\":%" PRIu64 ".%03" PRIu64, key, ns / 1000, ns % 1000);
}

static void put_text(FILE *to, const char *key, const char *text)
{
	fputs(key, to);
	export_json(to, text, strlen(text));
}

static void put_name(struct export *e, const char *what, int64_t pid, int64_t tid, const char *name)
{
	next(e);
	fprintf(e->to, "{\"ph\":\"M\",\"name\":\"%s\",\"pid\":%" PRId64 ",\"tid\":%" PRId64, what,
		pid, tid);
	put_text(e->to, ",\"args\":{\"name\":", name);
	fputs("}}", e->to);
}

/* What the thread is called here, after it was said what its name is. */
static int64_t tid_of(struct export *e, const struct trace_thread *thread)
{
	struct chrome *c = e->state;
	struct export_lane *lane = export_lane(&c->lanes, thread);
	char name[64];
	bool first;

	if (!lane)
		return thread ? thread->tid : 0;
	if (!lane->met) {
		lane->met = true;
		put_name(e, "process_name", thread->image->pid, thread->tid, thread->image->comm);
		put_name(e, "thread_name", thread->image->pid, thread->tid,
			 trace_thread_name(thread, name));
	}
	if (!lane->fiber)
		return thread->tid;
	uint64_t key = (uint64_t)(lane - c->lanes.threads) << 32 | lane->fiber;
	int64_t number = numbering_of(&c->fibers, key, &first);
	if (number < 0) {
		export_fail(e, (int)number);
		return thread->tid;
	}
	if (first) {
		snprintf(name, sizeof name, "%s, stack %" PRIu32, thread->comm, lane->fiber);
		put_name(e, "thread_name", thread->image->pid, TID_MOST + number, name);
	}
	return TID_MOST + number;
}

/* how: it ended, if it did not return */
static void put_args(FILE *to, const struct call *call, const char *how)
{
	const struct {
		const char *key, *value;
	} args[] = {
		{ "end", how }, { "arguments", call->arguments }, { "result", call->result },
		{ "file", call->function->file },
	};
	const char *before = ",\"args\":{";

	for (unsigned i = 0; i < sizeof args / sizeof *args; i++) {
		if (!args[i].value)
			continue;
		fprintf(to, "%s\"%s\":", before, args[i].key);
		put_text(to, "", args[i].value);
		before = ",";
	}
	if (call->function->file)
		fprintf(to, ",\"line\":%d", call->function->line);
	if (*before == ',' && !before[1])
		putc('}', to);
}

static void leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	static const char *const ends[] = {
		[CALL_OPEN] = "open", [CALL_RETURNED] = NULL, [CALL_UNWOUND] = "unwound",
		[CALL_DIED] = "died", [CALL_EXITED] = "exited",
	};
	const struct function *f = call->function;
	struct export *e = arg;
	int64_t tid = tid_of(e, thread);
	uint64_t begin = export_since(e, call->begin_ns), end = export_since(e, call->end_ns);
	const char *how = (unsigned)call->end < sizeof ends / sizeof *ends ? ends[call->end] : NULL;

	next(e);
	fprintf(e->to, "{\"ph\":\"X\",\"pid\":%" PRId32 ",\"tid\":%" PRId64, thread->image->pid,
		tid);
	put_time(e->to, "ts", begin);
	put_time(e->to, "dur", end > begin ? end - begin : 0);
	put_text(e->to, ",\"name\":", f->name);
	put_text(e->to, ",\"cat\":", f->module);
	put_args(e->to, call, how);
	putc('}', e->to);
}

/* An interval of a timer is no call: it may begin in one and end in another. So it has a row of its own. */
static void put_interval(struct export *e, int64_t pid, int64_t tid, const struct mark *mark)
{
	const struct timer_figures *t = mark->timer;
	int64_t begin_ns = mark->time_ns - (int64_t)mark->took_ns;

	for (int end = 0; end < 2; end++) {
		next(e);
		fprintf(e->to,
			"{\"ph\":\"%c\",\"cat\":\"timer\",\"id\":\"%" PRId64 ".%" PRIu64
			"\",\"pid\":%" PRId64 ",\"tid\":%" PRId64,
			end ? 'e' : 'b', mark->time_ns, mark->id, pid, tid);
		put_time(e->to, "ts", export_since(e, end ? mark->time_ns : begin_ns));
		fputs(",\"name\":", e->to);
		export_json(e->to, mark->text, mark->text_bytes);
		if (t && end)
			fprintf(e->to,
				",\"args\":{\"count\":%" PRIu64 ",\"total_ns\":%" PRIu64
				",\"avg_ns\":%" PRIu64 ",\"min_ns\":%" PRIu64
				",\"max_ns\":%" PRIu64 "}",
				t->count, t->total_ns, t->avg_ns, t->min_ns, t->max_ns);
		fputs("}", e->to);
	}
}

static void put_instant(struct export *e, int64_t pid, int64_t tid, const struct mark *mark,
			const char *category)
{
	static const char *const names[] = {
		[MARK_GAP] = "records are missing", [MARK_DEATH] = "died", [MARK_MUTED] = "muted",
	};
	const char *name = (unsigned)mark->kind < sizeof names / sizeof *names ? names[mark->kind]
									       : NULL;

	next(e);
	fprintf(e->to,
		"{\"ph\":\"i\",\"s\":\"t\",\"cat\":\"%s\",\"pid\":%" PRId64 ",\"tid\":%" PRId64,
		category, pid, tid);
	put_time(e->to, "ts", export_since(e, mark->time_ns));
	fputs(",\"name\":", e->to);
	if (mark->text)
		export_json(e->to, mark->text, mark->text_bytes);
	else
		export_json(e->to, name ? name : "", name ? strlen(name) : 0);
}

static void mark(void *arg, const struct trace_thread *thread, const struct mark *mark,
		 const struct call *innermost)
{
	struct export *e = arg;
	struct chrome *c = e->state;
	struct export_lane *lane = export_lane(&c->lanes, thread);
	int64_t pid = mark->pid, tid = mark->tid;

	(void)innermost;
	if (mark->kind == MARK_FIBER && lane)
		lane->fiber = (uint32_t)mark->id;
	if (mark->kind == MARK_FIBER)
		return;
	if (thread) {
		pid = thread->image->pid;
		tid = tid_of(e, thread);
	}
	if (mark->kind == MARK_TIMER) {
		put_interval(e, pid, tid, mark);
		return;
	}
	if (mark->kind == MARK_MESSAGE) {
		put_instant(e, pid, tid, mark, "message");
		put_text(e->to, ",\"args\":{\"level\":", mark->level ? mark->level : "");
		put_text(e->to, ",\"source\":", mark->source ? mark->source : "");
	} else if (mark->kind == MARK_STAMP) {
		put_instant(e, pid, tid, mark, "stamp");
		fprintf(e->to, ",\"args\":{\"id\":%" PRIu64 ",\"step\":%" PRIu64, mark->id,
			mark->step);
	} else {
		put_instant(e, pid, tid, mark, "hark");
		fprintf(e->to, ",\"args\":{\"count\":%" PRIu64, mark->id);
	}
	fputs("}}", e->to);
}

static int chrome_open(struct export *e)
{
	struct chrome *c = calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	if (export_lanes_init(&c->lanes, e->dir) != 0) {
		free(c);
		return -ENOMEM;
	}
	e->state = c;
	fputs("{\"displayTimeUnit\":\"ns\"", e->to);
	put_text(e->to, ",\"otherData\":{\"command\":", e->dir->command ? e->dir->command : "");
	put_text(e->to, ",\"host\":", e->dir->host ? e->dir->host : "");
	fprintf(e->to, ",\"start_utc_ns\":\"%" PRId64 "\"},\"traceEvents\":[", e->dir->realtime_ns);
	return 0;
}

static int chrome_close(struct export *e)
{
	struct chrome *c = e->state;

	fputs("\n]}\n", e->to);
	export_lanes_fini(&c->lanes);
	numbering_fini(&c->fibers);
	free(c);
	return 0;
}

const struct export_ops export_chrome = {
	.open = chrome_open,
	.close = chrome_close,
	.visitor = { .leave = leave, .mark = mark },
	.merged = true,
};
