/*
 * losses.c - what was lost is counted by reason and said in the stream.
 */
#include <stdio.h>

#include "lib/collect/collector.h"
#include "lib/session/lost.h"

enum { ANNOUNCE_NS = 1000000000 };

static void count(struct collector *c, enum lost_reason reason, uint64_t messages, uint64_t bytes)
{
	struct lost_count *lost = &c->session.control->lost[reason];
	atomic_fetch_add(&lost->messages, messages);
	atomic_fetch_add(&lost->bytes, bytes);
}

void losses_gather(struct collector *c)
{
	if (c->reader.torn != c->torn)
		count(c, LOST_TORN, c->reader.torn - c->torn, 0);
	if (c->reader.corrupt != c->corrupt)
		count(c, LOST_CORRUPT, c->reader.corrupt - c->corrupt, 0);
	struct ring_shared *ring = c->session.ring.shared;
	uint64_t messages = atomic_load(&ring->lost_messages), bytes = atomic_load(&ring->lost_bytes);
	struct lost_count *overwritten = &c->session.control->lost[LOST_OVERWRITTEN];
	if (messages != atomic_load(&overwritten->messages)) {
		atomic_store(&overwritten->messages, messages);
		atomic_store(&overwritten->bytes, bytes);
	}
	c->torn = c->reader.torn;
	c->corrupt = c->reader.corrupt;
	for (unsigned i = 0; i < c->sink_count; i++) {
		struct sink *s = &c->sinks[i];
		struct route *r = &c->routes[i];
		if (s->lost_messages == r->lost_messages)
			continue;
		count(c, LOST_SINK, s->lost_messages - r->lost_messages, s->lost_bytes - r->lost_bytes);
		r->lost_messages = s->lost_messages;
		r->lost_bytes = s->lost_bytes;
	}
}

int losses_announce(struct collector *c, bool at_once)
{
	if (!at_once && c->now_ns - c->announced_ns < ANNOUNCE_NS)
		return 0;
	losses_gather(c);
	for (unsigned reason = 0; reason < LOST_NR; reason++) {
		struct lost_count *lost = &c->session.control->lost[reason];
		uint64_t messages = atomic_load(&lost->messages);
		uint64_t bytes = atomic_load(&lost->bytes);
		uint64_t *said = &c->state.announced_messages[reason];
		uint64_t *said_bytes = &c->state.announced_bytes[reason];
		char text[200];

		if (messages == *said)
			continue;
		snprintf(text, sizeof text, "%llu messages (%llu bytes) lost: %s",
			 (unsigned long long)(messages - *said),
			 (unsigned long long)(bytes - *said_bytes), lost_sentence(reason));
		c->announced_ns = c->now_ns;
		int result = deliver_note(c, LEVEL_WARNING, text);
		if (result)
			return result;
		*said = messages;
		*said_bytes = bytes;
		c->dirty = true;
	}
	return 0;
}
