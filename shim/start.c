/*
 * start.c - how a process comes to be listened to: it joins the session that its environment names,
 * or, under a bare LD_PRELOAD, has the hark command begin one.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/namespace.h"
#include "lib/base/sysio.h"
#include "lib/base/testpoint.h"
#include "lib/base/text.h"
#include "shim/command.h"
#include "shim/hook.h"
#include "shim/plt.h"
#include "shim/real.h"
#include "shim/sample.h"
#include "shim/shim.h"
#include "shim/stamp.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#define MADV_NONE_SUCH 0x7ffe

enum { PAGE = 4096, STRICT_EXIT = 125 };


static const char *variable(const char *name)
{
	size_t length = strlen(name);

	for (char **entry = environ; entry && *entry; entry++)
		if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
			return *entry + length + 1;
	return NULL;
}

static bool is_set(const char *name)
{
	const char *value = variable(name);
	return value && strcmp(value, "1") == 0;
}

static void complain(const char *what, int error)
{
	char line[600];
	struct text t = text_in(line, sizeof line);

	text_str(&t, "hark: ");
	text_str(&t, what);
	if (error) {
		text_str(&t, " (error ");
		text_u64(&t, (uint64_t)-error);
		text_char(&t, ')');
	}
	text_str(&t, "; output passes through unchanged\n");
	sysio_write(STDERR_FILENO, line, t.len);
}

/* ---- beginning a session, by the hark command ---------------------------------------------------- */

struct starter {
	struct command command;
	char answer_fd[16], pid[16];
	char *environment[1024];
	char *argv[10];
};

/* Who is the first process of a pid namespace gets every orphan in it, the collector too, and would
 * wait for that in vain. So the orphans have somebody nearer: a fork of ours that adopts them. Having
 * no exit signal, and getting none back since it never execs, it is no child for wait() either. */
static void stand_by(struct starter *s)
{
	uint64_t all = UINT64_MAX;

	sysio_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, 0, sizeof all, 0, 0);
	sysio_call(SYS_setsid, 0, 0, 0, 0, 0, 0);
	sysio_call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0, 0);
	sysio_call(SYS_prctl, PR_SET_NAME, (long)"hark-orphans", 0, 0, 0, 0);
	clone(command_child, s->command.stack + COMMAND_STACK, CLONE_VM | CLONE_VFORK,
	      &s->command);
	sysio_call(SYS_close_range, 0, ~0u, 0, 0, 0, 0);
	sysio_call(SYS_chdir, (long)"/", 0, 0, 0, 0, 0);
	while (sysio_call(SYS_wait4, -1, 0, __WALL, 0, 0, 0) > 0)
		;
	sysio_call(SYS_exit_group, 0, 0, 0, 0, 0, 0);
}

static void number(char *to, size_t bytes, uint64_t value)
{
	struct text t = text_in(to, bytes);
	text_u64(&t, value);
	text_cstr(&t);
}

static void prepare(struct starter *s, int answer_fd)
{
	size_t n = 0;

	for (char **entry = environ; *entry && n < 1000; entry++)
		if (strncmp(*entry, "LD_PRELOAD=", 11) != 0) /* it shall not listen to itself */
			s->environment[n++] = *entry;
	s->environment[n] = NULL;
	number(s->answer_fd, sizeof s->answer_fd, (uint64_t)answer_fd);
	number(s->pid, sizeof s->pid, (uint64_t)sysio_getpid());
	char *const argv[] = { s->command.program, (char *)"session", (char *)"--answer-fd",
			       s->answer_fd, (char *)"--pid", s->pid, NULL };
	memcpy(s->argv, argv, sizeof argv);
	s->command.argv = s->argv;
	s->command.environment = s->environment;
}

/* Above the standard descriptors, which may be closed: the command would take it for one of them. It
 * is read when all has ended, and must then not be waited for. */
