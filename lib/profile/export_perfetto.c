/*
 * export_perfetto.c - Perfetto's trace: TrackEvents, names said once, a track for each thread.
 *
 * Event by event, as one sequence of packets. Times are UTC, declared to be the trace's clock. The
 * numbers of fields are those of perfetto/trace/trace_packet.proto and what it includes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/profile/export.h"
#include "lib/profile/numbering.h"
#include "lib/profile/proto.h"
#include "lib/profile/timer_list.h"

enum {
	TRACE_PACKET = 1,

	PACKET_CLOCK_SNAPSHOT = 6, PACKET_TIMESTAMP = 8, PACKET_SEQUENCE = 10, PACKET_EVENT = 11,
	PACKET_INTERNED = 12, PACKET_FLAGS = 13, PACKET_TRACK = 60,
	FLAG_CLEARED = 1, FLAG_NEEDS_STATE = 2,

	EVENT_ANNOTATION = 4, EVENT_TYPE = 9, EVENT_NAME_IID = 10, EVENT_TRACK = 11,
	EVENT_CATEGORY = 22, EVENT_NAME = 23, EVENT_LOCATION_IID = 34,
	TYPE_BEGIN = 1, TYPE_END = 2, TYPE_INSTANT = 3,

	ANNOTATION_UINT = 3, ANNOTATION_STRING = 6, ANNOTATION_NAME = 10,

	INTERNED_NAME = 2, INTERNED_LOCATION = 4, IID = 1, IID_NAME = 2,
	LOCATION_FILE = 2, LOCATION_FUNCTION = 3, LOCATION_LINE = 4,

	TRACK_UUID = 1, TRACK_NAME = 2, TRACK_PROCESS = 3, TRACK_THREAD = 4, TRACK_PARENT = 5,
	PROCESS_PID = 1, PROCESS_CMDLINE = 2, PROCESS_NAME = 6,
	THREAD_PID = 1, THREAD_TID = 2, THREAD_NAME = 5,

	SNAPSHOT_CLOCKS = 1, SNAPSHOT_PRIMARY = 2, CLOCK_ID = 1, CLOCK_NOW = 2,
	CLOCK_OF_UTC = 1, CLOCK_OF_TRACE = 6,

	SEQUENCE = 1,
};

/* Tracks have numbers: threads by their place, from 1 on, with the fiber above; images; messages. */
#define TRACK_OF_IMAGE (UINT64_C(1) << 62)
#define TRACK_OF_MESSAGES (UINT64_C(1) << 61)

struct perfetto {
	struct export_lanes lanes;
	struct export_functions functions;
	struct numbering tracks; /* that were described */
	struct proto packet, event, inner, interned;
};

static void put_packet(struct export *e)
{
	struct perfetto *p = e->state;

	proto_clear(&p->inner);
	proto_message(&p->inner, TRACE_PACKET, &p->packet);
	if (p->inner.failed || p->event.failed)
		export_fail(e, -ENOMEM);
	else
		fwrite(p->inner.at, 1, p->inner.len, e->to);
}

static void start_packet(struct perfetto *p)
{
	proto_clear(&p->packet);
	proto_clear(&p->event);
	proto_clear(&p->interned);
	proto_number(&p->packet, PACKET_SEQUENCE, SEQUENCE);
}

/* true: this track was not described yet, and its packet is begun */
static bool new_track(struct export *e, uint64_t track, uint64_t parent)
{
	struct perfetto *p = e->state;
	bool first;
	int64_t number = numbering_of(&p->tracks, track, &first);

	if (number < 0)
		export_fail(e, (int)number);
	if (!first || number < 0)
		return false;
	start_packet(p);
	proto_number(&p->event, TRACK_UUID, track);
	if (parent)
		proto_number(&p->event, TRACK_PARENT, parent);
	return true;
}

static void put_track(struct export *e)
{
	struct perfetto *p = e->state;

	proto_message(&p->packet, PACKET_TRACK, &p->event);
	put_packet(e);
}

static uint64_t describe_image(struct export *e, const struct trace_image *image)
{
	struct perfetto *p = e->state;
	uint64_t track = TRACK_OF_IMAGE | image->number;

	if (new_track(e, track, 0)) {
		proto_clear(&p->inner);
		proto_number(&p->inner, PROCESS_PID, (uint64_t)image->pid);
		proto_text(&p->inner, PROCESS_CMDLINE, image->path);
		proto_text(&p->inner, PROCESS_NAME, image->comm);
		proto_message(&p->event, TRACK_PROCESS, &p->inner);
		put_track(e);
	}
	return track;
}

