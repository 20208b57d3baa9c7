/*
 * samples_cursor.c - see samples.h. A thread's samples as records of calls, as cursor.c asks for them.
 */
#include "lib/profile/samples.h"

#include <errno.h>
#include <stdlib.h>

/* Nobody writes deeper ones; a hostile file could make each sample as long as the tree. */
enum { DEPTH_MOST = 4096 };

int samples_cursor_open(struct samples_cursor *c, const struct trace_dir *dir,
			const struct trace_thread *thread)
{
	*c = (struct samples_cursor){ .thread = thread->sampled,
				      .ns_per_tick = dir->ns_per_tick, .room = 256 };
	c->path = malloc(c->room * sizeof *c->path);
	return c->path ? 0 : -ENOMEM;
}

void samples_cursor_close(struct samples_cursor *c)
{
	free(c->path);
	c->path = NULL;
}

/* Its path is in place of the one before. */
static void take_path(struct samples_cursor *c, uint32_t node)
{
	const struct samples *s = c->thread->samples;
	uint32_t depth = 0, at = node;

	for (; at && depth < DEPTH_MOST; at = s->nodes[at - 1].parent)
		depth++;
	if (depth > c->room) {
		uint32_t *path = reallocarray(c->path, depth, sizeof *path);
		if (path) {
			c->path = path;
			c->room = depth;
		}
	}
	depth = depth < c->room ? depth : c->room;
	at = node;
	for (uint32_t i = depth; i-- > 0; at = s->nodes[at - 1].parent)
		c->path[i] = at;
	c->depth = depth;
}

static uint32_t common(const struct samples_cursor *c, uint32_t node)
{
	const struct samples *s = c->thread->samples;
	uint32_t depth = 0, at = node;

	for (; at && depth < DEPTH_MOST; at = s->nodes[at - 1].parent)
		depth++;
	/* of one that is deeper, the innermost are looked at, as take_path() has them */
	for (at = node; at && depth; at = s->nodes[at - 1].parent, depth--)
		if (depth <= c->depth && c->path[depth - 1] == at)
			return depth;
	return 0;
}

/* When the sample began and ended: what it stands for, behind the one before. */
static void place(struct samples_cursor *c, const struct sample *sample)
{
	uint64_t ticks = (uint64_t)((double)sample->ns / c->ns_per_tick);
	uint64_t begin = sample->ticks > ticks ? sample->ticks - ticks : 0;

	c->begin = begin > c->end ? begin : c->end;
	c->until = c->begin + (ticks ? ticks : 1);
}

static uint32_t put_time(uint32_t words[SAMPLES_RECORD], uint32_t type, uint32_t count,
			 uint64_t ticks)
{
	words[0] = TRACE_LONG_WORD(type, count, 0);
	words[1] = (uint32_t)ticks;
	words[2] = (uint32_t)(ticks >> 32);
	return count;
}

/* How many calls of this sample go on in the next one. */
static uint32_t go_on(const struct samples_cursor *c)
{
	if (!c->thread->samples->together || c->next == c->thread->count)
		return 0;
	const struct sample *next = &c->thread->rows[c->next];
	uint64_t period = (uint64_t)((double)next->ns / c->ns_per_tick);
	if (next->ticks > c->until + period + period / 2)
		return 0;
	return common(c, next->node);
}

uint32_t samples_record(struct samples_cursor *c, uint32_t words[SAMPLES_RECORD])
{
	const struct samples_thread *t = c->thread;

	switch (c->phase) {
	case SAMPLES_NEXT:
		if (c->next == t->count)
			return 0;
		take_path(c, t->rows[c->next].node);
		place(c, &t->rows[c->next]);
		c->next++;
		c->phase = SAMPLES_ENTER;
		return put_time(words, TRACE_TIME, 3, c->begin);
	case SAMPLES_ENTER:
		if (c->open < c->depth) {
			const struct samples_node *n = &t->samples->nodes[c->path[c->open++] - 1];
			put_time(words, TRACE_ENTRY_FAR, 6, c->begin);
			words[3] = n->file;
			words[4] = (uint32_t)n->offset;
			words[5] = (uint32_t)(n->offset >> 32);
			return 6;
		}
		c->end = c->until;
		c->keep = go_on(c);
		c->phase = SAMPLES_LEAVE;
		return put_time(words, TRACE_TIME, 3, c->until);
	default:
		if (c->open <= c->keep) {
			c->phase = SAMPLES_NEXT;
			return samples_record(c, words);
		}
		c->open--;
		words[0] = TRACE_SHORT(TRACE_EXIT, c->until);
		return 1;
	}
}
