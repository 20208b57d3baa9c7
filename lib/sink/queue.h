/*
 * queue.h - a sink's own queue: frames on their way out, in a file of the session's directory.
 *
 * One process at a time uses it (the collector), but it outlives that process: a collector that is
 * killed is succeeded by one that maps the same file and goes on. The file is mapped twice, back
 * to back, so that every stretch of the queue is contiguous in memory.
 *
 * Positions are bytes since the queue began and only grow. `head` is private to the collector until
 * it is checkpointed (see collect/checkpoint.h); `tail` lives in the file and is moved as the sink
 * accepts bytes. What lies between tail and the checkpointed head survives SIGKILL.
 */
#ifndef HARK_SINK_QUEUE_H
#define HARK_SINK_QUEUE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What a sink notes beside its queue, see resume.h. */
struct queue_note {
	_Atomic uint64_t sent;     /* all before this position was accepted */
	_Atomic uint64_t latest;   /* which of the two: one is whole, whenever we are killed */
	struct queue_intent {
		uint64_t position; /* a write of what is queued from here on was begun … */
		uint64_t device, inode, offset; /* … at this offset of this file */
	} intents[2];
};

struct queue {
	char *bytes;              /* 2 * size of address space, size of memory */
	uint64_t size;            /* a power of two, at least a page */
	uint64_t head;            /* next byte to be filled */
	_Atomic uint64_t *tail;   /* first byte that the sink has not accepted; in the file */
	struct queue_note *note;  /* in the file, too; zeros at first */
};

int queue_open(struct queue *q, const char *path, uint64_t size);
	/* Creates the file (0600, memory allocated at once) or maps the one that is there, whose size
	 * then wins. size is rounded up to a power of two, at least a page. head is set to tail: the
	 * caller restores it from its checkpoint, unless that lies behind the tail (see queue_rewind()).
	 * A file whose making was cut short is made anew; one that is no queue is left alone.
	 * 0, -ENOSPC, -EINVAL (not a queue, or larger than 1T), -EPERM (somebody else's),
	 * or open(2)'s and mmap(2)'s. */
void queue_close(struct queue *q);

uint64_t queue_used(const struct queue *q);
uint64_t queue_room(const struct queue *q);
char *queue_fill(struct queue *q);
	/* where the next byte goes; queue_room() bytes may be written there */
void queue_filled(struct queue *q, uint64_t bytes);
const char *queue_peek(const struct queue *q);
	/* the oldest byte; queue_used() bytes follow */
void queue_taken(struct queue *q, uint64_t bytes);
	/* moves tail; bytes end on a frame's end */
void queue_rewind(struct queue *q);
	/* Of an empty queue: moves head and tail on to where its memory begins, so that a queue that is
	 * seldom full touches little of it. Does nothing before a good part of it (half, or 256K) was
	 * touched since. The tail is then ahead of any checkpoint made before. */

#endif
