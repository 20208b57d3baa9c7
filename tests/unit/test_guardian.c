/*
 * test_guardian.c - guardian.c: of collector and guardian, either may be killed at any moment.
 */
#include "tests/unit/collect_life.h"

#include <sched.h>

#include "lib/session/process.h"

/* Again and again, either of the two; the other one goes on. */
static void test_killed_under_load(void **state)
{
	int kills = 0;
	(void)state;

	pid_t pid = begin("file:@/json?format=json file:@/raw?format=raw", talk_in_threads, -1);
	struct control *control = scene.session.control;
	go();
	int32_t last[2] = { 0 };
	for (int i = 0; i < LONG_MS && kills < 12 && !dir_is_gone(); i++) {
		int32_t pids[] = { atomic_load(&control->collector_pid),
				   atomic_load(&control->guardian_pid) };
		int which = kills % 3 == 2;
		/* one at a time: only when the last one's successor is there */
		if (pids[0] > 1 && pids[1] > 1 && pids[0] != last[0] && pids[1] != last[1] &&
		    life_goes_on(&control->guardian_life) &&
		    life_goes_on(&control->collector_life) && kill(pids[which], SIGKILL) == 0) {
			kills++;
			last[which] = pids[which];
		}
		poll(NULL, 0, 1);
	}
	assert_true(kills >= 2);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(until(dir_is_gone));
	assert_int_equal(atomic_load(&control->state), SESSION_ENDED);
	expect_all_of_threads(case_got("raw"), true);
	expect_all_of_threads(case_got("json"), true);
}

/* At moments when little is there of either. */
static void test_killed_at(void **state)
{
	static const char *const points[] = { "guardian_took_over", "collect_checkpointed",
					      "checkpoint_written", "collect_ended" };
	(void)state;

	pid_t pid = begin("file:@/json?format=json file:@/raw?format=raw", talk_in_threads, -1);
	for (size_t i = 0; i < sizeof points / sizeof *points; i++)
		happens_at(points[i], "kill");
	go();
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(until(dir_is_gone));
	assert_int_equal(atomic_load(&scene.session.control->restarts), 3);
	expect_all_of_threads(case_got("raw"), true);
	expect_all_of_threads(case_got("json"), true);
}

static bool is_given_up(void)
{
	return atomic_load(&scene.session.control->state) == SESSION_ABANDONED;
}

static void say_a_little(void)
{
	say_blocking((struct writer){ 0 }, "that which kills\nand more\n");
}

static int salvage(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		scene.plan.salvage = true;
		_exit(collect_run(&scene.plan));
	}
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

/* The same bytes kill every successor: the session is abandoned, and keeps them. */
static void test_gives_up(void **state)
{
	char path[128];
	(void)state;

	happens_at("collect_delivered", "always");
	pid_t pid = begin("file:@/raw?format=raw", say_a_little, -1);
	struct control *control = scene.session.control;
	go();
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(until(is_given_up));
	assert_false(session_alive(control));
	assert_int_equal(atomic_load(&control->guardian_pid), 0);
	assert_in_range(atomic_load(&control->restarts), 20, 200);
	assert_int_equal(access(scene.dir, F_OK), 0);
	snprintf(path, sizeof path, "%s/at-collect_delivered", scene.base);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(salvage(), 0);
	expect_file("raw", "that which kills\nand more\n");
}

static void wait_to_be_done(void)
{
	while (!atomic_load(&shared->done) && getppid() != 1)
		poll(NULL, 0, 1);
}

static uint64_t wanted;
static int32_t killed;

static bool is_delivered(void)
{
	return atomic_load(&scene.session.control->delivered) >= wanted;
}

static bool has_successor(void)
{
	const struct control *control = scene.session.control;

	return atomic_load(&control->collector_pid) != killed &&
	       life_goes_on(&control->collector_life);
}

