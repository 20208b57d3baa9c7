/*
 * stats.c - see stats.h.
 */
#include "lib/collect/stats.h"

#include <stdio.h>
#include <string.h>

enum { EVERY_NS = 100000000 };

static void publish_sink(struct control_sink *to, const struct sink *s)
{
	to->in_use = 1;
	snprintf(to->spec, sizeof to->spec, "%s", s->spec.given);
	snprintf(to->state, sizeof to->state, "%s", s->gone ? "gone" : sink_state_name(s->state));
	to->error = s->error;
	to->written_bytes = s->written_bytes;
	to->written_frames = s->written_frames;
	to->queued_bytes = queue_used(&s->queue);
	to->lost_messages = s->lost_messages;
	to->lost_bytes = s->lost_bytes;
	to->reconnects = s->reconnects;
}

static void publish_processes(struct control *control, const struct watch *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->size && n < CONTROL_PROCESSES; i++) {
		const struct watched *p = &w->table[i];
		if (!p->pid || p->ended)
			continue;
		control->processes[n].pid = (int32_t)p->pid;
		control->processes[n].start = p->start;
		memcpy(control->processes[n++].comm, p->comm, sizeof p->comm);
	}
	atomic_store(&control->process_count, n);
}

void stats_publish(struct collector *c, bool now)
{
	static uint64_t last_ns;
	struct control *control = c->session.control;

	if (!now && c->now_ns - last_ns < EVERY_NS)
		return;
	last_ns = c->now_ns;
	losses_gather(c);
	atomic_store(&control->messages, c->state.messages);
	atomic_store(&control->message_bytes, c->state.bytes);
	atomic_store(&control->records, c->state.records);
	for (unsigned i = 0; i < c->sink_count; i++)
		publish_sink(&control->sink[i], &c->sinks[i]);
	publish_processes(control, &c->watch);
}