static int open_answer(int fds[2])
{
	enum { ABOVE = 3 };

	int error = (int)sysio_call(SYS_pipe2, (long)fds, O_NONBLOCK, 0, 0, 0, 0);
	for (int i = 0; i < 2 && !error; i++) {
		if (fds[i] >= ABOVE)
			continue;
		int raised = (int)sysio_call(SYS_fcntl, fds[i], F_DUPFD, ABOVE, 0, 0, 0);
		if (raised < 0)
			error = raised;
		sysio_close(fds[i]);
		fds[i] = raised;
	}
	return error;
}

static size_t read_answer(int fd, char *dir, size_t bytes)
{
	size_t used = 0;

	while (used < bytes - 1) {
		ssize_t n = sysio_read(fd, dir + used, bytes - 1 - used);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	dir[used] = 0;
	return used;
}

static int run_beside(struct starter *s, const int fds[2], char *dir, size_t bytes)
{
	sysio_call(SYS_fcntl, fds[0], F_SETFL, 0, 0, 0, 0); /* nobody but the answer ends the wait */
	pid_t child = (pid_t)sysio_call(SYS_clone, 0, 0, 0, 0, 0, 0);
	if (child == 0)
		stand_by(s);
	sysio_close(fds[1]);
	size_t used = child > 0 ? read_answer(fds[0], dir, bytes) : 0;
	sysio_close(fds[0]);
	return used && dir[0] == '/' ? 0 : -ECHILD;
}

/* The answer is the session's directory. The child sends no SIGCHLD, and only we can wait for it; nor
 * shall a program that adopts orphans meet the collector. */
static int run_starter(struct starter *s, char *dir, size_t bytes)
{
	int fds[2], adopts = 0;

	int error = open_answer(fds);
	if (error)
		return error;
	prepare(s, fds[1]);
	if (sysio_getpid() == 1)
		return run_beside(s, fds, dir, bytes);
	sysio_call(SYS_prctl, PR_GET_CHILD_SUBREAPER, (long)&adopts, 0, 0, 0, 0);
	if (adopts)
		sysio_call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0, 0);
	pid_t child = command_run(&s->command);
	sysio_close(fds[1]);
	if (adopts)
		sysio_call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0, 0);
	size_t used = child > 0 ? read_answer(fds[0], dir, bytes) : 0;
	sysio_close(fds[0]);
	command_wait(child);
	if (s->command.error)
		complain("cannot start the hark command", s->command.error);
	return used && dir[0] == '/' ? 0 : -ECHILD;
}

static int begin_session(char *dir, size_t bytes)
{
	const size_t mapped = sizeof(struct starter) + 2 * COMMAND_STACK;
	struct starter *s = sysio_map(mapped, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sysio_is_error(s))
		return (int)(intptr_t)s;
	s->command.stack = (char *)s + sizeof *s;
	int error = -ENOENT;
	if (namespace_awaits_first()) {
		complain("the program's first child begins a pid namespace, and must not be hark's",
			 0);
		error = -ENOTSUP;
	} else if (command_find(&s->command))
		error = run_starter(s, dir, bytes);
	/* In a chroot that the session was carried into, neither is there: not the user's mistake. */
	if (error == -ENOENT && !variable("HARK_SESSION"))
		complain("no hark command beside the shim or in ../bin", 0);
	if (error && is_set("HARK_STRICT"))
		sysio_call(SYS_exit_group, STRICT_EXIT, 0, 0, 0, 0, 0);
	sysio_unmap(s, mapped);
	return error;
}

/* libc starts children of its own (system, popen) with `environ`, past our hooks. No malloc here, so
 * the list is copied to pages of ours. */
static void enter_environment(const char *entry)
{
	size_t count = 0;

	while (environ && environ[count])
		count++;
	char **list = sysio_map((count + 2) * sizeof *list, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sysio_is_error(list))
		return;
	size_t n = 0;
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], "HARK_SESSION=", 13) != 0)
			list[n++] = environ[i];
	list[n] = (char *)entry;
	environ = list;
}