/* Killed far more often than that, but not in vain. */
static void test_never_gives_up_what_gets_on(void **state)
{
	enum { KILLS = 80 };
	char line[32];
	(void)state;

	pid_t pid = begin("file:@/raw?format=raw", wait_to_be_done, -1);
	struct control *control = scene.session.control;
	go();
	for (int i = 0; i < KILLS; i++) {
		snprintf(line, sizeof line, "line %d\n", i);
		say_blocking((struct writer){ 0 }, line);
		wanted = session_position(&scene.session);
		assert_true(until(is_delivered));
		killed = atomic_load(&control->collector_pid);
		assert_int_equal(kill(killed, SIGKILL), 0);
		assert_true(until(has_successor));
	}
	assert_int_equal(atomic_load(&control->restarts), KILLS);
	atomic_store(&shared->done, 1);
	expect_end(pid);
	const char *got = case_got("raw");
	for (int i = 0; i < KILLS; i++) {
		snprintf(line, sizeof line, "line %d\n", i);
		assert_int_equal(strncmp(got, line, strlen(line)), 0);
		got += strlen(line);
	}
	assert_int_equal(*got, 0);
}

static bool both_live(void)
{
	struct control *c = scene.session.control;
	return life_goes_on(&c->collector_life) && life_goes_on(&c->guardian_life);
}

static void hold_on(void)
{
	for (int i = 0; i < LONG_MS && !is_given_up(); i++)
		poll(NULL, 0, 1);
}

/* No new collector could open it: programs are told, and nobody tries for ever. */
static void test_ring_no_more(void **state)
{
	(void)state;

	pid_t pid = begin("file:@/raw?format=raw", hold_on, -1);
	struct control *control = scene.session.control;
	assert_true(until(both_live));
	pid_t guardian = atomic_load(&control->guardian_pid);
	pid_t collector = atomic_load(&control->collector_pid);
	go();
	scene.session.ring.shared->magic = 0;
	assert_int_equal(kill(collector, SIGKILL), 0);
	assert_true(until(is_given_up));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* It is nobody's child: the starter lets nobody adopt what it leaves. */
	for (int i = 0; i < LONG_MS && kill(guardian, 0) == 0 && !process_is_zombie(guardian); i++)
		poll(NULL, 0, 1);
	assert_true(process_is_zombie(guardian));
	assert_false(session_alive(control));
}

static bool successor_is_there(void)
{
	const struct control *control = scene.session.control;
	int32_t pid = atomic_load(&control->guardian_pid);

	return pid > 0 && atomic_load(&control->guardian_life) == (uint32_t)pid;
}

static pid_t stopping;

static bool has_stopped(void)
{
	char path[64], text[512] = "";

	snprintf(path, sizeof path, "/proc/%d/stat", stopping);
	FILE *file = fopen(path, "r");
	if (!file)
		return false;
	size_t n = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	const char *end = n ? strrchr(text, ')') : NULL;
	return end && end[1] == ' ' && end[2] == 'T';
}

/* The new collector is still on its way when the guardian that it left behind is killed: nobody
 * can be seen to live, but programs must not believe that they are alone. */
static void test_killed_while_other_begins(void **state)
{
	(void)state;

	pid_t pid = begin("file:@/json?format=json file:@/raw?format=raw", talk_in_threads, -1);
	struct control *control = scene.session.control;
	assert_true(until(successor_is_there));
	stopping = atomic_load(&control->guardian_pid);
	happens_at("guardian_took_over", "stop");
	kill(atomic_load(&control->collector_pid), SIGKILL);
	assert_true(until(has_stopped));
	assert_true(until(successor_is_there));
	kill(atomic_load(&control->guardian_pid), SIGKILL);
	while (life_goes_on(&control->guardian_life))
		sched_yield();
	bool alive = session_alive(control);
	kill(stopping, SIGCONT);
	assert_true(alive);
	go();
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(until(dir_is_gone));
	assert_int_equal(atomic_load(&control->state), SESSION_ENDED);
	expect_all_of_threads(case_got("raw"), true);
	expect_all_of_threads(case_got("json"), true);
}

int main(int argc, char **argv)
{
	int status;

	if (life_is_collector(argc, argv, &status))
		return status;
	const struct CMUnitTest tests[] = {
		LIFE(test_killed_under_load),
		LIFE(test_killed_at),
		LIFE(test_gives_up),
		LIFE(test_never_gives_up_what_gets_on),
		LIFE(test_ring_no_more),
		LIFE(test_killed_while_other_begins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
