/*
 * deliver.c - the collector's middle: a record becomes messages, a message becomes frames in the queues
 * of the sinks that want it.
 *
 * A record is dealt with in steps, each of which finds room in all queues before it touches one. Where
 * a sink is full that may be waited for, the step is taken again later, and nobody gets anything twice.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/collect/collector.h"
#include "lib/message/infer.h"

enum { SPARE_ROOM = 4096, AHEAD_NS = 1000000000, PRI_MOST = 16 /* and a newline or two */ };

/* ---- who wants it ------------------------------------------------------------------------------- */

const char *deliver_source(struct collector *c, uint8_t source, uint32_t detail)
{
	static const char *const fixed[] = { [SOURCE_STDERR] = "stderr", [SOURCE_STDOUT] = "stdout",
					     [SOURCE_SYSLOG] = "syslog", [SOURCE_HARK] = "hark",
					     [SOURCE_LOG] = "log", [SOURCE_STAMP] = "stamp" };

	if (source == SOURCE_FD) {
		snprintf(c->source, sizeof c->source, "fd:%u", detail);
		return c->source;
	}
	if (source == SOURCE_PATH) {
		const char *glob = c->session.control->paths;
		const char *end = glob + sizeof c->session.control->paths - 1;
		for (; detail && glob < end && *glob; detail--)
			glob += strnlen(glob, (size_t)(end - glob)) + 1;
		snprintf(c->source, sizeof c->source, "path:%.*s", (int)(end - glob), glob);
		return c->source;
	}
	return source < sizeof fixed / sizeof *fixed && fixed[source] ? fixed[source] : "unknown";
}

static bool writes_below(const struct sink *s, enum level level)
{
	return s->spec.level != LEVEL_NONE && level <= s->spec.level;
}

/* In a large queue, the last of the room is for what hark has to say of losses. */
static uint64_t spare_room(const struct sink *s)
{
	return s->queue.size >= 16 * SPARE_ROOM ? SPARE_ROOM : 0;
}

int deliver_room(struct collector *c, unsigned i, uint64_t need, bool *lost)
{
	struct sink *s = &c->sinks[i];
	uint64_t room = queue_room(&s->queue);

	*lost = false;
	if (room >= need + spare_room(s) || (room >= need && sink_idle(s)))
		return 0;
	if (need <= s->queue.size && !c->plan->salvage && sink_full(s, c->now_ns) == SINK_WAIT)
		return -EAGAIN;
	if (need <= s->queue.size && c->plan->salvage) {
		/* What is left stays in the ring, for another try. */
		if (s->state == SINK_BACKOFF && !c->end_ns)
			c->end_ns = c->now_ns + c->session.control->exit_timeout_ns;
		return -EAGAIN;
	}
	*lost = true;
	return 0;
}

/* ---- messages ----------------------------------------------------------------------------------- */

struct frame {
	struct message message;
	const struct assemble_line *line; /* NULL: no line of a descriptor */
	bool streams_too;                 /* sinks that take bytes have not seen it */
	bool own;                         /* hark's: no threshold holds for it, its loss is no loss */
	bool to_all;                      /* no filter of a sink holds for it, either */
	uint32_t not_to;                  /* sinks, 1 << number */
};

static bool wants(const struct collector *c, unsigned i, const struct frame *f)
{
	if (f->not_to >> i & 1 || (c->routes[i].stream && !f->streams_too))
		return false;
	if (f->message.stamp_id)
		return spec_takes_stamps(&c->sinks[i].spec);
	return f->to_all || (writes_below(&c->sinks[i], f->message.level) &&
			     spec_takes_source(&c->sinks[i].spec, f->message.source));
}

static void lose(struct collector *c, unsigned i, uint64_t need, uint64_t bytes)
{
	struct sink *s = &c->sinks[i];

	if (need > s->queue.size)
		sink_lose_long(s, 1, bytes);
	else
		sink_lose(s, 1, bytes);
}

static void append(struct queue *q, const char *bytes, size_t count)
{
	memcpy(queue_fill(q), bytes, count);
	queue_filled(q, count);
}

