/*
 * test_frames.c - arrays of open calls grow where they are, with addresses limited or not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim/frames.h"
#include "tests/unit/sanitizer.h"

enum { FIRST = 12000, MOST = 64 << 20 };

static void grows(void **state)
{
	size_t reserved;
	char *frames = frames_reserve(FIRST, MOST, &reserved);

	(void)state;
	assert_non_null(frames);
	assert_int_equal(reserved, MOST);
	for (size_t i = 0; i < FIRST; i++)
		assert_int_equal(frames[i], 0);
	frames[FIRST - 1] = 7;
	for (size_t bytes = FIRST; bytes < MOST; bytes *= 4) {
		assert_true(frames_extend(frames, bytes, reserved));
		frames[bytes - 1]++;
	}
	assert_int_equal(frames[FIRST - 1], 8);
	assert_true(frames_extend(frames, MOST, reserved));
	assert_false(frames_extend(frames, MOST + 1, reserved));
	assert_int_equal(munmap(frames, reserved), 0);
}

/* In a child, since limits are not raised again by everybody. 0: as it should be. */
static int limited(rlim_t bytes, size_t least, size_t most)
{
	pid_t child = fork();

	if (child == 0) {
		const struct rlimit limit = { bytes, bytes };
		size_t reserved;
		if (setrlimit(RLIMIT_AS, &limit) != 0)
			_exit(2);
		char *frames = frames_reserve(FIRST, MOST, &reserved);
		if (frames)
			frames[FIRST - 1] = 1;
		_exit(!frames || reserved < least || reserved > most);
	}
	int status = -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void spares_what_is_limited(void **state)
{
	(void)state;
#ifdef CASE_SANITIZER
	skip();
#endif
	assert_int_equal(limited((rlim_t)1 << 30, 4 << 20, 4 << 20), 0);
	assert_int_equal(limited((rlim_t)1 << 44, MOST, MOST), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows),
		cmocka_unit_test(spares_what_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
