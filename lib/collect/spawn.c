/*
 * spawn.c - starting a collector that is nobody's child.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/collect/collect.h"
#include "lib/session/session.h"

static int above_stdio(int fd)
{
	if (fd < 0)
		return -1;
	int above = fcntl(fd, F_DUPFD, 10);
	return above < 0 && errno == EINVAL ? fcntl(fd, F_DUPFD, 3) : above;
}

static void detach(int console_fd, int deep_fd)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int null_fd = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(null_fd, fd);
	unsigned from = 3;
	int first = console_fd < deep_fd || deep_fd < 0 ? console_fd : deep_fd;
	int second = first == console_fd ? deep_fd : console_fd;
	if (first >= 0) {
		close_range(from, (unsigned)first - 1, 0);
		from = (unsigned)first + 1;
	}
	if (second >= 0) {
		if ((unsigned)second > from)
			close_range(from, (unsigned)second - 1, 0);
		from = (unsigned)second + 1;
	}
	close_range(from, ~0u, 0);
}

static void start(const struct collect_plan *plan, const char *program)
{
	char console[16], deep[16];
	const char *argv[8] = { "hark", "collect", plan->dir };
	int n = 3;
	int console_fd = above_stdio(plan->console_fd), deep_fd = above_stdio(plan->deep_fd);

	detach(console_fd, deep_fd);
	snprintf(console, sizeof console, "%d", console_fd);
	snprintf(deep, sizeof deep, "%d", deep_fd);
	if (console_fd >= 0) {
		argv[n++] = "--console-fd";
		argv[n++] = console;
	}
	if (deep_fd >= 0) {
		argv[n++] = "--deep-fd";
		argv[n++] = deep;
	}
	unsetenv("LD_PRELOAD"); /* it does not listen to itself */
	execv(program, (char *const *)argv);
	_exit(127);
}

int collect_spawn(const struct collect_plan *plan, const char *program)
{
	struct session session;
	int status;

	int error = session_join(&session, plan->dir);
	if (error)
		return error;
	/* Who adopts orphans would adopt the collector, and the program would meet it in wait(). */
	int adopts = 0;
	prctl(PR_GET_CHILD_SUBREAPER, &adopts);
	if (adopts)
		prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	/* Without an exit signal: where SIGCHLD is blocked, it would still be pending in the program. */
	pid_t pid = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		setsid();
		pid_t second = fork();
		if (second == 0)
			start(plan, program);
		if (second > 0)
			atomic_store(&session.control->collector_pid, second);
		_exit(second > 0 ? 0 : 1);
	}
	error = pid < 0 ? -errno : 0;
	if (!error && waitpid(pid, &status, __WCLONE) == pid && status != 0)
		error = -EAGAIN;
	if (adopts)
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	session_leave(&session);
	return error;
}
