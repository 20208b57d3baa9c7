/* test_planted.c - planted.c: whose links, files and sockets are trusted, and where that matters. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/sink/planted.h"

enum { STRANGER = 12345 };

static char dir[64], path[96];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/hark-planted-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/name", dir);
	return chmod(dir, 01777);
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static int file_at(mode_t type)
{
	struct stat st;

	assert_int_equal(mknod(path, type | 0600, 0), 0);
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	return fd;
}

static void ours(void **state)
{
	(void)state;
	assert_int_equal(symlink("nowhere", path), 0);
	assert_false(planted_link(path));
	assert_int_equal(unlink(path), 0);
	assert_true(planted_link(path)); /* gone: nobody knows whose it was */
	int fd = file_at(S_IFREG);
	assert_int_equal(planted_file(path, fd), 0);
	close(fd);
	assert_int_equal(planted_socket(path), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(planted_socket(path), -ENOENT);
}

static void a_strangers(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	int fd = file_at(S_IFIFO);
	assert_int_equal(chown(path, STRANGER, STRANGER), 0);
	assert_int_equal(planted_file(path, fd), -EACCES);
	assert_int_equal(planted_socket(path), -EACCES);
	assert_true(planted_link(path));
	/* in his own directory it is his, and nobody can plant anything in a private one */
	assert_int_equal(chown(dir, STRANGER, STRANGER), 0);
	assert_int_equal(planted_file(path, fd), 0);
	assert_int_equal(planted_socket(path), 0);
	assert_false(planted_link(path));
	assert_int_equal(chown(dir, 0, 0), 0);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(planted_file(path, fd), 0);
	assert_int_equal(planted_socket(path), 0);
	assert_false(planted_link(path));
	close(fd);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = { CASE(ours), CASE(a_strangers) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
