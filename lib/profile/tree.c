/*
 * tree.c - see tree.h. For `hark graph`. Nothing here recurses: programs do, a hundred thousand deep.
 */
#include "lib/profile/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1024, SLOTS_AT_FIRST = 1024 };

struct tree_block {
	struct tree_block *next;
	struct tree_node nodes[BLOCK];
};

int tree_init(struct tree *tree, size_t limit)
{
	*tree = (struct tree){ .mask = SLOTS_AT_FIRST - 1, .limit = limit };
	tree->slots = calloc(SLOTS_AT_FIRST, sizeof(struct tree_node *));
	return tree->slots ? 0 : -ENOMEM;
}

void tree_fini(struct tree *tree)
{
	for (struct tree_block *block = tree->blocks, *next; block; block = next) {
		next = block->next;
		free(block);
	}
	free(tree->slots);
	*tree = (struct tree){ .slots = NULL };
}

static struct tree_node **place_of(struct tree_node **slots, size_t mask,
				   const struct tree_node *parent, const struct function *function)
{
	uint64_t key = ((uintptr_t)parent >> 4) * UINT64_C(0xd6e8feb86659fd93) + function->number;
	size_t slot = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 24) & mask;

	while (slots[slot] && (slots[slot]->parent != parent || slots[slot]->function != function))
		slot = (slot + 1) & mask;
	return &slots[slot];
}

static int grow(struct tree *tree)
{
	size_t mask = tree->mask * 2 + 1;
	struct tree_node **slots = calloc(mask + 1, sizeof(struct tree_node *));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i <= tree->mask; i++)
		if (tree->slots[i])
			*place_of(slots, mask, tree->slots[i]->parent, tree->slots[i]->function) =
				tree->slots[i];
	free(tree->slots);
	tree->slots = slots;
	tree->mask = mask;
	return 0;
}

static struct tree_node *make(struct tree *tree, struct tree_node *parent,
			      const struct function *function)
{
	size_t at = tree->count % BLOCK;

	if (tree->rc != 0 || tree->count == tree->limit)
		return NULL;
	if (tree->count * 2 > tree->mask)
		tree->rc = grow(tree);
	if (tree->rc == 0 && at == 0) {
		struct tree_block *block = calloc(1, sizeof *block);
		tree->rc = block ? 0 : -ENOMEM;
		if (block) {
			block->next = tree->blocks;
			tree->blocks = block;
		}
	}
	if (tree->rc != 0)
		return NULL;
	struct tree_node *node = &tree->blocks->nodes[at];
	node->function = function;
	node->parent = parent;
	node->sibling = parent->child;
	node->depth = parent->function ? parent->depth + 1 : 0;
	parent->child = node;
	tree->count++;
	*place_of(tree->slots, tree->mask, parent, function) = node;
	return node;
}

void tree_enter(struct tree *tree, struct call *call)
{
	struct tree_node *parent = call->caller ? call->caller->user : &tree->root;

	call->user = NULL;
	if (!parent)
		return;
	/* the same as the last time, as often as not */
	if (parent->child && parent->child->function == call->function) {
		call->user = parent->child;
		return;
	}
	call->user = *place_of(tree->slots, tree->mask, parent, call->function);
	if (!call->user)
		call->user = make(tree, parent, call->function);
}

void tree_leave(struct tree *tree, struct call *call)
{
	struct tree_node *node = call->user;
	uint64_t took = (uint64_t)(call->end_ns - call->begin_ns);

	if (!node) {
		tree->missed++;
		return;
	}
	node->total_ns += took;
	node->self_ns += took - (uint64_t)call->below_ns;
	if (call->before)
		return;
	if (node->calls++ == 0 || took < node->min_ns)
		node->min_ns = took;
	if (took > node->max_ns)
		node->max_ns = took;
}

/* ---- order ------------------------------------------------------------------------------------- */

static int by_total(const void *left, const void *right)
{
	const struct tree_node *a = *(struct tree_node *const *)left;
	const struct tree_node *b = *(struct tree_node *const *)right;

	if (a->total_ns != b->total_ns)
		return a->total_ns > b->total_ns ? -1 : 1;
	if (a->calls != b->calls)
		return a->calls > b->calls ? -1 : 1;
	return strcmp(a->function->name, b->function->name);
}

static void sort_children(struct tree_node *parent, struct tree_node **room)
{
	size_t count = 0;

	for (struct tree_node *node = parent->child; node; node = node->sibling)
		room[count++] = node;
	if (count < 2)
		return;
	qsort(room, count, sizeof(struct tree_node *), by_total);
	for (size_t i = 0; i < count; i++)
		room[i]->sibling = i + 1 < count ? room[i + 1] : NULL;
	parent->child = room[0];
}

int tree_sort(struct tree *tree)
{
	struct tree_node **room = calloc(tree->count + 1, sizeof(struct tree_node *));
	size_t used = tree->count % BLOCK ? tree->count % BLOCK : BLOCK;

	if (!room)
		return -ENOMEM;
	sort_children(&tree->root, room);
	for (struct tree_block *block = tree->blocks; block; block = block->next, used = BLOCK)
		for (size_t i = 0; i < used; i++)
			sort_children(&block->nodes[i], room);
	free(room);
	return tree->rc;
}

const struct tree_node *tree_next(const struct tree_node *node)
{
	if (node->child)
		return node->child;
	while (node && !node->sibling)
		node = node->parent;
	return node ? node->sibling : NULL;
}
