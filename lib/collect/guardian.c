/*
 * guardian.c - see guardian.h.
 */
#include "lib/collect/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/testpoint.h"
#include "lib/session/session.h"

enum { RESTARTS_AT_ONCE = 100, RESTART_PAUSE_MS = 100 };

enum { WATCHED = 3, CONSOLE, DEEP, KEPT_END };

/* Takes the descriptor to a place above all others' targets, then down to its own. */
static bool keep_all(int fds[KEPT_END])
{
	for (int to = WATCHED; to < KEPT_END; to++)
		if (fds[to] >= 0 && (fds[to] = fcntl(fds[to], F_DUPFD, KEPT_END)) < 0)
			return false;
	for (int to = WATCHED; to < KEPT_END; to++) {
		if (fds[to] < 0)
			close(to);
		else if (dup2(fds[to], to) != to)
			return false;
	}
	/* Nothing of the collector's may stay open here: not its sockets, whose peers would wait, nor
	 * anything of the program's. */
	close_range(KEPT_END, ~0u, 0);
	return true;
}

static void become_collector(const struct collect_plan *plan, const char *program, const int fds[KEPT_END])
{
	char console[16], deep[16];
	const char *argv[8] = { "hark", "collect", plan->dir };
	int n = 3;

	snprintf(console, sizeof console, "%d", CONSOLE);
	snprintf(deep, sizeof deep, "%d", DEEP);
	if (fds[CONSOLE] >= 0) {
		argv[n++] = "--console-fd";
		argv[n++] = console;
	}
	if (fds[DEEP] >= 0) {
		argv[n++] = "--deep-fd";
		argv[n++] = deep;
	}
	close(WATCHED);
	/* A new image: nothing of what the dead collector had in memory can matter. */
	execv(program, (char *const *)argv);
	_exit(127);
}

static void guard(const struct collect_plan *plan, struct control *control, int console_fd, int watched)
{
	int fds[KEPT_END] = { [WATCHED] = watched, [CONSOLE] = console_fd, [DEEP] = plan->deep_fd };
	struct pollfd p = { .fd = WATCHED, .events = POLLIN };
	char program[sizeof control->program];

	signal(SIGHUP, SIG_IGN); /* "reopen" is the collector's business */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	prctl(PR_SET_NAME, "hark-guardian");
	memcpy(program, control->program, sizeof program);
	program[sizeof program - 1] = 0;
	if (!keep_all(fds))
		_exit(1);
	life_hold(&control->guardian_life);
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	if (p.revents != POLLIN || atomic_load(&control->state) != SESSION_LIVE)
		_exit(0);
	/* One that dies again and again is not helped by being quick about it. */
	if (atomic_fetch_add(&control->restarts, 1) > RESTARTS_AT_ONCE)
		poll(NULL, 0, RESTART_PAUSE_MS);
	/* exec ends one life and only then begins another. */
	atomic_store(&control->handover_ns, clock_monotonic_ns() + SESSION_HANDOVER_NS);
	atomic_store(&control->collector_pid, getpid());
	signal(SIGHUP, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	TESTPOINT(guardian_took_over);
	become_collector(plan, program, fds);
}

int guardian_start(const struct collect_plan *plan, struct control *control, int console_fd)
{
	/* Opened before the fork: in the child it would race with our death. */
	int watched = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (watched < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		guard(plan, control, console_fd, watched);
	close(watched);
	if (pid < 0)
		return -errno;
	atomic_store(&control->guardian_pid, pid);
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return pidfd < 0 ? -errno : pidfd;
}

void guardian_stop(struct control *control, int pidfd)
{
	pid_t pid = atomic_exchange(&control->guardian_pid, 0);

	if (pidfd >= 0) {
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		close(pidfd);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}
