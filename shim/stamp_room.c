/*
 * stamp_room.c - where a thread's records go: stretches of its image's file, mapped.
 *
 * A trace is written into two windows by turns. When the turn comes to one that is full, the kernel copies it
 * to the file's end, and it is written over. So records always go into memory that the processor's cache
 * knows and the kernel has given already: each page that is touched for the first time costs as much as
 * the stamps in it, or several times as much in a virtual machine, and copying one a tenth of that. Killed
 * at any moment, what is in a window is in the file.
 *
 * Runs on the program's thread with signals held back; system calls only, no malloc.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lib/base/clock.h"
#include "lib/base/solo.h"
#include "lib/base/sysio.h"
#include "lib/base/testpoint.h"
#include "shim/shim.h"
#include "shim/stamp_sieve.h"

enum {
	WINDOW = 256 << 10,   /* two are in the second cache, and what ends each costs little by then */
	WINDOWS = 2,          /* behind them, in the room's parts, stand those that were left */
	LAST_WORDS = 64,      /* bytes that are kept for a segment's closing record */
	SHORT = 8,
	LAST_PIECE = 4,       /* too little for a short record to begin: it may stay as it is */
	OPEN_BYTES = 24,      /* an OPEN record */
	FLIGHT_REPEATS = 8,   /* this part of a flight segment is for calls that are open at its begin */
};

static uint8_t *last_words(struct trace_segment *segment, uint32_t bytes)
{
	return (uint8_t *)segment + bytes - LAST_WORDS;
}

/* That are recorded. */
static uint32_t open_calls(const struct stamp *s)
{
	return s->sieve ? s->top->depth : stamp_depth(s) + s->deeper;
}

void stamp_head(struct trace_segment *segment, uint32_t bytes)
{
	static const uint32_t kinds[] = {
		[STAMP_TRACE] = TRACE_RECORDS,
		[STAMP_FLIGHT] = TRACE_FLIGHT,
		[STAMP_PROFILE] = TRACE_PROFILE,
	};
	struct stamp *s = &stamp;
	struct clock_base now;

	clock_base_now(&now, shim.session.ring.counter);
	struct trace_segment head = {
		.bytes = bytes,
		.kind = kinds[s->mode & STAMP_MODE],
		.image = s->image,
		.tid = shim_thread.author.tid,
		.thread = s->thread,
		.part = s->parts++,
		.ticks = now.ticks,
		.monotonic_ns = now.monotonic_ns,
		.home = s->home_number,
		.near = s->near_number,
		.depth = open_calls(s),
		.fiber = s->stack ? s->stack->fiber : 0,
	};

	if (!shim.sandboxed)
		sysio_call(SYS_prctl, PR_GET_NAME, (long)head.comm, 0, 0, 0, 0);
	memcpy(segment, &head, sizeof head);
	__atomic_store_n(&segment->magic, TRACE_MAGIC, __ATOMIC_RELEASE);
	s->begun = now.ticks;
	s->epoch = now.ticks >> STAMP_EPOCH_BITS;
}

/* ---- parts ------------------------------------------------------------------------------------ */

static void let_go(struct stamp_room *room, unsigned part)
{
	if (room->parts[part])
		sysio_unmap(room->parts[part], room->part_bytes[part]);
	room->parts[part] = NULL;
}

void stamp_drop_parts(struct stamp_room *room)
{
	for (unsigned i = 0; i < STAMP_FLIGHT_PARTS; i++)
		let_go(room, i);
}

/* Where it stands in the file, for good. Mapped for a while yet: whoever was interrupted by us may be about
 * to store a record there. */
static void leave_there(struct stamp_room *room, unsigned part)
{
	unsigned place = WINDOWS + room->turn++ % (STAMP_FLIGHT_PARTS - WINDOWS);

	let_go(room, place);
	room->parts[place] = room->parts[part];
	room->part_bytes[place] = room->part_bytes[part];
	room->parts[part] = NULL;
}

static int new_part(struct stamp_room *room, unsigned part, uint32_t bytes)
{
	struct trace_segment *segment = segment_map(stamp_file(), bytes);

	if (sysio_is_error(segment))
		return (int)(intptr_t)segment;
	segment_ready(segment, bytes);
	if (room->parts[part])
		leave_there(room, part);
	room->parts[part] = segment;
	room->part_bytes[part] = bytes;
	return 0;
}

