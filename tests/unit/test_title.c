/*
 * test_title.c - title.c: what others see as our arguments.
 */
#include "lib/collect/title.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char seen[4096];

static size_t arguments(void)
{
	int fd = open("/proc/self/cmdline", O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, seen, sizeof seen);

	assert_true(n > 0);
	close(fd);
	return (size_t)n;
}

static void expect(const char *text, size_t bytes)
{
	assert_int_equal(arguments(), bytes);
	assert_memory_equal(seen, text, bytes);
}

#define EXPECT(text) expect(text, sizeof(text))

static void test_title(void **state)
{
	static const char one[] = "an argument", longer[] = "one that is longer than all before it";
	const char *argv[] = { one, "", "b c", NULL };
	(void)state;

	EXPECT("before");
	assert_int_equal(title_set(argv), 0);
	EXPECT("an argument\0\0b c");
	argv[0] = longer;
	assert_int_equal(title_set(argv), 0);
	EXPECT("one that is longer than all before it\0\0b c");
	argv[0] = "x";
	argv[1] = NULL;
	assert_int_equal(title_set(argv), 0);
	EXPECT("x");
	/* what it was made of need not stay, nor does memory suffer */
	void *volatile more = sbrk(0x1000);
	assert_true(more != (void *)-1);
	memset(more, 1, 0x1000);
	EXPECT("x");
}

static void test_too_long(void **state)
{
	static char word[600];
	const char *const argv[] = { word, word, NULL };
	(void)state;

	memset(word, 'w', sizeof word - 1);
	assert_int_equal(title_set(argv), -ENAMETOOLONG);
	EXPECT("x");
}

int main(int argc, char **argv)
{
	/* a title that is known */
	if (argc != 1 || strcmp(argv[0], "before") != 0) {
		execl("/proc/self/exe", "before", (char *)NULL);
		return 1;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_title),
		cmocka_unit_test(test_too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
