/*
 * trouble.c - a sink that cannot be reached is said on the console, once in a session: whoever looks
 * there learns that something waits. `hark stats` knows the present state.
 */
#include <stdio.h>

#include "lib/collect/collector.h"

/* Who takes bytes as they come holds the program's own, and nothing of ours but losses. */
static uint32_t listeners(const struct collector *c)
{
	uint32_t sinks = 0;

	for (unsigned i = 0; i < c->sink_count; i++)
		if ((c->routes[i].console || !c->routes[i].stream) && !c->sinks[i].error)
			sinks |= 1u << i;
	return sinks;
}

void trouble_announce(struct collector *c)
{
	char text[sizeof c->sinks->spec.given + 200];

	if (c->plan->salvage || c->joins.leaving) /* not into the middle of a write */
		return;
	for (unsigned i = 0; i < c->sink_count; i++) {
		const struct sink *s = &c->sinks[i];
		if (s->state != SINK_BACKOFF || s->gone || c->state.troubled & 1u << i)
			continue;
		snprintf(text, sizeof text, "cannot reach %s: %s; still trying, its messages wait",
			 s->spec.given, sink_error_text(s->error));
		if (!deliver_note(c, LEVEL_WARNING, text, listeners(c)))
			continue; /* nobody has room, or nobody is there: the next round looks again */
		c->state.troubled |= 1u << i;
		c->dirty = true;
	}
}
