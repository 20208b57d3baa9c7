/*
 * stack.c - see stack.h.
 */
#include "lib/profile/stack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_LEAST = 16, BLOCK_MOST = 1024, SLOTS_AT_FIRST = 8 };

struct stack_block {
	struct stack_block *next;
	uint32_t count;
	struct frame frames[];
};

struct frame *stack_grow(struct stack *stack)
{
	uint32_t count = stack->frames ? stack->frames : BLOCK_LEAST;

	if (count > BLOCK_MOST)
		count = BLOCK_MOST;
	struct stack_block *block = calloc(1, sizeof *block + count * sizeof(struct frame));
	if (!block)
		return NULL;
	block->count = count;
	block->next = stack->blocks;
	stack->blocks = block;
	stack->frames += count;
	struct frame *outer = stack->top;
	for (uint32_t i = 0; i < count; i++) {
		outer->inner = &block->frames[i];
		block->frames[i].outer = outer;
		block->frames[i].height = outer->height + 1;
		outer = &block->frames[i];
	}
	return block->frames;
}

int stack_count(struct stack *stack, uint32_t function)
{
	uint32_t room = stack->open_room ? stack->open_room : 64;

	while (room <= function)
		room *= 2;
	uint32_t *open = reallocarray(stack->open, room, sizeof *open);
	if (!open)
		return -ENOMEM;
	memset(open + stack->open_room, 0, (room - stack->open_room) * sizeof *open);
	stack->open = open;
	stack->open_room = room;
	return 0;
}

static struct stack *make(uint32_t fiber)
{
	struct stack *stack = calloc(1, sizeof *stack);

	if (!stack)
		return NULL;
	stack->top = &stack->base;
	stack->fiber = fiber;
	return stack;
}

static void unmake(struct stack *stack)
{
	for (struct stack_block *block = stack->blocks, *next; block; block = next) {
		next = block->next;
		for (uint32_t i = 0; i < block->count; i++)
			free(block->frames[i].texts);
		free(block);
	}
	free(stack->open);
	free(stack);
}

/* ---- fibers ------------------------------------------------------------------------------------ */

static size_t place_of(const struct stacks *stacks, uint32_t fiber)
{
	return (size_t)((fiber * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & stacks->mask;
}

static size_t find(const struct stacks *stacks, uint32_t fiber)
{
	size_t slot = place_of(stacks, fiber);

	while (stacks->slots[slot] && stacks->slots[slot]->fiber != fiber)
		slot = (slot + 1) & stacks->mask;
	return slot;
}

/* Those behind it that would not be found over the gap move into it. */
static void take_out(struct stacks *stacks, size_t slot)
{
	size_t gap = slot;

	unmake(stacks->slots[slot]);
	stacks->count--;
	for (;;) {
		slot = (slot + 1) & stacks->mask;
		struct stack *stack = stacks->slots[slot];
		if (!stack)
			break;
		size_t home = place_of(stacks, stack->fiber);
		if (((slot - home) & stacks->mask) >= ((slot - gap) & stacks->mask)) {
			stacks->slots[gap] = stack;
			gap = slot;
		}
	}
	stacks->slots[gap] = NULL;
}

static int grow(struct stacks *stacks)
{
	struct stacks more = { .mask = stacks->mask * 2 + 1 };

	more.slots = calloc(more.mask + 1, sizeof(struct stack *));
	if (!more.slots)
		return -ENOMEM;
	for (size_t i = 0; i <= stacks->mask; i++)
		if (stacks->slots[i])
			more.slots[find(&more, stacks->slots[i]->fiber)] = stacks->slots[i];
	free(stacks->slots);
	stacks->slots = more.slots;
	stacks->mask = more.mask;
	return 0;
}

int stacks_switch(struct stacks *stacks, uint32_t fiber)
{
	struct stack *before = stacks->now;

	if (before && before->fiber == fiber)
		return 0;
	if (before && before->top == &before->base && !before->below)
		take_out(stacks, find(stacks, before->fiber));
	stacks->now = NULL;
	if (stacks->count * 2 > stacks->mask && grow(stacks) != 0)
		return -ENOMEM;
	size_t slot = find(stacks, fiber);
	if (!stacks->slots[slot]) {
		stacks->slots[slot] = make(fiber);
		if (!stacks->slots[slot])
			return -ENOMEM;
		stacks->count++;
	}
	stacks->now = stacks->slots[slot];
	return 0;
}

int stacks_init(struct stacks *stacks)
{
	*stacks = (struct stacks){ .mask = SLOTS_AT_FIRST - 1 };
	stacks->slots = calloc(SLOTS_AT_FIRST, sizeof(struct stack *));
	int rc = stacks->slots ? stacks_switch(stacks, 0) : -ENOMEM;
	if (rc != 0)
		stacks_fini(stacks);
	return rc;
}

void stacks_fini(struct stacks *stacks)
{
	for (size_t i = 0; stacks->slots && i <= stacks->mask; i++)
		if (stacks->slots[i])
			unmake(stacks->slots[i]);
	free(stacks->slots);
	*stacks = (struct stacks){ .now = NULL };
}
