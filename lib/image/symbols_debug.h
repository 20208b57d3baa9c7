/*
 * symbols_debug.h - where what was stripped from a file lies: by its build-id, by the name that it
 * says itself, or compressed in it.
 *
 * For symbols.c and symbols_line.c.
 */
#ifndef HARK_IMAGE_SYMBOLS_DEBUG_H
#define HARK_IMAGE_SYMBOLS_DEBUG_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/image/symbols_file.h"

#define SYMBOLS_DEBUG_DIRS "/usr/lib/debug"

bool symbols_debug_by_id(struct symbols_file *debug, const char *build_id, const char *dirs,
			 char *where, size_t where_bytes);
	/* DIR/.build-id/xx/y.debug, if it has this build-id. Open if true; where: its path. */
bool symbols_debug_by_link(struct symbols_file *debug, const struct symbols_file *file,
			   const char *path, const char *dirs, char *where, size_t where_bytes);
	/* By .gnu_debuglink of the file: beside its path, in .debug there, or in DIR. Where one is there
	 * but has another CRC, false, and where is its path; else where is "". */
char *symbols_debug_inside(struct symbols_file *debug, const struct symbols_file *file);
	/* .gnu_debugdata: what debug is open on, which the caller frees after it; NULL: none */

#endif
