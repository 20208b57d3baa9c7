/*
 * leftover.h - what the sinks of a dead session had not taken, for sinks in their place.
 */
#ifndef HARK_COLLECT_LEFTOVER_H
#define HARK_COLLECT_LEFTOVER_H

#include "lib/collect/collector.h"

bool leftover_deliver(struct collector *c, struct collect_delivery *d);
	/* `salvage --to`: hands the frames of all queues to c's sinks, as they were rendered, once for each
	 * sink that did not have them, and adds them to *d. The queues stay as they are. False: within the
	 * time limit not all found room. */

#endif
