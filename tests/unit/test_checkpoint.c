/*
 * test_checkpoint.c - checkpoint.c: whoever is killed while he writes one leaves the one before.
 */
#include "tests/unit/collect_case.h"

#include <sys/mman.h>

static struct checkpoint_file file;
static char path[128];

static int setup(void **state)
{
	if (scene_setup(state) != 0)
		return -1;
	snprintf(path, sizeof path, "%s/state", scene.base);
	return checkpoint_open(&file, path);
}

static int teardown(void **state)
{
	checkpoint_close(&file);
	return scene_teardown(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* All of a checkpoint speaks of the same number. */
static void save_number(struct checkpoint_file *f, uint64_t number, bool joins)
{
	struct checkpoint s = { .position = number * 3, .seq = number, .time_ns = (int64_t)number };

	s.heads[CONTROL_SINKS - 1] = number;
	s.lines_bytes = 1000 + number % 1000;
	memset(checkpoint_lines(f), (int)(number & 0x7f), s.lines_bytes);
	if (joins) {
		s.joins_bytes = 2000 + number % 1000;
		memset(checkpoint_joins(f), (int)(number >> 1 & 0x7f), s.joins_bytes);
	}
	checkpoint_save(f, &s);
}

static bool all_are(const void *bytes, size_t count, uint64_t value)
{
	const char *at = bytes;

	for (size_t i = 0; i < count; i++)
		if (at[i] != (char)(value & 0x7f))
			return false;
	return true;
}

/* The number that the file speaks of; 0: none. */
static uint64_t load_number(struct checkpoint_file *f)
{
	struct checkpoint s;
	const void *lines;

	if (!checkpoint_load(f, &s, &lines))
		return 0;
	assert_int_equal(s.position, s.seq * 3);
	assert_int_equal(s.time_ns, s.seq);
	assert_int_equal(s.heads[CONTROL_SINKS - 1], s.seq);
	assert_int_equal(s.lines_bytes, 1000 + s.seq % 1000);
	assert_true(all_are(lines, s.lines_bytes, s.seq));
	if (s.joins_bytes)
		assert_true(all_are(checkpoint_loaded_joins(f), s.joins_bytes, s.seq >> 1));
	return s.seq;
}

static uint64_t load_anew(void)
{
	struct checkpoint_file f;

	assert_int_equal(checkpoint_open(&f, path), 0);
	uint64_t number = load_number(&f);
	checkpoint_close(&f);
	return number;
}

static void test_the_newest_counts(void **state)
{
	(void)state;
	assert_int_equal(load_number(&file), 0);
	for (uint64_t number = 1; number <= 5; number++) {
		save_number(&file, number, false);
		assert_int_equal(load_anew(), number);
	}
	/* The successor goes on in the older slot. */
	checkpoint_close(&file);
	assert_int_equal(checkpoint_open(&file, path), 0);
	assert_int_equal(load_number(&file), 5);
	(void)checkpoint_lines(&file);
	assert_int_equal(load_anew(), 5);
	save_number(&file, 6, false);
	assert_int_equal(load_anew(), 6);
}

static off_t size_of_file(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void test_joins_come_later(void **state)
{
	(void)state;
	off_t before = size_of_file();
	save_number(&file, 1, false);
	assert_true(checkpoint_can_join(&file));
	assert_int_equal(size_of_file(), before + 2 * CHECKPOINT_JOINS);
	assert_int_equal(load_anew(), 1);
	for (uint64_t number = 2; number < 6; number++) {
		save_number(&file, number, true);
		assert_int_equal(load_anew(), number);
	}
	checkpoint_close(&file);
	assert_int_equal(checkpoint_open(&file, path), 0);
	assert_true(file.joins);
	assert_int_equal(load_number(&file), 5);
	(void)checkpoint_joins(&file);
	assert_int_equal(load_anew(), 5);
}

static void test_making_cut_short(void **state)
{
	(void)state;
	off_t whole = size_of_file();
	checkpoint_close(&file);
	assert_int_equal(truncate(path, 4096), 0);
	assert_int_equal(checkpoint_open(&file, path), 0);
	assert_int_equal(size_of_file(), whole);
	assert_int_equal(load_number(&file), 0);
	save_number(&file, 1, false);
	checkpoint_close(&file);
	/* Cut short, too, when joins were to be added. */
	assert_int_equal(truncate(path, whole + 4096), 0);
	assert_int_equal(checkpoint_open(&file, path), 0);
	assert_false(file.joins);
	assert_int_equal(load_number(&file), 1);
	assert_true(checkpoint_can_join(&file));
	save_number(&file, 2, true);
	assert_int_equal(load_anew(), 2);
}

static void test_what_is_none(void **state)
{
	struct checkpoint_file f;
	char other[160];
	(void)state;

	assert_int_equal(truncate(path, 64 << 20), 0);
	assert_int_equal(checkpoint_open(&f, path), -EINVAL);
	checkpoint_close(&f); /* harmless after a failure */
	snprintf(other, sizeof other, "%s/link", scene.base);
	assert_int_equal(symlink(path, other), 0);
	assert_int_equal(checkpoint_open(&f, other), -ELOOP);
	unlink(other);
	assert_int_equal(mkfifo(other, 0600), 0);
	assert_int_equal(checkpoint_open(&f, other), -EINVAL);
	assert_int_equal(checkpoint_open(&f, scene.base), -EISDIR);
	snprintf(other, sizeof other, "%s/no/such", scene.base);
	assert_int_equal(checkpoint_open(&f, other), -ENOENT);
}

static void test_hostile_bytes(void **state)
{
	struct checkpoint s = { .lines_bytes = UINT64_MAX, .joins_bytes = UINT64_MAX };
	const void *lines;
	(void)state;

	checkpoint_save(&file, &s);
	assert_true(checkpoint_load(&file, &s, &lines));
	assert_int_equal(s.lines_bytes, 0);
	assert_int_equal(s.joins_bytes, 0);
	s.joins_bytes = CHECKPOINT_JOINS; /* there is none in the file */
	checkpoint_save(&file, &s);
	assert_true(checkpoint_load(&file, &s, &lines));
	assert_int_equal(s.joins_bytes, 0);
	for (int fill = 0; fill < 256; fill += 51) {
		memset((void *)file.slots, fill, 4096);
		if (checkpoint_load(&file, &s, &lines))
			assert_true(s.lines_bytes <= CHECKPOINT_LINES && s.joins_bytes == 0);
		checkpoint_save(&file, &s);
	}
}

/* ---- killed -------------------------------------------------------------------------------------- */

static int countdown;

static void kill_myself(const char *name)
{
	if (strcmp(name, "checkpoint_written") == 0 && --countdown == 0)
		sysio_kill(sysio_getpid(), SIGKILL);
}

static void test_killed_in_the_middle(void **state)
{
	uint64_t number = 0;
	(void)state;

	for (int nth = 1; nth <= 6; nth++) {
		pid_t child = fork();
		if (child == 0) {
			struct checkpoint_file f;
			if (checkpoint_open(&f, path) != 0)
				_exit(1);
			uint64_t at = load_number(&f);
			countdown = nth;
			testpoint_handler = kill_myself;
			for (;;)
				save_number(&f, ++at, checkpoint_can_join(&f));
		}
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		number += (uint64_t)nth - 1;
		assert_int_equal(load_anew(), number);
	}
}

static void test_killed_at_any_moment(void **state)
{
	_Atomic uint64_t *saved = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	(void)state;

	assert_ptr_not_equal(saved, MAP_FAILED);
	for (int i = 0; i < 60; i++) {
		uint64_t before = atomic_load(saved);
		pid_t child = fork();
		if (child == 0) {
			struct checkpoint_file f;
			if (checkpoint_open(&f, path) != 0)
				_exit(1);
			for (uint64_t at = load_number(&f) + 1;; at++) {
				save_number(&f, at, at % 2 && checkpoint_can_join(&f));
				atomic_store(saved, at);
			}
		}
		for (int k = 0; atomic_load(saved) < before + 1 + (uint64_t)i % 7; k++)
			if (k % 1000 == 0)
				sched_yield();
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		uint64_t found = load_anew();
		assert_true(found == atomic_load(saved) || found == atomic_load(saved) + 1);
		atomic_store(saved, found);
	}
	munmap(saved, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_newest_counts),
		TEST(test_joins_come_later),
		TEST(test_making_cut_short),
		TEST(test_what_is_none),
		TEST(test_hostile_bytes),
		TEST(test_killed_in_the_middle),
		TEST(test_killed_at_any_moment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
