/*
 * watch_case.h - what the tests of watch.c share: a ring, a table of processes, and processes.
 */
#ifndef HARK_TESTS_UNIT_WATCH_CASE_H
#define HARK_TESTS_UNIT_WATCH_CASE_H

#include "tests/unit/collect_case.h"

#include <sys/mman.h>
#include <sys/resource.h>

static struct ring ring;
static struct watch w;
static int ring_fd = -1;
static struct stat ring_stat;
static struct rlimit limit;

static inline int setup(void **state)
{
	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	ring_fd = memfd_create("ring", MFD_CLOEXEC);
	if (ring_create(ring_fd, 64 << 10, RING_WHOLE) || ring_map(&ring, ring_fd) ||
	    fstat(ring_fd, &ring_stat))
		return -1;
	return watch_open(&w, &ring);
}

static inline int teardown(void **state)
{
	(void)state;
	watch_close(&w);
	ring_unmap(&ring);
	close(ring_fd);
	return setrlimit(RLIMIT_NOFILE, &limit);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* A process that lives until its end of the pipe is closed; it maps the ring or not. */
static inline pid_t child_of(int fds[2], bool maps)
{
	char c;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[1]);
		if (!maps)
			ring_unmap(&ring);
		_exit(read(fds[0], &c, 1) == 0 ? 0 : 1);
	}
	assert_true(pid > 0);
	return pid;
}

static inline void join_as(uint32_t pid, const char *comm, uint64_t pid_namespace, uint32_t parent)
{
	struct record_join join = { .pid_namespace = pid_namespace, .parent = parent };

	snprintf(join.comm, sizeof join.comm, "%s", comm);
	watch_joined(&w, pid, &join);
}

static inline void wait_until_ended(uint32_t count)
{
	for (int i = 0; i < 10000 && w.ended_count < count; i++) {
		watch_events(&w);
		watch_look(&w);
		poll(NULL, 0, w.ended_count < count);
	}
	assert_int_equal(w.ended_count, count);
}

static inline bool knows(uint32_t pid)
{
	for (uint32_t i = 0; i < w.size; i++)
		if (w.table[i].pid == pid)
			return true;
	return false;
}

#endif
