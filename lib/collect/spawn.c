/*
 * spawn.c - starting a collector that is nobody's child, and hearing whether it is set up.
 *
 * Called by the tools before the program says its first word: what a collector that fails would take
 * with it has not been said yet. Until it is set up, its stderr is a pipe to us, so that also what the
 * dynamic loader has to complain of is heard.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/sysio.h"
#include "lib/collect/collect.h"
#include "lib/collect/title.h"
#include "lib/session/session.h"

/* An exec and a few allocations: a few milliseconds, or as long as a busy machine takes. */
#define READY_MOST_NS UINT64_C(20000000000)

/* Who is started: the collector, by its plan, or another. */
struct helper {
	const char *name, *program;
	const char *const *argv;
	const struct collect_plan *plan; /* NULL: not the collector */
	struct control *control;         /* NULL likewise */
	bool preloaded;                  /* somebody else's code is in us, and heeds what we do */
};

static int above_stdio(int fd)
{
	if (fd < 0)
		return -1;
	int above = fcntl(fd, F_DUPFD, 10);
	return above < 0 ? fcntl(fd, F_DUPFD, 3) : above; /* where the limit is low */
}

/* What the user's program may use is one thing, what we may another: only the hard limits bind us. They
 * are raised before the exec, since the loader needs memory and descriptors, too. */
static void raise_limits(void)
{
	static const __rlimit_resource_t which[] = { RLIMIT_NOFILE, RLIMIT_AS, RLIMIT_DATA,
						     RLIMIT_FSIZE };
	struct rlimit limit;

	for (size_t i = 0; i < sizeof which / sizeof *which; i++) {
		if (getrlimit(which[i], &limit) != 0 || limit.rlim_cur == limit.rlim_max)
			continue;
		limit.rlim_cur = limit.rlim_max;
		setrlimit(which[i], &limit);
	}
}

/* Whoever reads the caller's pipe must see its end, also in a root without /dev/null. The root's
 * directory is there always: it can be neither read nor written, and the number stays taken. */
static void let_go(int number)
{
	int fd = open("/dev/null", O_RDWR);

	if (fd < 0)
		fd = open("/", O_PATH);
	if (fd < 0) {
		close(number);
	} else if (fd != number) {
		dup2(fd, number);
		close(fd);
	}
}

static void detach(int console_fd, int deep_fd, int ready_fd)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	let_go(STDIN_FILENO);
	let_go(STDOUT_FILENO);
	dup2(ready_fd, STDERR_FILENO);
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

static void become(const char *program, const char *const *argv)
{
	unsetenv("LD_PRELOAD"); /* it does not listen to itself */
	/* By system call: an outer session's hook would put its preload back, and listen to us. */
	long error = sysio_call(SYS_execve, (long)program, (long)argv, (long)environ, 0, 0, 0);
	dprintf(STDERR_FILENO, "%s: %s\n", program, strerror((int)-error));
	_exit(127);
}

static void start_helper(const struct helper *helper, int ready_fd)
{
	int above = above_stdio(ready_fd);

	if (above < 0) {
		dprintf(ready_fd, "%s\n", strerror(errno));
		_exit(127);
	}
	raise_limits();
	detach(-1, -1, above);
	become(helper->program, helper->argv);
}

/* An exec, the loader and relocation cost more than all that the collector does for a short program. What
 * it would wipe out besides: the outer session's hooks, or whatever else was preloaded, and what `ps`
 * shows. */
static bool needs_no_exec(const struct helper *helper, const char *const *argv)
{
	return helper->plan->here && !helper->preloaded && title_set(argv) == 0;
}

static void start(const struct helper *helper, int ready_fd)
{
	const struct collect_plan *plan = helper->plan;
	char console[16], deep[16];
	const char *argv[8] = { "hark", "collect", plan->dir };
	int n = 3;
	int console_fd = above_stdio(plan->console_fd), deep_fd = above_stdio(plan->deep_fd);
	int above = above_stdio(ready_fd);

	if (above < 0 || (console_fd < 0 && plan->console_fd >= 0) ||
	    (deep_fd < 0 && plan->deep_fd >= 0)) {
		dprintf(ready_fd, "%s\n", strerror(errno));
		_exit(127);
	}
	raise_limits();
	detach(console_fd, deep_fd, above);
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
	if (needs_no_exec(helper, argv)) {
		struct collect_plan own = *plan;
		own.console_fd = console_fd;
		own.deep_fd = deep_fd;
		_exit(plan->here(&own));
	}
	become(helper->program, argv);
}

/* The first process of a pid namespace gets every orphan in it, and who becomes it by exec would wait
 * for the collector in vain. Not so for a child that adopts orphans, does not exec and so
 * never sends a signal at its end: wait() passes it by. */
static void stand_by(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	prctl(PR_SET_NAME, "hark-orphans");
	close_range(0, ~0u, 0);
	if (chdir("/") == 0)
		while (waitpid(-1, NULL, __WALL) > 0)
			;
}

/* The one in between, which leaves the other to whoever takes orphans. */
static __attribute__((noinline, noreturn)) void stand_between(const struct helper *helper,
							      int ready_fd, bool stays)
{
	setsid();
	if (stays)
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	pid_t second = fork();
	if (second == 0 && helper->plan)
		start(helper, ready_fd);
	if (second == 0)
		start_helper(helper, ready_fd);
	if (second > 0 && helper->control)
		atomic_store(&helper->control->collector_pid, second);
	if (second > 0 && stays)
		stand_by();
	_exit(second > 0 ? 0 : 1);
}

