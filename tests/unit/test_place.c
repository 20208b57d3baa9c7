/* test_place.c - place.c: which directories may hold sessions, and what in them is one. */
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

#include "lib/session/create.h"
#include "lib/session/place.h"

enum { NOBODY = 65534 };

static char top[64], outer[80], inner[96], path[PLACE_PATH], why[512];

/* outer/inner, below a directory of our own. */
static int set_up(void **state)
{
	(void)state;
	strcpy(top, "/tmp/hark-place-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(outer, sizeof outer, "%s/outer", top);
	snprintf(inner, sizeof inner, "%s/inner", outer);
	setenv("HARK_RUNTIME_DIR", inner, 1);
	/* so that no other place is usable where that one is not */
	setenv("XDG_RUNTIME_DIR", "", 1);
	return mkdir(outer, 0700);
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", top);
	return system(command);
}

/* Whether the place named is the one that is used. */
static bool usable(void)
{
	char next[64];

	snprintf(next, sizeof next, "/dev/shm/hark-%u", (unsigned)geteuid());
	bool was_there = access(next, F_OK) == 0;
	int fd = place_open(path, why, sizeof why);
	bool is = fd >= 0 && strcmp(path, inner) == 0;
	struct stat st;

	if (fd >= 0)
		close(fd);
	if (is) {
		assert_int_equal(lstat(inner, &st), 0);
		assert_true(S_ISDIR(st.st_mode));
		assert_int_equal(st.st_mode & 0777, 0700);
		assert_int_equal(st.st_uid, geteuid());
	} else if (!was_there) {
		rmdir(next);
	}
	return is;
}

static void made_and_kept(void **state)
{
	char slashes[128];

	(void)state;
	assert_true(usable());
	assert_true(usable());
	snprintf(slashes, sizeof slashes, "%s//", inner);
	setenv("HARK_RUNTIME_DIR", slashes, 1);
	assert_true(usable());
	assert_int_equal(chmod(inner, 0750), 0);
	assert_false(usable());
}

/* In a directory where anybody may rename what is not his, nothing can be kept. */
static void public_directories_need_the_sticky_bit(void **state)
{
	(void)state;
	assert_int_equal(chmod(outer, 0777), 0);
	assert_false(usable());
	assert_int_equal(access(inner, F_OK), -1); /* nor was it made */
	assert_int_equal(chmod(outer, 01777), 0);
	assert_true(usable());
	/* further up, too */
	assert_int_equal(chmod(top, 0777), 0);
	assert_false(usable());
	assert_int_equal(chmod(top, 0700), 0);
	assert_true(usable());
}

static void links(void **state)
{
	char elsewhere[80];

	(void)state;
	snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", top);
	assert_int_equal(mkdir(elsewhere, 0700), 0);
	assert_int_equal(symlink(elsewhere, inner), 0);
	assert_false(usable());
	assert_int_equal(unlink(inner), 0);
	assert_int_equal(mkfifo(inner, 0700), 0);
	assert_false(usable());
}

/* Root, with a user's environment: the user could exchange what root has made there. */
static void below_somebody_elses(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(outer, NOBODY, (gid_t)-1), 0);
	assert_false(usable());
	assert_int_equal(access(inner, F_OK), -1);
	assert_int_equal(chown(outer, 0, (gid_t)-1), 0);
	assert_true(usable());
	assert_int_equal(chown(inner, NOBODY, (gid_t)-1), 0);
	assert_false(usable());
}

static void make_session(char dir[PLACE_PATH])
{
	static struct config config;
	struct session_plan plan = { .config = &config, .first_pid = getpid(), .command = "one",
				     .program = "", .preload = "", .console_fd = -1 };

	config_defaults(&config);
	config.ring_bytes = 64 << 10;
	assert_int_equal(session_create(&plan, dir, why, sizeof why), 0);
}

/* `hark salvage DIR` is given any directory. */
static void sessions_of_others(void **state)
{
	static struct place_session session;
	char dir[PLACE_PATH], control[PLACE_PATH + 16], link[128];

	(void)state;
	make_session(dir);
	snprintf(control, sizeof control, "%s/control", dir);
	assert_int_equal(place_read(dir, &session), 0);
	assert_int_equal(chmod(dir, 0770), 0);
	assert_int_equal(place_read(dir, &session), -EPERM);
	assert_int_equal(place_lock(dir), -EPERM);
	assert_int_equal(chmod(dir, 0700), 0);
	snprintf(link, sizeof link, "%s/link", top);
	assert_int_equal(symlink(dir, link), 0);
	assert_true(place_read(link, &session) < 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(control, NOBODY, (gid_t)-1), 0);
		assert_int_equal(place_read(dir, &session), -EPERM);
		assert_int_equal(chown(control, 0, (gid_t)-1), 0);
		assert_int_equal(chown(dir, NOBODY, (gid_t)-1), 0);
		assert_int_equal(place_read(dir, &session), -EPERM);
		assert_int_equal(chown(dir, 0, (gid_t)-1), 0);
	}
	assert_int_equal(place_read(dir, &session), 0);
	/* A FIFO that nobody writes to: whoever opens it for reading waits. */
	assert_int_equal(unlink(control), 0);
	assert_int_equal(mkfifo(control, 0600), 0);
	assert_int_equal(place_read(dir, &session), -EINVAL);
	assert_int_equal(place_lock(dir), -EINVAL);
}

static void one_lock(void **state)
{
	char dir[PLACE_PATH];

	(void)state;
	make_session(dir);
	int first = place_lock(dir);
	assert_true(first >= 0);
	assert_int_equal(place_lock(dir), -EWOULDBLOCK);
	close(first);
	first = place_lock(dir);
	assert_true(first >= 0);
	close(first);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(made_and_kept),
		CASE(public_directories_need_the_sticky_bit),
		CASE(links),
		CASE(below_somebody_elses),
		CASE(sessions_of_others),
		CASE(one_lock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
