/*
 * units.c - see units.h. Called by whatever prints a table of a trace.
 */
#include "tools/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *units_ns(char text[UNITS_TEXT], uint64_t ns)
{
	static const char *const units[] = { "us", "ms", "s" };
	unsigned unit = 0;
	uint64_t whole = ns;

	if (ns < 1000) {
		snprintf(text, UNITS_TEXT, "%u ns", (unsigned)ns);
		return text;
	}
	/* in thousandths of a unit; 999.9995 of one are 1.000 of the next */
	while (whole >= 999950 && unit < 2) {
		whole = whole / 1000 + (whole % 1000 >= 500);
		unit++;
	}
	double value = (double)whole / 1000.0;
	int digits = value < 9.9995 ? 3 : value < 99.995 ? 2 : value < 999.95 ? 1 : 0;
	snprintf(text, UNITS_TEXT, "%.*f %s", digits, value, units[unit]);
	return text;
}

const char *units_bytes(char text[UNITS_TEXT], uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes / 1024.0;
	unsigned unit = 0;

	if (bytes < 1024) {
		snprintf(text, UNITS_TEXT, "%u B", (unsigned)bytes);
		return text;
	}
	while (value >= 1023.5 && unit < 3) {
		value /= 1024.0;
		unit++;
	}
	int digits = value < 9.9995 ? 3 : value < 99.995 ? 2 : value < 999.95 ? 1 : 0;
	snprintf(text, UNITS_TEXT, "%.*f %s", digits, value, units[unit]);
	return text;
}

const char *units_count(char text[UNITS_TEXT], uint64_t count)
{
	char digits[UNITS_TEXT];
	size_t length = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, count), to = 0;

	/* 20 digits and 6 commas do not fit: the greatest of all is told plainly */
	if (length > 17)
		return strcpy(text, digits);
	for (size_t i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			text[to++] = ',';
		text[to++] = digits[i];
	}
	text[to] = '\0';
	return text;
}
