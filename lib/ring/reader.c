/*
 * reader.c - see reader.h.
 */
#include "lib/ring/reader.h"

#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/sysio.h"
#include "lib/base/testpoint.h"
#include "lib/ring/copy.h"

/* After this long, a writer that jumped away (and might, from some exotic stack, come back) or whose
 * thread id means nothing to us is taken for gone. */
#define FORGET_NS UINT64_C(10000000000)
/* How often we look after what was set aside, when release calls for it. */
#define TEND_NS UINT64_C(10000000)

static uint64_t chunk_bytes(const struct reader *reader)
{
	return UINT64_C(1) << reader->ring->chunk_shift;
}

static uint64_t next_chunk(const struct reader *reader, uint64_t at)
{
	return (at & ~(chunk_bytes(reader) - 1)) + chunk_bytes(reader);
}

static uint64_t number_of(const struct reader *reader, uint64_t at)
{
	return at >> reader->ring->chunk_shift;
}

static uint64_t chunks_of(const struct reader *reader)
{
	return reader->ring->number_mask + 1;
}

int reader_open(struct reader *reader, struct ring *ring, int fd, uint64_t at, bool steals)
{
	uint64_t oldest = atomic_load(&ring->shared->first) << ring->chunk_shift;

	*reader = (struct reader){ .ring = ring, .fd = fd, .tids_known = true, .steals = steals };
	bool sane = at >= oldest && at - oldest <= ring->mapped_bytes && at % RECORD_UNIT == 0;
	reader->at = sane ? at : oldest;
	reader->tid = (uint32_t)sysio_gettid();
	atomic_store(&ring->shared->room_wanted, 1); /* he may have died before he woke them */
	reader->missing = 1; /* to be counted at the first occasion: the reader before us may have died
			      * with a piece in its hands */
	reader->copy = malloc(chunk_bytes(reader));
	reader->aside_since_ns = calloc(ring->pieces, sizeof *reader->aside_since_ns);
	reader->placed = calloc(ring->pieces, sizeof *reader->placed);
	if (reader->copy && reader->aside_since_ns && reader->placed)
		return 0;
	reader_close(reader);
	return -ENOMEM;
}

void reader_close(struct reader *reader)
{
	free(reader->copy);
	free(reader->aside_since_ns);
	free(reader->placed);
	reader->copy = NULL;
	reader->aside_since_ns = NULL;
	reader->placed = NULL;
}

static bool in_place(const struct reader *reader, uint32_t piece)
{
	uint64_t first = atomic_load(&reader->ring->shared->first);

	for (uint64_t i = 0; i < chunks_of(reader); i++) {
		uint64_t entry = atomic_load(&reader->ring->shared->place[i]);
		if ((entry & 0xffff) == piece && entry >> 16 >= first)
			return true;
	}
	return false;
}

/* Which pieces are in a place, and how many places have none. Where producers steal, what is in their
 * hands at the moment counts as missing. */
static uint32_t count_missing(struct reader *reader)
{
	struct ring *ring = reader->ring;
	uint64_t first = atomic_load(&ring->shared->first);
	uint32_t missing = 0;

	memset(reader->placed, 0, ring->pieces * sizeof *reader->placed);
	for (uint64_t i = 0; i < chunks_of(reader); i++) {
		int64_t piece = ring_place(ring, first + i);
		if (piece >= 0)
			reader->placed[piece] = true;
		else
			missing++;
	}
	return missing;
}

/* Whether a piece that is not marked as set aside has been left behind in somebody's hands. */
static bool left_behind(const struct reader *reader, uint32_t piece, uint32_t word)
{
	if (reader->steals) {
		/* It may be in a living thief's hands. (One that dies before it has put its name on the
		 * piece takes it along.) */
		uint32_t tid = word >> PIECE_OWNER_SHIFT & 0x3fffff;
		if ((word & PIECE_WHERE) != PIECE_HELD || !reader->tids_known ||
		    (tid != reader->tid && sysio_kill((pid_t)tid, 0) != -ESRCH))
			return false;
		return !in_place(reader, piece); /* looked at after its last breath */
	}
	/* Nobody but us has pieces in hand, and we have none now. */
	return !reader->placed[piece];
}

