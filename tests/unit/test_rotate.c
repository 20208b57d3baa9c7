/*
 * test_rotate.c - rotations, step by step, cut off everywhere, and disturbed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sink/rotate.h"

static char dir[64];
static char live[128];

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/hark-rotate-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(live, sizeof live, "%s/app.log", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *name(unsigned index)
{
	static char names[4][160];
	static unsigned turn;
	char *text = names[turn++ % 4];

	if (index)
		snprintf(text, sizeof names[0], "%s.%u", live, index);
	else
		snprintf(text, sizeof names[0], "%s", live);
	return text;
}

static void put(unsigned index, const char *content)
{
	int fd = open(name(index), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	close(fd);
}

/* The content, or "-" where there is no such file. */
static const char *get(unsigned index)
{
	static char contents[4][64];
	static unsigned turn;
	char *text = contents[turn++ % 4];
	int fd = open(name(index), O_RDONLY);

	strcpy(text, "-");
	if (fd < 0)
		return text;
	ssize_t n = read(fd, text, sizeof contents[0] - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
	return text;
}

static void begin(struct rotate *r, unsigned keep)
{
	struct stat st;
	int fd = open(live, O_WRONLY | O_APPEND);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(rotate_begin(r, live, keep, fd, st.st_dev, st.st_ino), 0);
}

static int finish(struct rotate *r)
{
	int rc;

	while ((rc = rotate_step(r)) == 1)
		;
	return rc;
}

static void rotate_once(unsigned keep)
{
	struct rotate r;

	begin(&r, keep);
	assert_int_equal(finish(&r), 0);
	assert_int_equal(r.state, ROTATE_DONE);
	close(r.fd);
}

static void numbers_grow_and_the_oldest_goes(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 6; i++) {
		char content[8];
		snprintf(content, sizeof content, "%u", i);
		put(0, content);
		rotate_once(3);
		assert_string_equal(get(0), "-");
		assert_string_equal(get(1), content);
	}
	assert_string_equal(get(2), "5");
	assert_string_equal(get(3), "4");
	assert_string_equal(get(4), "-");
}

static void keeping_one_and_none(void **state)
{
	(void)state;
	put(0, "a");
	rotate_once(1);
	put(0, "b");
	rotate_once(1);
	assert_string_equal(get(1), "b");
	assert_string_equal(get(2), "-");
	put(0, "c");
	rotate_once(0);
	assert_string_equal(get(0), "-");
	assert_string_equal(get(1), "b");
}

/* Which of the files "0" (live) to "4" the directory holds must be clear whatever step was the last,
 * and the next rotation must give what an undisturbed one gives. */
static void cut_off(unsigned keep, unsigned there, unsigned steps)
{
	struct rotate r;
	char content[8];
	unsigned held = 0;
	int rc = 1;

	for (unsigned i = 0; i <= 6; i++)
		unlink(name(i));
	for (unsigned i = 0; i <= there; i++) {
		snprintf(content, sizeof content, "%u", i);
		put(i, content);
	}
	begin(&r, keep);
	for (unsigned i = 0; i < steps && rc == 1; i++)
		rc = rotate_step(&r);
	close(r.fd);
	for (unsigned i = 0; i <= 6; i++)
		if (*get(i) != '-')
			held |= 1u << (*get(i) - '0');
	unsigned must = there < keep ? there : keep - 1;
	assert_int_equal(held & ((2u << must) - 1), (2u << must) - 1);

	if (r.state != ROTATE_DONE)
		rotate_once(keep);
	assert_string_equal(get(0), "-");
	for (unsigned i = 0; i <= must; i++) {
		snprintf(content, sizeof content, "%u", i);
		assert_string_equal(get(i + 1), content);
	}
	assert_string_equal(get(keep + 1), "-");
}

