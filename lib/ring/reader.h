/*
 * reader.h - the collector's side of the ring. One reader at a time.
 *
 * The ring is hostile bytes: whatever stands in it, the reader stays inside, goes forward and ends.
 * A record is copied out before it is looked at, so that it cannot change while it is in use.
 */
#ifndef HARK_RING_READER_H
#define HARK_RING_READER_H

#include "lib/ring/ring.h"

struct reader_record {
	uint64_t position;   /* where it begins; the order of things */
	uint64_t next;       /* where the next one begins */
	uint64_t ticks;
	uint32_t pid, tid;
	uint32_t bytes;
	uint32_t detail;
	uint16_t fd;
	uint8_t source;
	uint8_t kind;
	uint8_t flags;
	const char *payload; /* in the reader's own buffer, until the next call */
};

struct reader {
	struct ring *ring;
	int fd;                  /* of the ring's file, to allocate spares; not owned */
	uint32_t tid;            /* of who opened it */
	uint64_t at;             /* next position to be read */
	uint64_t taken;          /* where producers steal: the end of the last record that we got */
	bool tids_known;         /* thread ids in claims mean the same to us; the caller may clear it */
	bool steals;             /* producers may take chunks away (RING_LOSE_OLDEST) */
	uint64_t hole_at, hole_since_ns, hole_before;
	uint64_t torn;           /* records lost because their writers died */
	uint64_t corrupt;        /* stretches skipped because they made no sense */
	uint64_t overtaken;      /* times a chunk was stolen from under us */
	uint32_t missing;        /* chunks fewer in circulation than there should be */
	uint32_t aside_count;    /* pieces that wait for their writers to be done */
	uint64_t tended_ns;
	uint64_t *aside_since_ns; /* by piece; 0: not aside */
	bool *placed;            /* by piece, as of the last look */
	char *copy;              /* one chunk */
};

enum reader_found {
	READER_NOTHING, /* all that was said has been read */
	READER_RECORD,
	READER_HOLE,    /* a claim is open; ask again within a millisecond */
};

int reader_open(struct reader *reader, struct ring *ring, int fd, uint64_t at, bool steals);
	/* at: a position returned by an earlier reader as `next`; 0: the oldest there is. 0 or -ENOMEM. */
void reader_close(struct reader *reader);

enum reader_found reader_next(struct reader *reader, uint64_t now_ns, struct reader_record *record);

void reader_release(struct reader *reader, uint64_t position, uint64_t now_ns);
	/* Everything before may be overwritten. */
void reader_tend(struct reader *reader, uint64_t now_ns);
	/* Looks whether what was set aside is free now. Once a second is enough, while aside_count or
	 * missing; where producers may steal, always. */

int reader_sleep(struct reader *reader, enum ring_reader_state how, uint64_t timeout_ns);
	/* Until a producer has something (READER_ASLEEP) or is in a hurry (READER_NAPPING), a signal
	 * comes, or the time is over. Returns at once where there is something to read.
	 * 0, -EINTR, -ETIMEDOUT. */

#endif
