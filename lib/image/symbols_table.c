/*
 * symbols_table.c - see symbols_table.h. Called by symbols*.c; must never take long for what a hostile
 * file made of overlaps and aliases.
 */
#include "lib/image/symbols_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct symbols_pool {
	struct symbols_pool *next;
	char bytes[];
};

enum { NESTED_MOST = 64 }; /* functions around a function: real files have one */

#define ALONE UINT32_MAX

void symbols_table_fini(struct symbols_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		if (table->entries[i].name != table->entries[i].linkage)
			free(table->entries[i].name);
	}
	free(table->entries);
	free(table->named);
	while (table->pools) {
		struct symbols_pool *next = table->pools->next;
		free(table->pools);
		table->pools = next;
	}
	memset(table, 0, sizeof *table);
}

int symbols_table_add(struct symbols_table *table, uint64_t start, uint64_t bytes,
		      const char *linkage, unsigned rank)
{
	if (table->count == SYMBOLS_MOST)
		return -E2BIG;
	if (table->count == table->room) {
		size_t room = table->room ? 2 * table->room : 256;
		struct symbols_entry *grown =
			reallocarray(table->entries, room, sizeof *grown);
		if (!grown)
			return -ENOMEM;
		table->entries = grown;
		table->room = room;
	}
	table->entries[table->count++] = (struct symbols_entry){
		.start = start, .bytes = bytes, .linkage = linkage, .rank = (uint16_t)rank,
		.around = ALONE, .measured = (rank & SYMBOLS_RANK_UNWIND) != 0
	};
	return 0;
}

char *symbols_table_keep(struct symbols_table *table, const void *bytes, size_t count)
{
	struct symbols_pool *pool =
		count < PTRDIFF_MAX - sizeof *pool - 1 ? malloc(sizeof *pool + count + 1) : NULL;

	if (!pool)
		return NULL;
	memcpy(pool->bytes, bytes, count);
	pool->bytes[count] = '\0';
	pool->next = table->pools;
	table->pools = pool;
	return pool->bytes;
}

/* A default version ("@@") is not part of what people call it; the mangling's "_Z" and "_R" are no
 * underscores of somebody who wanted to hide it. */
static int by_name(const char *a, const char *b)
{
	const char *names[2] = { a, b };
	size_t lengths[2];
	int hidden[2];

	for (int i = 0; i < 2; i++) {
		const char *version = strstr(names[i], "@@");
		lengths[i] = version ? (size_t)(version - names[i]) : strlen(names[i]);
		hidden[i] = names[i][0] == '_' && names[i][1] != 'Z' && names[i][1] != 'R';
	}
	if (hidden[0] != hidden[1])
		return hidden[0] - hidden[1];
	if (lengths[0] != lengths[1])
		return lengths[0] < lengths[1] ? -1 : 1;
	return strcmp(a, b);
}

static int by_address(const void *left, const void *right)
{
	const struct symbols_entry *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (!a->linkage || !b->linkage)
		return 0;
	return by_name(a->linkage, b->linkage);
}

/* The unwind entry of a signal handler's return begins one byte before it, for who looks there for a caller. */
static bool is_early(const struct symbols_entry *unwind, const struct symbols_entry *named)
{
	return (unwind->rank & SYMBOLS_RANK_UNWIND) && unwind->bytes > 1 && named->linkage &&
	       named->start == unwind->start + 1;
}

/* The best of each address stays. It is as long as the longest there, or as its unwind entry. */
static void merge_aliases(struct symbols_table *table)
{
	struct symbols_entry *entries = table->entries;
	size_t kept = 0;

	for (size_t i = 0; i < table->count; i++) {
		struct symbols_entry *best = kept ? &entries[kept - 1] : NULL;
		if (best && is_early(best, &entries[i])) {
			best->linkage = entries[i].linkage;
			if (!entries[i].bytes)
				entries[i].bytes = best->bytes - 1;
		}
		if (!best || best->start != entries[i].start) {
			entries[kept] = entries[i];
			entries[kept++].around = ALONE;
			continue;
		}
		if (best->bytes < entries[i].bytes && (!best->bytes || !entries[i].measured)) {
			best->bytes = entries[i].bytes;
			best->measured = entries[i].measured;
		}
		if (entries[i].name != entries[i].linkage)
			free(entries[i].name);
	}
	table->count = kept;
}

