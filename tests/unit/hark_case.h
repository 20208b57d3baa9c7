/*
 * hark_case.h - what the tests of the public library share: a case runs in a process of its own, since
 * joining happens once in one, and reads the session's ring itself.
 */
#ifndef HARK_TESTS_UNIT_HARK_CASE_H
#define HARK_TESTS_UNIT_HARK_CASE_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/hark.h"
#include "lib/ring/reader.h"
#include "lib/session/create.h"
#include "lib/session/session.h"

enum { SECOND = 1000000000, THREADS = 8, EACH = 200 };

static char base[] = "/tmp/hark-test-XXXXXX";

/* Where the next session's stamps go; "": nowhere. */
static char scene_trace[256];

/* assert_*() do not work in a child, so these end it with the line's number. */
#define MUST(condition)                                                                           \
	do {                                                                                      \
		if (!(condition)) {                                                               \
			fprintf(stderr, "line %d: " #condition "\n", __LINE__);                   \
			_exit(1);                                                                 \
		}                                                                                 \
	} while (0)

static void in_child(void (*run)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(90);
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- a session whose ring the test reads itself --------------------------------------------------- */

struct scene {
	char dir[PLACE_PATH];
	struct session session;
	int fd;
	struct reader reader;
	struct reader_record record;
};

static void make_session(char dir[PLACE_PATH], const char *const given[][2])
{
	static struct config config;
	struct config_problem problem;
	char why[512];

	config_defaults(&config);
	for (; given && (*given)[0]; given++)
		MUST(config_set(&config, config_option((*given)[0]), "the test", (*given)[1],
				&problem) == 0);
	struct session_plan plan = { .config = &config, .first_pid = getpid(), .command = "test",
				     .program = "/nonexistent", .preload = "", .console_fd = -1,
				     .trace = scene_trace };
	MUST(session_create(&plan, dir, why, sizeof why) == 0);
	setenv("HARK_SESSION", dir, 1);
}

static void open_scene(struct scene *s, const char *const given[][2])
{
	char path[PLACE_PATH + 8];

	make_session(s->dir, given);
	MUST(session_attach(&s->session, s->dir) == 0);
	snprintf(path, sizeof path, "%s/ring", s->dir);
	s->fd = open(path, O_RDWR | O_CLOEXEC);
	MUST(s->fd >= 0);
	MUST(reader_open(&s->reader, &s->session.ring, s->fd, 0, false) == 0);
}

static bool next(struct scene *s)
{
	return reader_next(&s->reader, clock_monotonic_ns(), &s->record) == READER_RECORD;
}

#define CASE(name)                                                                                \
	static void test_##name(void **state)                                                     \
	{                                                                                         \
		(void)state;                                                                      \
		in_child(name);                                                                   \
	}

static int remove_all(void **state)
{
	char command[sizeof base + 16];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", base);
	return system(command);
}

#endif
