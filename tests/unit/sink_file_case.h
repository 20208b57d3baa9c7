/*
 * sink_file_case.h - a file sink in a fresh directory, driven by sink_pump(), and a look at what it
 * wrote. For test_sink_file.c and test_sink_file_trouble.c.
 */
#ifndef HARK_TESTS_UNIT_SINK_FILE_CASE_H
#define HARK_TESTS_UNIT_SINK_FILE_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/testpoint.h"
#include "lib/sink/sink.h"

enum { CONTENT = 1 << 20 };

static char dir[64];
static char live[128];
static char content[CONTENT];

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int set_up(void **state)
{
	(void)state;
	umask(022);
	strcpy(dir, "/tmp/hark-file-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(live, sizeof live, "%s/app.log", dir);
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	return nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- a sink, and what it wrote ---------------------------------------------------------------- */

static inline void start(struct sink *s, const char *keys, const char *queue)
{
	char text[256], why[256], path[128];
	struct sink_spec spec;

	snprintf(text, sizeof text, "file:%s%s", live, keys);
	if (spec_parse(text, &spec, why, sizeof why) != 0)
		fail_msg("%s", why);
	snprintf(path, sizeof path, "%s/%s", dir, queue);
	assert_int_equal(sink_init(s, &spec, path, -1), 0);
}

static inline void pump(struct sink *s)
{
	struct sink_wish wish;

	s->retry_at_ns = 0;
	sink_pump(s, clock_monotonic_ns(), s->queue.head, &wish);
}

static inline void say_bytes(struct sink *s, const char *bytes, size_t count)
{
	assert_true(queue_room(&s->queue) >= count);
	memcpy(queue_fill(&s->queue), bytes, count);
	queue_filled(&s->queue, count);
	pump(s);
}

static inline void say(struct sink *s, const char *text)
{
	say_bytes(s, text, strlen(text));
}

static inline const char *name(unsigned index)
{
	static char text[160];

	if (index)
		snprintf(text, sizeof text, "%s.%u", live, index);
	else
		snprintf(text, sizeof text, "%s", live);
	return text;
}

static inline const char *read_path(const char *path)
{
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return NULL;
	ssize_t n = read(fd, content, sizeof content - 1);
	assert_true(n >= 0);
	content[n] = '\0';
	close(fd);
	return content;
}

static inline void assert_content(unsigned index, const char *expected)
{
	const char *got = read_path(name(index));
	if (!expected)
		assert_null(got);
	else if (!got)
		fail_msg("%s is not there", name(index));
	else
		assert_string_equal(got, expected);
}

static inline off_t size_of(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 ? st.st_size : -1;
}

static inline void write_path(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* Every line "<who> <number> xxx\n" of the files from the oldest to the live one: `seen` counts each
 * number of `who`. In order unless several write. */
static inline void collect(char who, unsigned *seen, unsigned most, unsigned keep, bool ordered)
{
	unsigned previous = 0;

	for (unsigned index = keep + 1; index-- > 0;) {
		const char *at = read_path(name(index));
		if (!at || !*at)
			continue;
		assert_int_equal(at[strlen(at) - 1], '\n');
		for (const char *end; (end = strchr(at, '\n')); at = end + 1) {
			unsigned number;
			char by;
			int length = 0;
			assert_int_equal(sscanf(at, "%c %u %*[x]%n", &by, &number, &length), 2);
			assert_ptr_equal(at + length, end);
			if (by != who)
				continue;
			assert_true(number < most);
			if (ordered && previous)
				assert_true(number > previous);
			previous = number;
			seen[number]++;
		}
	}
}

static inline void say_number(struct sink *s, char who, unsigned number)
{
	char line[64], padding[32];

	memset(padding, 'x', sizeof padding);
	snprintf(line, sizeof line, "%c %u %.*s\n", who, number, (int)(number * 7 % 30) + 1,
		 padding);
	say(s, line);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
