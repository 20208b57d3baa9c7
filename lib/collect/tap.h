/*
 * tap.h - deep mode: descriptor 2 is a pipe or pseudo-terminal whose other end the collector reads.
 *
 * What comes there is appended to the ring like what the shim captures, so it takes its place in the
 * one order and outlives the collector from then on. Its writer is unknown: it bears the pid of
 * the session's first process.
 */
#ifndef HARK_COLLECT_TAP_H
#define HARK_COLLECT_TAP_H

#include "lib/collect/collector.h"

void tap_attach(struct collector *c);
void tap_read(struct collector *c);
	/* Takes what there is, as far as the ring has room. */
bool tap_open(const struct watch *w);
	/* whether something is still to be read from it */
bool tap_attached(void);
	/* whether somebody may still write to it: in deep mode, such a process has descriptor 2 in place of
	 * the console's */

#endif
