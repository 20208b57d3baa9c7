/*
 * losses.c - what was lost is counted by reason and said in the stream.
 */
#include <stdio.h>

#include "lib/base/text.h"
#include "lib/collect/collector.h"
#include "lib/session/lost.h"

enum { ANNOUNCE_NS = 1000000000, MID_LINE_NS = 1000000000, TEXT_MOST = 200 };

static void count(struct collector *c, enum lost_reason reason, uint64_t messages, uint64_t bytes)
{
	struct lost_count *lost = &c->session.control->lost[reason];
	atomic_fetch_add(&lost->messages, messages);
	atomic_fetch_add(&lost->bytes, bytes);
	c->state.lost[reason].messages += messages;
	c->state.lost[reason].bytes += bytes;
	c->dirty = true;
}

void losses_resume(struct collector *c)
{
	static const enum lost_reason ours[] = { LOST_TORN, LOST_CORRUPT, LOST_SINK };

	for (unsigned i = 0; i < sizeof ours / sizeof *ours; i++) {
		struct lost_count *lost = &c->session.control->lost[ours[i]];
		atomic_store(&lost->messages, c->state.lost[ours[i]].messages);
		atomic_store(&lost->bytes, c->state.lost[ours[i]].bytes);
	}
}

void losses_gather(struct collector *c)
{
	if (c->reader.torn != c->torn)
		count(c, LOST_TORN, c->reader.torn - c->torn, 0);
	if (c->reader.corrupt != c->corrupt)
		count(c, LOST_CORRUPT, c->reader.corrupt - c->corrupt, 0);
	struct ring_shared *ring = c->session.ring.shared;
	uint64_t messages = atomic_load(&ring->lost_messages),
		 bytes = atomic_load(&ring->lost_bytes);
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
		uint64_t long_messages = s->long_messages - r->long_messages,
			 long_bytes = s->long_bytes - r->long_bytes;
		if (long_messages)
			count(c, LOST_TOO_LONG, long_messages, long_bytes);
		if (s->lost_messages - r->lost_messages != long_messages)
			count(c, LOST_SINK, s->lost_messages - r->lost_messages - long_messages,
			      s->lost_bytes - r->lost_bytes - long_bytes);
		r->lost_messages = s->lost_messages;
		r->lost_bytes = s->lost_bytes;
		r->long_messages = s->long_messages;
		r->long_bytes = s->long_bytes;
	}
}

static bool same(struct told a, struct told b)
{
	return a.messages == b.messages && a.bytes == b.bytes;
}

static struct told lost_so_far(const struct collector *c, unsigned reason)
{
	struct lost_count *lost = &c->session.control->lost[reason];

	return (struct told){ atomic_load(&lost->messages), atomic_load(&lost->bytes) };
}

/* The sinks whose streams do not speak of all that. */
static uint32_t ignorant(const struct collector *c, unsigned reason, struct told all)
{
	uint32_t sinks = 0;

	for (unsigned i = 0; i < c->sink_count; i++)
		if (!c->sinks[i].gone && c->state.told[i][reason].messages != all.messages)
			sinks |= 1u << i;
	return sinks;
}

/* A stream of bytes may be in the middle of a line, whose rest is waited for; but a prompt has none. */
static uint32_t wait_for_line(struct collector *c)
{
	if (!c->mid_line_ns)
		c->mid_line_ns = c->now_ns;
	return c->now_ns - c->mid_line_ns < MID_LINE_NS ? (uint32_t)c->state.open_lines : 0;
}

/* Where the rest does not come, what we have to say still is a line of its own. */
static void end_lines(struct collector *c, uint32_t sinks)
{
	for (unsigned i = 0; i < c->sink_count; i++) {
		struct queue *q = &c->sinks[i].queue;
		if (!(sinks & c->state.open_lines & 1u << i) || queue_room(q) < 4 * TEXT_MOST)
			continue;
		*queue_fill(q) = '\n';
		queue_filled(q, 1);
		c->state.open_lines &= ~(UINT64_C(1) << i);
		c->dirty = true;
	}
}

/* Those that know equally little hear it in one message, the others in another. */
static bool announce(struct collector *c, unsigned reason, uint32_t not_now)
{
	struct told all = lost_so_far(c, reason);
	uint32_t left = ignorant(c, reason, all), untold = left & not_now;
	char text[TEXT_MOST];

	left &= ~not_now;

	while (left) {
		struct told known = c->state.told[__builtin_ctz(left)][reason];
		uint32_t alike = 0;
		for (unsigned i = 0; i < c->sink_count; i++)
			if (left & 1u << i && same(c->state.told[i][reason], known))
				alike |= 1u << i;
		left &= ~alike;
		uint64_t messages = all.messages - known.messages, bytes = all.bytes - known.bytes;
		snprintf(text, sizeof text, "%llu %s (%llu %s) lost: %s",
			 (unsigned long long)messages, text_one(messages, "message", "messages"),
			 (unsigned long long)bytes, text_one(bytes, "byte", "bytes"),
			 lost_sentence(reason));
		end_lines(c, alike);
		uint32_t told = deliver_note(c, LEVEL_WARNING, text, alike);
		untold |= alike & ~told;
		if (told)
			c->announced_ns = c->now_ns;
		for (unsigned i = 0; i < c->sink_count; i++)
			if (told & 1u << i)
				c->state.told[i][reason] = all;
	}
	return !untold;
}

bool losses_announce(struct collector *c, bool at_once)
{
	bool now = at_once || c->now_ns - c->announced_ns >= ANNOUNCE_NS;

	losses_gather(c);
	c->untold = c->joins.leaving; /* not into the middle of a write */
	if (c->untold)
		return false;
	uint32_t not_now = at_once ? 0 : wait_for_line(c);
	for (unsigned reason = 0; reason < LOST_NR; reason++)
		if (now ? !announce(c, reason, not_now)
			: ignorant(c, reason, lost_so_far(c, reason)))
			c->untold = true;
	if (!c->untold)
		c->mid_line_ns = 0;
	return !c->untold;
}
