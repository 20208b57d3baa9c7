/*
 * export_speedscope.c - speedscope's JSON: an evented profile for each thread, functions at the end.
 *
 * Its reader wants the events of a profile in order of time and each close to be of what was opened
 * last. Where a thread goes on on another stack (fibers), what is open is closed and opened again
 * when it comes back.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/profile/export.h"

struct speedscope {
	struct export_functions functions;
	const struct call **open; /* what the reader takes for open, outermost first */
	uint32_t depth, room;
	uint64_t first_ns, last_ns;
	bool any;            /* an event of this thread */
	bool later;          /* a thread was there */
};

static void put_event(struct export *e, char type, const struct function *function, uint64_t at)
{
	struct speedscope *s = e->state;
	bool first;
	int64_t frame = export_function(&s->functions, function, &first);

	if (frame < 0) {
		export_fail(e, (int)frame);
		return;
	}
	if (!s->any)
		s->first_ns = s->last_ns = at;
	/* A signal handler's time may be read before that of the record which it interrupts. */
	if (at > s->last_ns)
		s->last_ns = at;
	fprintf(e->to, "%s{\"type\":\"%c\",\"frame\":%" PRId64 ",\"at\":%" PRIu64 "}",
		s->any ? ",\n" : "\n", type, frame, s->last_ns);
	s->any = true;
}

static int make_room(struct speedscope *s, uint32_t depth)
{
	uint32_t room = s->room ? s->room : 256;

	while (room < depth)
		room *= 2;
	if (room == s->room)
		return 0;
	const struct call **open = realloc(s->open, room * sizeof(struct call *));
	if (!open)
		return -ENOMEM;
	s->open = open;
	s->room = room;
	return 0;
}

static void close_all(struct export *e, uint64_t at)
{
	struct speedscope *s = e->state;

	while (s->depth)
		put_event(e, 'C', s->open[--s->depth]->function, at);
}

static void enter(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct export *e = arg;
	struct speedscope *s = e->state;

	(void)thread;
	if (make_room(s, s->depth + 1) != 0) {
		export_fail(e, -ENOMEM);
		return;
	}
	call->user = e; /* it was shown */
	s->open[s->depth++] = call;
	put_event(e, 'O', call->function, export_since(e, call->begin_ns));
}

static void leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct export *e = arg;
	struct speedscope *s = e->state;

	(void)thread;
	/* What ends on a stack that the thread has left was closed when it left. */
	if (!s->depth || s->open[s->depth - 1] != call)
		return;
	s->depth--;
	put_event(e, 'C', call->function, export_since(e, call->end_ns));
}

static void mark(void *arg, const struct trace_thread *thread, const struct mark *mark,
		 const struct call *innermost)
{
	struct export *e = arg;
	struct speedscope *s = e->state;
	uint64_t at = export_since(e, mark->time_ns);
	uint32_t depth = 0;

	(void)thread;
	if (mark->kind != MARK_FIBER)
		return;
	close_all(e, at);
	for (const struct call *c = innermost; c; c = c->caller)
		depth += c->user != NULL;
	if (make_room(s, depth) != 0) {
		export_fail(e, -ENOMEM);
		return;
	}
	s->depth = depth;
	for (const struct call *c = innermost; c; c = c->caller)
		if (c->user)
			s->open[--depth] = c;
	for (; depth < s->depth; depth++)
		put_event(e, 'O', s->open[depth]->function, at);
}

static void begin(void *arg, const struct trace_thread *thread)
{
	struct export *e = arg;
	struct speedscope *s = e->state;
	char name[64], comm[TRACE_THREAD_NAME];

	s->any = false;
	s->depth = 0;
	s->first_ns = s->last_ns = 0;
	snprintf(name, sizeof name, "%s (%" PRId32 ")", trace_thread_name(thread, comm),
		 thread->tid);
	fputs(s->later ? ",\n" : "\n", e->to);
	fputs("{\"type\":\"evented\",\"unit\":\"nanoseconds\",\"name\":", e->to);
	export_json(e->to, name, strlen(name));
	fputs(",\"events\":[", e->to);
	s->later = true;
}

static void end(void *arg, const struct trace_thread *thread)
{
	struct export *e = arg;
	struct speedscope *s = e->state;

	(void)thread;
	close_all(e, s->last_ns);
	fprintf(e->to, "],\"startValue\":%" PRIu64 ",\"endValue\":%" PRIu64 "}", s->first_ns,
		s->last_ns);
}

static int speedscope_open(struct export *e)
{
	const char *command = e->dir->command ? e->dir->command : "";

	e->state = calloc(1, sizeof(struct speedscope));
	if (!e->state)
		return -ENOMEM;
	fputs("{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n"
	      "\"exporter\":\"hark\",\"name\":",
	      e->to);
	export_json(e->to, command, strlen(command));
	fputs(",\"activeProfileIndex\":0,\"profiles\":[", e->to);
	return 0;
}

static int speedscope_close(struct export *e)
{
	struct speedscope *s = e->state;

	fputs("],\n\"shared\":{\"frames\":[", e->to);
	for (uint32_t i = 0; i < s->functions.count; i++) {
		const struct function *f = s->functions.rows[i];
		const char *file = f->file ? f->file : f->module;

		fputs(i ? ",\n{\"name\":" : "\n{\"name\":", e->to);
		export_json(e->to, f->name, strlen(f->name));
		fputs(",\"file\":", e->to);
		export_json(e->to, file, strlen(file));
		if (f->file && f->line > 0)
			fprintf(e->to, ",\"line\":%d", f->line);
		putc('}', e->to);
	}
	fputs("]}}\n", e->to);
	export_functions_fini(&s->functions);
	free(s->open);
	free(s);
	return 0;
}

const struct export_ops export_speedscope = {
	.open = speedscope_open,
	.close = speedscope_close,
	.visitor = { .begin = begin, .end = end, .enter = enter, .leave = leave, .mark = mark },
};
