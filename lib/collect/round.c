/*
 * round.c - see round.h.
 */
#include "lib/collect/round.h"

#include <errno.h>

#include "lib/base/testpoint.h"

enum {
	RETRY_NS = 1000000,
	TEND_NS = 1000000000, /* what the ring has set aside is looked at this often */
};

void round_again_if(struct collector *c, int refused)
{
	if (refused)
		c->retry_ns = c->now_ns + RETRY_NS;
}

unsigned round_drain(struct collector *c, enum reader_found *found)
{
	unsigned records = 0;
	bool held_up = c->in_hand, was_caught_up = c->caught_up;

	*found = READER_RECORD;
	c->caught_up = false;
	c->retry_ns = 0;
	while (records < ROUND_RECORDS) {
		if (!c->in_hand) {
			*found = reader_next(&c->reader, c->now_ns, &c->record);
			if (*found != READER_RECORD)
				break;
			c->in_hand = true;
		}
		if (deliver_record(c) != 0) {
			round_again_if(c, -EAGAIN);
			break;
		}
		TESTPOINT(collect_delivered);
		c->in_hand = false;
		c->state.position = c->record.next;
		c->state.done = 0;
		c->state.streamed = 0;
		c->state.records++;
		c->dirty = true;
		records++;
		if (held_up && deliver_expire(c) == 0)
			held_up = false; /* the one occasion, where there is a record in hand all the time */
	}
	c->caught_up = *found == READER_NOTHING && !c->in_hand;
	if (c->caught_up && !was_caught_up)
		c->caught_up_ns = c->now_ns;
	if (!c->in_hand && c->state.position != c->reader.at) {
		c->state.position = c->reader.at; /* holes and fillers at the end */
		c->dirty = true;
	}
	return records;
}

static uint64_t monotonic_of(const struct collector *c, int64_t time_ns)
{
	if (time_ns == INT64_MAX)
		return UINT64_MAX;
	time_ns -= c->clock.offset_ns;
	return time_ns > 0 ? (uint64_t)time_ns : 0;
}

uint64_t round_lines_due(const struct collector *c)
{
	uint64_t lines = monotonic_of(c, assemble_deadline(&c->lines));
	uint64_t calls = monotonic_of(c, assemble_calls_deadline(&c->lines));
	uint64_t soonest = c->caught_up_ns + (uint64_t)ASSEMBLE_CALL_NS; /* see deliver_expire() */

	if (calls < soonest)
		calls = soonest;
	return lines < calls ? lines : calls;
}

void round_last_words(struct collector *c)
{
	/* The ring's head is a hint that may be spoilt; what has been read is sure. */
	uint64_t position = c->caught_up ? UINT64_MAX : c->state.position;
	uint32_t pid;

	while (!c->in_hand && watch_next_ended(&c->watch, position, &pid)) {
		int refused = deliver_end(c, pid);
		round_again_if(c, refused);
		if (refused)
			return;
		watch_forget(&c->watch, pid);
		c->look_at_console = c->look_at_polled = true; /* he may not even have been watched */
		c->dirty = true;
	}
}

/* Without anything to release, what was set aside is looked at all the same. */
static void tend(struct collector *c)
{
	struct reader *r = &c->reader;

	if ((r->aside_count || r->missing || r->steals) && c->now_ns - r->tended_ns >= TEND_NS)
		reader_tend(r, c->now_ns);
}

void round_write_down(struct collector *c)
{
	if (!c->dirty) {
		tend(c);
		return;
	}
	for (unsigned i = 0; i < c->sink_count; i++) {
		if (sink_idle(&c->sinks[i]) && c->sinks[i].state == SINK_OPEN)
			queue_rewind(&c->sinks[i].queue);
		c->state.heads[i] = c->sinks[i].queue.head;
	}
	c->state.lines_bytes = 0;
	if (c->lines.pending_lines) {
		int64_t n = assemble_save(&c->lines, checkpoint_lines(&c->file), CHECKPOINT_LINES);
		c->state.lines_bytes = n > 0 ? (uint64_t)n : 0;
	}
	c->state.joins_bytes = 0;
	if (c->joins.count)
		c->state.joins_bytes = join_save(&c->joins, checkpoint_joins(&c->file));
	c->dirty = false;
	if (c->plan->sinks) /* salvaged elsewhere: should that fail, all is still there */
		return;
	struct checkpoint_person *people = checkpoint_people(&c->file, c->watch.version);
	if (people)
		c->state.people = watch_save(&c->watch, people, CHECKPOINT_PEOPLE);
	checkpoint_save(&c->file, &c->state);
	TESTPOINT(collect_checkpointed);
	reader_release(&c->reader, c->state.position, c->now_ns);
}

void round_pump(struct collector *c, struct round_wait *wait)
{
	bool shown = true, delivered = true;

	wait->fd_count = 0;
	wait->deadline_ns = UINT64_MAX;
	for (unsigned i = 0; i < c->sink_count; i++) {
		struct sink *s = &c->sinks[i];
		struct sink_wish wish = { 0, UINT64_MAX };
		sink_pump(s, c->now_ns, c->state.heads[i], &wish);
		if (wish.events && s->fd >= 0)
			wait->fds[wait->fd_count++] =
				(struct pollfd){ .fd = s->fd, .events = wish.events };
		if (wish.deadline_ns < wait->deadline_ns)
			wait->deadline_ns = wish.deadline_ns;
		if (c->routes[i].console && s->error == -EPIPE)
			atomic_store(&c->session.control->console_broken, 1);
		if (sink_idle(s))
			continue;
		bool refuses = s->state == SINK_BACKOFF || s->gone; /* nobody is to wait for that */
		if (c->routes[i].console && !refuses)
			shown = false;
		if (!refuses && !s->stalled)
			delivered = false;
	}
	TESTPOINT(collect_pumped);
	struct control *control = c->session.control;
	uint64_t was_shown = atomic_load(&control->shown),
		 was_delivered = atomic_load(&control->delivered);
	uint64_t now_shown = was_shown == UINT64_MAX || !shown ? was_shown : c->state.position;
	uint64_t now_delivered = delivered ? c->state.position : was_delivered;
	/* Who asked while all was done already is answered, too. */
	bool asked = shown && delivered && atomic_load(&control->progress_wanted);
	if (now_shown != was_shown || now_delivered != was_delivered || asked)
		session_progress(control, now_shown, now_delivered);
}
