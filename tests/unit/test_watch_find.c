/*
 * test_watch_find.c - watch.c: who has not said anything yet, and who holds a descriptor.
 */
#include "tests/unit/watch_case.h"

#include <linux/capability.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

#include "lib/session/process.h"

static char *const sleeper[] = { (char *)"sleep", (char *)"1000", NULL };

static pid_t stranger(bool holds)
{
	int told[2];
	char c;

	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (holds && (dup2(ring_fd, 9) != 9 || fcntl(9, F_SETFD, 0) != 0))
			_exit(1);
		execvp(sleeper[0], sleeper);
		_exit(1);
	}
	close(told[1]);
	assert_int_equal(read(told[0], &c, 1), 0);
	close(told[0]);
	return pid;
}

static void test_descriptors(void **state)
{
	(void)state;
	pid_t with = stranger(true), without = stranger(false);
	watch_process(&w, (uint32_t)without);
	assert_false(watch_any_holds(&w, ring_stat.st_dev, ring_stat.st_ino));
	watch_process(&w, (uint32_t)with);
	assert_true(watch_any_holds(&w, ring_stat.st_dev, ring_stat.st_ino));
	kill(with, SIGKILL);
	kill(without, SIGKILL);
	wait_until_ended(2);
	waitpid(with, NULL, 0);
	waitpid(without, NULL, 0);
	assert_false(watch_any_holds(&w, ring_stat.st_dev, ring_stat.st_ino));
}

/* A copy of this program is not the file that we are, so it counts as a program of the session. */
static pid_t copy_that_maps(const char *path)
{
	int told[2], fd = open("/proc/self/exe", O_RDONLY),
		     to = open(path, O_WRONLY | O_CREAT, 0700);
	struct stat st;
	char number[16], c;

	assert_true(fd >= 0 && to >= 0 && fstat(fd, &st) == 0 && fchmod(to, 0700) == 0);
	for (off_t at = 0; at < st.st_size;)
		assert_true(sendfile(to, fd, &at, (size_t)(st.st_size - at)) > 0);
	close(fd);
	close(to);
	assert_int_equal(pipe(told), 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fcntl(ring_fd, F_SETFD, 0);
		dup2(told[1], 1);
		snprintf(number, sizeof number, "%d", ring_fd);
		execl(path, path, "map", number, (char *)NULL);
		_exit(1);
	}
	close(told[1]);
	assert_int_equal(read(told[0], &c, 1), 1);
	close(told[0]);
	return pid;
}

static void test_adopted(void **state)
{
	char path[] = "/tmp/hark-test-watch-XXXXXX";
	int fds[2];
	(void)state;

	assert_int_equal(pipe(fds), 0);
	pid_t kin = child_of(fds, true); /* as a guardian: our own kind */
	assert_false(watch_find_more(&w, ring_stat.st_dev, ring_stat.st_ino));
	assert_int_equal(w.count, 0);
	int named = mkstemp(path);
	assert_true(named >= 0);
	close(named);
	pid_t child = copy_that_maps(path);
	unlink(path);
	assert_true(watch_find_more(&w, ring_stat.st_dev, ring_stat.st_ino));
	assert_true(knows((uint32_t)child));
	assert_int_equal(w.alive, 1);
	/* Also when there was no descriptor for it. */
	struct watched *p = watch_process(&w, (uint32_t)child);
	close(p->pidfd);
	p->pidfd = -1;
	p->unwatched = true;
	w.unwatched++;
	assert_true(watch_find_more(&w, ring_stat.st_dev, ring_stat.st_ino));
	kill(child, SIGKILL);
	wait_until_ended(1);
	assert_false(watch_find_more(&w, ring_stat.st_dev, ring_stat.st_ino));
	waitpid(child, NULL, 0);
	close(fds[1]);
	close(fds[0]);
	waitpid(kin, NULL, 0);
}

/* A record may name any process of the machine: also one of our kind, which maps the ring but is
 * not of the session, or would be waited for by itself. */
