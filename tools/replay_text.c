/*
 * replay_text.c - the time line as people read it: a line where a call begins, one where it ends,
 * one alone where it called nothing; what the program said stands in its place.
 *
 * Names and messages may be hostile; nothing of them reaches a terminal as a control character.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/level.h"
#include "lib/base/text.h"
#include "lib/format/escape.h"
#include "tools/figures.h"
#include "tools/replay.h"

enum { INDENT = 2, INDENT_MOST = 400, NAME_MOST = 1000, CHAIN_MOST = 16 };

#define DIM "\033[2m"
#define RED "\033[1;31m"
#define CYAN "\033[36m"
#define PLAIN "\033[m"

int replay_init(struct replay *replay, FILE *to, bool color, bool many)
{
	*replay = (struct replay){ .to = to, .color = color, .many = many };
	return format_init(&replay->pretty, "pretty", NULL, color);
}

static void paint(const struct replay *r, const char *color)
{
	if (r->color)
		fputs(color, r->to);
}

static const char *cost(int64_t ns)
{
	static const struct {
		int64_t least;
		const char *color;
	} steps[] = {
		{ 1000000000, RED }, { 100000000, "\033[31m" }, { 1000000, "\033[33m" },
		{ 10000, "\033[32m" }, { 1000, "" }, { INT64_MIN, DIM },
	};
	unsigned i = 0;

	while (ns < steps[i].least)
		i++;
	return steps[i].color;
}

static void put_duration(const struct replay *r, int64_t ns)
{
	static const struct {
		int64_t least;
		double size;
		const char *unit;
	} units[] = { { 1000000000, 1e9, "s " }, { 1000000, 1e6, "ms" }, { 0, 1e3, "us" } };
	unsigned i = 0;

	while (ns < units[i].least)
		i++;
	paint(r, cost(ns));
	fprintf(r->to, "%9.3f %s", (double)ns / units[i].size, units[i].unit);
	paint(r, PLAIN);
}

/* What each line has in front. ns: below 0 where the line has no duration. */
static void put_margin(struct replay *r, int64_t ns, int32_t tid, uint32_t depth)
{
	uint64_t indent = (uint64_t)depth * INDENT;

	if (ns >= 0)
		put_duration(r, ns);
	else
		fprintf(r->to, "%12s", "");
	if (r->many)
		fprintf(r->to, " %7" PRId32, tid);
	paint(r, DIM);
	fputs(" │ ", r->to);
	paint(r, PLAIN);
	fprintf(r->to, "%*s", (int)(indent < INDENT_MOST ? indent : INDENT_MOST), "");
}

static void put_tame(FILE *to, const char *text, size_t bytes)
{
	char name[NAME_MOST + 4];
	size_t length = bytes < NAME_MOST ? bytes : NAME_MOST;

	memcpy(name, text, length);
	name[length] = '\0';
	escape_tame(name);
	fputs(name, to);
	if (bytes > length)
		fputs("…", to);
}

/* With its arguments, where they were recorded. */
static void put_name(const struct replay *r, const struct call *call)
{
	const struct function *f = call->function;

	put_tame(r->to, f->name, strlen(f->name));
	if (!call->arguments) {
		if (!strchr(f->name, '('))
			fputs("()", r->to);
		return;
	}
	putc('(', r->to);
	put_tame(r->to, call->arguments, strlen(call->arguments));
	putc(')', r->to);
}

static void put_result(const struct replay *r, const struct call *call)
{
	if (!call->result)
		return;
	fputs(" = ", r->to);
	put_tame(r->to, call->result, strlen(call->result));
}

static void put_remark(const struct replay *r, const struct function *f, const char *remark)
{
	paint(r, DIM);
	fputs(" /* ", r->to);
	if (f)
		put_tame(r->to, f->name, strlen(f->name));
	fprintf(r->to, "%s%s */", f && *remark ? ": " : "", remark);
	paint(r, PLAIN);
}

