/*
 * people.c - what records tell of the session's processes. Called by deliver_record().
 */
#include <errno.h>
#include <string.h>

#include "lib/collect/collector.h"

int people_joined(struct collector *c)
{
	const struct reader_record *r = &c->record;
	struct record_join join = { 0 };

	memcpy(&join, r->payload, r->bytes < sizeof join ? r->bytes : sizeof join);
	join.comm[sizeof join.comm - 1] = join.path[sizeof join.path - 1] = 0;
	/* Somebody else had the number before: what he left is not continued. So it is with every new child;
	 * a new image goes on where the process lives that we know. */
	if ((r->detail == JOIN_CHILD || watch_has_ended(&c->watch, r->pid)) &&
	    deliver_end(c, r->pid) != 0)
		return -EAGAIN;
	/* who was only renamed has no path here, and has loaded what he had */
	if (r->detail == JOIN_CHILD || r->bytes > offsetof(struct record_join, path))
		callpath_image(c, r->pid);
	if (watch_joined(&c->watch, r->pid, &join))
		c->reader.tids_known = false;
	return 0;
}

/* Behind a seccomp filter, or not after all: the filter was refused. */
void people_sandboxed(struct collector *c)
{
	const struct reader_record *r = &c->record;

	watch_sandboxed(&c->watch, r->pid, r->detail != 0);
	if (r->detail)
		c->state.sandboxes++;
	else if (c->state.sandboxes)
		c->state.sandboxes--;
}
