/*
 * leftover.c - see leftover.h. What was read from the ring is in these queues only, so they may not be
 * removed before somebody has it.
 */
#include "lib/collect/leftover.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/collect/round.h"

enum { STEP_NS = 5000000, PIECE = 32 << 10 };

/* Whole frames where they are not longer than a piece: another sink's may follow. */
static size_t piece_of(const char *bytes, size_t count)
{
	const char *newline = count > PIECE ? memrchr(bytes, '\n', PIECE) : NULL;

	return newline ? (size_t)(newline + 1 - bytes) : count < PIECE ? count : PIECE;
}

static bool has_room(const struct collector *c, size_t count)
{
	for (unsigned i = 0; i < c->sink_count; i++)
		if (queue_room(&c->sinks[i].queue) < count)
			return false;
	return true;
}

static bool wait_for_room(struct collector *c, size_t count, uint64_t until_ns)
{
	const struct timespec step = { 0, STEP_NS };
	struct round_wait wait;

	while (!has_room(c, count)) {
		c->now_ns = clock_monotonic_ns();
		round_pump(c, &wait);
		if (has_room(c, count))
			return true;
		if (c->now_ns >= until_ns)
			return false;
		ppoll(wait.fds, wait.fd_count, &step, NULL);
	}
	return true;
}

static bool hand_on(struct collector *c, const char *bytes, size_t count, uint64_t until_ns)
{
	while (count) {
		size_t some = piece_of(bytes, count);
		if (!wait_for_room(c, some, until_ns))
			return false;
		for (unsigned i = 0; i < c->sink_count; i++) {
			struct queue *q = &c->sinks[i].queue;
			memcpy(queue_fill(q), bytes, some);
			queue_filled(q, some);
			c->state.heads[i] = q->head;
		}
		c->dirty = true;
		bytes += some;
		count -= some;
	}
	return true;
}

bool leftover_deliver(struct collector *c, struct collect_delivery *d)
{
	const uint64_t until = clock_monotonic_ns() + c->session.control->exit_timeout_ns;
	uint64_t heads[CONTROL_SINKS]; /* of the dead session; ours take their place */
	bool all = true;
	char path[512];

	memcpy(heads, c->state.heads, sizeof heads);
	memset(c->state.heads, 0, sizeof c->state.heads);
	for (unsigned i = 0; i < CONTROL_SINKS; i++) {
		struct queue q;
		snprintf(path, sizeof path, "%s/queue.%u", c->plan->dir, i);
		if (access(path, F_OK) != 0 || queue_open(&q, path, PIECE) != 0)
			continue;
		uint64_t tail = q.head;
		if (heads[i] > tail && heads[i] - tail <= q.size) {
			const char *bytes = queue_peek(&q);
			size_t count = heads[i] - tail;
			all = hand_on(c, bytes, count, until) && all;
			d->bytes += count;
			for (size_t at = 0; at < count; at++)
				d->messages += bytes[at] == '\n';
		}
		queue_close(&q);
	}
	return all;
}
