/*
 * append.c - the producers' side of the ring: claim, fill, commit.
 *
 * Runs inside other people's programs, at any point of them, signal handlers included: it takes no
 * lock, allocates nothing and leaves errno alone.
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/base/clock.h"
#include "lib/base/sysio.h"
#include "lib/base/testpoint.h"
#include "lib/ring/copy.h"
#include "lib/ring/ring.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct place {
	struct record *record;
	uint64_t number;
	uint64_t claim;
};

/* The next chunk's pages are there, but not yet in this process's page tables: one call instead of
 * a fault for every page. It may fail (an old kernel) and nothing is lost by it. */
static void enter_chunk(struct ring *ring, uint64_t number)
{
	int64_t piece = ring_place(ring, number);
	if (piece < 0 || piece >= RING_REMEMBERED)
		return;
	_Atomic uint64_t *word = &ring->entered[piece / 64];
	uint64_t bit = UINT64_C(1) << (piece % 64);
	if (atomic_load_explicit(word, memory_order_relaxed) & bit)
		return;
	atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
	sysio_call(SYS_madvise, (long)ring_record(ring, (uint32_t)piece, 0),
		   1L << ring->chunk_shift, MADV_POPULATE_WRITE, 0, 0, 0);
}

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static void advance_head(struct ring_shared *shared, uint64_t position)
{
	/* A hint, so a plain store will do. It may go back when two threads race; then the next one
	 * walks a few records further. */
	if (atomic_load_explicit(&shared->head, memory_order_relaxed) < position)
		atomic_store_explicit(&shared->head, position, memory_order_relaxed);
}

/* Who wins the swap owns the record. */
static inline bool claim_here(struct record *record, uint64_t *seen, uint64_t wanted)
{
	return atomic_compare_exchange_strong_explicit(&record->claim, seen, wanted,
						       memory_order_acq_rel, memory_order_acquire);
}

/* The hint led to no chunk. Where to look instead, in *at; or -EAGAIN: the chunk is wanted. */
static int find_end(struct ring *ring, uint64_t number, uint64_t *at)
{
	struct ring_shared *shared = ring->shared;
	uint64_t first = atomic_load_explicit(&shared->first, memory_order_acquire);

	if (number >= first && number - first <= ring->number_mask + 1)
		return -EAGAIN;
	*at = first << ring->chunk_shift; /* the hint is a lap old */
	if (first > UINT64_MAX >> 16)
		return -EPIPE;            /* spoilt */
	if (number > first)
		atomic_store(&shared->head, *at); /* likewise, or all who come would stumble here */
	return 0;
}

/* As claim(), where the hint did not lead to free memory with enough room. */
__attribute__((noinline)) static int claim_walking(struct ring *ring, uint32_t tid, uint64_t need,
						   bool no_calls, uint64_t at, struct place *place)
{
	uint64_t chunk_bytes = UINT64_C(1) << ring->chunk_shift;
	/* Every step is a record, a chunk, or somebody else's success; only in a spoilt ring are there
	 * so many. */
	uint64_t steps = (ring->number_mask + 1) * (chunk_bytes / RECORD_UNIT);

	for (; steps; steps--) {
		uint64_t number = at >> ring->chunk_shift;
		int64_t piece = ring_place(ring, number);
		if (piece < 0) {
			place->number = number;
			int error = find_end(ring, number, &at);
			if (error)
				return error;
			continue;
		}
		struct record *record = ring_record(ring, (uint32_t)piece, at);
		uint64_t room = chunk_bytes - (at & (chunk_bytes - 1));
		uint64_t tag = claim_number_of(number);
		bool filler = need > room;
		uint64_t take = filler ? room : need;
		uint64_t wanted = claim_make(tag, take / RECORD_UNIT, filler ? 0 : tid,
					     filler ? RECORD_COMMITTED : RECORD_CLAIMED);
		/* Others' records are only looked at: a failed swap takes their line away. */
		uint64_t seen = atomic_load_explicit(&record->claim, memory_order_acquire);
		TESTPOINT(ring_claiming);
		if (seen == claim_make(tag, 0, 0, RECORD_FREE) &&
		    claim_here(record, &seen, wanted)) {
			advance_head(ring->shared, at + take);
			if (!filler) {
				*place = (struct place){ record, number, wanted };
				return 0;
			}
			if (!no_calls)
				enter_chunk(ring, number + 1);
		} else if (claim_number(seen) == tag) {
			take = claim_bytes(seen);
			if (take == 0 || take > room)
				take = room; /* spoilt by somebody: leave the chunk */
		} else if (ring_place(ring, number) == piece) {
			take = room; /* spoilt likewise; reader.c does the same */
		} else {
			take = 0; /* recycled under our hands: look again */
		}
		at += take;
	}
	return -EPIPE;
}