/* Zeros behind the header. */
static int use_again(struct stamp_room *room, unsigned part)
{
	struct trace_segment *segment = room->parts[part];

	__atomic_store_n(&segment->kind, TRACE_AGAIN, __ATOMIC_RELEASE);
	/* Who copies it meanwhile sees that before anything else of this. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	TESTPOINT(stamp_again);
	memset(segment + 1, 0, room->part_bytes[part] - sizeof *segment);
	return 0;
}

/* ---- a trace, a flight recorder ---------------------------------------------------------------- */

/* An entry in it may be taken back by the call that is open: we may have interrupted that. */
static bool holds_open_entry(const struct stamp *s, uint32_t part)
{
	if (!s->sieve || !s->sieve->min_ticks)
		return false;
	for (const struct stamp_frame *f = s->top; f > s->stack->frames; f--)
		if (f->entry && f->below == part)
			return true;
	return false;
}

/* The one before the last: everything in it was written, and nothing will be written there by whoever was
 * interrupted. */
static bool is_done(const struct stamp *s, unsigned part)
{
	struct trace_segment *segment = s->room->parts[part];

	return segment && s->room->part_bytes[part] == WINDOW &&
	       segment_whole(segment, last_words(segment, WINDOW) - LAST_PIECE, s->values) &&
	       !holds_open_entry(s, s->parts - 1);
}

/* 0: the room's part is ready for the next one; an error otherwise. */
static int next_window(struct stamp *s, unsigned part)
{
	uint32_t bytes = s->next_bytes;

	if (shim.sandboxed)
		return -EPERM;
	if (bytes < WINDOW)
		s->next_bytes *= 4;
	if (!is_done(s, part))
		return new_part(s->room, part, bytes);
	int error = segment_copy(stamp_file(), s->room->parts[part], WINDOW);
	TESTPOINT(stamp_copied);
	return error ? error : use_again(s->room, part);
}

static uint32_t flight_part(void)
{
	uint64_t bytes = shim.session.control->flight_bytes / STAMP_FLIGHT_PARTS;

	if (bytes < TRACE_SEGMENT_LEAST)
		bytes = TRACE_SEGMENT_LEAST;
	if (bytes > TRACE_SEGMENT_MOST)
		bytes = TRACE_SEGMENT_MOST;
	return (uint32_t)(bytes & ~(uint64_t)(TRACE_PAGE - 1));
}

/* Likewise. A flight recorder writes over its oldest part. */
static int next_flight(struct stamp *s, unsigned part)
{
	if (s->room->parts[part])
		return use_again(s->room, part);
	return shim.sandboxed ? -EPERM : new_part(s->room, part, flight_part());
}

static bool stop(struct stamp *s, enum trace_gap reason, const char *name)
{
	uint64_t none = 0;

	if (s->segment && s->mode != STAMP_PROFILE) { /* room was kept for it */
		s->at = s->last;
		s->last += LAST_WORDS;
		stamp_long(TRACE_GAP, reason, stamp_now(), (uint32_t *)&none, 2);
	}
	s->end = NULL;
	stamp_ask(s);
	s->stopped = true;
	stamp_stopped(reason, name);
	return false;
}

bool stamp_stop(enum trace_gap reason, const char *name) { return stop(&stamp, reason, name); }

bool stamp_stop_by(int error)
{
	switch (-error) {
	case ENOMEM: return stamp_stop(TRACE_GAP_MEMORY, "memory");
	case EACCES:
	case EPERM:
	case ENOENT:
	case EMFILE:
	case ENFILE: return stamp_stop(TRACE_GAP_REFUSED, "refused");
	default: return stamp_stop(TRACE_GAP_DISK, "disk");
	}
}

static bool next_segment(struct stamp *s)
{
	bool flight = s->mode == STAMP_FLIGHT;
	unsigned part = flight ? s->room->turn++ % STAMP_FLIGHT_PARTS : s->parts % WINDOWS;

	s->end = NULL;
	int error = flight ? next_flight(s, part) : next_window(s, part);
	if (error && shim.sandboxed)
		return stop(s, TRACE_GAP_SANDBOX, "sandbox");
	if (error)
		return stamp_stop_by(error);
	struct trace_segment *segment = s->room->parts[part];
	uint32_t bytes = s->room->part_bytes[part];
	stamp_head(segment, bytes);
	s->segment = segment;
	s->at = (uint8_t *)(segment + 1);
	s->last = last_words(segment, bytes);
	s->end = s->last - SHORT + 1;
	TESTPOINT(stamp_segment);
	/* Their entries will be written over before they end. */
	if (flight && !s->deeper)
		stamp_repeat(bytes / FLIGHT_REPEATS / OPEN_BYTES);
	return true;
}

/* ---- records ----------------------------------------------------------------------------------- */

uint32_t *stamp_words(unsigned count)
{
	struct stamp *s = &stamp;

	while (!s->stopped) {
		uint8_t *at = s->segment ? solo_take(&s->at, 4 * count) : NULL;
		if (at && at + 4 * count <= s->last)
			return (uint32_t *)(void *)at;
		if (!next_segment(s))
			break;
	}
	return NULL;
}

void stamp_long(enum trace_long type, unsigned detail, uint64_t ticks, const uint32_t *body,
		unsigned words)
{
	bool timed = type != TRACE_HOME && type != TRACE_NEAR;
	unsigned all = 1 + (timed ? 2 : 0) + words;
	uint32_t *record = stamp_words(all);

	if (!record)
		return;
	stamp.kept += type != TRACE_TIME && timed;
	/* Killed in its midst, it is a record of nothing, of this length. */
	__atomic_store_n(record, TRACE_LONG_WORD(TRACE_VOID, all, TRACE_VOID_BEGUN),
			 __ATOMIC_RELEASE);
	if (timed) {
		if (ticks < stamp.begun) /* it did not fit into the segment before */
			ticks = stamp.begun;
		memcpy(record + 1, &ticks, sizeof ticks);
		stamp.epoch = ticks >> STAMP_EPOCH_BITS;
	}
	if (words)
		memcpy(record + all - words, body, 4 * words);
	__atomic_store_n(record, TRACE_LONG_WORD(type, all, detail), __ATOMIC_RELEASE);
}
