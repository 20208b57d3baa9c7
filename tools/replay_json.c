/*
 * replay_json.c - the time line as JSON, an object a line. Keys that messages have too have
 * their meaning.
 */
#include <inttypes.h>
#include <string.h>

#include "lib/profile/export.h"
#include "tools/figures.h"
#include "tools/json.h"
#include "tools/replay.h"

static void put_head(FILE *to, const char *type, int64_t time_ns)
{
	fprintf(to, "{\"type\":\"%s\"", type);
	emit_time(to, ",", "time", time_ns > 0 ? (uint64_t)time_ns : 0);
}

static void put_thread(FILE *to, const struct trace_thread *thread)
{
	fprintf(to, ",\"pid\":%" PRId32 ",\"tid\":%" PRId32, thread->image->pid, thread->tid);
	emit_pair(to, ",", "comm", thread->comm);
}

static void put_function(FILE *to, const struct call *call)
{
	const struct function *f = call->function;

	emit_pair(to, ",", "function", f->name);
	emit_pair(to, ",", "module", f->module);
	if (f->file) {
		emit_pair(to, ",", "file", f->file);
		fprintf(to, ",\"line\":%d", f->line);
	}
	emit_number(to, ",", "depth", call->depth);
	if (call->before)
		fputs(",\"before\":true", to);
	if (call->arguments)
		emit_pair(to, ",", "arguments", call->arguments);
	if (call->result)
		emit_pair(to, ",", "result", call->result);
}

static void enter(void *arg, const struct trace_thread *thread, struct call *call)
{
	const struct replay *r = arg;

	put_head(r->to, "enter", call->begin_ns);
	put_thread(r->to, thread);
	put_function(r->to, call);
	fputs("}\n", r->to);
}

static void leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	const struct replay *r = arg;
	int64_t total = call->end_ns > call->begin_ns ? call->end_ns - call->begin_ns : 0;

	put_head(r->to, "leave", call->end_ns);
	put_thread(r->to, thread);
	put_function(r->to, call);
	emit_number(r->to, ",", "total_ns", (uint64_t)total);
	emit_number(r->to, ",", "self_ns",
		    total > call->below_ns ? (uint64_t)(total - call->below_ns) : 0);
	emit_pair(r->to, ",", "end", replay_end(call));
	fputs("}\n", r->to);
}

static void put_chain(FILE *to, const struct call *innermost)
{
	enum { MOST = 100 };
	unsigned count = 0;

	fputs(",\"inside\":[", to);
	for (const struct call *c = innermost; c && count < MOST; c = c->caller) {
		fputs(count++ ? "," : "", to);
		emit_string(to, c->function->name);
	}
	putc(']', to);
}

static void put_text(FILE *to, const char *key, const struct mark *mark)
{
	fprintf(to, ",\"%s\":", key);
	export_json(to, mark->text ? mark->text : "", mark->text ? mark->text_bytes : 0);
}

static void mark(void *arg, const struct trace_thread *thread, const struct mark *mark,
		 const struct call *innermost)
{
	static const char *const names[] = {
		[MARK_STAMP] = "stamp", [MARK_GAP] = "gap", [MARK_MESSAGE] = "message",
		[MARK_FIBER] = "fiber", [MARK_DEATH] = "death", [MARK_MUTED] = "muted",
		[MARK_TIMER] = "timer",
	};
	FILE *to = ((const struct replay *)arg)->to;

	if ((unsigned)mark->kind >= sizeof names / sizeof *names)
		return;
	put_head(to, names[mark->kind], mark->time_ns);
	if (mark->kind == MARK_MESSAGE) {
		emit_pair(to, ",", "level", mark->level ? mark->level : "info");
		put_text(to, "msg", mark);
		emit_pair(to, ",", "source", mark->source ? mark->source : "");
		if (mark->stack_bytes)
			emit_strings(to, ",", "stack", mark->stack, mark->stack_bytes);
	}
	if (thread)
		put_thread(to, thread);
	else if (mark->kind == MARK_MESSAGE || mark->kind == MARK_STAMP || mark->kind == MARK_TIMER)
		fprintf(to, ",\"pid\":%" PRId32 ",\"tid\":%" PRId32, mark->pid, mark->tid);
	switch (mark->kind) {
	case MARK_STAMP:
		emit_number(to, ",", "id", mark->id);
		emit_number(to, ",", "step", mark->step);
		put_text(to, "text", mark);
		break;
	case MARK_TIMER:
		put_text(to, "timer", mark);
		emit_number(to, ",", "number", mark->id);
		emit_number(to, ",", "took_ns", mark->took_ns);
		if (mark->timer)
			figures_json(to, mark->timer);
		break;
	case MARK_GAP:
		emit_number(to, ",", "records", mark->id);
		emit_pair(to, ",", "reason", replay_gap(mark));
		break;
	case MARK_FIBER: emit_number(to, ",", "number", mark->id); break;
	case MARK_DEATH: put_chain(to, innermost); break;
	case MARK_MUTED:
		put_text(to, "function", mark);
		emit_number(to, ",", "calls", mark->id);
		break;
	default: break;
	}
	fputs("}\n", to);
}

const struct calls_visitor replay_json = { .enter = enter, .leave = leave, .mark = mark };