/* ---- joining ------------------------------------------------------------------------------------ */

static bool ring_alive(void)
{
	return atomic_load(&shim.session.control->state) == SESSION_LIVE &&
	       session_alive(shim.session.control);
}

#ifdef HARK_TESTPOINTS
/* What a kernel does at fork() where an emulator does not; pids are asked for there. */
static void wipe(void) { *shim.epoch = (struct shim_epoch){ .value = (uint32_t)sysio_getpid() }; }
static bool wiped(void)
{
	return TESTPOINT_ON(wipe_on_fork) && pthread_atfork(NULL, NULL, wipe) == 0;
}
#else
static bool wiped(void) { return false; }
#endif

static int watch_forks(void)
{
	struct shim_epoch *page = sysio_map(PAGE, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sysio_is_error(page))
		return (int)(intptr_t)page;
	/* qemu's user mode says yes to every advice, even one that does not exist, and does nothing. */
	shim.unadvised = sysio_call(SYS_madvise, (long)page, PAGE, MADV_NONE_SUCH, 0, 0, 0) == 0 ||
			 sysio_call(SYS_madvise, (long)page, PAGE, MADV_WIPEONFORK, 0, 0, 0) != 0;
	if (!shim.unadvised || wiped())
		atomic_store(&page->value, (uint32_t)sysio_getpid());
	shim.epoch = page;
	return 0;
}

/* HARK_FDS=1:0,7:2 - descriptors that are duplicates of captured files, from before an exec */
static void take_duplicates(void)
{
	const char *at = variable("HARK_FDS");

	while (at && *at) {
		char *end;
		unsigned long fd = strtoul(at, &end, 10);
		unsigned long which = *end == ':' ? strtoul(end + 1, &end, 10) : CONTROL_CHOSEN;
		if (fd < SHIM_FDS && which < shim.chosen_count &&
		    capture_still((int)fd, FD_CAPTURED + (unsigned)which))
			atomic_store(&shim.fds[fd], (uint8_t)(FD_CAPTURED + which));
		at = *end == ',' ? end + 1 : NULL;
	}
}

static void introduce(void)
{
	struct record_join join = { 0 };
	struct record_info info = { .fd = 0xffff, .source = SOURCE_HARK, .kind = RECORD_JOIN };
	struct iovec part = { &join, sizeof join };
	static const char namespace[] = "/proc/self/ns/pid";
	struct stat st;

	if (sysio_call(SYS_newfstatat, AT_FDCWD, (long)namespace, (long)&st, 0, 0, 0) == 0)
		join.pid_namespace = st.st_ino;
	join.parent = (uint32_t)sysio_call(SYS_getppid, 0, 0, 0, 0, 0, 0);
	sysio_call(SYS_prctl, PR_GET_NAME, (long)join.comm, 0, 0, 0, 0);
	sysio_call(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)join.path,
		   sizeof join.path - 1, 0, 0);
	capture_message(&info, &part, 1);
}

/* Whatever bounds a loop or an array is read once, and is ours from then on. */
static void take_settings(const struct control *c)
{
	unsigned count = *(const volatile uint32_t *)&c->chosen_count;

	shim.chosen_count = count < CONTROL_CHOSEN ? count : CONTROL_CHOSEN;
	memcpy(shim.chosen, c->chosen, sizeof shim.chosen);
	memcpy(shim.paths, c->paths, sizeof shim.paths - 2); /* two NULs are left, which end the list */
	shim.policy = (struct ring_policy){ .overflow = (enum ring_overflow)c->overflow,
					    .timeout_ns = c->overflow_ns,
					    .alive = ring_alive };
	shim.first = c->first_pid == sysio_getpid();
}

