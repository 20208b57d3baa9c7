/*
 * test_queue.c - a sink's queue: what it promises to its filler, to its reader, and over a restart;
 * and what it makes of a file that somebody has damaged.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/sink/queue.h"

enum { PAGE = 4096 };

static char directory[64];
static char path[96];

static int setup(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/hark-test-queue-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/q", directory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

static void put(struct queue *q, const char *text)
{
	size_t length = strlen(text);
	assert_true(queue_room(q) >= length);
	memcpy(queue_fill(q), text, length);
	queue_filled(q, length);
}

static void patch(off_t offset, const void *bytes, size_t count)
{
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, count, offset), count);
	close(fd);
}

static void patch_u64(off_t offset, uint64_t value)
{
	patch(offset, &value, sizeof(value));
}

/* The layout of the header, stated once more: a successor of another build must be able to read it. */
enum { AT_VERSION = 8, AT_HEADER_BYTES = 12, AT_SIZE = 16, AT_TAIL = 24 };

static void make(uint64_t size)
{
	struct queue q;
	assert_int_equal(queue_open(&q, path, size), 0);
	queue_close(&q);
}

static void expect_open(int expected)
{
	struct queue q;
	int rc = queue_open(&q, path, PAGE);
	if (!rc)
		queue_close(&q);
	assert_int_equal(rc, expected);
}

static void a_new_one_is_empty_private_and_allocated(void **state)
{
	(void)state;
	struct queue q;
	struct stat st;
	umask(0);
	assert_int_equal(queue_open(&q, path, 3 * PAGE), 0);
	assert_int_equal(q.size, 4 * PAGE);
	assert_int_equal(queue_used(&q), 0);
	assert_int_equal(queue_room(&q), 4 * PAGE);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 5 * PAGE);
	assert_true(st.st_blocks * 512 >= 5 * PAGE);
	queue_close(&q);
	queue_close(&q); /* harmless */
}

