/*
 * numbering.c - see numbering.h. Open addressing; keys are never taken out.
 */
#include "lib/profile/numbering.h"

#include <errno.h>
#include <stdlib.h>

enum { ROOM_LEAST = 64 };

static size_t place_of(uint64_t key, size_t room)
{
	key *= UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(key ^ key >> 32) & (room - 1);
}

static struct numbering_slot *find(const struct numbering *n, uint64_t key)
{
	size_t i = place_of(key, n->room);

	while (n->slots[i].number && n->slots[i].key != key)
		i = (i + 1) & (n->room - 1);
	return &n->slots[i];
}

static int grow(struct numbering *n)
{
	struct numbering bigger = { .room = n->room ? 2 * n->room : ROOM_LEAST };

	bigger.slots = calloc(bigger.room, sizeof *bigger.slots);
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < n->room; i++)
		if (n->slots[i].number)
			*find(&bigger, n->slots[i].key) = n->slots[i];
	free(n->slots);
	n->slots = bigger.slots;
	n->room = bigger.room;
	return 0;
}

int64_t numbering_of(struct numbering *n, uint64_t key, bool *first)
{
	int64_t number = numbering_find(n, key);

	*first = number < 0;
	if (!*first)
		return number;
	if (n->count == INT32_MAX)
		return -EOVERFLOW;
	if (n->count >= n->room / 2) {
		int rc = grow(n);

		if (rc != 0)
			return rc;
	}
	struct numbering_slot *slot = find(n, key);
	slot->key = key;
	slot->number = ++n->count;
	return slot->number - 1;
}

int64_t numbering_find(const struct numbering *n, uint64_t key)
{
	if (!n->room)
		return -ENOENT;
	uint32_t number = find(n, key)->number;
	return number ? (int64_t)number - 1 : -ENOENT;
}

void numbering_fini(struct numbering *n)
{
	free(n->slots);
	*n = (struct numbering){ 0 };
}
