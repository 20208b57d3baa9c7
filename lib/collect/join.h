/*
 * join.h - the fragments of a call that was too large for one record, until the last of them is there.
 *
 * For sinks that take bytes as they come: between the pieces of one write, other writers' records
 * would tear it. And for what is a message by itself (syslog, hark_log), for all sinks. Kept per
 * (process, thread, descriptor); all of it is part of the checkpoint.
 *
 * stream.c's own. Never more than JOIN_LIMIT bytes as join_save() writes them, nor JOIN_MOST calls.
 */
#ifndef HARK_COLLECT_JOIN_H
#define HARK_COLLECT_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ring/reader.h"

enum { JOIN_LIMIT = 1 << 20, JOIN_MOST = 256 };

struct joined {
	struct joined *next;
	uint32_t pid, tid, detail;
	uint16_t fd;
	uint8_t source;
	uint8_t kind;         /* enum record_kind */
	bool mirrored;
	bool continued;       /* its beginning is elsewhere */
	bool whole;           /* its end is there, too */
	bool cut;             /* as much as one message may hold: more follows */
	int64_t time_ns;      /* of the first fragment, as messages have it */
	uint64_t ticks;
	uint64_t touched_ns;  /* CLOCK_MONOTONIC of the last fragment */
	size_t bytes, room;
	size_t passed;        /* bytes that the sinks have already */
	char *text;
};

struct joiner {
	unsigned count;
	struct joined *first;   /* what was touched longest ago */
	struct joined *leaving; /* is being passed on, and must be, before anything else */
	size_t saved_bytes;
};

struct joined *join_find(const struct joiner *all, const struct reader_record *r);
	/* of the same process, thread, descriptor and kind; NULL: none is open */
struct joined *join_of(const struct joiner *all, uint32_t pid);
	/* any of that process; pid 0: any */
struct joined *join_add(struct joiner *all, struct joined *to, const struct reader_record *r,
			int64_t time_ns, uint64_t now_ns);
	/* to: what join_find() found; NULL opens one, of that time. NULL where that would be beyond the
	 * limits or memory is short: nothing has changed. */
void join_shorten(struct joiner *all, struct joined *j, size_t bytes);
	/* only so many of the first bytes are kept */
void join_release(struct joiner *all, struct joined *j);
void join_fini(struct joiner *all);

size_t join_save(const struct joiner *all, void *buffer);
	/* Writes all into JOIN_LIMIT bytes of room; the number of bytes, 0 where nothing is open. */
int join_load(struct joiner *all, const void *buffer, size_t bytes, uint64_t now_ns);
	/* Of an empty joiner. The bytes may be anything, and may change meanwhile. 0; -EINVAL or -ENOMEM,
	 * after which nothing is open. */

#endif
