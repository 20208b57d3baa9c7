/*
 * stats.h - what `hark ps` and `hark stats` see: the collector's figures in the control block.
 */
#ifndef HARK_COLLECT_STATS_H
#define HARK_COLLECT_STATS_H

#include "lib/collect/collector.h"

void stats_publish(struct collector *c, bool now);
	/* At most ten times a second, unless `now`. */

#endif