static uint64_t track_of(struct export *e, const struct trace_thread *thread)
{
	struct perfetto *p = e->state;
	struct export_lane *lane = export_lane(&p->lanes, thread);
	char name[64];

	if (!lane)
		return TRACK_OF_MESSAGES;
	uint64_t track = (uint64_t)(lane - p->lanes.threads) + 1;
	if (!lane->met) {
		uint64_t image = describe_image(e, thread->image);

		lane->met = true;
		if (new_track(e, track, image)) {
			proto_clear(&p->inner);
			proto_number(&p->inner, THREAD_PID, (uint64_t)thread->image->pid);
			proto_number(&p->inner, THREAD_TID, (uint64_t)thread->tid);
			proto_text(&p->inner, THREAD_NAME, trace_thread_name(thread, name));
			proto_message(&p->event, TRACK_THREAD, &p->inner);
			put_track(e);
		}
	}
	if (!lane->fiber)
		return track;
	uint64_t stack = track | (uint64_t)lane->fiber << 28;
	if (new_track(e, stack, track)) {
		snprintf(name, sizeof name, "%s, stack %u", thread->comm, lane->fiber);
		proto_text(&p->event, TRACK_NAME, name);
		put_track(e);
	}
	return stack;
}

static void start_event(struct perfetto *p, int64_t time_ns, unsigned type, uint64_t track)
{
	start_packet(p);
	proto_number(&p->packet, PACKET_TIMESTAMP, time_ns > 0 ? (uint64_t)time_ns : 0);
	proto_number(&p->packet, PACKET_FLAGS, FLAG_NEEDS_STATE);
	proto_number(&p->event, EVENT_TYPE, type);
	proto_number(&p->event, EVENT_TRACK, track);
}

static void put_event(struct export *e)
{
	struct perfetto *p = e->state;

	if (p->interned.len)
		proto_message(&p->packet, PACKET_INTERNED, &p->interned);
	proto_message(&p->packet, PACKET_EVENT, &p->event);
	put_packet(e);
}

static void intern(struct perfetto *p, const struct function *f, uint64_t iid)
{
	proto_clear(&p->inner);
	proto_number(&p->inner, IID, iid);
	proto_text(&p->inner, IID_NAME, f->name);
	proto_message(&p->interned, INTERNED_NAME, &p->inner);
	proto_clear(&p->inner);
	proto_number(&p->inner, IID, iid);
	proto_text(&p->inner, LOCATION_FILE, f->file ? f->file : f->module);
	proto_text(&p->inner, LOCATION_FUNCTION, f->name);
	if (f->file && f->line > 0)
		proto_number(&p->inner, LOCATION_LINE, (uint64_t)f->line);
	proto_message(&p->interned, INTERNED_LOCATION, &p->inner);
}

static void annotate(struct perfetto *p, const char *name, const char *text, uint64_t number)
{
	proto_clear(&p->inner);
	proto_text(&p->inner, ANNOTATION_NAME, name);
	if (text)
		proto_text(&p->inner, ANNOTATION_STRING, text);
	else
		proto_number(&p->inner, ANNOTATION_UINT, number);
	proto_message(&p->event, EVENT_ANNOTATION, &p->inner);
}

static void enter(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct export *e = arg;
	struct perfetto *p = e->state;
	uint64_t track = track_of(e, thread);
	bool first;
	int64_t place = export_function(&p->functions, call->function, &first);

	if (place < 0) {
		export_fail(e, (int)place);
		return;
	}
	start_event(p, call->begin_ns, TYPE_BEGIN, track);
	if (first)
		intern(p, call->function, (uint64_t)place + 1);
	proto_number(&p->event, EVENT_NAME_IID, (uint64_t)place + 1);
	proto_number(&p->event, EVENT_LOCATION_IID, (uint64_t)place + 1);
	if (call->arguments)
		annotate(p, "arguments", call->arguments, 0);
	put_event(e);
}

static void leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	static const char *const ends[] = {
		[CALL_OPEN] = "open", [CALL_RETURNED] = NULL, [CALL_UNWOUND] = "unwound",
		[CALL_DIED] = "died", [CALL_EXITED] = "exited",
	};
	struct export *e = arg;
	struct perfetto *p = e->state;
	int64_t end_ns = call->end_ns > call->begin_ns ? call->end_ns : call->begin_ns;

	start_event(p, end_ns, TYPE_END, track_of(e, thread));
	if ((unsigned)call->end < sizeof ends / sizeof *ends && ends[call->end])
		annotate(p, "end", ends[call->end], 0);
	if (call->result)
		annotate(p, "result", call->result, 0);
	put_event(e);
}

