/*
 * test_collect.c - collect.c: collectors from their start to their end.
 */
#include "tests/unit/collect_life.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/socket.h>
#include <sys/un.h>

static void test_whole_life(void **state)
{
	(void)state;
	pid_t pid = begin("file:@/json?format=json file:@/raw?format=raw", talk_in_threads, -1);
	go();
	expect_end(pid);
	assert_int_equal(expect_gapless(case_got("json"), 1), THREADS * EACH + 1);
	expect_all_of_threads(case_got("json"), false);
	expect_all_of_threads(case_got("raw"), false);
	assert_non_null(strstr(case_got("json"), "\"comm\":\"subject\""));
}

static void nothing(void)
{
}

static void test_silent(void **state)
{
	(void)state;
	pid_t pid = begin("file:@/json?format=json", nothing, -1);
	go();
	expect_end(pid);
	expect_file("json", "");
}

static bool is_asleep(void)
{
	return atomic_load(&scene.session.ring.shared->reader) == READER_ASLEEP;
}

static bool nobody_is_polled_for(void)
{
	return atomic_load(&scene.session.control->polled) == 0;
}

static bool has_line(void)
{
	return *case_got("raw");
}

static bool is_done(void)
{
	return atomic_load(&shared->done) > 0;
}

static bool are_done(void)
{
	return atomic_load(&shared->done) > 1;
}

static void introduce(void)
{
	struct record_join join = { .parent = (uint32_t)getppid(), .comm = "subject" };

	if (say_bytes((struct writer){ .kind = RECORD_JOIN }, &join, sizeof join) != 0)
		_exit(2);
}

/* What hook_sandbox.c does, in a child. */
static void enter_sandbox(void)
{
	struct sock_filter all[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog filter = { .len = 1, .filter = all };

	introduce();
	pid_t pid = fork();
	if (pid == 0) {
		atomic_fetch_add(&scene.session.control->polled, 1);
		say_blocking((struct writer){ .kind = RECORD_SANDBOX, .detail = 1 }, "");
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &filter))
			_exit(3);
		say_blocking((struct writer){ 0 }, "from within\n");
		atomic_store(&shared->done, 1);
		while (atomic_load(&shared->go) < 2)
			poll(NULL, 0, 1);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	if (fork() == 0) { /* has ended before anybody knows it */
		atomic_fetch_add(&scene.session.control->polled, 1);
		say_blocking((struct writer){ .kind = RECORD_SANDBOX, .detail = 1 }, "");
		_exit(0);
	}
	wait(NULL);
	atomic_store(&shared->done, 2);
	while (atomic_load(&shared->go) < 3)
		poll(NULL, 0, 1);
}

static void test_polls_no_longer_than_needed(void **state)
{
	(void)state;
	pid_t pid = begin("file:@/raw?format=raw", enter_sandbox, -1);
	assert_true(until(is_asleep));
	go();
	assert_true(until(has_line));
	assert_true(until(is_done));
	for (int i = 0; i < 100; i++) {
		assert_int_equal(atomic_load(&scene.session.control->polled), 1);
		assert_false(is_asleep());
		poll(NULL, 0, 1);
	}
	atomic_store(&shared->go, 2);
	assert_true(until(are_done));
	assert_true(until(nobody_is_polled_for));
	assert_true(until(is_asleep));
	atomic_store(&shared->go, 3);
	expect_end(pid);
}

static void wait_for_end(void)
{
	say_blocking((struct writer){ 0 }, "first\n");
	say_blocking((struct writer){ .kind = RECORD_CLOSED }, "");
	while (atomic_load(&shared->go) < 2)
		poll(NULL, 0, 1);
	say_blocking((struct writer){ 0 }, "second\n");
}

static bool is_renamed_back(void)
{
	char path[128];

	snprintf(path, sizeof path, "%s/raw", scene.base);
	return access(path, F_OK) == 0;
}

