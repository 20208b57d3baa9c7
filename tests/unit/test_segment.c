/* test_segment.c - segment.c: stretches of a file, allocated, mapped, one behind the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/sysio.h"
#include "lib/stamp/segment.h"

static char top[64];
static struct segment_file file;

static int set_up(void **state)
{
	(void)state;
	snprintf(top, sizeof top, "/tmp/hark-segment-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	memset(&file, 0, sizeof file);
	snprintf(file.path, sizeof file.path, "%s/image.1", top);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(file.path);
	return rmdir(top);
}

static struct trace_segment *mapped(uint32_t bytes)
{
	struct trace_segment *segment = segment_map(&file, bytes);

	assert_false(sysio_is_error(segment));
	return segment;
}

static void one_behind_the_other(void **state)
{
	uint32_t sizes[] = { 4 * TRACE_PAGE, TRACE_PAGE, 16 * TRACE_PAGE };
	struct trace_segment *segments[3];
	struct stat st;

	(void)state;
	int before = dup(0);
	for (int i = 0; i < 3; i++) {
		segments[i] = mapped(sizes[i]);
		for (uint32_t k = 0; k < sizes[i]; k++)
			assert_int_equal(((char *)segments[i])[k], 0);
		memset(segments[i], 'a' + i, sizes[i]);
	}
	int after = dup(0);
	assert_int_equal(after, before + 1); /* no descriptor was kept */
	close(before);
	close(after);
	assert_int_equal(stat(file.path, &st), 0);
	assert_int_equal(st.st_size, 21 * TRACE_PAGE);
	assert_true(st.st_blocks * 512 >= 21 * TRACE_PAGE); /* nothing is left to allocate */
	FILE *in = fopen(file.path, "r");
	for (int i = 0; i < 3; i++)
		for (uint32_t k = 0; k < sizes[i]; k++)
			assert_int_equal(fgetc(in), 'a' + i);
	fclose(in);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sysio_unmap(segments[i], sizes[i]), 0);
}

static void ready_pages_stay_zero(void **state)
{
	struct trace_segment *segment = mapped(16 * TRACE_PAGE);

	(void)state;
	segment_ready(segment, 16 * TRACE_PAGE);
	for (int k = 0; k < 16 * TRACE_PAGE; k++)
		assert_int_equal(((char *)segment)[k], 0);
	sysio_unmap(segment, 16 * TRACE_PAGE);
}

static void copied_behind_all_others(void **state)
{
	struct trace_segment *first = mapped(8 * TRACE_PAGE), *second = mapped(4 * TRACE_PAGE);
	struct stat st;

	(void)state;
	memset(first, 'x', 8 * TRACE_PAGE);
	memset(second, 'y', 4 * TRACE_PAGE);
	int before = dup(0);
	assert_int_equal(segment_copy(&file, first, 8 * TRACE_PAGE), 0);
	int after = dup(0);
	assert_int_equal(after, before + 1);
	close(before);
	close(after);
	assert_int_equal(stat(file.path, &st), 0);
	assert_int_equal(st.st_size, 20 * TRACE_PAGE);
	FILE *in = fopen(file.path, "r");
	assert_int_equal(fseek(in, 12 * TRACE_PAGE, SEEK_SET), 0);
	for (uint32_t k = 0; k < 8 * TRACE_PAGE; k++)
		assert_int_equal(fgetc(in), ((uint8_t *)first)[k]);
	fclose(in);
	sysio_unmap(first, 8 * TRACE_PAGE);
	sysio_unmap(second, 4 * TRACE_PAGE);
}

/* Records up to the end, whatever is in them; what was begun and not filled is none. */
static void nothing_is_missing(void **state)
{
	enum { WORDS = 64 };
	union {
		struct trace_segment head;
		uint32_t words[sizeof(struct trace_segment) / 4 + WORDS];
	} s = { .head = { .bytes = TRACE_PAGE } };
	uint32_t *at = s.words + sizeof s.head / 4;
	const uint32_t whole[] = {
		TRACE_SHORT(TRACE_ENTRY, 5),          1,
		TRACE_SHORT(TRACE_ENTRY_NEAR, 6),     2,
		TRACE_SHORT(TRACE_EXIT, 7),
		TRACE_LONG_WORD(TRACE_VOID, 2, TRACE_VOID_GONE), 1,
		TRACE_LONG_WORD(TRACE_END, 3, 1),     9, 9,
		TRACE_SHORT(TRACE_EXIT, 8),
	};
	const size_t count = sizeof whole / sizeof *whole, ends[] = { 0, 2, 4, 5, 7, 10, 11 };

	(void)state;
	memcpy(at, whole, sizeof whole);
	for (int begun = 0; begun < 2; begun++) {
		for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
			assert_true(segment_whole(&s.head, at + ends[i], begun));
		assert_false(segment_whole(&s.head, at + count + 1, begun)); /* room, not filled */
		assert_true(segment_whole(&s.head, at + count, begun));
		at[8] = 0; /* within one that is long */
		assert_true(segment_whole(&s.head, at + count, begun));
		at[2] = at[3] = 0;
		assert_false(segment_whole(&s.head, at + count, begun));
		assert_true(segment_whole(&s.head, at + 2, begun));
		memcpy(at, whole, sizeof whole);
		at[4] = 0;
		assert_false(segment_whole(&s.head, at + count, begun));
		memcpy(at, whole, sizeof whole);
	}
	at[7] = TRACE_LONG_WORD(TRACE_VOID, 3, TRACE_VOID_BEGUN);
	assert_false(segment_whole(&s.head, at + count, true));
	at[7] = TRACE_LONG_WORD(TRACE_END, 0, 1); /* no length */
	at[8] = 0;
	assert_false(segment_whole(&s.head, at + count, false));
}

/* Without the signal that the kernel has for it, which would be the program's end. */
static void as_large_as_files_may_be(void **state)
{
	struct rlimit old, small = { 8 * TRACE_PAGE, RLIM_INFINITY };

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	struct trace_segment *first = segment_map(&file, 8 * TRACE_PAGE);
	struct trace_segment *second = segment_map(&file, TRACE_PAGE);
	assert_false(sysio_is_error(first));
	int copied = segment_copy(&file, first, 8 * TRACE_PAGE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal((intptr_t)second, -EFBIG);
	assert_int_equal(copied, -EFBIG);
	sysio_unmap(first, 8 * TRACE_PAGE);
}

static void whatever_the_umask(void **state)
{
	struct stat st;

	(void)state;
	mode_t mine = umask(0777);
	sysio_unmap(mapped(TRACE_PAGE), TRACE_PAGE);
	umask(mine);
	assert_int_equal(stat(file.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void links_are_not_followed(void **state)
{
	(void)state;
	assert_int_equal(symlink("elsewhere", file.path), 0);
	assert_int_equal((intptr_t)segment_map(&file, TRACE_PAGE), -ELOOP);
}

static void no_such_directory(void **state)
{
	struct segment_file lost = { .path = "/nonexistent/image.1" };

	(void)state;
	assert_int_equal((intptr_t)segment_map(&lost, TRACE_PAGE), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_behind_the_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(copied_behind_all_others, set_up, tear_down),
		cmocka_unit_test(nothing_is_missing),
		cmocka_unit_test_setup_teardown(ready_pages_stay_zero, set_up, tear_down),
		cmocka_unit_test_setup_teardown(as_large_as_files_may_be, set_up, tear_down),
		cmocka_unit_test_setup_teardown(whatever_the_umask, set_up, tear_down),
		cmocka_unit_test_setup_teardown(links_are_not_followed, set_up, tear_down),
		cmocka_unit_test(no_such_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
