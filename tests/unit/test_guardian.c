/*
 * test_guardian.c - guardian.c: of collector and guardian, either may be killed at any moment.
 */
#include "tests/unit/collect_life.h"

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

int main(int argc, char **argv)
{
	int status;

	if (life_is_collector(argc, argv, &status))
		return status;
	const struct CMUnitTest tests[] = {
		LIFE(test_killed_under_load),
		LIFE(test_killed_at),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
