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
#include "lib/session/place.h"
#include "lib/session/session.h"

enum {
	RESTARTS_AT_ONCE = 100,
	FRUITLESS_AT_ONCE = 20, /* in a row */
	FRUITLESS_MOST = 50,    /* with the pauses, some three seconds: memory may be short for a while */
	RESTART_PAUSE_MS = 100,
};

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

static void become_collector(const struct collect_plan *plan, const char *program,
			     const int fds[KEPT_END])
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

/* The pidfd of whoever calls: opened before a fork, because in the child it would race with his death. */
static int open_own_pidfd(void)
{
	return (int)syscall(SYS_pidfd_open, getpid(), 0);
}

/* Waits for the collector's end. Whether it is missed. */
static bool wait_for_end(const struct control *control)
{
	struct pollfd p = { .fd = WATCHED, .events = POLLIN };

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	/* POLLHUP comes with it when the dead has been waited for already. */
	return p.revents & POLLIN && atomic_load(&control->state) == SESSION_LIVE;
}

/* There is a guardian before there is a collector, so that the new collector may die at any moment,
 * too. 0 in the new guardian, who watches us. */
static pid_t leave_successor(void)
{
	int own = open_own_pidfd();
	pid_t pid = own < 0 ? -1 : fork();

	if (pid == 0 && dup2(own, WATCHED) != WATCHED)
		_exit(1);
	if (own >= 0)
		close(own);
	return pid;
}

/* One of the two is about to begin, and cannot be seen to live before it says so. */
static void expect_life(struct control *control)
{
	atomic_store(&control->handover_ns, clock_monotonic_ns() + SESSION_HANDOVER_NS);
}

/* Not before both are there: while one is, the other may still be on its way, and be the only one left
 * a moment later. Whoever is the second to hold its life finds the first one's. */
static void expect_no_more(struct control *control)
{
	if (life_goes_on(&control->collector_life) && life_goes_on(&control->guardian_life))
		atomic_store(&control->handover_ns, 0);
}

static void hold_life(struct control *control)
{
	life_hold(&control->guardian_life);
	expect_no_more(control);
}

static void take_over(const struct collect_plan *plan, struct control *control, pid_t successor,
		      const char *program, const int fds[KEPT_END])
{
	/* exec ends one life and only then begins another; meanwhile there is the successor's. */
	atomic_store(&control->collector_pid, getpid());
	atomic_store(&control->guardian_pid, successor > 0 ? successor : 0);
	/* One that dies again and again is not helped by being quick about it. */
	if (atomic_fetch_add(&control->restarts, 1) > RESTARTS_AT_ONCE ||
	    atomic_load(&control->fruitless) > FRUITLESS_AT_ONCE)
		poll(NULL, 0, RESTART_PAUSE_MS);
	signal(SIGHUP, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	TESTPOINT(guardian_took_over);
	become_collector(plan, program, fds);
}

/* Each ends what it would have to be restarted for, again. Who is killed from outside has been through a
 * round before, now and then. */
static bool is_hopeless(const struct collect_plan *plan, struct control *control)
{
	struct session probe;

	/* What is spoilt, or gone, no collector could open. */
	int error = session_attach(&probe, plan->dir);
	if (!error)
		session_leave(&probe);
	return error == -EINVAL || error == -EPERM || error == -ENOENT ||
	       atomic_fetch_add(&control->fruitless, 1) >= FRUITLESS_MOST;
}

/* Programs write for themselves from here on. In this order: who sees the session abandoned sees also
 * that nobody is left, and says so. */
static void give_up(struct control *control)
{
	uint32_t live = SESSION_LIVE;

	atomic_store(&control->guardian_pid, 0);
	atomic_store(&control->handover_ns, 0);
	atomic_store(&control->guardian_life, 0);
	atomic_compare_exchange_strong(&control->state, &live, SESSION_ABANDONED);
}

static void guard(const struct collect_plan *plan, struct control *control, int console_fd,
		  int watched)
{
	int fds[KEPT_END] = { [WATCHED] = watched, [CONSOLE] = console_fd, [DEEP] = plan->deep_fd };
	char program[sizeof control->program];

	signal(SIGHUP, SIG_IGN); /* "reopen" is the collector's business */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	prctl(PR_SET_NAME, "hark-guardian");
	memcpy(program, control->program, sizeof program);
	program[sizeof program - 1] = 0;
	if (!keep_all(fds))
		_exit(1);
	hold_life(control);
	while (wait_for_end(control)) {
		if (is_hopeless(plan, control)) {
			give_up(control);
			break;
		}
		expect_life(control);
		pid_t successor = leave_successor();
		if (successor)
			take_over(plan, control, successor, program, fds);
		hold_life(control); /* the word is the successor's now */
	}
	/* Perhaps it was killed when all that was left to do was to clean up. */
	if (atomic_load(&control->state) == SESSION_ENDED)
		place_remove(plan->dir);
	_exit(0);
}

/* A guardian that became the collector has left one. */
static int adopt(struct control *control)
{
	pid_t pid = atomic_load(&control->guardian_pid);
	siginfo_t ended = { .si_pid = 0 };

	if (pid <= 0 || waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG) != 0 || ended.si_pid)
		return -ECHILD;
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return pidfd < 0 ? -errno : pidfd;
}

int guardian_start(const struct collect_plan *plan, struct control *control, int console_fd)
{
	int adopted = adopt(control);
	if (adopted >= 0) {
		expect_no_more(control);
		return adopted;
	}
	int watched = open_own_pidfd();
	if (watched < 0)
		return -errno;
	expect_life(control);
	pid_t pid = fork();
	if (pid == 0)
		guard(plan, control, console_fd, watched);
	close(watched);
	if (pid < 0)
		return -errno;
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		/* One that we cannot watch would wait for us, and we for it, at the end. */
		int error = -errno;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return error;
	}
	atomic_store(&control->guardian_pid, pid);
	return pidfd;
}

void guardian_stop(struct control *control, int pidfd)
{
	siginfo_t ended;

	atomic_store(&control->guardian_pid, 0);
	if (pidfd < 0)
		return;
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	while (waitid(P_PIDFD, (id_t)pidfd, &ended, WEXITED) != 0 && errno == EINTR)
		;
	close(pidfd);
}
