/*
 * symbols_table.h - the functions of one module: sorted once, then found by bisection.
 *
 * For symbols*.c. Addresses are offsets from the module's base. Names are copied, so that no file stays
 * open; demangling is for whoever asks for a name.
 */
#ifndef HARK_IMAGE_SYMBOLS_TABLE_H
#define HARK_IMAGE_SYMBOLS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SYMBOLS_MOST = 1 << 24 }; /* of one module: more is no program's */

/* Among those at the same address the lowest is taken. */
enum {
	SYMBOLS_RANK_WEAK = 1,
	SYMBOLS_RANK_LOCAL = 2,
	SYMBOLS_RANK_IFUNC = 4, /* the code at its address is the resolver's */
	SYMBOLS_RANK_LABEL = 8, /* of no type: only where nothing else is */
	SYMBOLS_RANK_UNWIND = 16,
};

struct symbols_entry {
	uint64_t start;
	uint64_t bytes;      /* as told; 0: not known */
	uint64_t end;        /* of what is taken for it */
	const char *linkage; /* NULL: only unwind tables know it */
	char *name;          /* NULL: nobody has asked; or linkage itself */
	uint32_t around;     /* the entry that this one lies in; UINT32_MAX: none */
	uint16_t rank;
	bool measured;       /* bytes are those of its unwind entry, which may be its neighbour's too */
};

struct symbols_range {
	uint64_t start, end;
};

struct symbols_table {
	struct symbols_entry *entries;
	size_t count, room;
	struct symbols_pool *pools;
	struct symbols_entry **named; /* those with a linkage name, by that; NULL: nobody has asked */
	size_t named_count;
};

void symbols_table_fini(struct symbols_table *table);
int symbols_table_add(struct symbols_table *table, uint64_t start, uint64_t bytes,
		      const char *linkage, unsigned rank);
	/* linkage stays where it is: see symbols_table_keep(). 0, -ENOMEM, -E2BIG. */
char *symbols_table_keep(struct symbols_table *table, const void *bytes, size_t count);
	/* a copy that ends with NUL and lives as long as the table; NULL: no memory */
void symbols_table_order(struct symbols_table *table, const struct symbols_range *code,
			 size_t codes);
	/* After adding, before finding: one entry for each address. code: where functions lie, sorted;
	 * what has no size ends there, or where the next one starts. */
struct symbols_entry *symbols_table_find(const struct symbols_table *table, uint64_t offset);
	/* the innermost that the offset lies in, or NULL */

struct symbols_entry *symbols_table_named(struct symbols_table *table, const char *linkage,
					  size_t nth);
	/* Those of that linkage name, from 0 on; NULL: there are no more. After symbols_table_order(). */

#endif
