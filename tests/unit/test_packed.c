/* test_packed.c - packed.c, packer.c: the table of frames, as the specification has it; files that are
 * not what they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <time.h>
#include <zstd.h>

#include "lib/profile/packed.h"
#include "tests/unit/pack_case.h"

enum { FRAMES = 5, HEAD = 8, FOOT = 9 };

static const size_t lengths[FRAMES] = { 1000, 1, PACKED_FRAME_MOST, 4096, 70000 };

struct home {
	struct pack_case c;
	uint8_t *original, *file;  /* the file as it was made */
	size_t all, bytes;
};

/* Five frames, packed as `f`. */
static int set_up(void **state)
{
	struct home *h = calloc(1, sizeof *h);

	*state = h;
	if (pack_case_open(&h->c) != 0)
		return -1;
	for (unsigned i = 0; i < FRAMES; i++)
		h->all += lengths[i];
	h->original = pack_case_bytes(h->all);
	int fd = openat(h->c.dir, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct packer *p = packer_open(fd, 1);
	const uint8_t *at = h->original;
	for (unsigned i = 0; i < FRAMES; at += lengths[i++])
		if (packer_put(p, at, lengths[i]) != 0)
			return -1;
	if (packer_end(p) != 0)
		return -1;
	packer_close(p);
	close(fd);
	h->file = pack_case_read(&h->c, "f", &h->bytes);
	return 0;
}

static int tear_down(void **state)
{
	struct home *h = *state;
	int rc = pack_case_close(&h->c);

	free(h->original);
	free(h->file);
	free(h);
	return rc;
}

static uint32_t number(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* What is in the file `f`: 0 with the original, in `to` if that is not NULL; -errno of the first thing that
 * is wrong. */
static int unpack(struct home *h, struct packed *packed, uint8_t *to)
{
	int fd = openat(h->c.dir, "f", O_RDONLY | O_CLOEXEC);
	struct unpacker *u = unpacker_open();
	static uint8_t frame[PACKED_FRAME_MOST];
	int rc = packed_index(packed, fd);

	for (size_t i = 0; rc == 0 && i < packed->count; i++) {
		const struct packed_frame *f = &packed->frames[i];
		if (f[1].from == f->from)
			continue;
		rc = unpacker_take(u, packed, fd, i, frame);
		if (rc == 0 && to)
			memcpy(to + f->from, frame, (size_t)(f[1].from - f->from));
	}
	unpacker_close(u);
	close(fd);
	return rc;
}

static void write_file(struct home *h, size_t bytes)
{
	pack_case_write(&h->c, "f", h->file, bytes);
}

/* ---- what is written ---------------------------------------------------------------------------- */

/* Word for word after "Zstandard Seekable Format", version 0.1.0. */
static void the_table_is_the_specified_one(void **state)
{
	struct home *h = *state;
	const uint8_t *foot = h->file + h->bytes - FOOT;
	const uint8_t *table = foot - 8 * FRAMES, *head = table - HEAD;
	size_t at = 0;

	assert_int_equal(number(foot), FRAMES);
	assert_int_equal(foot[4] & 0xfc, 0); /* no checksums, nothing reserved */
	assert_int_equal(number(foot + 5), 0x8F92EAB1);
	assert_int_equal(number(head), 0x184D2A5E);
	assert_int_equal(number(head + 4), 8 * FRAMES + FOOT);
	for (unsigned i = 0; i < FRAMES; i++, table += 8) {
		size_t takes = ZSTD_findFrameCompressedSize(h->file + at, h->bytes - at);
		assert_int_equal(number(table), takes);
		assert_int_equal(number(table + 4), lengths[i]);
		at += takes;
	}
	assert_ptr_equal(h->file + at, head);
}

/* Whoever knows nothing of the table gets the original. */
static void decompressors_restore_it(void **state)
{
	struct home *h = *state;
	uint8_t *all = malloc(h->all + 1);

	assert_int_equal(ZSTD_decompress(all, h->all + 1, h->file, h->bytes), h->all);
	assert_memory_equal(all, h->original, h->all);
	free(all);
}

/* ---- what is read -------------------------------------------------------------------------------- */

static void every_byte_is_found(void **state)
{
	struct home *h = *state;
	struct packed packed;
	uint8_t *all = malloc(h->all);
	size_t from = 0;

	assert_int_equal(unpack(h, &packed, all), 0);
	assert_memory_equal(all, h->original, h->all);
	assert_false(packed.cut);
	assert_int_equal(packed.count, FRAMES);
	for (unsigned i = 0; i < FRAMES; from += lengths[i++]) {
		assert_int_equal(packed_find(&packed, from), i);
		assert_int_equal(packed_find(&packed, from + lengths[i] - 1), i);
	}
	assert_int_equal(packed_find(&packed, from), FRAMES);
	assert_int_equal(packed_find(&packed, UINT64_MAX), FRAMES);
	packed_free(&packed);
	free(all);
}

/* Cut off anywhere, what is whole of it can be read. */
static void cut_off(void **state)
{
	struct home *h = *state;
	struct packed packed;
	uint8_t *all = malloc(h->all);
	uint64_t ends[FRAMES];
	size_t at = 0;

	for (unsigned i = 0; i < FRAMES; i++)
		ends[i] = at += ZSTD_findFrameCompressedSize(h->file + at, h->bytes - at);
	for (size_t bytes = 0; bytes < h->bytes; bytes += bytes % 7 ? 997 : 61) {
		size_t whole = 0, from = 0;
		while (whole < FRAMES && ends[whole] <= bytes)
			from += lengths[whole++];
		write_file(h, bytes);
		int rc = unpack(h, &packed, all);
		assert_int_equal(rc, whole ? 0 : -EBADMSG);
		if (!whole)
			continue;
		assert_int_equal(packed.count, whole);
		assert_int_equal(packed.frames[whole].from, from);
		assert_true(packed.cut || bytes == ends[whole - 1]);
		assert_memory_equal(all, h->original, from);
		packed_free(&packed);
	}
	free(all);
}

/* A table that does not say the truth is none. */
static void other_tables(void **state)
{
	struct home *h = *state;
	const size_t foot = h->bytes - FOOT, table = foot - 8 * FRAMES;
	const struct {
		size_t at;
		uint8_t flip;
	} spoilt[] = {
		{ foot, 1 },	  { foot + 3, 0x80 },  { foot + 4, 4 },	   { foot + 4, 0x80 },
		{ foot + 5, 1 },
		{ table, 1 }, { table + 3, 0x40 }, { table + 7, 1 }, { table + 8 + 2, 1 },
		{ table - HEAD, 1 }, { table - 4, 1 },
	};
	struct packed packed;
	uint8_t *all = malloc(h->all);

	for (size_t i = 0; i < sizeof spoilt / sizeof *spoilt; i++) {
		h->file[spoilt[i].at] ^= spoilt[i].flip;
		write_file(h, h->bytes);
		memset(all, 0, h->all);
		assert_int_equal(unpack(h, &packed, all), 0);
		assert_memory_equal(all, h->original, h->all);
		packed_free(&packed);
		h->file[spoilt[i].at] ^= spoilt[i].flip;
	}
	free(all);
}

/* Whatever bit is another one, nothing comes that never was. */
static void damaged_frames(void **state)
{
	struct home *h = *state;
	struct packed packed;
	uint8_t *all = malloc(h->all);
	unsigned damaged = 0;

	for (size_t at = 0; at < h->bytes - FOOT - 8 * FRAMES - HEAD; at += 1009) {
		h->file[at] ^= 0x10;
		write_file(h, h->bytes);
		int rc = unpack(h, &packed, all);
		assert_true(rc == -EBADMSG);
		damaged++;
		packed_free(&packed);
		h->file[at] ^= 0x10;
	}
	assert_true(damaged > 50);
	free(all);
}

/* A frame that is larger than any of ours, or of unknown size, as `zstd FILE` makes it. */
static void frames_of_others(void **state)
{
	struct home *h = *state;
	size_t room = ZSTD_compressBound(h->all);
	uint8_t *file = malloc(room);
	struct packed packed;
	ZSTD_CCtx *context = ZSTD_createCCtx();

	pack_case_write(&h->c, "f", file, ZSTD_compress(file, room, h->original, h->all, 1));
	assert_int_equal(unpack(h, &packed, NULL), -EBADMSG);
	ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
	size_t n = ZSTD_compress2(context, file, room, h->original, 1000);
	pack_case_write(&h->c, "f", file, n);
	assert_int_equal(unpack(h, &packed, NULL), -EBADMSG);
	pack_case_write(&h->c, "f", "no frame at all", 15);
	assert_int_equal(unpack(h, &packed, NULL), -EBADMSG);
	pack_case_write(&h->c, "f", "", 0);
	assert_int_equal(unpack(h, &packed, NULL), -EBADMSG);
	ZSTD_freeCCtx(context);
	free(file);
}

/* Millions of the shortest frames there are: each is looked at once, not a window of the file for each. */
static void frames_of_nothing(void **state)
{
	enum { MANY = 1 << 21 };
	struct home *h = *state;
	uint8_t *file = calloc(MANY, HEAD);
	struct packed packed;
	struct timespec begin, end;

	for (size_t i = 0; i < MANY; i++)
		memcpy(file + i * HEAD, "\x50\x2a\x4d\x18", 4);
	pack_case_write(&h->c, "f", file, (size_t)MANY * HEAD);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
	int fd = openat(h->c.dir, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(packed_index(&packed, fd), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	assert_int_equal(packed.count, MANY);
	assert_true(end.tv_sec - begin.tv_sec < 5); /* it was minutes */
	close(fd);
	packed_free(&packed);
	free(file);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_table_is_the_specified_one), CASE(decompressors_restore_it),
		CASE(every_byte_is_found), CASE(cut_off), CASE(other_tables), CASE(damaged_frames),
		CASE(frames_of_others), CASE(frames_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
