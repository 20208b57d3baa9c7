/*
 * symbols_line.h - file and line of an address, from DWARF.
 */
#ifndef HARK_IMAGE_SYMBOLS_LINE_H
#define HARK_IMAGE_SYMBOLS_LINE_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/image/symbols.h"
#include "lib/image/symbols_file.h"

struct symbols_lines;

struct symbols_lines *symbols_line_open(struct symbols_file *file, uint64_t base);
	/* Takes the file if there are lines in it, closes its descriptor and leaves *file empty. base: of
	 * the module. NULL: no lines, or no memory; the file is as it was. */
void symbols_line_close(struct symbols_lines *lines);
bool symbols_line_find(struct symbols_lines *lines, uint64_t offset, struct source_line *found);
bool symbols_line_shown(const char *text);
	/* it holds nothing that would move a cursor */
Dwarf *symbols_line_unit(struct symbols_lines *lines, uint64_t offset, uint64_t *address,
			 Dwarf_Die *unit);
	/* The unit that the offset lies in, and where that is as the unit counts; NULL: in none. */

#endif
