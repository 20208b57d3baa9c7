/*
 * assemble.h - the bytes of records into lines.
 *
 * Bytes come as programs wrote them: many lines at once, or a line in pieces, interleaved with those
 * of other threads. A line is assembled per (process, thread, descriptor). What has no newline is
 * sent on, marked partial, after 200 ms, at 64 KiB, or when its writer ends; the rest of that line is
 * then a line of its own. `raw` is not served from here: it passes on what records hold.
 *
 * A line that is being redrawn (progress bars, line editors) is held until its newline, its writer's
 * end, or 1 s of silence. At 64 KiB it loses what has been overwritten (see `superseded`) and is
 * sent on only if that makes no room. One of which the same call has more to say is held as long as the
 * call may go on: a full ring stops it in the middle for as long as a sink takes.
 *
 * Complete lines are handed out straight from the input. Memory is in use only for what is pending.
 * The collector's alone: it calls malloc, and one thread at a time may be inside.
 */
#ifndef HARK_MESSAGE_ASSEMBLE_H
#define HARK_MESSAGE_ASSEMBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ASSEMBLE_LINE_MOST = 64 << 10,     /* bytes of a line, without its newline */
	ASSEMBLE_HOLD_NS = 200000000,      /* from the first byte, without newline */
	ASSEMBLE_REDRAWN_NS = 1000000000,  /* from the last byte, of a line that is being redrawn */
	ASSEMBLE_ECHO_NS = 8000000,        /* until an interactive console shows an unfinished line */
	ASSEMBLE_LIMIT = 1 << 20,          /* a good limit for assemble_init() */
};

/* That a call may take from its last byte on, while there is room for more. */
#define ASSEMBLE_CALL_NS INT64_C(10000000000)

/* What one record holds. */
struct assemble_bytes {
	uint32_t pid, tid;
	uint32_t detail;     /* with source: where the bytes were going. Another source, another line. */
	uint16_t fd;
	uint8_t source;
	bool mirrored;       /* they are on the original descriptor already */
	bool more;           /* the call that wrote them has not come to its end */
	int64_t time_ns;
	uint64_t ticks;      /* the same by the session's clock, for traces */
	const char *bytes;   /* any, NUL too */
	size_t count;
};

struct assemble_line {
	uint32_t pid, tid;
	uint32_t detail;
	uint16_t fd;
	uint8_t source;
	bool partial;        /* cut by time, size or its writer's end … */
	bool ended;          /* … or ended by a newline */
	int64_t time_ns;     /* of its first byte */
	uint64_t ticks;
	const char *text;    /* borrowed: valid during the call only */
	size_t length;       /* without the newline; a '\r' before that is still there */
	size_t shown;        /* leading bytes that an interactive console shows already, by echo or
	                      * mirror; length + 1 where it shows the newline too */
	uint64_t superseded; /* bytes that stood before text and were overwritten by a redraw */
};

typedef int (*assemble_emit)(void *arg, const struct assemble_line *line);
	/* 0: taken. -EAGAIN: there is no room; the call in progress ends with -EAGAIN, and when it is made
	 * again it begins with the very same line (`shown` may have grown), if nothing but echo, save and
	 * load came between. Must not call the assembler. */

struct assemble_pending;

struct assembler {
	size_t pending_bytes; /* of lines that wait for their newline … */
	size_t pending_lines; /* … and how many these are. For reading. */

	size_t limit;
	bool echoes;
	int64_t echo_again_ns; /* the console refused: no echo before */
	uint64_t hash_key[2];
	uint64_t hash_mask;
	struct assemble_pending **buckets;
	struct assemble_list {
		struct assemble_pending *first, *last;
	} lists[5];            /* enum pending_list */
};

int assemble_init(struct assembler *a, size_t limit, bool echoes);
	/* limit: most bytes that assemble_save() may need; where more would be pending, the oldest line is
	 * sent on. Raised to what the longest line needs. echoes: there is an interactive console, and
	 * assemble_echo() will be called. 0 or -ENOMEM. */
void assemble_fini(struct assembler *a);
	/* What is pending is forgotten: assemble_end() first. */

int assemble_feed(struct assembler *a, const struct assemble_bytes *in, size_t *done,
		  assemble_emit emit, void *arg);
	/* *done: how many bytes of `in` are consumed, before and after; 0 at first. 0: all are. -EAGAIN:
	 * emit refused; call again with the same input and *done. Where memory is short, lines are sent
	 * on early as partial. */
int assemble_expire(struct assembler *a, int64_t until_ns, int64_t now_ns, assemble_emit emit,
		    void *arg);
	/* Sends on the lines that have waited too long. until_ns: up to when all that was written is here;
	 * now_ns: the present. Both by the clock of time_ns; lines from the future count as from now, but
	 * not as from until_ns, which may lie far behind. 0 or -EAGAIN. Not those of which a call has more
	 * to say. */
int assemble_expire_calls(struct assembler *a, int64_t now_ns, assemble_emit emit, void *arg);
	/* These. Only where whoever writes has had room for ASSEMBLE_CALL_NS. */
int assemble_end(struct assembler *a, uint32_t pid, assemble_emit emit, void *arg);
	/* The process has ended: sends on its lines. pid 0: all lines. 0 or -EAGAIN. */
void assemble_echo(struct assembler *a, int64_t now_ns, assemble_emit echo, void *arg);
	/* Hands out what an interactive console should show of lines that are still pending: text is what
	 * is not shown so far, `shown` what is. Where echo returns 0, it counts as shown; else echo ends
	 * for this time and goes on 8 ms later. */
int64_t assemble_deadline(const struct assembler *a);
	/* The earliest moment at which assemble_expire() or assemble_echo() has something to do, perhaps
	 * in the past; INT64_MAX: none, or none that can be told. */
int64_t assemble_calls_deadline(const struct assembler *a);
	/* likewise, of assemble_expire_calls() */

int64_t assemble_save(const struct assembler *a, void *buffer, size_t bytes);
	/* Writes what is pending, for assemble_load() on the same machine. Together with *done of a feed
	 * that was refused, this is the whole state. The number of bytes written, 0 where nothing is
	 * pending, or -ENOSPC. With `limit` bytes of room it never fails. */
int assemble_load(struct assembler *a, const void *buffer, size_t bytes);
	/* The bytes may be anything, and may change meanwhile. 0; -EBUSY (something is pending already);
	 * -EINVAL (not made by assemble_save(), or beyond our limit) and -ENOMEM, after which nothing is
	 * pending. */

bool assemble_is_redrawn(const char *text, size_t length);
	/* Whether the line holds what makes sense on a terminal only: '\b', a '\r' that other bytes
	 * follow, or an escape sequence other than a colour. */
size_t assemble_last_state(const char *text, size_t length, const char **state);
	/* What remains visible of a line: the text after the last '\r' that other bytes follow, without
	 * '\r' at its end. Returns its length. All formats but raw use it. */

#endif
