/* test_pack.c - pack.c: there and back, cut off after any of its steps, in the way of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "lib/profile/store.h"
#include "tests/unit/pack_case.h"

enum { BYTES = 5 * STORE_FRAME + 1 };

struct home {
	struct pack_case c;
	uint8_t *original;
};

static int set_up(void **state)
{
	struct home *h = calloc(1, sizeof *h);

	*state = h;
	if (pack_case_open(&h->c) != 0)
		return -1;
	h->original = pack_case_bytes(BYTES);
	pack_case_write(&h->c, "image.1", h->original, BYTES);
	return 0;
}

static int tear_down(void **state)
{
	struct home *h = *state;
	int rc = pack_case_close(&h->c);

	free(h->original);
	free(h);
	return rc;
}

/* What a reader gets, whatever is there. */
static void assert_readable(const struct home *h)
{
	static uint8_t bytes[BYTES + 1];
	struct store *store = store_open(h->c.dir);

	assert_int_equal(store_read(store, "image.1", bytes, sizeof bytes, 0), BYTES);
	assert_memory_equal(bytes, h->original, BYTES);
	store_close(store);
}

static void assert_alone(const struct home *h, const char *name)
{
	static const char *const names[] = { "image.1", "image.1.zst", "image.1.new",
					     "image.1.zst.new" };

	for (unsigned i = 0; i < 4; i++)
		assert_true(pack_case_there(&h->c, names[i]) == (strcmp(names[i], name) == 0));
}

static void which_files(void **state)
{
	char plain[PACK_NAME];
	bool packed;

	(void)state;
	assert_true(pack_wants("messages", plain, &packed) && !packed);
	assert_true(pack_wants("image.17.zst", plain, &packed) && packed);
	assert_string_equal(plain, "image.17");
	assert_false(pack_wants("trace", plain, &packed));
	assert_false(pack_wants("events", plain, &packed));
	assert_false(pack_wants("image.1.zst.new", plain, &packed));
	assert_false(pack_wants("image.1.zst.zst", plain, &packed));
	assert_false(pack_wants("image.x", plain, &packed));
	assert_false(pack_wants(".zst", plain, &packed));
	assert_false(pack_wants("", plain, &packed));
}

static void there_and_back(void **state)
{
	struct home *h = *state;
	const struct timespec times[] = { { 1000, 1 }, { 2000, 2 } };
	struct stat before, after;
	size_t count = 0;

	assert_int_equal(fchmodat(h->c.dir, "image.1", 0640, 0), 0);
	assert_int_equal(utimensat(h->c.dir, "image.1", times, 0), 0);
	assert_int_equal(fstatat(h->c.dir, "image.1", &before, 0), 0);
	assert_int_equal(pack_case_pack(&h->c, "image.1", false), 0);
	assert_alone(h, "image.1.zst");
	assert_int_equal(fstatat(h->c.dir, "image.1.zst", &after, 0), 0);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_int_equal(after.st_gid, before.st_gid);
	assert_memory_equal(&after.st_mtim, &times[1], sizeof times[1]);
	assert_true(after.st_size < BYTES);
	assert_int_equal(pack_case_pack(&h->c, "image.1", false), -ENOENT);
	assert_int_equal(pack_case_pack(&h->c, "image.1", true), 0);
	assert_alone(h, "image.1");
	assert_int_equal(fstatat(h->c.dir, "image.1", &after, 0), 0);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_memory_equal(&after.st_mtim, &times[1], sizeof times[1]);
	uint8_t *bytes = pack_case_read(&h->c, "image.1", &count);
	assert_int_equal(count, BYTES);
	assert_memory_equal(bytes, h->original, BYTES);
	free(bytes);
}

/* As SIGKILL leaves it: whoever was at it is gone, and what he had open. */
static void abandon(struct pack *pack)
{
	int mine = dup(pack->dir);
	struct stat st;
	char kept[] = "kept";

	/* pack_end() tidies up, which who is killed does not */
	bool beside = fstatat(mine, pack->beside, &st, 0) == 0;
	char name[sizeof pack->beside];
	strcpy(name, pack->beside);
	if (beside)
		assert_int_equal(linkat(mine, name, mine, kept, 0), 0);
	pack_end(pack);
	if (beside) {
		unlinkat(mine, name, 0);
		assert_int_equal(renameat(mine, kept, mine, name), 0);
	}
	close(mine);
}

/* After any step, all can be read; who begins again comes to the same end. */
static void cut_off(void **state)
{
	struct home *h = *state;

	for (unsigned unpack = 0; unpack < 2; unpack++)
		for (unsigned steps = 0;; steps++) {
			const char *name = unpack ? "image.1" : "image.1.zst";
			struct pack pack;
			int rc = pack_begin(&pack, h->c.dir, "image.1", unpack);
			assert_int_equal(rc, 0);
			rc = 1;
			for (unsigned i = 0; i < steps && rc > 0; i++) {
				rc = pack_step(&pack);
				assert_true(rc >= 0);
				assert_readable(h);
			}
			bool done = rc == 0;
			abandon(&pack);
			assert_readable(h);
			if (done) {
				assert_alone(h, name);
				assert_true(steps > 8);
				break;
			}
			assert_int_equal(pack_case_pack(&h->c, "image.1", unpack), 0);
			assert_alone(h, name);
			assert_readable(h);
			assert_int_equal(pack_case_pack(&h->c, "image.1", !unpack), 0);
		}
}

