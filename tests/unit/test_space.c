/*
 * test_space.c - what is mapped in a sampled process, and in whoever it starts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "lib/sample/space.h"

/* A fork of one with a single mapping: the next one cuts that in two, and there are three. */
static void test_fork_has_room(void **state)
{
	struct space *s = space_open();
	struct unwind_place place;

	(void)state;
	assert_non_null(s);
	struct space_file *file = space_file(s, "[anonymous]", 0, 0);
	struct space_process *p = space_process(s, 10);
	assert_non_null(file);
	assert_non_null(p);
	assert_non_null(space_map(s, p, 0x1000, 0x9000, 0, file));
	space_fork(s, 10, 11, 11);
	p = space_process(s, 11);
	assert_int_equal(p->count, 1);
	assert_non_null(space_map(s, p, 0x4000, 0x1000, 0, file));
	assert_int_equal(p->count, 3);
	assert_true(p->room >= p->count);
	assert_true(space_find(p, 0x3fff, &place) && space_find(p, 0x9fff, &place));
	assert_false(space_find(p, 0xa000, &place));
	space_close(s);
}

static pid_t gone[3] = { 20, 21, 31 };

static bool is_gone(pid_t pid, pid_t tid)
{
	(void)pid;
	return tid == gone[0] || tid == gone[1] || tid == gone[2];
}

/* 20 has ended with its thread 21; of 30, a thread alone; what 40's number means, nobody here knows. */
static void test_who_has_ended_is_swept(void **state)
{
	struct space *s = space_open();

	(void)state;
	assert_non_null(s);
	for (pid_t pid = 20; pid <= 40; pid += 10) {
		assert_non_null(space_process(s, pid));
		space_thread(s, pid, pid)->number = 1;
		space_thread(s, pid, pid + 1)->number = 2;
	}
	space_process(s, 40)->hidden = true;
	size_t before = s->process_count;
	space_sweep(s, is_gone);
	assert_int_equal(s->process_count, before - 1);
	assert_int_equal(space_thread(s, 20, 20)->number, 0);
	assert_int_equal(space_thread(s, 20, 21)->number, 0);
	assert_int_equal(space_thread(s, 30, 30)->number, 1);
	assert_int_equal(space_thread(s, 30, 31)->number, 0);
	gone[0] = 40;
	gone[1] = 41;
	space_sweep(s, is_gone);
	assert_int_equal(space_thread(s, 40, 41)->number, 2);
	space_close(s);
}

/* /proc takes the place of what was known; of who is not there, that stays. */
static void test_maps_are_read_anew(void **state)
{
	struct space *s = space_open();
	struct unwind_place place;
	pid_t none = 0x7ffffff0;

	(void)state;
	assert_non_null(s);
	struct space_file *file = space_file(s, "[anonymous]", 0, 0);
	struct space_process *p = space_process(s, getpid()), *q = space_process(s, none);
	assert_non_null(space_map(s, p, 0x1000, 0x1000, 0, file));
	assert_non_null(space_map(s, q, 0x1000, 0x1000, 0, file));
	assert_true(space_find(p, 0x1800, &place));
	assert_false(p->missed);
	assert_int_equal(space_read(s, getpid()), 0);
	assert_true(space_find(p, 0x1800, &place));
	assert_true(space_find(p, (uint64_t)(uintptr_t)space_open, &place));
	assert_int_equal(space_read_anew(s, getpid()), 0);
	assert_false(space_find(p, 0x1800, &place));
	assert_true(p->missed);
	assert_true(space_find(p, (uint64_t)(uintptr_t)space_open, &place));
	assert_true(space_read_anew(s, none) < 0);
	assert_true(space_find(q, 0x1800, &place));
	space_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fork_has_room),
		cmocka_unit_test(test_who_has_ended_is_swept),
		cmocka_unit_test(test_maps_are_read_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
