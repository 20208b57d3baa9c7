/*
 * parse.h - the small languages of settings: sizes, durations, truth, globs, near misses.
 *
 * All take a NUL-terminated string, accept the whole of it or nothing, and touch *out only
 * on success. 0, or -EINVAL (not of the form), or -ERANGE (does not fit). No malloc.
 */
#ifndef HARK_BASE_PARSE_H
#define HARK_BASE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int parse_size(const char *s, uint64_t *bytes);
	/* "4096", "64K", "10M", "1G", "2T" (powers of 1024, lower case too, an optional B or iB after
	 * the letter) */
int parse_duration(const char *s, uint64_t *ns);
	/* a decimal number with an optional fraction and one of ns us ms s m h d: "100ms", "1.5s".
	 * A bare number other than 0 is -EINVAL: a unit is required. So is what is no whole number of
	 * nanoseconds. */
int parse_percent(const char *s, uint64_t *hundredths);
	/* "10%", "2.5%", "0.01%", in hundredths of a percent */
int parse_bool(const char *s, bool *value);
	/* 1 0 yes no true false on off; letter case is ignored */
int parse_u64(const char *s, uint64_t least, uint64_t most, uint64_t *value);
	/* decimal; -ERANGE outside of [least, most] */
bool parse_glob(const char *pattern, const char *name);
	/* * ? [set] [!set] with ranges, and \-escapes, all by bytes; '/' is a byte like others; '[' without
	 * its ']' stands for itself. Iterative, time O(pattern x name), never recursive. */
const char *parse_nearest(const char *word, const char *const *among, size_t count);
	/* the entry at the smallest edit distance (Damerau-Levenshtein: neighbours swapped count as one
	 * edit; letter case as none), at most a third of the word's length, at least 1; the first of
	 * equals; NULL where none is that near. Words over 63 bytes: NULL. */

#endif
