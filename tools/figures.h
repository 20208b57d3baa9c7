/*
 * figures.h - the figures of a public timer, for people and as JSON.
 */
#ifndef HARK_TOOLS_FIGURES_H
#define HARK_TOOLS_FIGURES_H

#include <stdio.h>

#include "lib/profile/timer_list.h"

void figures_text(FILE *to, const struct timer_figures *figures);
	/* "1,234 times, 5.000 ms in all, 4.050 us on average, from 3.000 us to 9.100 us" */
void figures_json(FILE *to, const struct timer_figures *figures);
	/* pairs, each with a comma in front */

#endif
