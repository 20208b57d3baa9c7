/*
 * fuzz_ring.c - a ring whose bytes somebody else has written, under readers and writers.
 *
 * The input is a list of operations: spoil some bytes of the file, append, read, release, open a new
 * reader. The mapping stands between forbidden pages, so that a step outside is a crash; a call
 * that does not end is a time-out; a reader that goes on for longer than there are bytes aborts.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/ring/reader.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

enum { RING = 64 << 10, GUARD = 1 << 20, OPERATIONS_MOST = 64 };

static int file = -1;
static char *fresh, *space;
static size_t file_bytes;
static uint64_t now_ns;
static struct ring ring;

static void set_up(void)
{
	file = memfd_create("ring", MFD_CLOEXEC);
	if (file < 0 || ring_create(file, RING, RING_WHOLE) != 0)
		abort();
	file_bytes = ring_file_bytes(RING);
	fresh = malloc(file_bytes);
	if (!fresh || pread(file, fresh, file_bytes, 0) != (ssize_t)file_bytes)
		abort();
	space = mmap(NULL, file_bytes + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (space == MAP_FAILED)
		abort();
}

/* Maps the ring between forbidden pages. */
static int map_guarded(void)
{
	int error = ring_map(&ring, file);
	if (error)
		return error;
	char *was = (char *)ring.shared, *is = space + GUARD;
	if (mremap(was, file_bytes, file_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, is) != is)
		abort();
	ring.shared = (struct ring_shared *)(void *)is;
	ring.memory = is + (ring.memory - was);
	ring.read_to = (_Atomic uint64_t *)(void *)(is + ((char *)ring.read_to - was));
	ring.piece_word = (_Atomic uint32_t *)(void *)(is + ((char *)ring.piece_word - was));
	return 0;
}

static void unmap_guarded(void)
{
	if (mmap(space + GUARD, file_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		abort();
}

static void spoil(void)
{
	/* mostly where it hurts: the head of the file, and claims */
	static const uint32_t hot[] = { 128, 256, 264, 384, 512, 516, 640, 648, 768, 776, 784 };
	uint64_t kind = take(1), at = take(4);
	uint64_t value = take(8);
	size_t bytes = 8;

	if (kind < 96) {
		at = hot[kind % (sizeof hot / sizeof *hot)];
	} else if (kind < 128) {
		at = 640 + at % 512;
		bytes = 4;
	} else if (kind < 224) { /* a claim with a number that fits */
		at = 4096 + at % (file_bytes - 4096) / 16 * 16;
		uint64_t number = RING / 4096 + (at - 4096) / 4096 % 16 + (kind & 1) * 16;
		value = number << 38 | (value & ((UINT64_C(1) << 38) - 1));
	} else {
		at %= file_bytes - 8;
	}
	memcpy((char *)ring.shared + at, &value, bytes);
}

static bool nobody(void)
{
	return false;
}

static void append(struct ring_author *author)
{
	static char text[3000];
	static const enum ring_overflow cheap[] = { RING_LOSE_NEWEST, RING_TIMEOUT,
						    RING_LOSE_NEWEST, RING_LOSE_OLDEST };
	uint64_t how = take(1);
	struct ring_policy policy = { .overflow = cheap[how & 3], .alive = nobody };
	struct record_info info = { .fd = 1 };
	struct iovec part = { text, (size_t)take(2) % sizeof text };

	for (uint64_t i = 0; i <= how >> 2; i++)
		if (ring_append(&ring, author, &info, &part, 1, &policy) != 0)
			break;
}

static void read_all(struct reader *reader, uint64_t most)
{
	struct reader_record record;
	size_t steps = 0;
	volatile char sum = 0;

	for (int holes = 0; most && holes < 3;) {
		enum reader_found found = reader_next(reader, now_ns, &record);
		now_ns += RING_PATIENCE_NS;
		if (found == READER_NOTHING)
			return;
		if (found == READER_HOLE) {
			holes++;
			continue;
		}
		holes = 0;
		most--;
		if (++steps > file_bytes / RECORD_UNIT ||
		    record.next - record.position < RECORD_HEADER)
			abort();
		for (uint32_t i = 0; i < record.bytes; i++)
			sum = (char)(sum + record.payload[i]);
	}
}

static void operate(struct reader *reader, struct ring_author *author)
{
	switch (take(1) % 8) {
	case 0:
	case 1:
	case 2:
		spoil();
		break;
	case 3:
		append(author);
		break;
	case 4:
		read_all(reader, take(2));
		break;
	case 5:
		reader_release(reader, take(1) & 1 ? reader->at : take(8), now_ns);
		break;
	case 6:
		reader_sleep(reader, (enum ring_reader_state)(take(1) % 3), 0);
		reader_tend(reader, now_ns);
		break;
	case 7:
		reader_close(reader);
		bool steals = take(1) & 1;
		if (reader_open(reader, &ring, file, take(1) & 1 ? reader->at : take(8), steals) !=
		    0)
			abort();
		reader->tids_known = !steals;
		break;
	}
	now_ns += 20000000;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct ring_author author = { .pid = 1, .tid = 1 };
	struct reader reader;

	if (file < 0)
		set_up();
	input = (struct input){ bytes, bytes + count };
	now_ns = 1000000000;
	if (pwrite(file, fresh, file_bytes, 0) != (ssize_t)file_bytes)
		abort();
	if (count && bytes[0] == 0xff) /* the words that ring_map() judges */
		if (pwrite(file, bytes + 1, count - 1 < 24 ? count - 1 : 24, 0) < 0)
			abort();
	if (map_guarded() != 0)
		return 0;
	if (reader_open(&reader, &ring, file, 0, take(1) & 1) != 0)
		abort();
	for (int i = 0; i < OPERATIONS_MOST && input.at < input.end; i++)
		operate(&reader, &author);
	read_all(&reader, UINT64_MAX);
	reader_release(&reader, reader.at, now_ns);
	reader_close(&reader);
	unmap_guarded();
	return 0;
}