const char *replay_end(const struct call *call)
{
	switch (call->end) {
	case CALL_OPEN: return "open";
	case CALL_UNWOUND: return "unwound";
	case CALL_DIED: return "died";
	case CALL_EXITED: return "exited";
	default: return "returned";
	}
}

static void show_waiting(struct replay *r)
{
	const struct call *call = r->waiting;

	if (!call)
		return;
	r->waiting = NULL;
	put_margin(r, -1, r->waiting_thread->tid, call->depth);
	put_name(r, call);
	fputs(" {", r->to);
	if (call->before)
		put_remark(r, NULL, "entered before");
	putc('\n', r->to);
}

static void enter(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct replay *r = arg;

	show_waiting(r);
	r->waiting = call;
	r->waiting_thread = thread;
}

static void leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct replay *r = arg;
	int64_t took = call->end_ns > call->begin_ns ? call->end_ns - call->begin_ns : 0;
	bool leaf = r->waiting == call && r->waiting_thread == thread;
	const char *end = call->end == CALL_RETURNED ? "" : replay_end(call);

	if (leaf)
		r->waiting = NULL;
	else
		show_waiting(r);
	put_margin(r, took, thread->tid, call->depth);
	if (call->end == CALL_DIED)
		paint(r, RED);
	if (leaf) {
		put_name(r, call);
	} else {
		putc('}', r->to);
	}
	put_result(r, call);
	if (leaf)
		putc(';', r->to);
	if (call->end == CALL_DIED)
		paint(r, PLAIN);
	if (!leaf || *end)
		put_remark(r, leaf ? NULL : call->function, end);
	putc('\n', r->to);
}

/* ---- marks ------------------------------------------------------------------------------------- */

static void put_message(struct replay *r, const struct trace_thread *thread,
			const struct mark *mark)
{
	struct message m = {
		.time_ns = mark->time_ns, .level = LEVEL_INFO,
		.source = mark->source ? mark->source : "", .pid = mark->pid, .tid = mark->tid,
		.comm = thread ? thread->comm : "", .ident = "", .facility = -1,
		.text = mark->text ? mark->text : "", .length = mark->text ? mark->text_bytes : 0,
	};
	if (mark->level)
		level_parse(mark->level, &m.level);
	size_t room = format_bound(&r->pretty, &m);
	if (room > r->frame_room) {
		char *frame = realloc(r->frame, room);

		if (!frame) {
			fputs("(no memory for this message)\n", r->to);
			return;
		}
		r->frame = frame;
		r->frame_room = room;
	}
	struct text out = text_in(r->frame, r->frame_room);
	r->pretty.ops->render(&r->pretty, &m, &out);
	fwrite(out.at, 1, out.len, r->to);
	for (size_t at = 0; at < mark->stack_bytes; at += strlen(mark->stack + at) + 1) {
		fputs("        from ", r->to);
		put_tame(r->to, mark->stack + at, strlen(mark->stack + at));
		putc('\n', r->to);
	}
}

const char *replay_gap(const struct mark *mark)
{
	switch (mark->step) {
	case TRACE_GAP_DISK: return "disk";
	case TRACE_GAP_SANDBOX: return "sandbox";
	case TRACE_GAP_NESTED: return "nested";
	case TRACE_GAP_OFF: return "off";
	case TRACE_GAP_MEMORY: return "memory";
	case TRACE_GAP_REFUSED: return "refused";
	default: return "unknown";
	}
}

static void put_gap(const struct replay *r, const struct mark *mark)
{
	static const char *const reasons[TRACE_GAPS] = {
		"", "no room on the disk", "the program's sandbox forbids it",
		"a signal handler came between", "it was switched off", "no memory",
	};
	const char *why = mark->step < TRACE_GAPS ? reasons[mark->step] : "";

	paint(r, "\033[33m");
	fputs("⚠ ", r->to);
	if (mark->id)
		fprintf(r->to, "%" PRIu64 " %s missing here", mark->id,
			text_one(mark->id, "record is", "records are"));
	else
		fputs("records are missing here", r->to);
	fprintf(r->to, "%s%s", *why ? ": " : "", why);
	paint(r, PLAIN);
	putc('\n', r->to);
}

