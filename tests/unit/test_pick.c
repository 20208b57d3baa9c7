/* test_pick.c - pick.c and remains.c: which session is meant, and which of them are dead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/collect/checkpoint.h"
#include "lib/session/create.h"
#include "lib/session/session.h"
#include "tools/cli.h"
#include "tools/pick.h"
#include "tools/remains.h"

static char top[64], dir[PLACE_PATH];

static int set_up(void **state)
{
	static struct config config;
	char why[512];

	(void)state;
	snprintf(top, sizeof top, "/tmp/hark-pick-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	setenv("HARK_RUNTIME_DIR", top, 1);
	config_defaults(&config);
	/* Its collector is on its way: it is alive. */
	struct session_plan plan = {
		.config = &config, .first_pid = getpid(), .command = "the command", .program = "",
		.preload = "", .console_fd = -1
	};
	return session_create(&plan, dir, why, sizeof why);
}

static int tear_down(void **state)
{
	(void)state;
	place_remove(dir);
	return rmdir(top);
}

/* Who has joined may not write that. */
static void set_first_pid(int32_t pid)
{
	char path[PLACE_PATH + 16];

	snprintf(path, sizeof path, "%s/control", dir);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, &pid, sizeof pid, offsetof(struct control, first_pid)),
			 sizeof pid);
	close(fd);
}

static int pick(const char *word)
{
	static struct place_session session;

	memset(&session, 0, sizeof session);
	int error = pick_session(word, &session);
	if (!error)
		assert_string_equal(session.dir, dir);
	return error;
}

static void by_its_processes(void **state)
{
	struct session session;
	char word[16];

	(void)state;
	snprintf(word, sizeof word, "%d", getpid());
	assert_int_equal(pick(word), 0);
	/* one that nobody listed, but that has it mapped */
	assert_int_equal(session_join(&session, dir), 0);
	set_first_pid(1);
	atomic_store(&session.control->guardian_pid, 0);
	assert_int_equal(pick(word), 0);
	set_first_pid(getpid());
	session_leave(&session);
	/* others */
	cli_say_on(-1);
	assert_int_equal(pick("1"), -ESRCH);
	assert_int_equal(pick(""), -EINVAL);
	assert_int_equal(pick("0"), -EINVAL);
	assert_int_equal(pick("12x"), -EINVAL);
	assert_int_equal(pick("4294967297"), -EINVAL);
	cli_say_on(STDERR_FILENO);
}

static void the_dead(void **state)
{
	static struct place_session seen;
	struct session session;

	(void)state;
	assert_int_equal(place_read(dir, &seen), 0);
	assert_false(remains_in(&seen));
	assert_int_equal(session_join(&session, dir), 0);
	struct control *c = session.control;
	uint64_t handover = atomic_load(&c->handover_ns);
	atomic_store(&c->handover_ns, 0);
	assert_int_equal(place_read(dir, &seen), 0);
	assert_true(remains_in(&seen));
	atomic_store(&c->state, SESSION_ABANDONED);
	assert_int_equal(place_read(dir, &seen), 0);
	assert_true(remains_in(&seen));
	atomic_store(&c->state, SESSION_ENDED);
	assert_int_equal(place_read(dir, &seen), 0);
	assert_false(remains_in(&seen));
	atomic_store(&c->state, SESSION_LIVE);
	atomic_store(&c->handover_ns, handover);
	session_leave(&session);
}

static void nobody_waited_for_it(void **state)
{
	static struct place_session seen;
	struct session session;
	siginfo_t info;

	(void)state;
	assert_int_equal(session_join(&session, dir), 0);
	struct control *c = session.control;
	uint64_t handover = atomic_exchange(&c->handover_ns, 0);
	pid_t child = fork();
	if (child == 0) {
		life_hold(&c->collector_life);
		_exit(0);
	}
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	assert_int_not_equal(atomic_load(&c->collector_life), 0);
	assert_int_equal(place_read(dir, &seen), 0);
	assert_false(seen.alive);
	/* the other one is enough */
	assert_int_equal(life_hold(&c->guardian_life), 0);
	assert_int_equal(place_read(dir, &seen), 0);
	assert_true(seen.alive);
	atomic_store(&c->guardian_life, 0);
	atomic_store(&c->collector_life, 0);
	atomic_store(&c->handover_ns, handover);
	waitpid(child, NULL, 0);
	session_leave(&session);
}

static void said_once(void **state)
{
	struct session session;
	char text[1024], mark[PLACE_PATH + 16];

	(void)state;
	assert_int_equal(session_join(&session, dir), 0);
	uint64_t handover = atomic_exchange(&session.control->handover_ns, 0);
	int fd = memfd_create("said", MFD_CLOEXEC);
	cli_say_on(fd);
	remains_announce();
	remains_announce();
	cli_say_on(STDERR_FILENO);
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	char *first = strstr(text, "the command");
	assert_non_null(first);
	assert_null(strstr(first + 1, "the command"));
	assert_non_null(strstr(text, "hark salvage"));
	snprintf(mark, sizeof mark, "%s/announced", dir);
	assert_int_equal(access(mark, F_OK), 0);
	atomic_store(&session.control->handover_ns, handover);
	session_leave(&session);
}

static void when_it_spoke_last(void **state)
{
	static struct place_session seen;
	static struct checkpoint checkpoint;
	struct checkpoint_file file;
	char path[PLACE_PATH + 16];

	(void)state;
	snprintf(path, sizeof path, "%s/state", dir);
	assert_int_equal(place_read(dir, &seen), 0);
	int64_t started = (int64_t)seen.control.started_ns;
	assert_int_equal(remains_said_ns(&seen), started);
	assert_int_not_equal(access(path, F_OK), 0); /* asking makes nothing */
	assert_int_equal(checkpoint_open(&file, path), 0);
	assert_int_equal(remains_said_ns(&seen), started);
	checkpoint.time_ns = started + 5;
	checkpoint_save(&file, &checkpoint);
	checkpoint_close(&file);
	assert_int_equal(remains_said_ns(&seen), started + 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_its_processes),
		cmocka_unit_test(the_dead),
		cmocka_unit_test(nobody_waited_for_it),
		cmocka_unit_test(said_once),
		cmocka_unit_test(when_it_spoke_last),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