/* SIGHUP to one who sleeps and has nothing to do. */
static void test_reopens_at_once(void **state)
{
	char path[128], other[128];
	(void)state;

	pid_t pid = begin("file:@/raw?format=raw", wait_for_end, -1);
	go();
	assert_true(until(has_line));
	snprintf(path, sizeof path, "%s/raw", scene.base);
	snprintf(other, sizeof other, "%s/old", scene.base);
	for (int i = 0; i < 10; i++) {
		assert_true(until(is_asleep));
		assert_int_equal(rename(path, other), 0);
		/* while it sleeps, or just before it will */
		if (i % 2)
			happens_at("collect_sleeping", "hangup");
		kill(atomic_load(&scene.session.control->collector_pid), i % 2 ? SIGWINCH : SIGHUP);
		if (i % 2)
			ring_poke(&scene.session.ring);
		assert_true(until(is_renamed_back));
	}
	atomic_store(&shared->go, 2);
	expect_end(pid);
	expect_file("raw", "second\n");
}

static bool is_abandoned(void)
{
	return atomic_load(&scene.session.control->state) != SESSION_LIVE;
}

/* SIGTERM: what was said is delivered, and nobody waits for more. */
static void test_told_to_leave(void **state)
{
	(void)state;
	pid_t pid = begin("file:@/raw?format=raw", wait_for_end, -1);
	go();
	assert_true(until(has_line));
	assert_true(until(is_asleep));
	kill(atomic_load(&scene.session.control->collector_pid), SIGTERM);
	assert_true(until(is_abandoned));
	assert_true(until(dir_is_gone));
	expect_file("raw", "first\n");
	atomic_store(&shared->go, 2);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void say_much(void)
{
	for (int i = 0; i < 6000; i++)
		say_blocking((struct writer){ 0 },
			     "something that a slow reader will read some day\n");
	static char last[30000]; /* so much, that there is no room for it at first */
	memset(last, 'z', sizeof last - 1);
	if (fork() == 0) { /* by one of whom nobody knows that he ends */
		say_blocking((struct writer){ 0 }, last);
		_exit(0);
	}
	wait(NULL);
}

/* At the end there is no room for the last words; they are said when there is. */
static void test_slow_sink(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	static char got[1 << 20];
	size_t used = 0;
	(void)state;

	snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", scene.base);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(listener, 1), 0);
	pid_t pid = begin("unix:@/socket?format=text&pattern=%25v&queue=64K&overflow=block",
			  say_much, -1);
	go();
	int peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	for (ssize_t n; used < sizeof got - 1; used += (size_t)n) {
		n = read(peer, got + used, 3000);
		if (n <= 0)
			break;
		if (used % 11 == 0)
			poll(NULL, 0, 1);
	}
	got[used] = 0;
	close(peer);
	close(listener);
	expect_end(pid);
	assert_int_equal(count_of(got, "some day\n"), 6000);
	assert_int_equal(count_of(got, "z"), 29999);
}

/* The pipe that the console is ends with the program, not with the collector. */
static void test_lets_go_of_console(void **state)
{
	char c[16];
	(void)state;

	assert_int_equal(pipe2(scene.console, O_CLOEXEC), 0);
	pid_t pid = begin("console console file:@/raw?format=raw", wait_for_end, -1);
	close(scene.console[1]);
	scene.console[1] = -1;
	go();
	size_t used = 0;
	for (ssize_t n; (n = read(scene.console[0], c, sizeof c)) > 0;)
		used += (size_t)n; /* the subject has closed it; it lives on */
	assert_int_equal(used, 2 * strlen("first\n"));
	assert_int_equal(kill(pid, 0), 0);
	atomic_store(&shared->go, 2);
	expect_end(pid);
	assert_int_equal(strncmp(case_got("raw"), "first\nsecond\n", 13), 0);
}

int main(int argc, char **argv)
{
	int status;

	if (life_is_collector(argc, argv, &status))
		return status;
	const struct CMUnitTest tests[] = {
		LIFE(test_whole_life),
		LIFE(test_silent),
		LIFE(test_polls_no_longer_than_needed),
		LIFE(test_reopens_at_once),
		LIFE(test_told_to_leave),
		LIFE(test_slow_sink),
		LIFE(test_lets_go_of_console),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
