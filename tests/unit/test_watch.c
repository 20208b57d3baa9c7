/*
 * test_watch.c - watch.c: who belongs to the session, and when they end.
 */
#include "tests/unit/watch_case.h"

enum { CROWD = 600, OTHERS = 0x400000 /* the largest pid that there can be */ };

/* Each can be found from where its number leads. */
static void expect_sound_table(void)
{
	uint32_t count = 0, ended = 0, alive = 0, unwatched = 0;

	for (uint32_t i = 0; i < w.size; i++) {
		const struct watched *p = &w.table[i];
		if (!p->pid)
			continue;
		count++;
		ended += p->ended;
		alive += p->pidfd >= 0 || p->unwatched;
		unwatched += p->unwatched;
		assert_ptr_equal(watch_process(&w, p->pid), p);
	}
	assert_int_equal(count, w.count);
	assert_int_equal(ended, w.ended_count);
	assert_int_equal(alive, w.alive);
	assert_int_equal(unwatched, w.unwatched);
	assert_true(w.count * 2 <= w.size + 1);
}

/* ---- the table ------------------------------------------------------------------------------------ */

/* Numbers that nobody has; among them runs that wrap around the table's end. */
static void test_table(void **state)
{
	static uint32_t pids[CROWD];
	unsigned n = 0;
	uint32_t pid;
	(void)state;

	srand(7);
	while (n < CROWD) {
		pids[n] = OTHERS - 1 - (uint32_t)rand() % (OTHERS / 2);
		bool again = kill((pid_t)pids[n], 0) == 0;
		for (unsigned i = 0; i < n; i++)
			again = again || pids[i] == pids[n];
		n += !again;
	}
	for (unsigned i = 0; i < n; i++) {
		join_as(pids[i], "x", 0, 1);
		if (i % 100 == 0)
			expect_sound_table();
	}
	assert_int_equal(w.count, CROWD);
	assert_int_equal(w.ended_count, CROWD); /* nobody has these numbers */
	for (unsigned left = CROWD; left; left--) {
		unsigned i = (unsigned)rand() % left;
		watch_forget(&w, pids[i]);
		assert_false(knows(pids[i]));
		pids[i] = pids[left - 1];
		if (left % 100 == 0)
			expect_sound_table();
	}
	assert_int_equal(w.count, 0);
	assert_false(watch_next_ended(&w, UINT64_MAX, &pid));
	watch_forget(&w, 12345); /* nobody: nothing happens */
	assert_int_equal(w.count, 0);
}

static void test_no_pids(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_null(watch_process(&w, 0));
		join_as(0, "nobody", 0, 1);
		assert_null(watch_process(&w, UINT32_MAX - (uint32_t)i));
		join_as(0x80000000u + (uint32_t)i, "nobody", 0, 1);
	}
	assert_int_equal(w.count, 0);
	assert_int_equal(w.size, 64);
	assert_false(watch_has_ended(&w, 0));
	watch_sandboxed(&w, 0, true);
	assert_false(watch_any_sandboxed(&w));
}

/* ---- processes ------------------------------------------------------------------------------------ */

static void test_end(void **state)
{
	int fds[2];
	uint32_t pid;
	(void)state;

	assert_int_equal(pipe(fds), 0);
	pid_t child = child_of(fds, true);
	struct watched *p = watch_process(&w, (uint32_t)child);
	assert_true(p->pidfd >= 0 && !p->ended && p->start > 0);
	assert_string_equal(p->comm, watch_process(&w, (uint32_t)getpid())->comm);
	assert_int_equal(w.alive, 2);
	assert_int_equal(watch_events(&w), 0);
	atomic_store(&ring.shared->head, 4711);
	close(fds[1]);
	wait_until_ended(1);
	assert_true(watch_has_ended(&w, (uint32_t)child));
	assert_false(watch_next_ended(&w, 4710, &pid)); /* what it has said last was not read yet */
	assert_true(watch_next_ended(&w, 4711, &pid));
	assert_int_equal(pid, child);
	watch_forget(&w, pid);
	assert_int_equal(w.alive, 1);
	assert_false(knows(pid));
	expect_sound_table();
	waitpid(child, NULL, 0);
	close(fds[0]);
}