static void sizes_are_rounded_up_to_a_power_of_two(void **state)
{
	(void)state;
	static const struct { uint64_t wanted, size; } rows[] = {
		{ 0, PAGE }, { 1, PAGE }, { PAGE, PAGE }, { PAGE + 1, 2 * PAGE }, { 65535, 65536 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct queue q;
		assert_int_equal(queue_open(&q, path, rows[i].wanted), 0);
		assert_int_equal(q.size, rows[i].size);
		queue_close(&q);
		unlink(path);
	}
}

static void bytes_come_out_in_order(void **state)
{
	(void)state;
	struct queue q;
	assert_int_equal(queue_open(&q, path, PAGE), 0);
	put(&q, "one\n");
	put(&q, "two\n");
	assert_int_equal(queue_used(&q), 8);
	assert_memory_equal(queue_peek(&q), "one\ntwo\n", 8);
	queue_taken(&q, 4);
	assert_memory_equal(queue_peek(&q), "two\n", 4);
	assert_int_equal(queue_room(&q), PAGE - 4);
	queue_close(&q);
}

static void every_stretch_is_contiguous(void **state)
{
	(void)state;
	struct queue q;
	char text[PAGE];
	assert_int_equal(queue_open(&q, path, PAGE), 0);
	queue_filled(&q, PAGE - 10);
	queue_taken(&q, PAGE - 10);
	for (int i = 0; i < PAGE; i++)
		text[i] = (char)(i * 7 + i / 256);
	assert_int_equal(queue_room(&q), PAGE);
	memcpy(queue_fill(&q), text, PAGE);
	queue_filled(&q, PAGE);
	assert_int_equal(queue_room(&q), 0);
	assert_memory_equal(queue_peek(&q), text, PAGE);
	queue_taken(&q, 10); /* now at the memory's very beginning: the other mapping of it */
	assert_ptr_equal(queue_peek(&q), q.bytes);
	assert_memory_equal(queue_peek(&q), text + 10, PAGE - 10);
	queue_close(&q);
}

static void a_successor_finds_what_was_not_taken(void **state)
{
	(void)state;
	struct queue q;
	assert_int_equal(queue_open(&q, path, PAGE), 0);
	put(&q, "done\n");
	put(&q, "kept\n");
	queue_taken(&q, 5);
	uint64_t head = q.head;
	queue_close(&q);

	assert_int_equal(queue_open(&q, path, 64 * PAGE), 0);
	assert_int_equal(q.size, PAGE); /* the size it was made with */
	assert_int_equal(queue_used(&q), 0);
	assert_int_equal(q.head, 5);
	q.head = head;
	assert_int_equal(queue_used(&q), 5);
	assert_memory_equal(queue_peek(&q), "kept\n", 5);
	queue_close(&q);
}

static void what_was_filled_survives_sigkill(void **state)
{
	(void)state;
	pid_t child = fork();
	if (!child) {
		struct queue q;
		if (queue_open(&q, path, PAGE))
			_exit(1);
		memcpy(queue_fill(&q), "gone\nlast words\n", 16);
		queue_filled(&q, 16);
		queue_taken(&q, 5);
		raise(SIGKILL);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	struct queue q;
	assert_int_equal(queue_open(&q, path, PAGE), 0);
	assert_int_equal(q.head, 5);
	assert_memory_equal(queue_peek(&q), "last words\n", 11);
	queue_close(&q);
}

static void rewinding_starts_over_at_the_memorys_beginning(void **state)
{
	(void)state;
	struct queue q;
	assert_int_equal(queue_open(&q, path, PAGE), 0);
	put(&q, "x\n");
	queue_taken(&q, 2);
	queue_rewind(&q);
	assert_int_equal(q.head, 2); /* little was touched: positions are not wasted for that */

	queue_filled(&q, 3000);
	queue_rewind(&q);
	assert_int_equal(q.head, 3002); /* not empty */
	queue_taken(&q, 3000);
	queue_rewind(&q);
	assert_int_equal(q.head, PAGE);
	assert_int_equal(queue_used(&q), 0);
	assert_ptr_equal(queue_fill(&q), q.bytes);
	queue_rewind(&q);
	assert_int_equal(q.head, PAGE);
	queue_close(&q);

	assert_int_equal(queue_open(&q, path, PAGE), 0);
	assert_int_equal(q.head, PAGE);
	queue_close(&q);
}

static void a_large_queue_stays_within_little_memory(void **state)
{
	(void)state;
	struct queue q;
	uint64_t furthest = 0;
	assert_int_equal(queue_open(&q, path, 4 << 20), 0);
	for (int i = 0; i < 10000; i++) {
		queue_filled(&q, 1000);
		uint64_t offset = (uint64_t)(queue_fill(&q) - q.bytes);
		furthest = offset > furthest ? offset : furthest;
		queue_taken(&q, 1000);
		queue_rewind(&q);
	}
	assert_true(furthest <= (256 << 10) + 1000);
	assert_true(q.head < UINT64_C(10000000) * 17); /* and uses up few positions */
	queue_close(&q);
}

static void damaged_headers_are_refused(void **state)
{
	(void)state;
	static const uint64_t sizes[] = { 0, 1, 2048, PAGE + 1, 3 * PAGE, 2 * PAGE,
					  UINT64_C(1) << 41, UINT64_C(1) << 63, UINT64_MAX };
	const uint32_t two = 2, zero = 0;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		make(PAGE);
		patch_u64(AT_SIZE, sizes[i]);
		expect_open(-EINVAL);
		assert_int_equal(unlink(path), 0); /* and was left alone */
	}
	make(PAGE);
	patch(0, "HARKque", 8);
	expect_open(-EINVAL);
	patch(0, "harkque", 8);
	patch(AT_VERSION, &two, 4);
	expect_open(-EINVAL);
	patch(AT_VERSION, &(uint32_t){ 1 }, 4);
	patch(AT_HEADER_BYTES, &zero, 4);
	expect_open(-EINVAL);
	patch(AT_HEADER_BYTES, &(uint32_t){ PAGE }, 4);
	patch_u64(AT_TAIL, UINT64_MAX);
	expect_open(-EINVAL);
	patch_u64(AT_TAIL, UINT64_C(1) << 62);
	expect_open(0);
}

static void files_that_are_cut_are_refused(void **state)
{
	(void)state;
	make(PAGE);
	assert_int_equal(truncate(path, 2 * PAGE - 1), 0);
	expect_open(-EINVAL);
	assert_int_equal(truncate(path, PAGE), 0);
	expect_open(-EINVAL);
	assert_int_equal(truncate(path, 20), 0);
	expect_open(-EINVAL);
	assert_int_equal(truncate(path, 4), 0); /* half a magic is none */
	expect_open(-EINVAL);
	assert_int_equal(truncate(path, 0), 0);
	expect_open(0);
}

static void an_unfinished_file_is_made_anew(void **state)
{
	(void)state;
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, 9 * PAGE), 0);
	assert_int_equal(pwrite(fd, "rubbish", 7, 5000), 7);
	close(fd);
	struct queue q;
	assert_int_equal(queue_open(&q, path, PAGE), 0);
	assert_int_equal(q.size, PAGE);
	assert_int_equal(q.head, 0);
	assert_int_equal(q.bytes[5000 - PAGE], 0);
	queue_close(&q);
	expect_open(0);
}

