/*
 * ring.h - the message ring: many producers in many processes, one reader, no lock.
 *
 * Producers call ring_append() (append.c). The collector reads with reader.h. Both may die or stop at
 * any instruction; nobody else is held up by it for more than RING_PATIENCE_NS.
 */
#ifndef HARK_RING_RING_H
#define HARK_RING_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/ring/record.h"

enum { RING_REMEMBERED = 1024 };
#define RING_WHOLE UINT32_MAX
enum { RING_LEAST_BYTES = 64 << 10, RING_CHUNK_MOST = 64 << 10, RING_CHUNK_LEAST = 4 << 10 };
#define RING_STOLEN UINT64_C(1)
#define RING_PATIENCE_NS 50000000u /* how long an open claim holds up what follows it */

/* The reader's sleep. Producers wake it only when it is asleep; who is in a hurry also ends a nap. */
enum ring_reader_state { READER_AWAKE, READER_NAPPING, READER_ASLEEP };

/* At the beginning of the file. Everything here may be overwritten by a hostile process: each side
 * keeps its own copy of the geometry and checks what it reads. */
struct ring_shared {
	uint64_t magic;
	uint32_t chunk_shift;
	uint32_t chunks;        /* in circulation; a power of two */
	uint32_t pieces;        /* of memory: chunks and spares */
	uint32_t offset;        /* of the first piece in the file */
	_Alignas(128) _Atomic uint64_t head;     /* a hint: some position that a claim was made up to */
	_Alignas(128) _Atomic uint64_t first;    /* the oldest chunk that is not free again */
	_Atomic uint64_t tail;                   /* all before is done with; for statistics and overwriting */
	_Atomic uint64_t lost_messages;          /* by RING_LOSE_OLDEST, since the session began */
	_Atomic uint64_t lost_bytes;
	_Alignas(128) _Atomic uint32_t reader;   /* enum ring_reader_state; a futex */
	_Alignas(128) _Atomic uint32_t room;     /* grows when a chunk becomes free; a futex */
	_Atomic uint32_t room_wanted;            /* somebody waits for it */
	_Alignas(128) _Atomic uint64_t place[];  /* chunks entries: number << 16 | piece */
	/* after them, for each piece, uint64_t: how far the reader has read in it, where producers steal;
	 * with RING_STOLEN, the end of a chunk that was stolen */
	/* after them: a word for each piece, uint32_t, see below */
};

_Static_assert(offsetof(struct ring_shared, head) == 128 &&
		       offsetof(struct ring_shared, room_wanted) == 516 &&
		       offsetof(struct ring_shared, place) == 640,
	       "as on every machine");

/* A piece's word. While the piece is in a place: how many claims in it were revoked, roughly (not 0
 * if there was one). Else who has it. Pieces are found by it when who had them has died. */
enum { PIECE_OWNER_SHIFT = 8, PIECE_COUNT = 0xff };
#define PIECE_HELD   (UINT32_C(1) << 30) /* in the hands of the thread whose id is in bits 8 to 29 */
#define PIECE_ASIDE  (UINT32_C(2) << 30) /* in nobody's hands; writers may still be in it */
#define PIECE_VIRGIN (UINT32_C(3) << 30) /* it has no memory yet: not to be touched */
#define PIECE_WHERE  (UINT32_C(3) << 30)

struct ring {
	struct ring_shared *shared;
	char *memory;           /* of piece 0 */
	uint64_t number_mask;   /* chunks - 1 */
	uint32_t chunk_shift;
	uint32_t pieces;
	uint32_t most_payload;  /* of one record */
	bool counter;           /* what clock_ticks() is to read; set by the session */
	_Atomic uint64_t *read_to;
	_Atomic uint32_t *piece_word;
	size_t mapped_bytes;
	_Atomic uint64_t entered[RING_REMEMBERED / 64]; /* pieces that this process has page tables for */
};

enum ring_overflow { RING_BLOCK, RING_TIMEOUT, RING_LOSE_NEWEST, RING_LOSE_OLDEST };

/* A thread as the ring knows it. Thread-local to the caller, zero at first. */
struct ring_author {
	uint32_t pid, tid;
	uint32_t depth;         /* claims of this thread that are neither committed nor given up */
	struct {
		_Atomic uint64_t *claim;
		uint64_t value;
		uintptr_t frame;
	} open[4];
};

struct ring_policy {
	enum ring_overflow overflow;
	uint64_t timeout_ns;    /* of RING_TIMEOUT */
	bool no_calls;          /* behind a seccomp filter: no system call of ours */
	bool (*alive)(void);    /* whether a reader is to be expected; asked while waiting */
};

struct record_info {
	uint16_t fd;
	uint8_t source;
	uint8_t kind;
	uint8_t flags;          /* RECORD_MIRRORED, RECORD_STACK */
	uint32_t detail;
};