static void render(struct collector *c, unsigned i, const struct frame *f)
{
	struct sink *s = &c->sinks[i];

	if (c->routes[i].interactive && echo_goes_on(c, f->line, &s->queue))
		return;
	if (c->routes[i].console && f->line && f->line->shown > f->line->length)
		return; /* mirrored: it is there */
	struct message m = f->message;
	if (s->format.ops != &format_raw && !(m.terminal && c->routes[i].interactive))
		m.length = assemble_last_state(m.text, m.length, &m.text);
	/* A format needs the room that it might need. Where no queue has so much: beside it. */
	uint64_t bound = format_bound(&s->format, &m), room = queue_room(&s->queue);
	char *beside = bound > room ? malloc(bound) : NULL;
	struct text out = beside ? text_in(beside, bound) : text_in(queue_fill(&s->queue), room);
	s->format.ops->render(&s->format, &m, &out);
	if (out.cut || out.len > room)
		sink_lose_long(s, !f->own, f->own ? 0 : m.length);
	else if (beside)
		append(&s->queue, beside, out.len);
	else
		queue_filled(&s->queue, out.len);
	c->state.open_lines &= ~(UINT64_C(1) << i); /* a message ends in a newline */
	free(beside);
}

static uint64_t frame_bound(const struct collector *c, unsigned i, const struct message *m)
{
	const uint64_t most = c->sinks[i].queue.size;
	uint64_t bound = format_bound(&c->sinks[i].format, m) + m->length + 2;

	/* It is seldom as much as that: in an empty queue, we see. */
	return bound > most && m->length + PRI_MOST <= most ? most : bound;
}

static int publish(struct collector *c, struct frame *f)
{
	bool lost[CONTROL_SINKS];
	uint64_t bytes[CONTROL_SINKS];
	struct message *m = &f->message;

	/* A stamp is no message: it has no level, and no number among messages. */
	bool counts = !m->stamp_id;
	if (counts && !f->own && (int)m->level > c->session.control->level)
		return 0;
	m->seq = counts ? c->state.seq + 1 : 0;
	for (unsigned i = 0; i < c->sink_count; i++) {
		bytes[i] = 0;
		if (!wants(c, i, f))
			continue;
		bytes[i] = frame_bound(c, i, m);
		lost[i] = false;
		if (f->own && queue_room(&c->sinks[i].queue) >= bytes[i])
			continue;
		if (deliver_room(c, i, bytes[i], &lost[i]) != 0)
			return -EAGAIN;
	}
	c->state.seq += counts;
	c->state.messages += counts;
	c->state.bytes += counts ? m->length : 0;
	c->dirty = true;
	for (unsigned i = 0; i < c->sink_count; i++) {
		if (bytes[i] && !lost[i])
			render(c, i, f);
		else if (bytes[i] && !f->own)
			lose(c, i, bytes[i], m->length);
	}
	if (m->level <= LEVEL_ERROR && !f->own)
		alarm_raise(c, m);
	return 0;
}

static int64_t forward(struct collector *c, int64_t time_ns)
{
	/* In the ring's order, so a thread that was interrupted between reading the clock and claiming
	 * its place may be a little early. Time does not run backwards in a session. */
	if (time_ns > c->state.time_ns)
		c->state.time_ns = time_ns;
	return c->state.time_ns;
}

static const char *comm_of(struct collector *c, uint32_t pid)
{
	struct watched *p = pid ? watch_process(&c->watch, pid) : NULL;
	return p ? p->comm : "";
}

static int emit(void *argument, const struct assemble_line *line)
{
	struct collector *c = argument;
	size_t skip = 0;
	struct frame f = { .line = line };
	enum level level = infer_level(line->text, line->length, LEVEL_INFO, &skip);

	f.message = (struct message){
		.time_ns = forward(c, line->time_ns),
		.ticks = line->ticks,
		.level = level,
		.source = deliver_source(c, line->source, line->detail),
		.pid = (pid_t)line->pid,
		.tid = (pid_t)line->tid,
		.comm = comm_of(c, line->pid),
		.ident = "",
		.facility = -1,
		.partial = line->partial,
		.terminal = assemble_is_redrawn(line->text, line->length),
		.text = line->text + skip,
		.length = line->length - skip,
	};
	const struct callpath_key key = { .pid = line->pid, .tid = line->tid,
					  .detail = line->detail, .fd = line->fd,
					  .source = line->source };
	const struct callpath_stack *stack = callpath_of(c, &key, level, &f.message);
	int result = publish(c, &f);
	if (!result && line->ended)
		callpath_done(c, stack);
	return result;
}

/* ---- records ------------------------------------------------------------------------------------ */

