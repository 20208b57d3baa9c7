/*
 * stacks.h - stacks as paths in one tree: a node for each place that was ever met below the same callers.
 *
 * Nodes have numbers, from 1 on, in the order in which they are first met.
 */
#ifndef HARK_SAMPLE_STACKS_H
#define HARK_SAMPLE_STACKS_H

#include "lib/image/unwind.h"
#include "lib/sample/space.h"

enum { STACKS_FRAMES = 1024, STACKS_NODES = 1 << 21 };

struct stacks_node {
	uint64_t offset;
	uint32_t parent;           /* 0: outermost */
	uint32_t file;             /* its number */
};

/* Names for what has no function: files without a path. */
enum stacks_place {
	STACKS_KERNEL,             /* "[kernel]": a system call, a fault, an interrupt */
	STACKS_WAITING,            /* "[waiting]": it does not run, and waits for something */
	STACKS_PREEMPTED,          /* "[preempted]": it would run, but others do */
	STACKS_CUT,                /* "[deeper]": its callers are beyond what is looked at */
	STACKS_LOST,               /* "[unknown caller]": nobody knows who called it */
	STACKS_FOREIGN,            /* "[32-bit code]" */
	STACKS_PLACES
};

struct stacks {
	struct space *space;
	struct stacks_node *nodes; /* by number */
	uint32_t count, room;
	uint32_t *slots;           /* by parent, file and offset */
	size_t slot_mask;
	struct space_file *places[STACKS_PLACES];
	struct unwind_frame frames[STACKS_FRAMES];
	struct space_saved chain[2 * STACKS_FRAMES];
	void (*told)(void *arg, const struct stacks_node *node);
	bool (*stale)(void *arg, struct space_process *process); /* or NULL */
	void *arg;
	bool full;                 /* a node could not be made */
};

struct stacks *stacks_open(struct space *space, void (*told)(void *arg, const struct stacks_node *),
			   void *arg);
	/* told: of each new node, in the order of their numbers. NULL: without memory */
void stacks_close(struct stacks *stacks);
uint32_t stacks_below(struct stacks *stacks, uint32_t node, enum stacks_place place);
uint32_t stacks_below_file(struct stacks *stacks, uint32_t node, const struct space_file *file);
	/* the same with another file that is a name */
uint32_t stacks_of(struct stacks *stacks, struct space_thread *thread,
		   struct space_process *process, const struct unwind_stack *stack);
	/* The node of the innermost function of the program; 0: there is none, or no room (`full`). Where
	 * an address lies in nothing that is known to be mapped, `stale` is asked; true: look once more. */

#endif