static void cut_off_after_every_step(void **state)
{
	(void)state;
	for (unsigned keep = 1; keep <= 4; keep++)
		for (unsigned there = 0; there <= keep; there++)
			for (unsigned steps = 0; steps <= 2 * keep + 4; steps++)
				cut_off(keep, there, steps);
}

/* Cut off twice in a row, at all pairs of steps, each time with a live file that has grown. */
static void cut_off_twice(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 10; first++) {
		for (unsigned second = 0; second < 10; second++) {
			struct rotate r;
			for (unsigned i = 0; i <= 4; i++) {
				char content[8];
				snprintf(content, sizeof content, "%u", i);
				put(i, content);
			}
			begin(&r, 4);
			for (unsigned i = 0; i < first && rotate_step(&r) == 1; i++)
				;
			close(r.fd);
			if (r.state != ROTATE_DONE) {
				begin(&r, 4);
				for (unsigned i = 0; i < second && rotate_step(&r) == 1; i++)
					;
				close(r.fd);
			}
			if (r.state != ROTATE_DONE)
				rotate_once(4);
			assert_string_equal(get(1), "0");
			assert_string_equal(get(2), "1");
			assert_string_equal(get(3), "2");
			assert_string_equal(get(4), "3");
		}
	}
}

static void a_number_freed_by_hand_is_filled(void **state)
{
	(void)state;
	put(0, "new");
	put(1, "one");
	put(3, "three");
	put(4, "four");
	rotate_once(4);
	assert_string_equal(get(1), "new");
	assert_string_equal(get(2), "one");
	assert_string_equal(get(3), "three");
	assert_string_equal(get(4), "four");
}

static void another_holds_the_lock(void **state)
{
	struct rotate r;
	int other;

	(void)state;
	put(0, "a");
	other = open(live, O_WRONLY);
	assert_int_equal(flock(other, LOCK_EX), 0);
	begin(&r, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rotate_step(&r), -EWOULDBLOCK);
		assert_int_equal(r.state, ROTATE_LOCK);
	}
	assert_string_equal(get(0), "a");
	close(other);
	assert_int_equal(finish(&r), 0);
	assert_string_equal(get(1), "a");
	close(r.fd);
}

static void the_second_of_two_finds_it_done(void **state)
{
	struct rotate a, b;

	(void)state;
	put(0, "full");
	begin(&a, 3);
	begin(&b, 3);
	assert_int_equal(rotate_step(&a), 1);
	assert_int_equal(rotate_step(&b), -EWOULDBLOCK);
	assert_int_equal(finish(&a), 0);
	close(a.fd);
	put(0, "fresh");
	assert_int_equal(finish(&b), 0);
	assert_int_equal(b.state, ROTATE_OVERTAKEN);
	close(b.fd);
	assert_string_equal(get(0), "fresh");
	assert_string_equal(get(1), "full");
	assert_string_equal(get(2), "-");
}

static void abandoning_gives_the_lock_up(void **state)
{
	struct rotate a, b;

	(void)state;
	put(0, "a");
	begin(&a, 3);
	begin(&b, 3);
	assert_int_equal(rotate_step(&a), 1);
	rotate_abandon(&a);
	assert_int_equal(finish(&b), 0);
	assert_int_equal(b.state, ROTATE_DONE);
	close(a.fd);
	close(b.fd);
}

static void nothing_to_rotate(void **state)
{
	struct rotate r;

	(void)state;
	put(0, "");
	begin(&r, 3);
	assert_int_equal(finish(&r), 0);
	assert_int_equal(r.state, ROTATE_OVERTAKEN);
	close(r.fd);
	put(0, "a");
	begin(&r, 3);
	unlink(live);
	assert_int_equal(finish(&r), 0);
	assert_int_equal(r.state, ROTATE_OVERTAKEN);
	close(r.fd);
	assert_string_equal(get(1), "-");
}