/* "died inside main › load › parse"; of a deep one the ends. */
static void put_death(const struct replay *r, const struct call *innermost)
{
	const struct call *chain[CHAIN_MOST];
	uint32_t count = 0, deep = 0;
	const struct call *outermost = innermost;

	for (const struct call *c = innermost; c; c = c->caller, deep++) {
		if (count < CHAIN_MOST)
			chain[count++] = c;
		outermost = c;
	}
	paint(r, RED);
	fputs(deep ? "✗ died inside " : "✗ died outside of all calls", r->to);
	if (deep > count) {
		put_tame(r->to, outermost->function->name, strlen(outermost->function->name));
		if (deep > count + 1)
			fprintf(r->to, " › (%" PRIu32 " more)", deep - count - 1);
		fputs(" › ", r->to);
	}
	while (count) {
		const char *name = chain[--count]->function->name;

		put_tame(r->to, name, strlen(name));
		fputs(count ? " › " : "", r->to);
	}
	paint(r, PLAIN);
	putc('\n', r->to);
}

static void put_mark(struct replay *r, const struct trace_thread *thread, const struct mark *mark,
		     const struct call *innermost)
{
	switch (mark->kind) {
	case MARK_MESSAGE: put_message(r, thread, mark); break;
	case MARK_GAP: put_gap(r, mark); break;
	case MARK_DEATH: put_death(r, innermost); break;
	case MARK_FIBER: fprintf(r->to, "⇄ goes on on stack %" PRIu64 "\n", mark->id); break;
	case MARK_STAMP:
		paint(r, CYAN);
		fputs("◆ ", r->to);
		put_tame(r->to, mark->text ? mark->text : "", mark->text ? mark->text_bytes : 0);
		paint(r, PLAIN);
		fprintf(r->to, "  (step %" PRIu64 ", id %" PRIu64 ")\n", mark->step, mark->id);
		break;
	case MARK_TIMER:
		paint(r, CYAN);
		fputs("◷ ", r->to);
		put_tame(r->to, mark->text, mark->text_bytes);
		paint(r, PLAIN);
		fprintf(r->to, "  (number %" PRIu64 "%s", mark->id,
			mark->timer ? ", the last: " : "");
		if (mark->timer)
			figures_text(r->to, mark->timer);
		fputs(")\n", r->to);
		break;
	case MARK_MUTED:
		put_tame(r->to, mark->text ? mark->text : "", mark->text ? mark->text_bytes : 0);
		fprintf(r->to,
			" was not recorded any more after %" PRIu64
			" calls: that would have exceeded the budget\n",
			mark->id);
		break;
	}
}

static void mark(void *arg, const struct trace_thread *thread, const struct mark *mark,
		 const struct call *innermost)
{
	struct replay *r = arg;

	show_waiting(r);
	put_margin(r, mark->kind == MARK_TIMER ? (int64_t)(mark->took_ns & INT64_MAX) : -1,
		   thread ? thread->tid : mark->tid, innermost ? innermost->depth + 1 : 0);
	put_mark(r, thread, mark, innermost);
}

static void begin(void *arg, const struct trace_thread *thread)
{
	struct replay *r = arg;

	show_waiting(r);
	paint(r, DIM);
	fprintf(r->to, "# thread %" PRId32 " of process %" PRId32 ": ", thread->tid,
		thread->image->pid);
	put_tame(r->to, thread->comm, strlen(thread->comm));
	paint(r, PLAIN);
	putc('\n', r->to);
}

void replay_fini(struct replay *replay)
{
	show_waiting(replay);
	free(replay->frame);
}

const struct calls_visitor replay_text = {
	.enter = enter, .leave = leave, .mark = mark, .begin = begin
};