size_t ring_file_bytes(size_t bytes);
	/* of a ring file whose chunks together have at least `bytes` */
int ring_create(int fd, size_t bytes, uint32_t ready);
	/* Lays a ring out in an empty file, with `ready` chunks to begin with (RING_WHOLE: all). The
	 * others come into circulation when a reader tends the ring. Memory in circulation is allocated:
	 * nobody meets a SIGBUS. 0, -EINVAL, -ENOMEM, -ENOSPC, or write(2)'s. */
int ring_map(struct ring *ring, int fd);
	/* Maps it, shared; the descriptor is not kept. 0, -EINVAL (no ring, or a damaged one), or
	 * mmap(2)'s. Safe where system calls are. */
void ring_unmap(struct ring *ring);

int ring_append(struct ring *ring, struct ring_author *author, const struct record_info *info,
		const struct iovec *parts, unsigned count, const struct ring_policy *policy);
	/* Appends the parts, one after the other, as one message, in several records if need be. When it
	 * returns 0, the message is in the ring and survives this process. -EAGAIN: lost by policy.
	 * -EPIPE: no reader is to be expected; what was appended so far stays.
	 * Async-signal-safe, nests, keeps no lock; errno is untouched. */

int ring_append_made(struct ring *ring, struct ring_author *author, const struct record_info *info,
		     void (*make)(void *arg, char *payload), void *arg, size_t bytes,
		     const struct ring_policy *policy);
	/* The same, where the bytes are made in their place: by make(), perhaps more than once, which must
	 * write all of them. One record: -EAGAIN, too, where they are more than one holds. */

void ring_poke(struct ring *ring);
	/* ends the reader's nap or sleep */
void ring_rouse(struct ring *ring);
	/* The same whatever the word says that tells whether it sleeps: somebody may have written over it.
	 * For those who have poked in vain. */
bool ring_wait_room(struct ring *ring, uint64_t number, uint64_t timeout_ns);
	/* until chunk `number` may be written, or the time is over. Whether it may. */
void ring_wake_waiting(struct ring *ring, int most, bool no_calls);
	/* So many of those who wait for room: there is some. no_calls: they find out in time. */

/* recycle.c: memory that is done with becomes free again */
void ring_stamp(void *memory, size_t bytes, uint64_t number);
	/* makes it free for the claims of that chunk */
bool ring_hold(struct ring *ring, uint32_t piece, uint32_t tid);
	/* The caller has just moved `first` past the chunk in this piece: it is his. True: no claim in it
	 * was revoked. */
bool ring_take(struct ring *ring, uint32_t piece, uint32_t seen, uint32_t tid);
	/* Takes a piece whose word was just `seen`: set aside, or in the hands of a dead thread. */
void ring_set_aside(struct ring *ring, uint32_t piece);
	/* gives it out of the caller's hands */
bool ring_publish(struct ring *ring, uint32_t piece, bool no_calls);
	/* Stamps a piece that the caller holds and nobody writes to any more, and enters it as the next
	 * chunk that is missing. False: none is; the piece was set aside. */
bool ring_steal(struct ring *ring, uint32_t tid, bool no_calls);
	/* RING_LOSE_OLDEST: a producer takes the oldest chunk from the reader. False: nothing changed,
	 * since others are at it, or no chunk is left. */
struct ring_writers {
	uint32_t dead;    /* claims whose owners died in the middle */
	uint32_t jumped;  /* claims whose owners jumped away, as far as they can tell; or nonsense */
	uint32_t active;  /* claims whose owners may still write */
};
struct ring_writers ring_writers(struct ring *ring, uint32_t piece, bool no_calls, bool tids_known);
	/* Of the revoked claims in a piece. tids_known: thread ids mean the same to us as to the owners. */

/* the most that one record holds */
static inline size_t ring_record_most(const struct ring *ring)
{
	return ring->most_payload;
}

static inline struct record *ring_record(const struct ring *ring, uint32_t piece, uint64_t position)
{
	uint64_t offset = position & ((UINT64_C(1) << ring->chunk_shift) - 1);
	return (struct record *)(void *)(ring->memory + ((uint64_t)piece << ring->chunk_shift) +
					 offset);
}

/* The piece that holds chunk `number`, or -1 where it is not (yet, or any more) there. */
static inline int64_t ring_place(const struct ring *ring, uint64_t number)
{
	uint64_t entry = atomic_load_explicit(&ring->shared->place[number & ring->number_mask],
					      memory_order_acquire); /* pairs with ring_publish() */
	uint32_t piece = entry & 0xffff;
	if (entry >> 16 != number || piece >= ring->pieces)
		return -1;
	return piece;
}

#endif
