/*
 * tree.h - calls merged by their paths: everything that main › load › parse ever was is one node.
 *
 * From calls_walk(). It owns call->user. Takes memory for each path that there is, up to a limit.
 */
#ifndef HARK_PROFILE_TREE_H
#define HARK_PROFILE_TREE_H

#include "lib/profile/calls.h"

enum { TREE_NODES = 1 << 19 };     /* the usual limit: some 50 MB */

struct tree_node {
	const struct function *function; /* NULL: the root */
	struct tree_node *parent, *child, *sibling;
	uint64_t calls;
	uint64_t total_ns, self_ns, min_ns, max_ns;
	uint32_t depth;            /* 0: called from outside */
};

struct tree {
	struct tree_node root;
	struct tree_node **slots;  /* by parent and function */
	size_t mask, count, limit;
	struct tree_block *blocks;
	uint64_t missed;           /* calls on paths for which there was no room; their time is in nobody */
	int rc;                    /* -ENOMEM: nothing more was added */
};

int tree_init(struct tree *tree, size_t limit);
	/* 0 or -ENOMEM */
void tree_fini(struct tree *tree);
void tree_enter(struct tree *tree, struct call *call);
void tree_leave(struct tree *tree, struct call *call);
int tree_sort(struct tree *tree);
	/* Siblings by total time, the longest first. 0 or -ENOMEM, also of what was added. */
const struct tree_node *tree_next(const struct tree_node *node);
	/* In the order of printing, from &tree->root on: a node, then what is below it. NULL: the end. */

#endif