static void annotate_timer(struct perfetto *p, const struct mark *mark)
{
	const struct timer_figures *t = mark->timer;

	annotate(p, "took_ns", NULL, mark->took_ns);
	annotate(p, "number", NULL, mark->id);
	if (!t)
		return;
	annotate(p, "total_ns", NULL, t->total_ns);
	annotate(p, "avg_ns", NULL, t->avg_ns);
	annotate(p, "min_ns", NULL, t->min_ns);
	annotate(p, "max_ns", NULL, t->max_ns);
}

static void mark(void *arg, const struct trace_thread *thread, const struct mark *mark,
		 const struct call *innermost)
{
	static const char *const names[] = {
		[MARK_GAP] = "records are missing", [MARK_DEATH] = "died", [MARK_MUTED] = "muted",
	};
	struct export *e = arg;
	struct perfetto *p = e->state;
	struct export_lane *lane = export_lane(&p->lanes, thread);
	const char *category = mark->kind == MARK_MESSAGE ? "message"
			       : mark->kind == MARK_STAMP ? "stamp"
			       : mark->kind == MARK_TIMER ? "timer" : "hark";

	(void)innermost;
	if (mark->kind == MARK_FIBER && lane)
		lane->fiber = (uint32_t)mark->id;
	if (mark->kind == MARK_FIBER)
		return;
	uint64_t track = track_of(e, thread);
	if (track == TRACK_OF_MESSAGES && new_track(e, track, 0)) {
		proto_text(&p->event, TRACK_NAME, "messages");
		put_track(e);
	}
	start_event(p, mark->time_ns, TYPE_INSTANT, track);
	proto_text(&p->event, EVENT_CATEGORY, category);
	if (mark->text)
		proto_text_of(&p->event, EVENT_NAME, mark->text, mark->text_bytes);
	else if ((unsigned)mark->kind < sizeof names / sizeof *names && names[mark->kind])
		proto_text(&p->event, EVENT_NAME, names[mark->kind]);
	if (mark->kind == MARK_MESSAGE) {
		annotate(p, "level", mark->level ? mark->level : "", 0);
		annotate(p, "source", mark->source ? mark->source : "", 0);
		annotate(p, "pid", NULL, (uint64_t)mark->pid);
		annotate(p, "tid", NULL, (uint64_t)mark->tid);
	} else if (mark->kind == MARK_STAMP) {
		annotate(p, "id", NULL, mark->id);
		annotate(p, "step", NULL, mark->step);
	} else if (mark->kind == MARK_TIMER) {
		annotate_timer(p, mark);
	}
	put_event(e);
}

static void put_clock(struct perfetto *p, unsigned id, uint64_t now)
{
	proto_clear(&p->inner);
	proto_number(&p->inner, CLOCK_ID, id);
	proto_number(&p->inner, CLOCK_NOW, now);
	proto_message(&p->event, SNAPSHOT_CLOCKS, &p->inner);
}

static int perfetto_open(struct export *e)
{
	struct perfetto *p = calloc(1, sizeof *p);

	if (!p)
		return -ENOMEM;
	if (export_lanes_init(&p->lanes, e->dir) != 0) {
		free(p);
		return -ENOMEM;
	}
	e->state = p;
	start_packet(p);
	proto_number(&p->packet, PACKET_FLAGS, FLAG_CLEARED);
	put_clock(p, CLOCK_OF_TRACE, (uint64_t)e->dir->realtime_ns);
	put_clock(p, CLOCK_OF_UTC, (uint64_t)e->dir->realtime_ns);
	proto_number(&p->event, SNAPSHOT_PRIMARY, CLOCK_OF_TRACE);
	proto_message(&p->packet, PACKET_CLOCK_SNAPSHOT, &p->event);
	put_packet(e);
	return 0;
}

static int perfetto_close(struct export *e)
{
	struct perfetto *p = e->state;

	export_lanes_fini(&p->lanes);
	export_functions_fini(&p->functions);
	numbering_fini(&p->tracks);
	proto_fini(&p->packet);
	proto_fini(&p->event);
	proto_fini(&p->inner);
	proto_fini(&p->interned);
	free(p);
	return 0;
}

const struct export_ops export_perfetto = {
	.open = perfetto_open,
	.close = perfetto_close,
	.visitor = { .enter = enter, .leave = leave, .mark = mark },
	.merged = true,
};