/* Where both are there, the one that is not packed counts. */
static void both_are_there(void **state)
{
	struct home *h = *state;

	pack_case_write(&h->c, "image.1.zst", "something older", 15);
	assert_int_equal(pack_case_pack(&h->c, "image.1", false), 0);
	assert_alone(h, "image.1.zst");
	assert_readable(h);
}

/* The packed one is not given up for whatever bears the name that it would get. */
static void what_is_not_the_same_stays(void **state)
{
	struct home *h = *state;

	assert_int_equal(pack_case_pack(&h->c, "image.1", false), 0);
	assert_int_equal(mkdirat(h->c.dir, "image.1", 0700), 0);
	assert_int_equal(pack_case_pack(&h->c, "image.1", true), -EEXIST);
	assert_int_equal(unlinkat(h->c.dir, "image.1", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("image.1.zst", h->c.dir, "image.1"), 0);
	assert_int_equal(pack_case_pack(&h->c, "image.1", true), -EEXIST);
	assert_int_equal(unlinkat(h->c.dir, "image.1", 0), 0);
	pack_case_write(&h->c, "image.1", "shorter", 7);
	assert_int_equal(pack_case_pack(&h->c, "image.1", true), -EEXIST);
	assert_int_equal(unlinkat(h->c.dir, "image.1", 0), 0);
	assert_alone(h, "image.1.zst");
	assert_readable(h);
	pack_case_write(&h->c, "image.1", "whatever", 8);
	pack_case_write(&h->c, "image.1.zst", "something older", 15);
	assert_int_equal(pack_case_pack(&h->c, "image.1", true), -EPROTO);
	assert_true(pack_case_there(&h->c, "image.1.zst"));
}

static void what_changes_meanwhile_stays(void **state)
{
	struct home *h = *state;
	struct pack pack;
	int rc = pack_begin(&pack, h->c.dir, "image.1", false);
	int fd = openat(h->c.dir, "image.1", O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_int_equal(rc, 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	for (rc = 1; rc > 0;)
		rc = pack_step(&pack);
	assert_int_equal(rc, -EBUSY);
	pack_end(&pack);
	assert_alone(h, "image.1");
}

static void what_is_damaged_stays(void **state)
{
	struct home *h = *state;
	size_t count = 0;

	assert_int_equal(pack_case_pack(&h->c, "image.1", false), 0);
	uint8_t *file = pack_case_read(&h->c, "image.1.zst", &count);
	file[count / 2] ^= 1;
	pack_case_write(&h->c, "image.1.zst", file, count);
	assert_int_equal(pack_case_pack(&h->c, "image.1", true), -EBADMSG);
	assert_alone(h, "image.1.zst");
	pack_case_write(&h->c, "image.1.zst", file, count / 3);
	assert_int_equal(pack_case_pack(&h->c, "image.1", true), -EBADMSG);
	assert_alone(h, "image.1.zst");
	free(file);
}

static void no_room(void **state)
{
	struct home *h = *state;
	struct pack pack;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int rc = pack_begin(&pack, h->c.dir, "image.1", false);

	assert_int_equal(rc, 0);
	assert_true(full >= 0 && dup2(full, pack.to) == pack.to);
	close(full);
	for (rc = 1; rc > 0;)
		rc = pack_step(&pack);
	assert_int_equal(rc, -ENOSPC);
	pack_end(&pack);
	assert_alone(h, "image.1");
	assert_readable(h);
}

static void links_are_not_followed(void **state)
{
	struct home *h = *state;
	size_t count = 0;

	pack_case_write(&h->c, "treasure", "gold", 4);
	assert_int_equal(symlinkat("treasure", h->c.dir, "image.2"), 0);
	assert_int_equal(pack_case_pack(&h->c, "image.2", false), -EINVAL);
	assert_int_equal(symlinkat("treasure", h->c.dir, "image.1.zst.new"), 0);
	assert_int_equal(symlinkat("treasure", h->c.dir, "image.1.zst"), 0);
	assert_int_equal(pack_case_pack(&h->c, "image.1", false), 0);
	uint8_t *gold = pack_case_read(&h->c, "treasure", &count);
	assert_int_equal(count, 4);
	assert_memory_equal(gold, "gold", 4);
	free(gold);
	assert_readable(h);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_files),	     CASE(there_and_back),
		CASE(cut_off),			     CASE(both_are_there),
		CASE(what_is_not_the_same_stays),
		CASE(what_changes_meanwhile_stays), CASE(what_is_damaged_stays),
		CASE(no_room),			     CASE(links_are_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
