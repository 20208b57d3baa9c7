/*
 * cursor.h - one thread's records, one after the other.
 *
 * For calls_*.c. Reads in bounded pieces and holds no descriptor in between, so that ten thousand
 * threads can be read side by side. The segments may hold anything: a record that does not fit ends
 * its segment, and whoever reads on is told that something is missing.
 */
#ifndef HARK_PROFILE_CURSOR_H
#define HARK_PROFILE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/profile/samples.h"

enum { CURSOR_BUFFER_LEAST = 4096, CURSOR_BUFFER = 256 << 10 };

enum record_kind {
	RECORD_END,        /* there are no more */
	RECORD_PART,       /* a segment begins; torn: not where the one before ended */
	RECORD_ENTRY,      /* module, offset */
	RECORD_EXIT,
	RECORD_EXIT_FAR,   /* module, offset */
	RECORD_UNWOUND,    /* count; id: how many calls stay open, at least */
	RECORD_FIBER,      /* count: its number */
	RECORD_OPEN,       /* module, offset */
	RECORD_GAP,        /* count, detail */
	RECORD_ENDED,      /* detail */
	RECORD_STAMP,      /* id, step, text */
	RECORD_VALUES,     /* detail, text: words, as in lib/stamp/values.h */
};

struct record {
	enum record_kind kind;
	uint32_t module;
	uint64_t offset;
	uint64_t count;
	uint32_t detail;
	uint64_t id, step;
	const char *text;          /* until the next record */
	size_t text_bytes;
	const struct trace_part *part; /* that began */
	bool torn;
};

struct cursor {
	const uint32_t *at, *end;  /* words of the buffer */
	uint64_t ticks;            /* of the record that was read last */
	uint32_t home, near;
	/* for cursor.c */
	struct trace_dir *dir;
	const struct trace_thread *thread;
	size_t part;               /* the next one */
	uint64_t next, stop;       /* bytes in the image's file: what is not read, of this segment */
	uint32_t *buffer;
	size_t room;               /* bytes of it */
	uint64_t done;             /* bytes of segments that were read */
	struct samples_cursor samples; /* of a thread that was sampled */
	bool live;                 /* the thread goes on, perhaps: it may write over what is read */
	bool missing;              /* something between the last record and the next part */
};

int cursor_open(struct cursor *cursor, struct trace_dir *dir, const struct trace_thread *thread,
		size_t buffer);
	/* buffer: bytes, from CURSOR_BUFFER_LEAST on. 0 or -ENOMEM. What goes wrong later is counted in
	 * dir->torn. Segments of profiles are left out. */
void cursor_close(struct cursor *cursor);
enum record_kind cursor_slow(struct cursor *cursor, struct record *record);

bool cursor_values(struct cursor *cursor, struct record *record);
	/* Whether the arguments of the call that was entered by the last record stand behind it. They are the
	 * record then, and are passed by; else nothing is, and nothing changes. */

static inline uint64_t cursor_time(uint64_t before, uint32_t word)
{
	/* the difference of 29 bits, with its sign */
	uint32_t past = (uint32_t)before << TRACE_KIND_BITS;
	int32_t difference = (int32_t)((word & ~7u) - past) >> TRACE_KIND_BITS;

	return before + (uint64_t)(int64_t)difference;
}

static inline enum record_kind cursor_next(struct cursor *cursor, struct record *record)
	/* The time is in cursor->ticks. */
{
	const uint32_t *at = cursor->at;

	if (__builtin_expect(cursor->end - at >= 2, 1)) {
		uint32_t word = at[0];
		switch (TRACE_WORD_KIND(word)) {
		case TRACE_ENTRY:
		case TRACE_ENTRY_NEAR:
			record->module = TRACE_WORD_KIND(word) == TRACE_ENTRY ? cursor->home :
										cursor->near;
			record->offset = at[1];
			cursor->ticks = cursor_time(cursor->ticks, word);
			cursor->at = at + 2;
			return RECORD_ENTRY;
		case TRACE_EXIT:
			cursor->ticks = cursor_time(cursor->ticks, word);
			cursor->at = at + 1;
			return RECORD_EXIT;
		}
	}
	return cursor_slow(cursor, record);
}

#endif
