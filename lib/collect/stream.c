/*
 * stream.c - sinks that take bytes as they come, in the order of the ring.
 *
 * Called by deliver.c for each record of text. What was written by one call stays together: where it
 * came in several records, they are joined first (join.h). Nobody may get anything twice, so what
 * is under way is finished before anything else is begun.
 */
#include <errno.h>
#include <string.h>

#include "lib/collect/collector.h"

/* Which streams those bytes are for. */
static unsigned takers(struct collector *c, uint8_t source, uint32_t detail, bool mirrored,
		       bool takes[CONTROL_SINKS])
{
	const char *name = deliver_source(c, source, detail);
	unsigned count = 0;

	for (unsigned i = 0; i < c->sink_count; i++) {
		takes[i] = c->routes[i].stream && spec_takes_source(&c->sinks[i].spec, name) &&
			   !(c->routes[i].console && mirrored);
		count += takes[i];
	}
	return count;
}

/* All or, where a sink that may be waited for is full, none. */
static int put(struct collector *c, const bool takes[CONTROL_SINKS], const char *bytes,
	       size_t count)
{
	bool lost[CONTROL_SINKS];

	if (!count) /* a line that is open, or not, stays so */
		return 0;
	for (unsigned i = 0; i < c->sink_count; i++)
		if (takes[i] && deliver_room(c, i, count, &lost[i]) != 0)
			return -EAGAIN;
	for (unsigned i = 0; i < c->sink_count; i++) {
		struct queue *q = &c->sinks[i].queue;
		if (!takes[i])
			continue;
		if (lost[i]) {
			sink_lose(&c->sinks[i], 1, count);
			continue;
		}
		memcpy(queue_fill(q), bytes, count);
		queue_filled(q, count);
		c->state.open_lines &= ~(UINT64_C(1) << i);
		c->state.open_lines |= (uint64_t)(bytes[count - 1] != '\n') << i;
	}
	c->dirty = true;
	return 0;
}

/* The most that every queue could take at once. */
static size_t whole(const struct collector *c, const bool takes[CONTROL_SINKS], size_t count)
{
	for (unsigned i = 0; i < c->sink_count; i++)
		if (takes[i] && c->sinks[i].queue.size < count)
			count = c->sinks[i].queue.size;
	return count;
}

static int message_goes_on(struct collector *c, struct joined *j)
{
	size_t kept = 0;

	if (deliver_joined(c, j, &kept) != 0)
		return -EAGAIN;
	c->dirty = true;
	if (j->cut) {
		join_shorten(&c->joins, j, kept);
		j->cut = false;
		c->joins.leaving = NULL;
	} else {
		join_release(&c->joins, j);
	}
	return 0;
}

int stream_go_on(struct collector *c)
{
	struct joined *j = c->joins.leaving;
	bool takes[CONTROL_SINKS];

	if (!j)
		return 0;
	if (j->kind != RECORD_TEXT)
		return message_goes_on(c, j);
	if (!takers(c, j->source, j->detail, j->mirrored, takes))
		j->passed = j->bytes;
	while (j->passed < j->bytes) {
		size_t count = whole(c, takes, j->bytes - j->passed);
		if (put(c, takes, j->text + j->passed, count) != 0)
			return -EAGAIN;
		j->passed += count;
	}
	join_release(&c->joins, j);
	c->dirty = true;
	return 0;
}

static int let_leave(struct collector *c, struct joined *j)
{
	c->joins.leaving = j;
	return stream_go_on(c);
}

/* False: it cannot be kept. */
static bool keep(struct collector *c, struct joined *j)
{
	/* Whatever is kept must be in the next checkpoint. */
	if (!checkpoint_can_join(&c->file) ||
	    !join_add(&c->joins, j, &c->record, deliver_time_of(c), c->now_ns))
		return false;
	watch_process(&c->watch, c->record.pid); /* its end is the end of this */
	c->state.streamed = 1;
	c->dirty = true;
	return true;
}

static size_t message_most(const struct collector *c)
{
	size_t most = MESSAGE_MOST;

	for (unsigned i = 0; i < c->sink_count; i++) {
		enum sink_kind kind = c->sinks[i].spec.kind;
		if (c->sinks[i].queue.size / 4 < most)
			most = c->sinks[i].queue.size / 4;
		if ((kind == SINK_UDP || kind == SINK_UNIXGRAM) && most > MESSAGE_MOST_DATAGRAM)
			most = MESSAGE_MOST_DATAGRAM;
	}
	return most;
}

/* 0: the record stands alone; 1: it is kept, or was passed on with what came before; -EAGAIN */
static int join(struct collector *c)
{
	const struct reader_record *r = &c->record;
	struct joined *j = c->joins.count ? join_find(&c->joins, r) : NULL;
	/* The rest of that call will not come, or a handler has interrupted it. */
	if (j && !(r->flags & RECORD_CONTINUES)) {
		if (let_leave(c, j) != 0)
			return -EAGAIN;
		j = NULL;
	}
	bool more = r->flags & RECORD_MORE;
	if (j && r->kind != RECORD_TEXT && j->bytes + r->bytes > message_most(c)) {
		j->cut = true;
		if (let_leave(c, j) != 0)
			return -EAGAIN;
	}
	if ((more || j) && keep(c, j)) {
		if (more)
			return 1;
		j = join_find(&c->joins, r);
		j->whole = true;
		return let_leave(c, j) != 0 ? -EAGAIN : 1;
	}
	return j && let_leave(c, j) != 0 ? -EAGAIN : 0;
}

int stream_message(struct collector *c)
{
	return c->state.streamed ? 1 : join(c);
}

int stream_record(struct collector *c)
{
	const struct reader_record *r = &c->record;
	bool takes[CONTROL_SINKS];

	if (c->state.streamed ||
	    !takers(c, r->source, r->detail, r->flags & RECORD_MIRRORED, takes))
		return 0;
	int result = join(c);
	if (result)
		return result < 0 ? result : 0;
	if (put(c, takes, r->payload, r->bytes) != 0)
		return -EAGAIN;
	c->state.streamed = 1;
	return 0;
}

int stream_end(struct collector *c, uint32_t pid)
{
	struct joined *j;
	int error = stream_go_on(c);

	while (!error && (j = join_of(&c->joins, pid)))
		error = let_leave(c, j);
	return error;
}

int stream_expire(struct collector *c)
{
	int error = stream_go_on(c);

	while (!error && c->now_ns >= stream_deadline(c))
		error = let_leave(c, c->joins.first);
	return error;
}

uint64_t stream_deadline(const struct collector *c)
{
	const struct joined *j = c->joins.first;

	if (!j)
		return UINT64_MAX;
	/* who writes has had room since */
	return (j->touched_ns < c->caught_up_ns ? c->caught_up_ns : j->touched_ns) + STREAM_HOLD_NS;
}