/* Whether writers may still be in a piece that we hold. */
static bool occupied(struct reader *reader, uint32_t piece, uint64_t now_ns)
{
	struct ring_writers left = ring_writers(reader->ring, piece, false, reader->tids_known);
	uint64_t *since = &reader->aside_since_ns[piece];

	if (*since == 0)
		*since = now_ns ? now_ns : 1;
	uint64_t waited = now_ns - *since;
	/* Who has jumped away does hardly ever come back: before the ring runs dry, not so long. */
	bool scarce = reader->missing > chunks_of(reader) / 2;
	bool forget_jumped = waited > (scarce ? RING_PATIENCE_NS : FORGET_NS);
	bool forget_unknown = !reader->tids_known && waited > FORGET_NS;
	if ((left.active && !forget_unknown) || (left.jumped && !forget_jumped))
		return true;
	*since = 0;
	reader->torn += left.dead;
	/* Should it lie as a spare for a while: nobody is to be found in it, or counted, again. Not free,
	 * either: who was stopped where he was about to claim the chunk's beginning still may. */
	_Atomic uint64_t *claim = &ring_record(reader->ring, piece, 0)->claim;
	atomic_store(claim, claim_make(claim_number(atomic_load(claim)),
				       chunk_bytes(reader) / RECORD_UNIT, 0, RECORD_COMMITTED));
	return false;
}

static bool give_memory(struct reader *reader, uint32_t piece)
{
	off_t offset = (char *)ring_record(reader->ring, piece, 0) - (char *)reader->ring->shared;

	return posix_fallocate(reader->fd, offset, (off_t)chunk_bytes(reader)) == 0;
}

void reader_tend(struct reader *reader, uint64_t now_ns)
{
	struct ring *ring = reader->ring;
	uint32_t missing = count_missing(reader), aside = 0;

	reader->tended_ns = now_ns;
	reader->missing = missing;
	for (uint32_t piece = 0; piece < ring->pieces; piece++) {
		uint32_t word = atomic_load(&ring->piece_word[piece]);
		uint32_t where = word & PIECE_WHERE;
		if (where == PIECE_VIRGIN && !missing)
			continue;
		if (where == 0)
			reader->aside_since_ns[piece] = 0;
		if ((where == 0 || where == PIECE_HELD) && !left_behind(reader, piece, word))
			continue;
		if (!ring_take(ring, piece, word, reader->tid))
			continue;
		bool virgin = where == PIECE_VIRGIN;
		if (virgin ? !give_memory(reader, piece) : occupied(reader, piece, now_ns)) {
			atomic_store(&ring->piece_word[piece], virgin ? PIECE_VIRGIN : PIECE_ASIDE);
			aside += !virgin;
		} else if (missing && ring_publish(ring, piece, false)) {
			missing--;
		} else {
			ring_set_aside(ring, piece);
		}
	}
	reader->missing = missing;
	reader->aside_count = aside;
}

static void tend_at_times(struct reader *reader, uint64_t now_ns)
{
	if (now_ns - reader->tended_ns >= TEND_NS)
		reader_tend(reader, now_ns);
}

static void recycle(struct reader *reader, uint32_t piece, uint64_t now_ns)
{
	struct ring *ring = reader->ring;

	reader->aside_since_ns[piece] = 0;
	if (!ring_hold(ring, piece, reader->tid) && occupied(reader, piece, now_ns)) {
		ring_set_aside(ring, piece);
		reader_tend(reader, now_ns); /* a spare takes its turn */
	} else {
		ring_publish(ring, piece, false);
	}
}

/* A claim is open. True: stepped over, look on; false: its owner still has time. */
static bool step_over(struct reader *reader, uint32_t piece, struct record *record, uint64_t seen,
		      uint64_t now_ns)
{
	if (reader->hole_at != reader->at) {
		reader->hole_at = reader->at;
		if (reader->at >= reader->hole_before) {
			/* Whatever is open before the present end has been waiting as long as this one:
			 * it gets no patience of its own. */
			reader->hole_since_ns = now_ns;
			reader->hole_before = atomic_load(&reader->ring->shared->head);
			if (reader->hole_before - reader->at > reader->ring->mapped_bytes)
				reader->hole_before = reader->at; /* nonsense */
		}
	}
	bool dead = reader->tids_known && sysio_kill((pid_t)claim_owner(seen), 0) == -ESRCH;
	if (!dead && now_ns - reader->hole_since_ns < RING_PATIENCE_NS)
		return false;
	uint64_t revoked = claim_make(claim_number(seen), claim_bytes(seen) / RECORD_UNIT,
				      dead ? 0 : claim_owner(seen), RECORD_REVOKED);
	atomic_fetch_add(&reader->ring->piece_word[piece], 1);
	if (!atomic_compare_exchange_strong(&record->claim, &seen, revoked))
		return true; /* committed at the last moment */
	TESTPOINT(reader_revoked);
	if (dead)
		reader->torn++;
	return true;
}

