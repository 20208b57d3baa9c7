/* test_session.c - session.c: what is joined is ours, is what it should be, and its settings stay. */
#include "tests/unit/collect_case.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { NOBODY = 65534 };

static void create(void)
{
	case_sinks("file:@/raw?format=raw");
	case_create(getpid(), "/nonexistent");
	session_leave(&scene.session);
}

static const char *name_in(const char *name)
{
	static char path[PLACE_PATH + 16];

	snprintf(path, sizeof path, "%s/%s", scene.dir, name);
	return path;
}

static int attach(void)
{
	struct session s;
	int error = session_attach(&s, scene.dir);

	if (!error)
		session_leave(&s);
	return error;
}

/* A daemon that has given up root's rights has still what it mapped before. */
static void settings_cannot_be_written(void **state)
{
	struct session s;

	(void)state;
	create();
	assert_int_equal(session_attach(&s, scene.dir), 0);
	assert_int_equal(mprotect(s.control, CONTROL_SETTINGS, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(errno, EACCES);
	/* not a byte more than that: the rest is everybody's, and seen by everybody */
	atomic_store(&s.control->spoken, 7);
	assert_int_equal(session_attach(&scene.session, scene.dir), 0);
	assert_int_equal(atomic_load(&scene.session.control->spoken), 7);
	assert_string_equal(scene.session.control->command, "test/subject arg");
	session_leave(&s);
}

static void others_may_not_write(void **state)
{
	static const char *const names[] = { "control", "ring" };

	(void)state;
	create();
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(chmod(name_in(names[i]), 0620), 0);
		assert_int_equal(attach(), -EPERM);
		assert_int_equal(chmod(name_in(names[i]), 0600), 0);
		assert_int_equal(attach(), 0);
	}
}

static void somebody_elses_is_refused(void **state)
{
	static const char *const names[] = { "control", "ring", "state" };

	(void)state;
	if (geteuid() != 0)
		skip();
	create();
	case_open();
	case_close();
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(chown(name_in(names[i]), NOBODY, (gid_t)-1), 0);
		assert_int_equal(setup_open(&scene.c, &scene.plan), -EPERM);
		assert_int_equal(chown(name_in(names[i]), 0, (gid_t)-1), 0);
	}
	assert_int_equal(chown(name_in("queue.0"), NOBODY, (gid_t)-1), 0);
	assert_int_equal(setup_open(&scene.c, &scene.plan), -EPERM);
}

/* A FIFO would block whoever opens it; a device might do anything. */
static void what_is_no_file(void **state)
{
	static const char *const names[] = { "control", "ring" };
	char away[PLACE_PATH + 16];

	(void)state;
	create();
	snprintf(away, sizeof away, "%s/away", scene.dir);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(rename(name_in(names[i]), away), 0);
		assert_int_equal(attach(), -ENOENT);
		assert_int_equal(mkfifo(name_in(names[i]), 0600), 0);
		assert_int_equal(attach(), -EINVAL);
		assert_int_equal(unlink(name_in(names[i])), 0);
		assert_int_equal(symlink(away, name_in(names[i])), 0);
		assert_int_equal(attach(), -ELOOP);
		assert_int_equal(unlink(name_in(names[i])), 0);
		assert_int_equal(mkdir(name_in(names[i]), 0700), 0);
		assert_int_equal(attach(), i == 0 ? -EINVAL : -EISDIR);
		assert_int_equal(rmdir(name_in(names[i])), 0);
		assert_int_equal(rename(away, name_in(names[i])), 0);
		assert_int_equal(attach(), 0);
	}
}

static void of_another_size(void **state)
{
	struct stat st;

	(void)state;
	create();
	assert_int_equal(stat(name_in("ring"), &st), 0);
	assert_int_equal(truncate(name_in("ring"), st.st_size - 1), 0);
	assert_int_equal(attach(), -EINVAL);
	assert_int_equal(truncate(name_in("ring"), 0), 0);
	assert_int_equal(attach(), -EINVAL);
	/* larger than any address space */
	assert_int_equal(truncate(name_in("ring"), (off_t)1 << 42), 0);
	assert_true(attach() == -EINVAL || attach() == -ENOMEM);
	assert_int_equal(truncate(name_in("control"), sizeof(struct control) - 1), 0);
	assert_int_equal(attach(), -EINVAL);
}

/* The signal by which the kernel asks for it ends the one who has the lease. */
static void somebody_asks_whether_he_is_alone(void **state)
{
	int told[2];
	char granted = 0;

	(void)state;
	create();
	assert_int_equal(pipe(told), 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGIO, SIG_DFL);
		int fd = open(name_in("ring"), O_RDWR);
		granted = fd >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0 ? 'y' : 'n';
		if (write(told[1], &granted, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(told[0], &granted, 1), 1);
	int error = attach();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(told[0]);
	close(told[1]);
	if (granted != 'y')
		skip();
	assert_int_equal(error, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(settings_cannot_be_written),
		CASE(others_may_not_write),
		CASE(somebody_elses_is_refused),
		CASE(what_is_no_file),
		CASE(of_another_size),
		CASE(somebody_asks_whether_he_is_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