/* The number of one whose end is known belongs to another one now. */
static void test_number_again(void **state)
{
	int fds[2];
	(void)state;

	assert_int_equal(pipe(fds), 0);
	pid_t child = child_of(fds, true);
	struct watched *p = watch_process(&w, (uint32_t)child);
	p->start--;
	close(p->pidfd);
	p->pidfd = -1;
	p->ended = true;
	w.alive--;
	w.ended_count++;
	join_as((uint32_t)child, "new", 0, (uint32_t)getpid());
	p = watch_process(&w, (uint32_t)child);
	assert_false(p->ended);
	assert_true(p->pidfd >= 0);
	assert_string_equal(p->comm, "new");
	expect_sound_table();
	/* Its own second image is no new process. */
	uint64_t start = p->start;
	join_as((uint32_t)child, "image", 0, (uint32_t)getpid());
	assert_int_equal(watch_process(&w, (uint32_t)child)->start, start);
	assert_int_equal(w.alive, 1);
	close(fds[1]);
	wait_until_ended(1);
	waitpid(child, NULL, 0);
	close(fds[0]);
}

static void test_crowd(void **state)
{
	static pid_t pids[CROWD];
	int fds[2];
	uint32_t pid, forgotten = 0;
	(void)state;

	struct rlimit most = { limit.rlim_max, limit.rlim_max };
	setrlimit(RLIMIT_NOFILE, &most);
	watch_close(&w);
	assert_int_equal(watch_open(&w, &ring), 0);
	assert_int_equal(pipe(fds), 0);
	int there = 0;
	for (; there < CROWD; there++) {
		pids[there] = fork();
		if (pids[there] == 0) {
			char c;
			close(fds[1]);
			_exit(read(fds[0], &c, 1) == 0 ? 0 : 1);
		}
		if (pids[there] < 0)
			break;
		watch_process(&w, (uint32_t)pids[there]);
	}
	assert_true(there > 100);
	assert_int_equal(w.alive, there);
	expect_sound_table();
	close(fds[1]);
	wait_until_ended((uint32_t)there);
	while (watch_next_ended(&w, UINT64_MAX, &pid)) {
		watch_forget(&w, pid);
		forgotten++;
	}
	assert_int_equal(forgotten, there);
	assert_int_equal(w.count, 0);
	assert_int_equal(w.alive, 0);
	for (int i = 0; i < there; i++)
		waitpid(pids[i], NULL, 0);
	close(fds[0]);
	if (there < CROWD)
		print_message("only %d processes were to be had\n", there);
}

/* Descriptors are left for the sinks; who gets none is looked after. */
static void test_out_of_descriptors(void **state)
{
	struct rlimit low = { 256, limit.rlim_max };
	pid_t pids[300];
	int fds[2], free_fds[40], n = 0;
	(void)state;

	assert_int_equal(pipe(fds), 0);
	watch_close(&w);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(watch_open(&w, &ring), 0);
	for (int i = 0; i < 300; i++) {
		pids[i] = child_of(fds, true);
		assert_non_null(watch_process(&w, (uint32_t)pids[i]));
	}
	assert_int_equal(w.alive, 300);
	assert_true(w.unwatched > 100);
	assert_int_equal(w.ended_count, 0);
	expect_sound_table();
	for (; n < 40; n++)
		assert_true((free_fds[n] = dup(fds[0])) >= 0);
	while (n)
		close(free_fds[--n]);
	watch_look(&w);
	assert_int_equal(w.ended_count, 0);
	assert_true(watch_any_holds(&w, ring_stat.st_dev, ring_stat.st_ino));
	close(fds[1]);
	wait_until_ended(300);
	assert_int_equal(w.alive, 0);
	assert_int_equal(w.unwatched, 0);
	assert_false(watch_any_holds(&w, ring_stat.st_dev, ring_stat.st_ino));
	for (int i = 0; i < 300; i++)
		waitpid(pids[i], NULL, 0);
	close(fds[0]);
}