/* A process of its own with our memory and stack, while we wait for its end, as by vfork(): no copy of an
 * address space for three system calls. That this returns twice, only a call deeper on the stack may
 * know; and not by a function for system calls, whose way back would be overwritten. */
static __attribute__((noinline)) pid_t split_for_a_moment(const struct helper *helper, int ready_fd)
{
#if defined(__x86_64__)
	register long fourth __asm__("r10") = 0;
	register long fifth __asm__("r8") = 0;
	long pid;
	__asm__ volatile("syscall"
			 : "=a"(pid)
			 : "a"(SYS_clone), "D"(CLONE_VM | CLONE_VFORK), "S"(0), "d"(0),
			   "r"(fourth), "r"(fifth)
			 : "rcx", "r11", "memory");
#else
	long pid = syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
#endif
	if (pid == 0)
		stand_between(helper, ready_fd, false);
	return (pid_t)pid;
}

/* Without an exit signal: where SIGCHLD is blocked, it would still be pending in the program. */
static int start_twice_removed(const struct helper *helper, int ready_fd)
{
	bool stays = getpid() == 1;
	int status;
	pid_t pid;

	if (stays || helper->preloaded) {
		pid = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
		if (pid == 0)
			stand_between(helper, ready_fd, stays);
	} else {
		pid = split_for_a_moment(helper, ready_fd);
	}
	if (pid < 0)
		return -errno;
	if (!stays && waitpid(pid, &status, __WCLONE) == pid && status != 0)
		return -EAGAIN;
	return 0;
}

/* The first line of what it said, without the name that we put before our own lines. */
static void quote(const char *name_of_it, char *said, char *why, size_t why_bytes)
{
	static const char name[] = "hark: ";
	const size_t length = sizeof name - 1;

	said[strcspn(said, "\n")] = 0;
	if (strncmp(said, name, length) == 0)
		said += length;
	if (*said)
		snprintf(why, why_bytes, "cannot start the %s: %s", name_of_it, said);
	else
		snprintf(why, why_bytes, "the %s died before it was set up", name_of_it);
}

/* Until it is set up or has died; both is heard at once. */
static int hear(const char *name, int fd, char *why, size_t why_bytes)
{
	static const char ready[] = COLLECT_READY;
	const size_t length = sizeof ready - 1;
	uint64_t until = clock_monotonic_ns() + READY_MOST_NS;
	char said[1024];
	size_t used = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_monotonic_ns();
		if (now >= until) {
			snprintf(why, why_bytes, "the %s is not set up after %d s", name,
				 (int)(READY_MOST_NS / 1000000000));
			return -ETIMEDOUT;
		}
		if (poll(&p, 1, (int)((until - now) / 1000000) + 1) < 1)
			continue;
		ssize_t n = read(fd, said + used, sizeof said - 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		used += n > 0 ? (size_t)n : 0;
		said[used] = 0;
		if (used >= length && strcmp(said + used - length, ready) == 0)
			return 0;
		if (n <= 0 || used == sizeof said - 1) {
			quote(name, said, why, why_bytes);
			return -ECHILD;
		}
	}
}

static int spawn(const struct helper *helper, char *why, size_t why_bytes)
{
	int fds[2], adopts = 0;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -errno;
	/* Who adopts orphans would adopt the collector, and the program would meet it in wait(). */
	prctl(PR_GET_CHILD_SUBREAPER, &adopts);
	if (adopts)
		prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	int error = start_twice_removed(helper, fds[1]);
	close(fds[1]);
	if (!error)
		error = hear(helper->name, fds[0], why, why_bytes);
	close(fds[0]);
	if (adopts)
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	return error;
}

int collect_spawn(const struct collect_plan *plan, const char *program, char *why,
		  size_t why_bytes)
{
	struct session session;

	*why = 0;
	/* Not the ring: it would be unmapped again, which costs more than one thinks. */
	int error = session_attach_control(&session, plan->dir);
	if (!error && atomic_load(&session.control->state) != SESSION_LIVE) {
		session_leave(&session);
		error = -ESTALE;
	}
	if (!error) {
		const struct helper helper = { .name = "collector", .program = program,
					       .plan = plan, .control = session.control,
					       .preloaded = getenv("LD_PRELOAD") != NULL };
		error = spawn(&helper, why, why_bytes);
		/* One that comes too late finds that it is not wanted any more. */
		if (error)
			atomic_store(&session.control->state, SESSION_ENDED);
		session_leave(&session);
	}
	if (error && !*why)
		snprintf(why, why_bytes, "cannot start the collector: %s", strerror(-error));
	return error;
}

int collect_spawn_beside(const char *name, const char *program, const char *const *argv, char *why,
			 size_t why_bytes)
{
	const struct helper helper = { .name = name, .program = program, .argv = argv,
				       .preloaded = getenv("LD_PRELOAD") != NULL };

	*why = 0;
	int error = spawn(&helper, why, why_bytes);
	if (error && !*why)
		snprintf(why, why_bytes, "cannot start the %s: %s", name, strerror(-error));
	return error;
}