/* Claims `need` bytes at the ring's end. 0; -EAGAIN with place->number the chunk that is wanted; or
 * -EPIPE: the ring is spoilt. */
static inline int claim(struct ring *ring, const struct ring_author *author, uint64_t need,
			bool no_calls, struct place *place)
{
	uint64_t chunk_bytes = UINT64_C(1) << ring->chunk_shift;
	uint64_t at = atomic_load_explicit(&ring->shared->head, memory_order_relaxed) &
		      ~(uint64_t)(RECORD_UNIT - 1);
	uint64_t number = at >> ring->chunk_shift;
	int64_t piece = ring_place(ring, number);

	if (__builtin_expect(piece >= 0 && need <= chunk_bytes - (at & (chunk_bytes - 1)), 1)) {
		struct record *record = ring_record(ring, (uint32_t)piece, at);
		uint64_t tag = claim_number_of(number);
		uint64_t seen = claim_make(tag, 0, 0, RECORD_FREE);
		uint64_t wanted = claim_make(tag, need / RECORD_UNIT, author->tid, RECORD_CLAIMED);
		TESTPOINT(ring_claiming);
		if (__builtin_expect(claim_here(record, &seen, wanted), 1)) {
			advance_head(ring->shared, at + need);
			*place = (struct place){ record, number, wanted };
			return 0;
		}
	}
	return claim_walking(ring, author->tid, need, no_calls, at, place);
}

/* The reader will not wait for it; the memory is set aside for a while, in case that we are wrong. */
static void give_up(struct ring *ring, uint32_t tid, _Atomic uint64_t *word, uint64_t value)
{
	uint64_t units = claim_bytes(value) / RECORD_UNIT, number = claim_number(value);
	uint64_t gone = claim_make(number, units, RECORD_OWNER_GONE, RECORD_REVOKED);
	size_t piece = (size_t)((char *)word - ring->memory) >> ring->chunk_shift;

	atomic_fetch_add(&ring->piece_word[piece], 1);
	if (!atomic_compare_exchange_strong(word, &value, gone)) {
		value = claim_make(number, units, tid, RECORD_REVOKED);
		atomic_compare_exchange_strong(word, &value, gone);
	}
}

/* longjmp and siglongjmp can leave an append behind in the middle. Its frame is then above ours, on
 * the same stack. (On a signal stack, addresses say nothing: then it is taken for interrupted.)
 * Being wrong does no harm: who is given up wrongly finds that out and says it again. So when there is
 * no more room to remember, all are given up. */
__attribute__((noinline)) static uint32_t give_up_abandoned(struct ring *ring,
							    struct ring_author *author,
							    uintptr_t frame, bool no_calls)
{
	const uint32_t most = sizeof author->open / sizeof author->open[0];
	uint32_t depth = author->depth < most ? author->depth : most;
	bool all = depth == most;
	stack_t stack;

	if (!all && (no_calls || sysio_call(SYS_sigaltstack, 0, (long)&stack, 0, 0, 0, 0) != 0 ||
		     stack.ss_flags & SS_ONSTACK))
		return depth;
	while (depth > 0 && (all || author->open[depth - 1].frame <= frame)) {
		author->depth = --depth;
		give_up(ring, author->tid, author->open[depth].claim, author->open[depth].value);
	}
	return depth;
}

/* The depth comes first: a handler that appends in between takes the next slot, not ours. */
static inline void open_claim(struct ring_author *author, uint32_t depth, const struct place *place,
			      uintptr_t frame)
{
	author->depth = depth + 1;
	atomic_signal_fence(memory_order_seq_cst);
	author->open[depth].claim = &place->record->claim;
	author->open[depth].value = place->claim;
	author->open[depth].frame = frame;
}

static inline bool commit(struct ring_author *author, uint32_t depth, const struct place *place)
{
	uint64_t seen = place->claim;
	uint64_t done = (seen & ~UINT64_C(3)) | RECORD_COMMITTED;
	/* seq_cst: release for the reader, and a full barrier before we look whether it sleeps */
	bool ours = atomic_compare_exchange_strong(&place->record->claim, &seen, done);
	if (__builtin_expect(!ours && claim_state(seen) == RECORD_REVOKED, 0)) {
		uint64_t noticed = claim_make(claim_number(seen), claim_bytes(seen) / RECORD_UNIT,
					      0, RECORD_REVOKED);
		atomic_compare_exchange_strong(&place->record->claim, &seen, noticed);
	}
	/* Not one less: somebody may have taken us for gone. */
	author->depth = depth;
	return ours;
}