static bool take_copy(struct reader *reader, const struct record *record, uint64_t seen,
		      struct reader_record *out)
{
	uint64_t length = claim_bytes(seen);
	uint32_t bytes = COPY_LOAD(record->bytes);

	if (length < RECORD_HEADER || bytes > length - RECORD_HEADER)
		return false;
	TESTPOINT(reader_copying);
	/* without the claim, which others may still try to swap */
	size_t claim = sizeof record->claim;
	copy_out(reader->copy + claim, (const char *)record + claim, RECORD_HEADER - claim + bytes);
	const struct record *copy = (const struct record *)(void *)reader->copy;
	*out = (struct reader_record){
		.position = reader->at,
		.next = reader->at + length,
		.ticks = copy->ticks,
		.pid = copy->pid,
		.tid = claim_owner(seen),
		.bytes = bytes,
		.detail = copy->detail,
		.fd = copy->fd,
		.source = copy->source,
		.kind = copy->kind_flags >> 4,
		.flags = copy->kind_flags & 15,
		.payload = reader->copy + RECORD_HEADER,
	};
	return true;
}

static bool stolen(const struct reader *reader, uint64_t number)
{
	return reader->steals && atomic_load(&reader->ring->shared->first) > number;
}

/* Where producers steal, a record is either read, or counted as lost by the thief. False: it is lost. */
static bool take(struct reader *reader, uint32_t piece, uint64_t end)
{
	_Atomic uint64_t *word = &reader->ring->read_to[piece];
	uint64_t number = number_of(reader, reader->at);
	uint64_t seen = reader->taken;

	if (number_of(reader, seen - RECORD_UNIT) != number)
		seen = atomic_load(word); /* the first one in its chunk, or our first at all */
	uint64_t of = seen ? number_of(reader, seen - RECORD_UNIT) : 0;
	if (of > number || (of == number && seen & RING_STOLEN))
		return false;
	if (!atomic_compare_exchange_strong(word, &seen, end)) /* pairs with close_chunk() */
		return false;
	reader->taken = end;
	return true;
}

/* Our chunk is not there. Whether to look again at another position. */
static bool move_on(struct reader *reader, uint64_t number)
{
	struct ring_shared *shared = reader->ring->shared;
	uint64_t first = atomic_load(&shared->first), head = atomic_load(&shared->head);

	if (reader->steals && number < first && first <= number_of(reader, head) + 1) {
		reader->at = first << reader->ring->chunk_shift;
		reader->overtaken++;
		return true;
	}
	/* Writers are in a later chunk already, so ours must have been there: the table is spoilt. */
	uint64_t ahead = number_of(reader, head) - number;
	if (number < first || ahead == 0 || ahead > chunks_of(reader) ||
	    ring_place(reader->ring, number) >= 0 || atomic_load(&shared->first) > number)
		return false;
	reader->at = next_chunk(reader, reader->at);
	reader->corrupt++;
	return true;
}

/* What stands there is no claim: the rest of the chunk is left, as append.c does it. */
static void leave_chunk(struct reader *reader, uint32_t piece)
{
	/* Writers may be in what we do not see. */
	atomic_fetch_add(&reader->ring->piece_word[piece], 1);
	reader->corrupt++;
	reader->at = next_chunk(reader, reader->at);
}

enum reader_found reader_next(struct reader *reader, uint64_t now_ns, struct reader_record *out)
{
	struct ring *ring = reader->ring;