static void test_doubts(void **state)
{
	const uint64_t second = 1000000000;
	uint64_t now = clock_monotonic_ns();
	char path[] = "/tmp/hark-test-watch-XXXXXX";
	int fds[2];
	(void)state;

	assert_int_equal(pipe(fds), 0);
	int named = mkstemp(path);
	assert_true(named >= 0);
	close(named);
	enum { OURS, OUTSIDE, KIN, FIRST, ALL };
	const pid_t pids[ALL] = { copy_that_maps(path), stranger(false), child_of(fds, true),
				  stranger(false) };
	unlink(path);
	for (int i = 0; i < ALL; i++)
		join_as((uint32_t)pids[i], "named", w.own_namespace, 1);
	watch_believe(&w, watch_process(&w, (uint32_t)pids[FIRST]));
	assert_int_equal(w.doubtful, 3);
	for (int look = 0; look < 4; look++) {
		watch_doubt(&w, ring_stat.st_dev, ring_stat.st_ino, 0, now += second / 2);
		assert_int_equal(watch_has_ended(&w, (uint32_t)pids[OUTSIDE]), look >= 2);
		assert_int_equal(watch_has_ended(&w, (uint32_t)pids[KIN]), look >= 2);
	}
	assert_false(watch_has_ended(&w, (uint32_t)pids[OURS]));
	assert_false(watch_has_ended(&w, (uint32_t)pids[FIRST]));
	assert_int_equal(w.alive, 2);
	assert_int_equal(w.doubtful, 0);
	close(fds[0]);
	close(fds[1]);
	for (int i = 0; i < ALL; i++) {
		kill(pids[i], SIGKILL);
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
	}
}

/* Whether a record that names pid keeps a session waiting that began then. */
static bool waited_for(pid_t pid, uint64_t began)
{
	const uint64_t second = 1000000000;
	const struct record_join join = { .pid_namespace = w.own_namespace, .parent = 1 };
	struct watch mine;

	if (watch_open(&mine, &ring) != 0)
		return false;
	watch_joined(&mine, (uint32_t)pid, &join);
	for (uint64_t look = 1; look <= 3; look++)
		watch_doubt(&mine, ring_stat.st_dev, ring_stat.st_ino, began, look * second);
	bool waited = mine.alive == 1;
	watch_close(&mine);
	return waited;
}

enum { HIDES = 1, YOUNGER = 2, AS_OLD = 4, OLDER = 8 };

/* In a process without root's rights, to which not all is shown. */
static int look_at_hidden(void)
{
	struct __user_cap_header_struct version = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	int fds[2], told[2];
	char c;

	if (syscall(SYS_capset, &version, none) != 0 || pipe(fds) != 0 || pipe(told) != 0)
		return 0;
	pid_t pid = fork();
	if (pid == 0) {
		close(fds[1]);
		ring_unmap(&ring);
		prctl(PR_SET_DUMPABLE, 0);
		close(told[1]);
		_exit(read(fds[0], &c, 1) == 0 ? 0 : 1);
	}
	close(told[1]);
	if (pid < 0 || read(told[0], &c, 1) != 0)
		return 0;
	uint64_t start = process_start(pid);
	int seen = HIDES * process_hides(pid) | YOUNGER * waited_for(pid, start - 1) |
		   AS_OLD * waited_for(pid, start) | OLDER * waited_for(pid, start + 1);
	close(fds[1]);
	waitpid(pid, NULL, 0);
	return seen;
}

/* Who shows no mappings may be of the session, but not if he was there before it. */
static void test_hidden(void **state)
{
	int status;
	(void)state;

	pid_t pid = fork();
	if (pid == 0)
		_exit(look_at_hidden());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), HIDES | YOUNGER | AS_OLD);
}

static int map_ring(const char *number)
{
	struct ring mine;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ring_map(&mine, atoi(number)) != 0)
		return 1;
	close(atoi(number));
	if (write(1, "m", 1) != 1)
		return 1;
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "map") == 0)
		return map_ring(argv[2]);
	const struct CMUnitTest tests[] = {
		TEST(test_descriptors),
		TEST(test_adopted),
		TEST(test_doubts),
		TEST(test_hidden),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
