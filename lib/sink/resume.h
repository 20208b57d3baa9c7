/*
 * resume.h - how far a collector that was killed had come with what it wrote.
 *
 * SIGKILL may come in the middle of a write, or before anybody could note that it was done. So it is
 * noted beside the queue, before each write to a regular file, how long the file is and what comes next.
 * The collector that goes on compares what the file has gained since with the queue: nothing is written
 * twice, and a line that was cut is gone on with.
 *
 * Called by the sinks that do not wait for acknowledgement, and by sink.c.
 */
#ifndef HARK_SINK_RESUME_H
#define HARK_SINK_RESUME_H

#include "lib/sink/sink.h"

void resume_intend(struct sink *s);
	/* What is queued from s->sent on is about to be written to s->fd. */
void resume_note(struct sink *s);
	/* s->sent has moved. */
int resume_moved(const struct sink *s);
	/* The file that was last written to, where s->fd is another one: by whatever name it has now beside
	 * s->spec.target. A descriptor, for appending; below 0: it is not found. */
bool resume_find(struct sink *s);
	/* At the first open, with s->fd open: sets s->sent. True: s->fd is the very file that was last
	 * written to, and ends just there; what is before s->sent need not be a frame's end. */

#endif