static void holes_are_filled(void **state)
{
	(void)state;
	struct stat st;
	make(16 * PAGE);
	assert_int_equal(truncate(path, PAGE), 0);
	assert_int_equal(truncate(path, 17 * PAGE), 0);
	expect_open(0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_blocks * 512 >= 17 * PAGE);
}

static void other_kinds_of_files_are_refused(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_open(-EINVAL);
	unlink(path);
	assert_int_equal(symlink("/dev/zero", path), 0);
	expect_open(-ELOOP);
	unlink(path);
	struct queue q;
	assert_int_equal(queue_open(&q, directory, PAGE), -EISDIR);
	assert_int_equal(queue_open(&q, "/nonexistent/q", PAGE), -ENOENT);
	assert_int_equal(queue_open(&q, path, UINT64_MAX), -EINVAL);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_tail_gone_wild_leads_nowhere_else(void **state)
{
	(void)state;
	struct queue q;
	assert_int_equal(queue_open(&q, path, PAGE), 0);
	static const uint64_t tails[] = { 1, 5000, UINT64_MAX, UINT64_C(1) << 63 };
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		patch_u64(AT_TAIL, tails[i]); /* while it is mapped */
		assert_true(queue_used(&q) <= q.size);
		assert_true(queue_room(&q) <= q.size);
		const char *first = queue_peek(&q);
		assert_true(first >= q.bytes && first + queue_used(&q) <= q.bytes + 2 * q.size);
	}
	queue_close(&q);
}

static void nothing_is_left_where_there_is_no_room(void **state)
{
	(void)state;
	pid_t child = fork();
	if (!child) {
		struct queue q;
		struct rlimit limit = { .rlim_cur = 8 * PAGE, .rlim_max = 8 * PAGE };
		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &limit);
		int rc = queue_open(&q, path, 64 * PAGE);
		_exit(rc == -EFBIG ? access(path, F_OK) == 0 : 2);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_one_is_empty_private_and_allocated),
		TEST(sizes_are_rounded_up_to_a_power_of_two),
		TEST(bytes_come_out_in_order),
		TEST(every_stretch_is_contiguous),
		TEST(a_successor_finds_what_was_not_taken),
		TEST(what_was_filled_survives_sigkill),
		TEST(rewinding_starts_over_at_the_memorys_beginning),
		TEST(a_large_queue_stays_within_little_memory),
		TEST(damaged_headers_are_refused),
		TEST(files_that_are_cut_are_refused),
		TEST(an_unfinished_file_is_made_anew),
		TEST(holes_are_filled),
		TEST(other_kinds_of_files_are_refused),
		TEST(a_tail_gone_wild_leads_nowhere_else),
		TEST(nothing_is_left_where_there_is_no_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