/* ---- other namespaces ----------------------------------------------------------------------------- */

static void test_foreign(void **state)
{
	(void)state;
	join_as(2, "first there", w.own_namespace + 1, 1);
	assert_true(watch_process(&w, 2)->foreign);
	join_as(3, "its child", 0, 2); /* does not know its namespace, but its parent */
	assert_true(watch_process(&w, 3)->foreign);
	join_as(1, "born outside", 0, 0);
	assert_true(watch_process(&w, 1)->foreign);
	assert_int_equal(w.alive, 0); /* no telling whether they live */
	join_as((uint32_t)getpid(), "ours", w.own_namespace, (uint32_t)getppid());
	assert_false(watch_process(&w, (uint32_t)getpid())->foreign);
	assert_int_equal(w.alive, 1);
	assert_true(watch_any_holds(&w, 1, 1)); /* nobody can say that they do not */
	assert_true(watch_any_sandboxed(&w));
}

/* ---- sandboxes ------------------------------------------------------------------------------------ */

/* Anybody may claim to be many from abroad, and nothing tells when those end. */
static void test_flood_from_abroad(void **state)
{
	(void)state;
	for (uint32_t pid = 1; pid <= 20000; pid++)
		join_as(1000000 + pid, "abroad", w.own_namespace + 1, 1);
	assert_int_equal(w.foreign, 4096);
	assert_in_range(w.count, 4096, 4100);
	assert_in_range(w.size, 4096, 16384);
	expect_sound_table();
	/* who is unknown is not taken for one of ours; who joins from here is ours all the same */
	assert_null(watch_process(&w, (uint32_t)getpid()));
	join_as((uint32_t)getpid(), "here", w.own_namespace, 1);
	assert_non_null(watch_process(&w, (uint32_t)getpid()));
	watch_forget(&w, 1000001);
	assert_int_equal(w.foreign, 4095);
}

static void test_sandboxed(void **state)
{
	int fds[2];
	(void)state;

	assert_int_equal(pipe(fds), 0);
	pid_t child = child_of(fds, true);
	watch_process(&w, (uint32_t)child);
	if (watch_any_sandboxed(&w)) {
		close(fds[1]);
		waitpid(child, NULL, 0);
		skip(); /* we live behind a filter ourselves */
	}
	watch_sandboxed(&w, (uint32_t)child, true);
	assert_true(watch_any_sandboxed(&w));
	watch_sandboxed(&w, (uint32_t)child, false);
	assert_false(watch_any_sandboxed(&w));
	watch_sandboxed(&w, (uint32_t)child, true);
	close(fds[1]);
	wait_until_ended(1);
	assert_false(watch_any_sandboxed(&w));
	waitpid(child, NULL, 0);
	close(fds[0]);
}

/* ---- the thread ----------------------------------------------------------------------------------- */

static void test_thread_wakes(void **state)
{
	int fds[2], other[2];
	(void)state;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(other), 0);
	pid_t child = child_of(fds, true);
	assert_int_equal(watch_add_fd(&w, other[0], WATCH_DEEP, true), 0);
	watch_process(&w, (uint32_t)child);
	assert_int_equal(watch_start(&w), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(write(other[1], "x", 1), 1);
		while (!watch_happened(&w)) {
			/* as the collector sleeps: somebody has to end it */
			atomic_store(&ring.shared->reader, READER_ASLEEP);
			if (!watch_happened(&w))
				sysio_futex_wait(&ring.shared->reader, READER_ASLEEP, UINT64_MAX);
		}
		assert_int_equal(watch_events(&w), 1u << WATCH_DEEP);
		char c;
		assert_int_equal(read(other[0], &c, 1), 1);
		watch_again(&w, other[0], WATCH_DEEP);
	}
	watch_remove_fd(&w, other[0]);
	close(fds[1]);
	while (!(watch_events(&w) & 1u << WATCH_PROCESS))
		poll(NULL, 0, 1);
	assert_true(watch_has_ended(&w, (uint32_t)child));
	waitpid(child, NULL, 0);
	close(fds[0]);
	close(other[0]);
	close(other[1]);
}

