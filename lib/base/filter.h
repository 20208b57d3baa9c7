/*
 * filter.h - which calls are wanted: one language for the recorder and the readers of traces.
 *
 *	LIST     = PATH[,PATH...]      --filter: these and what they call; --notrace: not these, nor that
 *	PATH     = FUNCTION[>FUNCTION...]  the last one, where it was called by the one before, and so on;
 *	                               ** between two: over any number of other calls
 *	FUNCTION = GLOB[@MODULE]       MODULE: a glob on the file's name, or on its whole path
 *
 * Commas and > inside of <> and () are those of C++ names; \ takes away what a byte means.
 *
 * Every FUNCTION of the paths is an element, a bit in what follows; the paths of a single one share an
 * element for each list. What a function fits, its names decide, once; what is wanted of its calls,
 * one step from the caller's state decides, in a few instructions and without a name.
 */
#ifndef HARK_BASE_FILTER_H
#define HARK_BASE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FILTER_ELEMENTS = 32, FILTER_PARTS = 128, FILTER_TEXT = 1024 };
enum { FILTER_ONLY = 1, FILTER_NEVER = 2 }; /* the elements of single globs */

/* All bits are elements. */
struct filter_rules {
	uint32_t first;      /* where a path begins: called by whomever */
	uint32_t direct;     /* called by what fits the element before */
	uint32_t further;    /* called, over others or not, by what fits the element before */
	uint32_t only, never; /* where a path of --filter ends, of --notrace */
	uint32_t depth;      /* how many levels of recorded calls; 0: all */
};

/* Of an open call. Zeros, where nothing is open. */
struct filter_state {
	uint32_t now;        /* elements that it has come to */
	uint32_t ever;       /* it, or a call around it */
};

struct filter {
	struct filter_rules rules;
	unsigned elements;   /* in use */
	unsigned count, lists; /* of parts */
	struct filter_part {
		const char *whole, *name, *module; /* module NULL: not asked for */
		uint32_t element;
	} parts[FILTER_PARTS];
	size_t used;
	char text[8 * FILTER_TEXT];
};

void filter_init(struct filter *filter);
	/* Everything is wanted. Must not be moved afterwards. */
int filter_add(struct filter *filter, const char *list, bool never, const char **why);
	/* 0; -EINVAL with *why, a sentence's part: "a name or glob is missing". Then the filter is spoilt. */
size_t filter_length(const char *list);
	/* of the first path in it */
uint32_t filter_fits(const struct filter *filter, const char *name, const char *linkage,
		     const char *path);
	/* The elements that a function fits. linkage: its name as symbol tables have it, or NULL. path: of the
	 * module; its last part is the file's name. An element fits as well where all of it, with its @, is
	 * a glob of the name: puts@plt. */

static inline struct filter_state filter_step(const struct filter_rules *rules,
					      struct filter_state caller, uint32_t fits)
{
	uint32_t now = fits & (rules->first | (rules->direct & caller.now << 1) |
			       (rules->further & caller.ever << 1));

	return (struct filter_state){ now, caller.ever | now };
}

static inline bool filter_wants(const struct filter_rules *rules, struct filter_state state)
{
	return !(state.ever & rules->never) && (!rules->only || state.ever & rules->only);
}

#endif