static void copy_parts(char *to, const struct iovec *parts, unsigned count, size_t skip,
		       size_t bytes)
{
	for (unsigned i = 0; i < count && bytes; i++) {
		size_t length = parts[i].iov_len;
		if (skip >= length) {
			skip -= length;
			continue;
		}
		size_t take = length - skip < bytes ? length - skip : bytes;
		copy_in(to, (const char *)parts[i].iov_base + skip, take);
		to += take;
		bytes -= take;
		skip = 0;
	}
}

void ring_poke(struct ring *ring)
{
	_Atomic uint32_t *reader = &ring->shared->reader;
	if (atomic_exchange(reader, READER_AWAKE) != READER_AWAKE)
		sysio_futex_wake(reader, 1);
}

void ring_rouse(struct ring *ring)
{
	atomic_store(&ring->shared->reader, READER_AWAKE);
	sysio_futex_wake(&ring->shared->reader, 1);
}

bool ring_wait_room(struct ring *ring, uint64_t number, uint64_t timeout_ns)
{
	struct ring_shared *shared = ring->shared;
	uint32_t room = atomic_load(&shared->room);

	atomic_store(&shared->room_wanted, 1);
	/* pairs with wake_waiting(): we see the place, or are seen. ring_place() alone, an acquire, may
	 * be carried out before the store where there are weaker loads than x86's. */
	atomic_thread_fence(memory_order_seq_cst);
	if (ring_place(ring, number) >= 0)
		return true;
	ring_poke(ring);
	if (sysio_futex_wait(&shared->room, room, timeout_ns) == -ETIMEDOUT)
		ring_rouse(ring);
	return ring_place(ring, number) >= 0;
}

/* RING_LOSE_OLDEST. Whether something has changed. */
static bool make_room(struct ring *ring, uint32_t tid, uint64_t number, bool no_calls)
{
	/* When fewer chunks are out than there are, somebody is making room already, or pieces are set
	 * aside. It takes him some microseconds: wait so long, rather than throw away more. */
	if (number - atomic_load(&ring->shared->first) <= ring->number_mask) {
		for (int i = 0; i < 1000; i++) {
			if (ring_place(ring, number) >= 0)
				return true;
			pause_briefly();
		}
	}
	return ring_steal(ring, tid, no_calls);
}

/* How long one call waits: until_ns (0: not known yet); patience_ns at a time, then it looks whether
 * somebody still reads. Who makes room wakes us, so the time may grow, and thousands can wait. */
struct waiting {
	uint64_t until_ns, patience_ns;
};

static const uint64_t patience_least_ns = 10000000, patience_most_ns = 80000000;

/* The ring is full. 0: try again; -EAGAIN: lost by policy; -EPIPE: nobody will read. */
__attribute__((noinline)) static int wait_for_room(struct ring *ring, uint32_t tid, uint64_t number,
						   const struct ring_policy *policy,
						   struct waiting *waiting)
{

	if (policy->overflow == RING_LOSE_NEWEST)
		return -EAGAIN;
	if (policy->overflow == RING_LOSE_OLDEST && make_room(ring, tid, number, policy->no_calls))
		return 0;
	if (policy->no_calls) {
		/* Behind a filter neither futex nor sched_yield may be called. */
		for (int i = 0; i < 100000; i++) {
			if (ring_place(ring, number) >= 0)
				return 0;
			pause_briefly();
		}
		return -EPIPE;
	}
	uint64_t now = clock_monotonic_ns();
	if (waiting->until_ns == 0)
		waiting->until_ns = policy->overflow == RING_TIMEOUT ? now + policy->timeout_ns
								     : UINT64_MAX;
	if (now >= waiting->until_ns)
		return -EAGAIN;
	uint64_t left = waiting->until_ns - now;
	if (waiting->patience_ns < patience_most_ns)
		waiting->patience_ns = waiting->patience_ns ? 2 * waiting->patience_ns
							    : patience_least_ns;
	if (!ring_wait_room(ring, number,
			    left < waiting->patience_ns ? left : waiting->patience_ns) &&
	    policy->alive && !policy->alive())
		return -EPIPE;
	return 0;
}

/* The memory was last written by the reader, on another core. Commit has to wait for the lines, so they
 * are asked for some messages ahead, and for writing: three of them are what a short line of text
 * takes, and long ones are foreseen by the processor itself. */