static void set_ends(struct symbols_table *table, const struct symbols_range *code, size_t codes)
{
	size_t range = 0;

	for (size_t i = 0; i < table->count; i++) {
		struct symbols_entry *entry = &table->entries[i];
		uint64_t next = i + 1 < table->count ? entry[1].start : UINT64_MAX;
		if (entry->measured && entry->bytes > next - entry->start)
			entry->bytes = next - entry->start;
		if (entry->bytes) {
			if (__builtin_add_overflow(entry->start, entry->bytes, &entry->end))
				entry->end = UINT64_MAX;
			continue;
		}
		while (range < codes && code[range].end <= entry->start)
			range++;
		entry->end = range < codes && code[range].end < next ? code[range].end : next;
		if (entry->around != ALONE && entry->end > table->entries[entry->around].end)
			entry->end = table->entries[entry->around].end;
	}
}

/* A label within a function is no function, nor is what unwind tables say of a part of one. */
static void nest(struct symbols_table *table)
{
	struct symbols_entry *entries = table->entries;
	uint32_t top = ALONE;
	size_t kept = 0;

	for (size_t i = 0; i < table->count; i++) {
		while (top != ALONE && entries[top].end <= entries[i].start)
			top = entries[top].around;
		if (top != ALONE && entries[top].bytes &&
		    (entries[i].rank & (SYMBOLS_RANK_LABEL | SYMBOLS_RANK_UNWIND)))
			continue;
		entries[kept] = entries[i];
		entries[kept].around = top;
		top = (uint32_t)kept++;
	}
	table->count = kept;
}

void symbols_table_order(struct symbols_table *table, const struct symbols_range *code,
			 size_t codes)
{
	if (!table->count)
		return;
	qsort(table->entries, table->count, sizeof *table->entries, by_address);
	merge_aliases(table);
	set_ends(table, code, codes);
	nest(table);
	/* what ended at a label that is gone goes on to the next */
	set_ends(table, code, codes);
}

struct symbols_entry *symbols_table_find(const struct symbols_table *table, uint64_t offset)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (table->entries[middle].start <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	uint32_t at = low ? (uint32_t)(low - 1) : ALONE;
	for (int depth = 0; at != ALONE && depth < NESTED_MOST; depth++) {
		if (offset < table->entries[at].end)
			return &table->entries[at];
		at = table->entries[at].around;
	}
	return NULL;
}

static int by_linkage(const void *left, const void *right)
{
	const struct symbols_entry *const *a = left, *const *b = right;

	return strcmp((*a)->linkage, (*b)->linkage);
}

static void sort_named(struct symbols_table *table)
{
	struct symbols_entry **named = calloc(table->count + 1, sizeof(struct symbols_entry *));
	size_t count = 0;

	if (!named)
		return;
	for (size_t i = 0; i < table->count; i++)
		if (table->entries[i].linkage)
			named[count++] = &table->entries[i];
	qsort(named, count, sizeof(struct symbols_entry *), by_linkage);
	table->named = named;
	table->named_count = count;
}

struct symbols_entry *symbols_table_named(struct symbols_table *table, const char *linkage,
					  size_t nth)
{
	size_t low = 0;

	if (!table->named)
		sort_named(table);
	if (!table->named)
		return NULL;
	for (size_t high = table->named_count; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(table->named[middle]->linkage, linkage) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (nth >= table->named_count - low ||
	    strcmp(table->named[low + nth]->linkage, linkage) != 0)
		return NULL;
	return table->named[low + nth];
}
