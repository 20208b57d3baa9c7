/*
 * stack.h - the calls that are open on a thread, on its own stack and on those of its fibers.
 *
 * For calls_*.c. A call stays where it is in memory while it is open: visitors point to it. What has
 * no open calls takes no room.
 */
#ifndef HARK_PROFILE_STACK_H
#define HARK_PROFILE_STACK_H

#include "lib/base/filter.h"
#include "lib/profile/calls.h"

enum frame_state {
	FRAME_HIDDEN,      /* the filter leaves it out */
	FRAME_LATE,        /* nobody was told of it yet: it may be too short */
	FRAME_SHOWN,
};

enum { FRAME_ARGUMENTS = 1536, FRAME_RESULT = 512 };

/* What was recorded of some calls beside their times. */
struct frame_texts {
	char arguments[FRAME_ARGUMENTS], result[FRAME_RESULT];
};

struct frame {
	struct call call;          /* first: callers are frames */
	struct frame *outer, *inner; /* inner: there for the next call */
	struct frame *told_next;   /* of those that are told of late, together */
	enum frame_state state;
	uint32_t height;           /* how many frames are there up to it */
	struct filter_state path;  /* how far in the filter's paths */
	struct frame_texts *texts; /* for the next call, too; NULL: nobody needed them so far */
};

struct stack {
	struct frame base;         /* below the outermost */
	struct frame *top;
	uint64_t below;            /* calls that were open before all that is known; they have no names */
	uint32_t *open;            /* by function: how many of its calls are open */
	uint32_t open_room;
	uint32_t fiber;
	uint32_t frames;           /* that there is room for */
	struct stack_block *blocks;
};

struct stacks {
	struct stack *now;
	struct stack **slots;      /* by fiber */
	size_t mask, count;
};

int stacks_init(struct stacks *stacks);
	/* on fiber 0. 0 or -ENOMEM */
void stacks_fini(struct stacks *stacks);
int stacks_switch(struct stacks *stacks, uint32_t fiber);
	/* 0 or -ENOMEM */
struct frame *stack_grow(struct stack *stack);
	/* top->inner, which is there afterwards; NULL: without memory */
int stack_count(struct stack *stack, uint32_t function);
	/* open[function] is there afterwards. 0 or -ENOMEM */

#endif
