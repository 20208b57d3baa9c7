/*
 * pending.h - the lines that wait for their newline: a table by writer, and lists by time.
 *
 * assemble.c's own. Everything here is O(1), but for what a wrong clock costs; nothing is emitted
 * here, so nothing can be refused.
 */
#ifndef HARK_MESSAGE_PENDING_H
#define HARK_MESSAGE_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/message/assemble.h"

/* A pending line is in a list by age, and in one by echo where it has something to show. Lists are
 * sorted by when_ns: a time before that of the line ahead counts as that one. */
enum pending_axis { PENDING_AGE, PENDING_ECHO, PENDING_AXIS_NR };
enum pending_list {
	PENDING_PLAIN,   /* since its first byte */
	PENDING_REDRAWN, /* since its last byte */
	PENDING_CALL,    /* the same; the call goes on */
	PENDING_SOON,    /* since its first byte that is not shown */
	PENDING_AT_ONCE, /* the same; shown in part already */
	PENDING_LIST_NR,
	PENDING_NOWHERE = PENDING_LIST_NR
};
struct pending_key {
	uint64_t thread; /* pid, tid */
	uint64_t stream; /* detail, fd, source */
};

struct assemble_pending {
	struct assemble_pending *chain;
	struct assemble_pending *before[PENDING_AXIS_NR], *after[PENDING_AXIS_NR];
	int64_t when_ns[PENDING_AXIS_NR];
	uint8_t in[PENDING_AXIS_NR]; /* enum pending_list */
	uint8_t watch;               /* see pending_watch(), at the end of text */
	bool redrawn;
	bool more;                   /* the call that wrote it goes on */
	bool cut;                    /* was offered as too long, and so must be again */
	uint32_t length, shown, room;
	struct pending_key key;
	int64_t time_ns;             /* as the record said, for the message */
	uint64_t ticks;
	uint64_t superseded;
	char *text;                  /* `small`, until more room is needed */
	char small[112];
};

static inline int64_t pending_later(int64_t ns, int64_t by)
{
	return ns > INT64_MAX - by ? INT64_MAX : ns + by;
}

static inline struct pending_key pending_key(const struct assemble_bytes *in)
{
	return (struct pending_key){
		.thread = (uint64_t)in->pid << 32 | in->tid,
		.stream = (uint64_t)in->detail << 32 | (uint64_t)in->fd << 16 | in->source,
	};
}

int pending_init(struct assembler *a, size_t limit, bool echoes);
void pending_fini(struct assembler *a);
	/* releases all, and the table */
void pending_clear(struct assembler *a);

bool pending_fits(const struct assembler *a, size_t lines, size_t bytes);
	/* whether so much more stays within the limit */
struct assemble_pending *pending_find(const struct assembler *a, struct pending_key key);
struct assemble_pending *pending_oldest(const struct assembler *a);
	/* what has waited longest; NULL: nothing is pending */
struct assemble_pending *pending_create(struct assembler *a, struct pending_key key,
					int64_t time_ns, size_t bytes);
	/* An empty line with room for so many bytes; NULL where memory is short. */
void pending_release(struct assembler *a, struct assemble_pending *p);
bool pending_reserve(struct assemble_pending *p, size_t bytes);
	/* Room for so many bytes in all, ASSEMBLE_LINE_MOST at most. False where memory is short. */
void pending_grow(struct assembler *a, struct assemble_pending *p, size_t count, int64_t time_ns,
		  bool mirrored);
	/* `count` bytes were put behind p's text: now they count. */
void pending_supersede(struct assembler *a, struct assemble_pending *p, size_t count);
	/* forgets so many of the first bytes, which are overwritten */
void pending_restart(struct assembler *a, struct assemble_pending *p, size_t count,
		     int64_t time_ns);
	/* So many of the first bytes were sent on: what is left is a new line. */

int64_t pending_due(const struct assembler *a, enum pending_list which, int64_t hold_ns);
	/* when the first line of the list has been there for so long; INT64_MAX: the list is empty */
void pending_not_after(struct assembler *a, enum pending_list which, int64_t now_ns);
	/* What came from the future came now. Without this, one record with a wrong time would hold up
	 * all lines after it. */
void pending_shown(struct assembler *a, struct assemble_pending *p);
	/* all of it is on the console */

bool pending_watch(uint8_t *state, const char *s, size_t count);
	/* Goes on over more bytes of a line; *state is 0 at its beginning. True: it is being redrawn, and
	 * will be, whatever follows. */

int64_t pending_save(const struct assembler *a, void *buffer, size_t bytes);
int pending_load(struct assembler *a, const void *buffer, size_t bytes);
	/* assemble_save() and assemble_load() */

#endif