static inline void prefetch_ahead(const char *end)
{
	const char *at = end + 512;
#if defined(__x86_64__)
	/* The compiler's own builtin asks for reading, unless told that every processor has this. */
	__asm__ volatile("prefetchw %0\n\tprefetchw %1\n\tprefetchw %2"
			 : : "m"(at[0]), "m"(at[64]), "m"(at[128]));
#else
	__builtin_prefetch(at, 1);
	__builtin_prefetch(at + 64, 1);
	__builtin_prefetch(at + 128, 1);
#endif
}

/* What goes into a record: parts, or, where there is a `make`, what that makes. */
struct source {
	const struct iovec *parts;
	unsigned count;
	size_t skip;
	void (*make)(void *arg, char *payload);
	void *arg;
};

static inline __attribute__((always_inline)) int
append_record(struct ring *ring, struct ring_author *author, const struct record_info *info,
	      const struct source *from, size_t bytes, unsigned flags,
	      const struct ring_policy *policy)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	uint64_t need = (RECORD_HEADER + bytes + RECORD_UNIT - 1) & ~(uint64_t)(RECORD_UNIT - 1);
	struct waiting waiting = { 0 };
	uint32_t depth = author->depth;
	struct place place;

	if (__builtin_expect(depth != 0, 0))
		depth = give_up_abandoned(ring, author, frame, policy->no_calls);
	do {
		int error;
		while (__builtin_expect(error = claim(ring, author, need, policy->no_calls, &place),
					0)) {
			if (error == -EAGAIN)
				error = wait_for_room(ring, author->tid, place.number, policy,
						      &waiting);
			if (error)
				return error;
		}
		open_claim(author, depth, &place, frame);
		TESTPOINT(ring_claimed);
		struct record *record = place.record;
		prefetch_ahead((char *)record + need);
		COPY_STORE(record->ticks, clock_ticks(ring->counter));
		COPY_STORE(record->pid, author->pid);
		COPY_STORE(record->bytes, (uint32_t)bytes);
		COPY_STORE(record->detail, info->detail);
		COPY_STORE(record->fd, info->fd);
		COPY_STORE(record->source, info->source);
		COPY_STORE(record->kind_flags, (uint8_t)(info->kind << 4 | flags));
		TESTPOINT(ring_filling);
		if (from->make)
			from->make(from->arg, record->payload);
		else if (__builtin_expect(from->count == 1 && bytes, 1))
			copy_in(record->payload, (const char *)from->parts->iov_base + from->skip,
				bytes);
		else
			copy_parts(record->payload, from->parts, from->count, from->skip, bytes);
		TESTPOINT(ring_filled);
	} while (__builtin_expect(!commit(author, depth, &place), 0)); /* revoked: say it again */
	TESTPOINT(ring_committed);
	return 0;
}

/* pairs with the reader's store of READER_ASLEEP before it looks at the ring once more */
static inline void wake_reader(struct ring *ring, const struct ring_policy *policy)
{
	if (__builtin_expect(atomic_load(&ring->shared->reader) == READER_ASLEEP, 0) &&
	    !policy->no_calls)
		ring_poke(ring);
}

int ring_append(struct ring *ring, struct ring_author *author, const struct record_info *info,
		const struct iovec *parts, unsigned count, const struct ring_policy *policy)
{
	struct source from = { .parts = parts, .count = count };
	size_t total = 0;

	for (unsigned i = 0; i < count; i++)
		total += parts[i].iov_len;
	do {
		size_t bytes = total - from.skip;
		unsigned flags = info->flags | (from.skip ? RECORD_CONTINUES : 0u);
		if (__builtin_expect(bytes > ring->most_payload, 0)) {
			bytes = ring->most_payload;
			flags |= RECORD_MORE;
		}
		int error = append_record(ring, author, info, &from, bytes, flags, policy);
		if (__builtin_expect(error != 0, 0))
			return error;
		from.skip += bytes;
	} while (from.skip < total);
	wake_reader(ring, policy);
	return 0;
}

int ring_append_made(struct ring *ring, struct ring_author *author, const struct record_info *info,
		     void (*make)(void *arg, char *payload), void *arg, size_t bytes,
		     const struct ring_policy *policy)
{
	const struct source from = { .make = make, .arg = arg };

	if (bytes > ring->most_payload)
		return -EAGAIN;
	int error = append_record(ring, author, info, &from, bytes, info->flags, policy);
	if (!error)
		wake_reader(ring, policy);
	return error;
}
