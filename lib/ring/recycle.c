/*
 * recycle.c - memory that is done with becomes free again.
 *
 * Called by the reader as it advances, and, where the oldest is to be lost when the ring is full, by
 * producers. A piece goes through one pair of hands at a time: who moves `first` past a chunk owns
 * its piece until it is published again or set aside. Never publishes a piece in which a writer
 * may still be.
 */
#include <errno.h>

#include "lib/base/sysio.h"
#include "lib/base/testpoint.h"
#include "lib/ring/copy.h"
#include "lib/ring/ring.h"

enum { WAKE_BYTES = 128 }; /* of a chunk, for each that waits */

/* Someone a lap behind may look at a claim meanwhile. It finds the old word or the new one and
 * can claim neither. */
__attribute__((noinline)) void ring_stamp(void *memory, size_t bytes, uint64_t number)
{
	copy_word_all_over(memory, bytes / sizeof(uint64_t),
			   claim_make(claim_number_of(number), 0, 0, RECORD_FREE));
}

bool ring_hold(struct ring *ring, uint32_t piece, uint32_t tid)
{
	uint32_t before = atomic_exchange(&ring->piece_word[piece],
					  PIECE_HELD | tid << PIECE_OWNER_SHIFT);

	/* Nobody may see what is done to the piece before he can see that its chunk is gone. */
	atomic_thread_fence(memory_order_seq_cst); /* pairs with reader_next() */
	return before == 0;
}

bool ring_take(struct ring *ring, uint32_t piece, uint32_t seen, uint32_t tid)
{
	return atomic_compare_exchange_strong(&ring->piece_word[piece], &seen,
					      PIECE_HELD | tid << PIECE_OWNER_SHIFT);
}

void ring_set_aside(struct ring *ring, uint32_t piece)
{
	atomic_store(&ring->piece_word[piece], PIECE_ASIDE);
}

/* It is in its place now. Claims in it may have been revoked since: their count stays. */
static void let_go(struct ring *ring, uint32_t piece, uint32_t held)
{
	_Atomic uint32_t *word = &ring->piece_word[piece];
	uint32_t seen = atomic_load(word);

	while ((seen & ~PIECE_COUNT) == held)
		if (atomic_compare_exchange_weak(word, &seen, seen & PIECE_COUNT))
			break;
}

void ring_wake_waiting(struct ring *ring, int most, bool no_calls)
{
	struct ring_shared *shared = ring->shared;

	/* Who wants room reads `room`, then says so, then looks. In this order, he is seen here or
	 * sees the chunk or finds `room` changed. */
	if (!atomic_load(&shared->room_wanted) || !atomic_exchange(&shared->room_wanted, 0))
		return;
	atomic_fetch_add(&shared->room, 1);
	if (!no_calls && sysio_futex_wake(&shared->room, most) >= most)
		atomic_store(&shared->room_wanted, 1); /* more may be asleep */
}

bool ring_publish(struct ring *ring, uint32_t piece, bool no_calls)
{
	struct ring_shared *shared = ring->shared;
	uint64_t chunks = ring->number_mask + 1;
	uint64_t number = atomic_load(&shared->first);
	uint32_t held = atomic_load(&ring->piece_word[piece]) & ~PIECE_COUNT;

	/* Twice round is enough for anybody; a spoilt table shall not keep us for ever. */
	for (uint64_t step = 0; step < 2 * chunks; step++) {
		_Atomic uint64_t *place = &shared->place[number & ring->number_mask];
		uint64_t entry = atomic_load(place);
		uint64_t first = atomic_load(&shared->first);
		if (number < first) {
			number = first;
			continue;
		}
		if (number - first >= chunks)
			break; /* enough are in circulation */
		if (entry >> 16 == number && (entry & 0xffff) < ring->pieces) {
			number++; /* that chunk is there already */
			continue;
		}
		ring_stamp(ring_record(ring, piece, 0), (size_t)1 << ring->chunk_shift, number);
		TESTPOINT(ring_stamped);
		/* pairs with ring_place(): who sees the entry sees the stamps */
		if (!atomic_compare_exchange_strong(place, &entry, number << 16 | piece))
			continue;
		let_go(ring, piece, held);
		/* Not more than may find room: of thousands, most would only go to sleep again. */
		ring_wake_waiting(ring, (1 << ring->chunk_shift) / WAKE_BYTES, no_calls);
		return true;
	}
	ring_set_aside(ring, piece);
	return false;
}

/* Claims are walked as the reader does it: nothing that stands there is believed. */
struct ring_writers ring_writers(struct ring *ring, uint32_t piece, bool no_calls, bool tids_known)
{
	uint64_t chunk_bytes = UINT64_C(1) << ring->chunk_shift;
	struct ring_writers found = { 0 };
	uint64_t tag = claim_number(atomic_load(&ring_record(ring, piece, 0)->claim));