/* Nothing was said in the future: one wrong stamp shall not be every later message's. */
int64_t deliver_time_of(const struct collector *c)
{
	int64_t present = deliver_time(c), ns = clock_map_ns(&c->clock, c->record.ticks);
	return ns > present && (uint64_t)ns - (uint64_t)present > AHEAD_NS ? present : ns;
}

static int deliver_text(struct collector *c)
{
	const struct reader_record *r = &c->record;

	if (!c->state.streamed && stream_record(c) != 0)
		return -EAGAIN;
	if (!c->any_lines) {
		c->state.messages++;
		c->state.bytes += r->bytes;
		return 0;
	}
	struct assemble_bytes in = {
		.pid = r->pid,
		.tid = r->tid,
		.detail = r->detail,
		.fd = r->fd,
		.source = r->source,
		.mirrored = r->flags & RECORD_MIRRORED,
		.more = r->flags & RECORD_MORE,
		.time_ns = deliver_time_of(c),
		.ticks = r->ticks,
		.bytes = r->payload,
		.count = r->bytes,
	};
	size_t done = c->state.done;
	c->callpath.feeding = true;
	int result = assemble_feed(&c->lines, &in, &done, emit, c);
	c->callpath.feeding = false;
	c->state.done = done;
	if (!result)
		callpath_keep(c);
	return result;
}

/* What is a message by itself: said by syslog() or hark_log(), in one record or in several. */
struct said {
	uint8_t kind;
	struct callpath_key key;
	int64_t time_ns;
	uint64_t ticks;
	const char *bytes;
	size_t count, ident_bytes; /* its name and the NUL behind it, in front of the text */
	bool partial;
};

/* What follows in another record is text only. */
static size_t ident_of(uint8_t kind, bool continued, const char *bytes, size_t count)
{
	const char *end =
		kind == RECORD_SYSLOG && !continued ? memchr(bytes, 0, count) : NULL;
	return end ? (size_t)(end - bytes) + 1 : 0;
}

static int publish_said(struct collector *c, const struct said *s)
{
	bool is_syslog = s->kind == RECORD_SYSLOG;
	struct frame f = { .streams_too = true };

	f.message = (struct message){
		.time_ns = forward(c, s->time_ns),
		.ticks = s->ticks,
		.level = (enum level)(s->key.detail & 7),
		.source = is_syslog ? "syslog" : "log",
		.pid = (pid_t)s->key.pid,
		.tid = (pid_t)s->key.tid,
		.comm = comm_of(c, s->key.pid),
		.ident = s->ident_bytes ? s->bytes : "",
		.facility = is_syslog && s->key.detail >> 3 < 24 ? (int)(s->key.detail >> 3) : -1,
		.partial = s->partial,
		.text = s->bytes + s->ident_bytes,
		.length = s->count - s->ident_bytes,
	};
	const struct callpath_stack *stack = callpath_of(c, &s->key, f.message.level, &f.message);
	int result = publish(c, &f);
	if (!result)
		callpath_done(c, stack);
	return result;
}

static int deliver_message(struct collector *c)
{
	const struct reader_record *r = &c->record;
	int result = stream_message(c);

	if (result)
		return result < 0 ? result : 0;
	const struct said said = {
		.kind = r->kind,
		.key = { .pid = r->pid, .tid = r->tid, .detail = r->detail, .fd = r->fd,
			 .source = r->source },
		.time_ns = deliver_time_of(c), .ticks = r->ticks,
		.bytes = r->payload, .count = r->bytes,
		.ident_bytes = ident_of(r->kind, r->flags & RECORD_CONTINUES, r->payload, r->bytes),
		.partial = r->flags & RECORD_MORE,
	};
	c->callpath.feeding = true;
	result = publish_said(c, &said);
	c->callpath.feeding = false;
	return result;
}

int deliver_joined(struct collector *c, const struct joined *j, size_t *kept)
{
	const struct said said = {
		.kind = j->kind,
		.key = { .pid = j->pid, .tid = j->tid, .detail = j->detail, .fd = j->fd,
			 .source = j->source },
		.time_ns = j->time_ns, .ticks = j->ticks, .bytes = j->text, .count = j->bytes,
		.ident_bytes = ident_of(j->kind, j->continued, j->text, j->bytes),
		.partial = !j->whole,
	};

	*kept = said.ident_bytes;
	return publish_said(c, &said);
}

