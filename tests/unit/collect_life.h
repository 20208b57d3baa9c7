/*
 * collect_life.h - what the tests of whole collectors share: sessions with a collector in a process of
 * its own, and processes that speak.
 *
 * A test that includes this is also the "hark" that is started and that a guardian execs: its main()
 * asks life_is_collector() first.
 */
#ifndef HARK_TESTS_UNIT_COLLECT_LIFE_H
#define HARK_TESTS_UNIT_COLLECT_LIFE_H

#include "tests/unit/collect_case.h"

#include <pthread.h>
#include <sys/mman.h>

#include "lib/collect/collect.h"

enum { THREADS = 4, EACH = 2000, LONG_MS = 60000 };

static char program[512];

/* What the processes of a case share. */
static struct shared {
	_Atomic int go, done;
} * shared;

static inline int setup(void **state)
{
	ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	/* Whoever is left without a parent is ours, so that we see everybody's end. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return n > 0 && shared != MAP_FAILED ? scene_setup(state) : -1;
}

static inline bool dir_is_gone(void)
{
	return !*scene.dir || access(scene.dir, F_OK) != 0;
}

static inline int teardown(void **state)
{
	/* Nobody outlives a case: collector and guardian end when the session has. */
	atomic_store(&shared->go, INT32_MAX);
	munmap(shared, sizeof *shared);
	if (scene.session.control) {
		int32_t pids[] = { atomic_load(&scene.session.control->guardian_pid),
				   atomic_load(&scene.session.control->collector_pid) };
		for (int i = 0; i < 2 && !dir_is_gone(); i++)
			if (pids[i] > 1)
				kill(pids[i], SIGKILL);
	}
	int result = scene_teardown(state), status;
	/* Also where a sanitizer had to complain: a collector's stderr is the null device. */
	while (waitpid(-1, &status, 0) > 0)
		if (WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) != SIGKILL)
			result = status;
	return result;
}

#define LIFE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static inline bool until(bool (*is)(void))
{
	for (int i = 0; i < LONG_MS; i++) {
		if (is())
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

static inline bool may_go(void)
{
	return atomic_load(&shared->go) > 0;
}

/* A session with a collector, and its first process, which waits for `go`. It has to be told the
 * directory, which is made when its pid is known. */
static inline pid_t begin(const char *sinks, void (*run)(void), int deep_fd)
{
	int told[2];
	char why[512];

	assert_int_equal(pipe(told), 0);
	case_sinks(sinks);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (read(told[0], scene.dir, sizeof scene.dir) <= 0 || !until(may_go) ||
		    session_join(&scene.session, scene.dir) != 0)
			_exit(1);
		close(told[0]);
		close(told[1]);
		for (int i = 0; i < 2; i++)
			close(scene.console[i]);
		run();
		_exit(0);
	}
	case_create(pid, program);
	assert_int_equal(write(told[1], scene.dir, sizeof scene.dir), sizeof scene.dir);
	close(told[0]);
	close(told[1]);
	scene.plan.deep_fd = deep_fd;
	assert_int_equal(collect_spawn(&scene.plan, program, why, sizeof why), 0);
	return pid;
}

static inline void go(void)
{
	atomic_store(&shared->go, 1);
}

static inline void expect_end(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(until(dir_is_gone));
	assert_int_equal(atomic_load(&scene.session.control->state), SESSION_ENDED);
}

/* ---- what happens to collectors and guardians ------------------------------------------------------ */

/* The next one that passes that point sends itself a signal; "always": so does every one after it. */
static inline void happens_at(const char *point, const char *what)
{
	char path[128];

	snprintf(path, sizeof path, "%s/at-%s", scene.base, point);
	assert_int_equal(symlink(what, path), 0);
}

static inline void obey(const char *point)
{
	char path[128], what[16] = "";

	snprintf(path, sizeof path, "%s/at-%s", getenv("HARK_RUNTIME_DIR"), point);
	if (readlink(path, what, sizeof what - 1) > 0 && (what[0] == 'a' || unlink(path) == 0))
		raise(what[0] == 'h' ? SIGHUP : what[0] == 's' ? SIGSTOP : SIGKILL);
}

/* ---- what subjects do ----------------------------------------------------------------------------- */

static inline void say_blocking(struct writer w, const char *text)
{
	struct ring_author author = { .pid = (uint32_t)getpid(), .tid = (uint32_t)sysio_gettid() };
	struct record_info info = {
		.fd = 2, .kind = w.kind, .source = w.source, .detail = w.detail
	};
	struct ring_policy policy = { .overflow = RING_BLOCK };
	struct iovec part = { (void *)(uintptr_t)text, strlen(text) };

	if (ring_append(&scene.session.ring, &author, &info, &part, 1, &policy) != 0)
		_exit(2);
}

static inline void *talk(void *argument)
{
	uintptr_t me = (uintptr_t)argument;
	char text[100];

	for (int i = 0; i < EACH; i++) {
		snprintf(text, sizeof text, "thread %lu says number %d.\n", (unsigned long)me, i);
		say_blocking((struct writer){ 0 }, text);
	}
	return NULL;
}

static inline void talk_in_threads(void)
{
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, talk, (void *)i) != 0)
			_exit(1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	say_blocking((struct writer){ 0 }, "no end of li");
}

static inline void expect_all_of_threads(const char *got, bool twice)
{
	char expected[100];

	for (int thread = 0; thread < THREADS; thread++) {
		const char *at = got;
		for (int i = 0; i < EACH; i++) {
			snprintf(expected, sizeof expected, "thread %d says number %d.", thread, i);
			at = strstr(at, expected);
			if (!at)
				fail_msg("not there, or not in order: %s", expected);
		}
		if (!twice)
			assert_int_equal(count_of(got, (snprintf(expected, sizeof expected,
								 "thread %d", thread),
							expected)),
					 EACH);
	}
	assert_int_equal(count_of(got, "no end of li"), 1);
}

/* Whether this process was to be a collector; its exit status. */
static inline bool life_is_collector(int argc, char **argv, int *status)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc > 2 && strcmp(argv[1], "collect") == 0) {
		struct collect_plan plan = { .dir = argv[2], .console_fd = -1, .deep_fd = -1 };
		testpoint_handler = obey;
		for (int i = 3; i + 1 < argc; i += 2)
			*(strcmp(argv[i], "--deep-fd") == 0 ? &plan.deep_fd : &plan.console_fd) =
				atoi(argv[i + 1]);
		*status = collect_run(&plan) < 0;
		return true;
	}
	return false;
}

#endif
