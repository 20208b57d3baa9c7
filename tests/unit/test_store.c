/* test_store.c - store.c: the same bytes, packed or not; what is no file; what is damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "lib/profile/store.h"
#include "tests/unit/pack_case.h"

enum { BYTES = 11 * STORE_FRAME + 777 };

struct home {
	struct pack_case c;
	struct store *store;
	uint8_t *original;
};

static int set_up(void **state)
{
	struct home *h = calloc(1, sizeof *h);

	*state = h;
	if (pack_case_open(&h->c) != 0)
		return -1;
	h->original = pack_case_bytes(BYTES);
	h->store = store_open(h->c.dir);
	pack_case_write(&h->c, "image.1", h->original, BYTES);
	return h->store && h->original ? 0 : -1;
}

static int tear_down(void **state)
{
	struct home *h = *state;
	int rc = pack_case_close(&h->c);

	store_close(h->store);
	free(h->original);
	free(h);
	return rc;
}

static unsigned descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Pieces of all lengths, at all places. */
static void check_pieces(struct home *h)
{
	static uint8_t piece[3 * STORE_FRAME];
	const size_t counts[] = { 1, 112, 4096, STORE_FRAME, sizeof piece };
	unsigned before = descriptors();

	for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++)
		for (size_t at = 0; at < BYTES + 5000; at += counts[i] < 5000 ? 4999 : counts[i]) {
			size_t left = at < BYTES ? BYTES - at : 0;
			size_t want = left < counts[i] ? left : counts[i];
			ssize_t n = store_read(h->store, "image.1", piece, counts[i], at);
			assert_int_equal(n, want);
			assert_memory_equal(piece, h->original + at, want);
		}
	assert_int_equal(descriptors(), before);
}

static void packed_or_not(void **state)
{
	struct home *h = *state;

	check_pieces(h);
	assert_false(store_cut(h->store, "image.1"));
	/* under the reader's hands */
	assert_int_equal(pack_case_pack(&h->c, "image.1", false), 0);
	assert_false(pack_case_there(&h->c, "image.1"));
	check_pieces(h);
	assert_false(store_cut(h->store, "image.1"));
	assert_int_equal(pack_case_pack(&h->c, "image.1", true), 0);
	check_pieces(h);
}

static void where_there_is_data(void **state)
{
	struct home *h = *state;
	const uint64_t hole = 64 << 20;
	int fd = openat(h->c.dir, "image.2", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(pwrite(fd, "x", 1, 5000), 1);
	assert_int_equal(pwrite(fd, "y", 1, (off_t)hole + 4096), 1);
	assert_int_equal(ftruncate(fd, 2 * (off_t)hole), 0);
	close(fd);
	for (unsigned packed = 0; packed < 2; packed++) {
		assert_int_equal(store_data(h->store, "image.2", 0), 4096);
		assert_int_equal(store_data(h->store, "image.2", 4096), 4096);
		assert_int_equal(store_data(h->store, "image.2", 8192), hole + 4096);
		assert_true(store_data(h->store, "image.2", hole + 8192) == UINT64_MAX);
		assert_true(store_data(h->store, "image.2", 3 * hole) == UINT64_MAX);
		if (!packed)
			assert_int_equal(pack_case_pack(&h->c, "image.2", false), 0);
	}
}

static void what_is_no_file(void **state)
{
	struct home *h = *state;
	char byte;

	assert_int_equal(store_read(h->store, "image.9", &byte, 1, 0), -ENOENT);
	assert_int_equal(mkdirat(h->c.dir, "image.3", 0700), 0);
	assert_int_equal(symlinkat("image.1", h->c.dir, "image.4"), 0);
	assert_int_equal(symlinkat("image.1", h->c.dir, "image.5.zst"), 0);
	assert_int_equal(mkfifoat(h->c.dir, "image.6.zst", 0600), 0);
	for (char name[] = "image.3"; name[6] <= '6'; name[6]++)
		assert_int_equal(store_read(h->store, name, &byte, 1, 0), -EINVAL);
	pack_case_write(&h->c, "image.7.zst", "nothing of that kind", 20);
	assert_int_equal(store_read(h->store, "image.7", &byte, 1, 0), -EPROTO);
	assert_int_equal(store_read(h->store, "image.1", &byte, 1, UINT64_MAX), -EINVAL);
}

/* A damaged frame costs what is in it, and no more. */
static void damaged(void **state)
{
	struct home *h = *state;
	static uint8_t piece[3 * STORE_FRAME];
	size_t count = 0;

	assert_int_equal(pack_case_pack(&h->c, "image.1", false), 0);
	uint8_t *file = pack_case_read(&h->c, "image.1.zst", &count);
	file[count / 2] ^= 1;
	pack_case_write(&h->c, "image.1.zst", file, count);
	free(file);
	unsigned frames = 0;
	for (size_t at = 0; at < BYTES; at += STORE_FRAME) {
		ssize_t n = store_read(h->store, "image.1", piece, 1, at + 5);
		frames += n == -EBADMSG;
		if (n == -EBADMSG) { /* what is before it comes */
			assert_true(at >= STORE_FRAME && at < BYTES - STORE_FRAME);
			n = store_read(h->store, "image.1", piece, sizeof piece,
				       at - STORE_FRAME + 3);
			assert_int_equal(n, STORE_FRAME - 3);
			assert_memory_equal(piece, h->original + at - STORE_FRAME + 3, (size_t)n);
			assert_int_equal(store_data(h->store, "image.1", at), at);
			continue;
		}
		assert_int_equal(n, 1);
		assert_int_equal(piece[0], h->original[at + 5]);
	}
	assert_int_equal(frames, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(packed_or_not),
		CASE(where_there_is_data),
		CASE(what_is_no_file),
		CASE(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