	/* A bound, so that nobody who spoils the ring all the time can keep us here. */
	for (uint32_t steps = 0; steps < 1u << 20; steps++) {
		uint64_t number = number_of(reader, reader->at);
		uint64_t room = next_chunk(reader, reader->at) - reader->at;
		int64_t piece = ring_place(ring, number);
		if (piece < 0 || stolen(reader, number)) {
			if (move_on(reader, number))
				continue;
			if (reader->missing)
				tend_at_times(reader, now_ns);
			return READER_NOTHING;
		}
		struct record *record = ring_record(ring, (uint32_t)piece, reader->at);
		uint64_t seen = atomic_load(&record->claim); /* pairs with commit() */
		uint64_t tag = claim_number_of(number);
		uint64_t length = claim_bytes(seen);
		if (seen == claim_make(tag, 0, 0, RECORD_FREE))
			return READER_NOTHING;
		if (claim_number(seen) != tag || length == 0 || length > room) {
			if (ring_place(ring, number) == piece && !stolen(reader, number))
				leave_chunk(reader, (uint32_t)piece);
			continue;
		}
		switch (claim_state(seen)) {
		case RECORD_CLAIMED:
			if (!step_over(reader, (uint32_t)piece, record, seen, now_ns))
				return READER_HOLE;
			continue;
		case RECORD_COMMITTED:
			if (claim_owner(seen) == 0)
				break;
			bool sound = take_copy(reader, record, seen, out);
			if (reader->steals && !take(reader, (uint32_t)piece, reader->at + length))
				continue; /* what we copied may be something else by now */
			reader->at += length;
			if (sound)
				return READER_RECORD;
			reader->corrupt++;
			continue;
		case RECORD_FREE: /* with a length: nonsense that everybody steps over */
			reader->corrupt++;
			break;
		case RECORD_REVOKED:
			break;
		}
		reader->at += length;
	}
	return READER_HOLE;
}

void reader_release(struct reader *reader, uint64_t position, uint64_t now_ns)
{
	struct ring *ring = reader->ring;
	struct ring_shared *shared = ring->shared;
	if (position > reader->at)
		position = reader->at;
	uint64_t end = number_of(reader, position), at = number_of(reader, reader->at);

	atomic_store(&shared->tail, position);
	/* Bounded: somebody may set `first` back as often as we move it. */
	for (uint64_t step = 0; step < 4 * chunks_of(reader); step++) {
		uint64_t number = atomic_load(&shared->first);
		if (number >= end && (reader->steals || number <= at))
			break;
		if (number > at || end - number > chunks_of(reader)) {
			/* Spoilt; nobody but us moves it. Pieces that we pass by are found later. */
			atomic_store(&shared->first, end);
			reader->corrupt++;
			reader->missing++;
			break;
		}
		int64_t piece = ring_place(ring, number);
		if (!atomic_compare_exchange_strong(&shared->first, &number, number + 1))
			continue;
		TESTPOINT(reader_released);
		if (piece >= 0)
			recycle(reader, (uint32_t)piece, now_ns);
		else
			reader->missing++;
	}
	/* The memory that a ring has not had yet costs milliseconds: not before its first chunk is used up. */
	bool young = atomic_load(&shared->first) == chunks_of(reader);
	if ((reader->missing && !young) || reader->aside_count || reader->steals)
		tend_at_times(reader, now_ns);
}

int reader_sleep(struct reader *reader, enum ring_reader_state how, uint64_t timeout_ns)
{
	struct ring_shared *shared = reader->ring->shared;

	atomic_store(&shared->reader, how);
	/* pairs with ring_append(): either it sees that we sleep, or we see what it has committed, in a
	 * chunk that may have come just now (ring_place() is an acquire alone) */
	atomic_thread_fence(memory_order_seq_cst);
	int64_t piece = ring_place(reader->ring, number_of(reader, reader->at));
	if (stolen(reader, number_of(reader, reader->at)))
		timeout_ns = 0;
	if (piece >= 0) {
		struct record *record = ring_record(reader->ring, (uint32_t)piece, reader->at);
		bool all_read = claim_state(atomic_load(&record->claim)) == RECORD_FREE;
		if (all_read) /* so there is room, and nobody else who would tell */
			ring_wake_waiting(reader->ring, INT_MAX, false);
		else if (how == READER_ASLEEP)
			timeout_ns = 0;
	}
	int result = timeout_ns ? sysio_futex_wait(&shared->reader, how, timeout_ns) : 0;
	atomic_store(&shared->reader, READER_AWAKE);
	return result == -EAGAIN ? 0 : result;
}