	for (uint64_t at = 0; at < chunk_bytes;) {
		struct record *record = ring_record(ring, piece, at);
		uint64_t seen = atomic_load(&record->claim);
		uint64_t length = claim_bytes(seen);
		uint32_t owner = claim_owner(seen);
		if (seen == claim_make(tag, 0, 0, RECORD_FREE))
			break;
		if (claim_number(seen) != tag || length == 0 || length > chunk_bytes - at) {
			found.jumped++; /* who knows who is behind that */
			break;
		}
		at += length;
		bool open =
			claim_state(seen) == RECORD_REVOKED || claim_state(seen) == RECORD_CLAIMED;
		if (!open || owner == 0)
			continue;
		if (owner == RECORD_OWNER_GONE)
			found.jumped++;
		else if (tids_known && !no_calls && sysio_kill((pid_t)owner, 0) == -ESRCH)
			found.dead++;
		else
			found.active++;
	}
	return found;
}

/* Said by the program, and not of the program. */
static bool is_message(const struct record *record)
{
	unsigned kind = COPY_LOAD(record->kind_flags) >> 4;
	return kind == RECORD_TEXT || kind == RECORD_SYSLOG;
}

/* Closes what is open in a stolen chunk and counts what is lost with it. Whether nobody is in it. */
static bool close_chunk(struct ring *ring, uint32_t piece, uint64_t number)
{
	struct ring_shared *shared = ring->shared;
	uint64_t chunk_bytes = UINT64_C(1) << ring->chunk_shift;
	uint64_t base = number << ring->chunk_shift;
	/* pairs with take() in reader.c: what it has not read by now, it will not get any more */
	uint64_t read_to =
		atomic_exchange(&ring->read_to[piece], (base + chunk_bytes) | RING_STOLEN);
	uint64_t messages = 0, bytes = 0, tag = claim_number_of(number);
	bool quiet = true;

	for (uint64_t at = 0; at < chunk_bytes;) {
		struct record *record = ring_record(ring, piece, at);
		uint64_t seen = atomic_load(&record->claim);
		/* When so little is left in circulation that it is the newest chunk, too: nobody may
		 * claim the rest of it any more. */
		if (seen == claim_make(tag, 0, 0, RECORD_FREE) &&
		    atomic_compare_exchange_strong(&record->claim, &seen,
						   claim_make(tag, (chunk_bytes - at) / RECORD_UNIT,
							      0, RECORD_COMMITTED)))
			break;
		uint64_t length = claim_bytes(seen);
		if (claim_number(seen) != tag || length == 0 ||
		    length > chunk_bytes - at) {
			quiet = false; /* nonsense: ring_writers() will judge */
			break;
		}
		/* When the swap fails, it was committed just now. */
		if (claim_state(seen) == RECORD_CLAIMED) {
			uint64_t revoked = (seen & ~UINT64_C(3)) | RECORD_REVOKED;
			if (atomic_compare_exchange_strong(&record->claim, &seen, revoked))
				seen = revoked;
		}
		if (claim_state(seen) != RECORD_COMMITTED) {
			quiet = quiet && claim_owner(seen) == 0;
		} else if (claim_owner(seen) && base + at >= read_to && is_message(record)) {
			uint32_t count = COPY_LOAD(record->bytes);
			messages += !(COPY_LOAD(record->kind_flags) & RECORD_CONTINUES);
			bytes += count < length ? count : 0;
		}
		at += length;
	}
	atomic_fetch_add(&shared->lost_messages, messages);
	atomic_fetch_add(&shared->lost_bytes, bytes);
	return quiet;
}

/* What was set aside may be free by now. Only what can be told without asking the kernel. */
static bool publish_one_aside(struct ring *ring, uint32_t tid, bool no_calls)
{
	for (uint32_t piece = 0; piece < ring->pieces; piece++) {
		uint32_t word = atomic_load(&ring->piece_word[piece]);
		if ((word & PIECE_WHERE) != PIECE_ASIDE || !ring_take(ring, piece, word, tid))
			continue;
		struct ring_writers left = ring_writers(ring, piece, true, false);
		if (!left.active && !left.jumped)
			return ring_publish(ring, piece, no_calls);
		ring_set_aside(ring, piece);
	}
	return false;
}

bool ring_steal(struct ring *ring, uint32_t tid, bool no_calls)
{
	struct ring_shared *shared = ring->shared;
	uint64_t number = atomic_load(&shared->first);
	int64_t found = ring_place(ring, number);

	if (found < 0 || !atomic_compare_exchange_strong(&shared->first, &number, number + 1))
		return publish_one_aside(ring, tid, no_calls);
	uint32_t piece = (uint32_t)found;
	ring_hold(ring, piece, tid);
	TESTPOINT(ring_stolen);
	if (close_chunk(ring, piece, number))
		ring_publish(ring, piece, no_calls);
	else
		ring_set_aside(ring, piece);
	return true;
}