/* Where addresses are limited, the ring must not take what the program asks for next. */
static int leave_room(void)
{
	enum { ROOM = 1 << 20 };
	struct rlimit limit;

	if (sysio_call(SYS_prlimit64, 0, RLIMIT_AS, 0, (long)&limit, 0, 0) != 0 ||
	    limit.rlim_cur == RLIM_INFINITY)
		return 0;
	void *room = sysio_map(ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sysio_is_error(room)) {
		session_leave(&shim.session);
		return -ENOMEM;
	}
	sysio_unmap(room, ROOM);
	return 0;
}

static int join(const char *dir)
{
	int error = session_join(&shim.session, dir);
	if (!error)
		error = leave_room();
	if (!error)
		error = watch_forks();
	if (error)
		return error;
	take_settings(shim.session.control);
	struct text t = text_in(shim.session_entry, sizeof shim.session_entry);
	text_str(&t, "HARK_SESSION=");
	text_str(&t, dir);
	text_cstr(&t);
	return t.cut ? -ENAMETOOLONG : 0;
}

/* Of all processes that cannot join it, one says so. A link needs no descriptor, which may be what is
 * lacking. */
static bool first_outside(const char *dir)
{
	char path[512];
	struct text t = text_in(path, sizeof path);

	text_str(&t, dir);
	text_str(&t, "/outside");
	text_cstr(&t);
	return sysio_call(SYS_symlinkat, (long)"1", AT_FDCWD, (long)path, 0, 0, 0) != -EEXIST;
}

static void find_ourselves(void)
{
	Dl_info info;
	struct text t = text_in(shim.preload, sizeof shim.preload);

	if (dladdr((void *)shim_start, &info) && info.dli_fname)
		text_str(&t, info.dli_fname);
	text_cstr(&t);
}

static bool start(void)
{
	char dir[400];
	const char *given = variable("HARK_SESSION");

	real_resolve_early();
	/* Loaded by /etc/ld.so.preload or as a setuid library into a program that may do more than who
	 * started it: whatever stands in the environment is his to say, and not to be followed. */
	if (getauxval(AT_SECURE) || is_set("HARK_DISABLE"))
		return false;
	find_ourselves();
	/* Ours, too, is the session's time: not what another preload makes of it for the program. */
	clock_use(real_of_libc("clock_gettime", "GLIBC_2.17"));
	const char *joined = given;
	int error = given && *given ? join(given) : -ENOENT;
	if (error == -ENOENT || error == -ESTALE) {
		/* None yet, or one that has ended: we begin our own. */
		if (begin_session(dir, sizeof dir) != 0) {
			/* The command has said why: our children need not say it again. */
			enter_environment("HARK_DISABLE=1");
			return false;
		}
		joined = dir;
		error = join(dir);
		if (!error)
			enter_environment(shim.session_entry);
	}
	if (error) {
		/* Another user's session (su, sudo) is closed to us by design: no reason to complain. Nor
		 * is there one where the program's stderr is a file of its own, which it may read. */
		if (error != -EACCES && error != -EPERM &&
		    (!given || session_owns(given, STDERR_FILENO) != 0) && first_outside(joined))
			complain("cannot join the session", error);
		return false;
	}
	if (shim.preload[0] != '/')
		memcpy(shim.preload, shim.session.control->preload, sizeof shim.preload - 1);
	return true;
}

void shim_start(void)
{
	uint32_t fresh = SHIM_NEW;
	int saved = errno;

	if (!environ || !atomic_compare_exchange_strong(&shim.stage, &fresh, SHIM_STARTING))
		return;
#ifdef HARK_TESTPOINTS
	testpoint_from_environment();
#endif
	if (!start()) {
		atomic_store(&shim.stage, SHIM_PASSING);
		errno = saved;
		return;
	}
	stack_begin();
	atomic_store(&shim.stage, SHIM_LISTENING);
	thread_know();
	stamp_begin();
	take_duplicates();
	introduce();
	capture_begin();
	if (!hook_stdio())
		hook_stdio_public = true;
	hook_abort();
	plt_begin();
	sample_begin();
	errno = saved;
}

__attribute__((constructor(101))) static void construct(void)
{
	sanitizer_begin();
	shim_start();
}
