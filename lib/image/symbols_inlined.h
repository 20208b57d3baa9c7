/*
 * symbols_inlined.h - the functions that a compiler has put into others, from DWARF.
 *
 * For symbols.c. Each unit's functions are listed when an address in it is asked for first; what is in a
 * function is looked for in that function alone.
 */
#ifndef HARK_IMAGE_SYMBOLS_INLINED_H
#define HARK_IMAGE_SYMBOLS_INLINED_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/image/symbols_line.h"

struct symbols_inlines;

/* A function that is inlined somewhere, once for each unit that has it. */
struct inlined_function {
	uint64_t origin;           /* its place in the debug information */
	char *linkage, *name;      /* name: as people call it, perhaps linkage itself */
	const char *file;          /* where it is declared; NULL: not known */
	int line;
	bool external;             /* of this linkage name there is one */
	uint64_t unit;
	uint64_t start;            /* symbols.c's; 0: not asked for yet */
};

struct inlined_call {
	struct inlined_function *function;
	struct source_line from;   /* the call's, in whatever it is inlined into */
};

struct symbols_inlines *symbols_inlined_open(struct symbols_lines *lines);
	/* lines outlive it. NULL: no memory */
void symbols_inlined_close(struct symbols_inlines *inlines);
unsigned symbols_inlined_find(struct symbols_inlines *inlines, uint64_t offset,
			      struct inlined_call *found, unsigned most);
	/* The outermost first; how many: 0 where nothing is inlined or known. */

#endif
