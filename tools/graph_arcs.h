/*
 * graph_arcs.h - `hark graph` where it shows who called whom: --function, and profiles.
 */
#ifndef HARK_TOOLS_GRAPH_ARCS_H
#define HARK_TOOLS_GRAPH_ARCS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/profile/arcs.h"

size_t graph_arcs_around(const struct arcs *arcs, const char *glob, bool json);
	/* Prints each function that fits with its callers and callees; how many these are. The arcs are
	 * sorted. */
void graph_arcs_all(const struct arcs *arcs, bool json);
	/* prints every caller with its callees */

void graph_figures(const struct function *function, uint64_t total_ns, uint64_t self_ns,
		   uint64_t calls, const char *before);
	/* three columns and what stands behind them; of what was sampled, marked by ~ */
void graph_json_figures(const struct function *function, uint64_t total_ns, uint64_t self_ns,
			uint64_t calls);
	/* the same, and how they are known */

#endif
