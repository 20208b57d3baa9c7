/*
 * units.h - figures as people read them, for tables.
 */
#ifndef HARK_TOOLS_UNITS_H
#define HARK_TOOLS_UNITS_H

#include <stdint.h>

enum { UNITS_TEXT = 24 };

const char *units_ns(char text[UNITS_TEXT], uint64_t ns);
	/* four digits and a unit: "0 ns", "999 ns", "1.234 us", "12.35 ms", "3.210 s", "4321 s".
	 * Returns text. */
const char *units_bytes(char text[UNITS_TEXT], uint64_t bytes);
	/* likewise: "0 B", "1023 B", "1.500 KiB", "12.35 MiB", … to TiB */
const char *units_count(char text[UNITS_TEXT], uint64_t count);
	/* all digits, in threes: "12,345,678" */

#endif