/* The thread has seen something, and it is closed before the thread has said so. */
static _Atomic uint32_t sleeper_tid;
static _Atomic int sleeper_result;

static void *sleep_like_a_reader(void *unused)
{
	(void)unused;
	atomic_store(&ring.shared->reader, READER_ASLEEP);
	atomic_store(&sleeper_tid, (uint32_t)sysio_gettid());
	atomic_store(&sleeper_result,
		     sysio_futex_wait(&ring.shared->reader, READER_ASLEEP, 10000000000));
	return NULL;
}

static bool is_asleep(uint32_t tid)
{
	char path[64], text[256] = "";

	snprintf(path, sizeof path, "/proc/self/task/%u/stat", tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
	if (fd >= 0)
		close(fd);
	return n > 0 && strstr(text, ") S ");
}

/* Somebody has written over the word that says so: it is woken by what happens all the same. */
static void test_sleep_hidden(void **state)
{
	pthread_t thread;
	int fds[2];
	(void)state;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pthread_create(&thread, NULL, sleep_like_a_reader, NULL), 0);
	while (!atomic_load(&sleeper_tid) || !is_asleep(atomic_load(&sleeper_tid)))
		poll(NULL, 0, 1);
	atomic_store(&ring.shared->reader, READER_AWAKE);
	assert_int_equal(watch_add_fd(&w, fds[0], WATCH_DEEP, true), 0);
	assert_int_equal(watch_start(&w), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&sleeper_result), 0);
	watch_events(&w);
	watch_remove_fd(&w, fds[0]);
	close(fds[0]);
	close(fds[1]);
}

static void while_closing(const char *name)
{
	if (strcmp(name, "watch_woken") != 0)
		return;
	while (!atomic_load(&w.closing))
		sched_yield();
	for (uint64_t end = clock_monotonic_ns() + 5 * CASE_MS; clock_monotonic_ns() < end;)
		sched_yield();
}

static void test_closed_in_between(void **state)
{
	int fds[2];
	(void)state;

	assert_int_equal(pipe(fds), 0);
	testpoint_handler = while_closing;
	assert_int_equal(watch_add_fd(&w, fds[0], WATCH_GUARDIAN, false), 0);
	assert_int_equal(watch_start(&w), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	poll(NULL, 0, 5); /* with luck it is there; else this is the other test */
	watch_close(&w);
	testpoint_handler = NULL;
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(watch_open(&w, &ring), 0);
}

/* Something happens just while it is closed. */
static void test_closed_at_any_moment(void **state)
{
	int fds[2];
	(void)state;

	for (int i = 0; i < 300; i++) {
		assert_int_equal(pipe(fds), 0);
		assert_int_equal(watch_add_fd(&w, fds[0], WATCH_GUARDIAN, false), 0);
		assert_int_equal(watch_start(&w), 0);
		if (i % 3 == 0)
			poll(NULL, 0, 1);
		assert_int_equal(write(fds[1], "x", 1), 1);
		watch_close(&w); /* or we stay here */
		close(fds[0]);
		close(fds[1]);
		assert_int_equal(watch_open(&w, &ring), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_table),
		TEST(test_no_pids),
		TEST(test_end),
		TEST(test_number_again),
		TEST(test_crowd),
		TEST(test_out_of_descriptors),
		TEST(test_foreign),
		TEST(test_flood_from_abroad),
		TEST(test_sandboxed),
		TEST(test_thread_wakes),
		TEST(test_sleep_hidden),
		TEST(test_closed_in_between),
		TEST(test_closed_at_any_moment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