static int deliver_stamp(struct collector *c)
{
	const struct reader_record *r = &c->record;
	struct frame f = { .streams_too = true };
	struct record_stamp stamp;

	if (r->bytes < sizeof stamp)
		return 0;
	memcpy(&stamp, r->payload, sizeof stamp);
	f.message = (struct message){
		.time_ns = forward(c, deliver_time_of(c)),
		.ticks = r->ticks,
		.level = LEVEL_INFO,
		.source = deliver_source(c, SOURCE_STAMP, 0),
		.pid = (pid_t)r->pid,
		.tid = (pid_t)r->tid,
		.comm = comm_of(c, r->pid),
		.ident = "",
		.facility = -1,
		.text = r->payload + sizeof stamp,
		.length = r->bytes - sizeof stamp,
		.stamp_id = stamp.id ? stamp.id : 1,
		.step = stamp.step,
	};
	return publish(c, &f);
}

static struct frame own_frame(struct collector *c, enum level level, const char *text,
			      size_t length, uint32_t pid)
{
	struct frame f = { .streams_too = true, .own = true };

	f.message = (struct message){
		.time_ns = forward(c, deliver_time(c)),
		.level = level,
		.source = "hark",
		.pid = (pid_t)pid,
		.comm = pid ? comm_of(c, pid) : "",
		.ident = "",
		.facility = -1,
		.text = text,
		.length = length,
	};
	return f;
}

static int note(struct collector *c, const struct reader_record *r)
{
	enum level level = r->detail < LEVEL_NR ? (enum level)r->detail : LEVEL_NOTICE;
	struct frame f = own_frame(c, level, r->payload, r->bytes, r->pid);

	return publish(c, &f);
}

uint32_t deliver_note(struct collector *c, enum level level, const char *text, uint32_t sinks)
{
	struct frame f = own_frame(c, level, text, strlen(text), 0);

	f.to_all = true;
	f.not_to = ~sinks;
	for (unsigned i = 0; i < c->sink_count; i++)
		if (wants(c, i, &f) &&
		    queue_room(&c->sinks[i].queue) < frame_bound(c, i, &f.message))
			f.not_to |= 1u << i;
	sinks &= ~f.not_to;
	if (sinks)
		publish(c, &f);
	return sinks;
}

int deliver_record(struct collector *c)
{
	const struct reader_record *r = &c->record;
	int result = stream_go_on(c);

	if (result)
		return result;
	if (r->kind <= RECORD_SYSLOG && !callpath_take(c))
		return 0; /* of what is said next */
	switch (r->kind) {
	case RECORD_TEXT:
		result = deliver_text(c);
		break;
	case RECORD_SYSLOG:
	case RECORD_LOG:
		result = deliver_message(c);
		break;
	case RECORD_STAMP:
		result = deliver_stamp(c);
		break;
	case RECORD_MODULE:
		callpath_module(c);
		break;
	case RECORD_JOIN:
		result = people_joined(c);
		break;
	case RECORD_NOTE:
		result = note(c, r);
		break;
	case RECORD_LEAVING:
		result = r->pid ? deliver_end(c, r->pid) : 0;
		break;
	case RECORD_SANDBOX:
		people_sandboxed(c);
		break;
	case RECORD_CLOSED:
		c->look_at_console = true;
		break;
	case RECORD_IMAGE:
		image_started(c);
		break;
	default:
		break;
	}
	return result;
}

int deliver_expire(struct collector *c)
{
	int64_t now = deliver_time(c);
	/* Before a collector's first record, that is long ago: the rest may be behind an open claim. */
	int64_t until = c->caught_up ? now : deliver_time_of(c);
	int error = assemble_expire(&c->lines, until, now, emit, c);
	/* Who is in the middle of a call has had room for as long as we have been at the end. */
	if (!error && c->caught_up && c->now_ns - c->caught_up_ns >= (uint64_t)ASSEMBLE_CALL_NS)
		error = assemble_expire_calls(&c->lines, now, emit, c);
	return error ? error : stream_expire(c);
}

int deliver_end(struct collector *c, uint32_t pid)
{
	int error = stream_end(c, pid);
	return error ? error : assemble_end(&c->lines, pid, emit, c);
}

int64_t deliver_time(const struct collector *c)
{
	return (int64_t)(c->now_ns + (uint64_t)c->clock.offset_ns);
}
