/*
 * stacks.c - see stacks.h. Called for each sample.
 */
#include "lib/sample/stacks.h"

#include <stdlib.h>
#include <string.h>

enum { NODES_AT_FIRST = 1 << 12 };

static const char *const place_names[STACKS_PLACES] = {
	[STACKS_KERNEL] = "[kernel]",   [STACKS_WAITING] = "[waiting]",
	[STACKS_PREEMPTED] = "[preempted]", [STACKS_CUT] = "[deeper]",
	[STACKS_LOST] = "[unknown caller]", [STACKS_FOREIGN] = "[32-bit code]",
};

struct stacks *stacks_open(struct space *space, void (*told)(void *arg, const struct stacks_node *),
			   void *arg)
{
	struct stacks *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->space = space;
	s->told = told;
	s->arg = arg;
	s->room = NODES_AT_FIRST;
	s->slot_mask = 2 * NODES_AT_FIRST - 1;
	s->nodes = calloc(s->room, sizeof *s->nodes);
	s->slots = calloc(s->slot_mask + 1, sizeof *s->slots);
	bool whole = s->nodes && s->slots;
	for (int i = 0; i < STACKS_PLACES && whole; i++)
		whole = (s->places[i] = space_file(space, place_names[i], 0, 0)) != NULL;
	if (whole)
		return s;
	stacks_close(s);
	return NULL;
}

void stacks_close(struct stacks *s)
{
	if (!s)
		return;
	free(s->nodes);
	free(s->slots);
	free(s);
}

/* ---- the tree ---------------------------------------------------------------------------------- */

static size_t slot_of(const struct stacks *s, const struct stacks_node *n)
{
	uint64_t h = n->offset + ((uint64_t)n->parent << 32 | n->file);

	h *= UINT64_C(0x9e3779b97f4a7c15);
	h ^= h >> 29;
	h *= UINT64_C(0xd6e8feb86659fd93);
	size_t at = (h >> 32) & s->slot_mask;
	while (s->slots[at] && memcmp(&s->nodes[s->slots[at] - 1], n, sizeof *n) != 0)
		at = (at + 1) & s->slot_mask;
	return at;
}

static bool grow(struct stacks *s)
{
	size_t room = 2 * (size_t)s->room, mask = 2 * room - 1;

	if (s->count < s->room)
		return true;
	if (room > STACKS_NODES)
		return false;
	struct stacks_node *nodes = reallocarray(s->nodes, room, sizeof *nodes);
	if (nodes)
		s->nodes = nodes;
	uint32_t *slots = nodes ? calloc(mask + 1, sizeof *slots) : NULL;
	if (!slots)
		return false;
	free(s->slots);
	s->slots = slots;
	s->slot_mask = mask;
	s->room = (uint32_t)room;
	for (uint32_t i = 0; i < s->count; i++)
		s->slots[slot_of(s, &s->nodes[i])] = i + 1;
	return true;
}

/* Where there is no room for it, its caller stands for it. */
static uint32_t below(struct stacks *s, uint32_t parent, uint32_t file, uint64_t offset)
{
	struct stacks_node node = { .offset = offset, .parent = parent, .file = file };
	size_t at = slot_of(s, &node);

	if (s->slots[at])
		return s->slots[at];
	if (!grow(s)) {
		s->full = true;
		return parent;
	}
	at = slot_of(s, &node);
	s->nodes[s->count++] = node;
	s->slots[at] = s->count;
	s->told(s->arg, &node);
	return s->count;
}

uint32_t stacks_below(struct stacks *s, uint32_t node, enum stacks_place place)
{
	return below(s, node, s->places[place]->number, 0);
}

uint32_t stacks_below_file(struct stacks *s, uint32_t node, const struct space_file *file)
{
	return below(s, node, file->number, 0);
}

/* ---- one stack --------------------------------------------------------------------------------- */

/* Where the copy ends, the thread's last whole stack goes on: a frame at the same height has the same
 * callers, unless they returned in between and others were entered with frames as large. */
static size_t behind_the_copy(const struct space_thread *t, const struct unwind_frame *last)
{
	for (size_t i = 0; last->cfa && i < t->saved_count; i++)
		if (t->saved[i].cfa == last->cfa)
			return i + 1;
	return 0;
}

static void save(struct space_thread *t, const struct space_saved *chain, size_t count)
{
	if (count > t->saved_room) {
		struct space_saved *saved = reallocarray(t->saved, count, sizeof *saved);
		if (!saved)
			return;
		t->saved = saved;
		t->saved_room = count;
	}
	memcpy(t->saved, chain, count * sizeof *chain);
	t->saved_count = count;
}

/* From the outermost to the leaf, which is frames[0]. */
static uint32_t enter(struct stacks *s, struct space_thread *t, size_t count, enum unwind_end end)
{
	uint32_t node = 0;
	size_t more = 0, from = 0;
	bool whole = end == UNWIND_OUTERMOST;

	if (end == UNWIND_CUT && count)
		from = behind_the_copy(t, &s->frames[count - 1]);
	if (from) {
		more = t->saved_count - from;
		if (count + more > 2 * STACKS_FRAMES)
			more = 2 * STACKS_FRAMES - count;
		memcpy(&s->chain[count], &t->saved[from], more * sizeof *s->chain);
		node = more ? s->chain[count].node : 0;
		whole = true;
	} else if (!whole) {
		node = stacks_below(s, 0, end == UNWIND_LOST ? STACKS_LOST : STACKS_CUT);
	}
	for (size_t i = count; i-- > 0;) {
		const struct unwind_frame *f = &s->frames[i];
		node = below(s, node, f->place.number, f->place.offset);
		s->chain[i] = (struct space_saved){ .pc = f->pc, .cfa = f->cfa, .node = node };
	}
	if (whole)
		save(t, s->chain, count + more);
	return node;
}

uint32_t stacks_of(struct stacks *s, struct space_thread *t, struct space_process *p,
		   const struct unwind_stack *stack)
{
	struct unwind_stack used = *stack;
	enum unwind_end end;

	p->missed = false;
	size_t count = unwind(&used, space_find, p, s->frames, STACKS_FRAMES, &end);
	if (p->missed && s->stale && s->stale(s->arg, p)) {
		used = *stack;
		count = unwind(&used, space_find, p, s->frames, STACKS_FRAMES, &end);
	}
	return enter(s, t, count, end);
}