static void a_failure_keeps_the_state(void **state)
{
	struct rotate r;

	(void)state;
	put(0, "a");
	put(1, "b");
	assert_int_equal(mkdir(name(2), 0700), 0);
	begin(&r, 2);
	assert_int_equal(finish(&r), -EISDIR);
	assert_int_equal(r.state, ROTATE_SHIFT);
	assert_int_equal(rotate_step(&r), -EISDIR);
	assert_string_equal(get(0), "a");
	assert_string_equal(get(1), "b");
	assert_int_equal(rmdir(name(2)), 0);
	assert_int_equal(finish(&r), 0);
	assert_string_equal(get(1), "a");
	assert_string_equal(get(2), "b");
	close(r.fd);
}

static void a_name_that_appears_is_not_overwritten(void **state)
{
	struct rotate r;

	(void)state;
	put(0, "a");
	put(1, "b");
	begin(&r, 5);
	while (r.state != ROTATE_SHIFT)
		assert_int_equal(rotate_step(&r), 1);
	put(2, "stranger");
	assert_int_equal(finish(&r), 0);
	assert_string_equal(get(1), "a");
	assert_string_equal(get(2), "b");
	assert_string_equal(get(3), "stranger");
	close(r.fd);
}

static void a_file_that_vanishes_is_no_error(void **state)
{
	struct rotate r;

	(void)state;
	put(0, "a");
	put(1, "b");
	put(2, "c");
	begin(&r, 5);
	while (r.state != ROTATE_SHIFT)
		assert_int_equal(rotate_step(&r), 1);
	unlink(name(2));
	assert_int_equal(finish(&r), 0);
	assert_int_equal(r.state, ROTATE_DONE);
	assert_string_equal(get(1), "a");
	assert_string_equal(get(2), "b");
	close(r.fd);
}

/* rename(2) between two names of one file does nothing and calls that success. */
static void two_names_of_one_file_do_not_loop(void **state)
{
	struct rotate r;

	(void)state;
	put(0, "a");
	put(1, "b");
	put(2, "c");
	assert_int_equal(link(name(2), name(3)), 0);
	begin(&r, 3);
	for (int i = 0; i < 100; i++)
		if (rotate_step(&r) != 1)
			break;
	assert_int_not_equal(rotate_step(&r), 1);
	assert_true(*get(0) == 'a' || *get(1) == 'a');
	assert_true(*get(1) == 'b' || *get(2) == 'b');
	close(r.fd);
}

static void a_link_that_leads_nowhere_holds_its_number(void **state)
{
	(void)state;
	put(0, "a");
	assert_int_equal(symlink("nowhere", name(1)), 0);
	rotate_once(5);
	assert_string_equal(get(1), "a");
	struct stat st;
	assert_int_equal(lstat(name(2), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
}

static void bad_arguments(void **state)
{
	struct rotate r;
	char long_name[PATH_MAX + 1];

	(void)state;
	memset(long_name, 'x', sizeof long_name);
	long_name[PATH_MAX] = '\0';
	assert_int_equal(rotate_begin(&r, long_name, 3, 0, 0, 0), -ENAMETOOLONG);
	assert_int_equal(rotate_begin(&r, "", 3, 0, 0, 0), -EINVAL);
	assert_int_equal(rotate_begin(&r, live, ROTATE_KEEP_MOST + 1, 0, 0, 0), -EINVAL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(numbers_grow_and_the_oldest_goes),
		TEST(keeping_one_and_none),
		TEST(cut_off_after_every_step),
		TEST(cut_off_twice),
		TEST(a_number_freed_by_hand_is_filled),
		TEST(another_holds_the_lock),
		TEST(the_second_of_two_finds_it_done),
		TEST(abandoning_gives_the_lock_up),
		TEST(nothing_to_rotate),
		TEST(a_failure_keeps_the_state),
		TEST(a_name_that_appears_is_not_overwritten),
		TEST(a_file_that_vanishes_is_no_error),
		TEST(two_names_of_one_file_do_not_loop),
		TEST(a_link_that_leads_nowhere_holds_its_number),
		TEST(bad_arguments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
