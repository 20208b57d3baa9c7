/*
 * relatives.c - a child's descriptor 2, or the next image's, is not its parent's.
 *
 * What a child does with its descriptors must not change what is captured of its parent, although
 * a child of vfork shares all memory with it. Natively, what reaches the real stderr is what must
 * be captured; the rest lands in the file `data` or on stdout. Run by test_identity.py.
 */
#include "tests/preload/case.h"

#include <fcntl.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static int data(void)
{
	int fd = open("data", O_WRONLY | O_CREAT | O_APPEND, 0600);

	if (fd < 0)
		give_up("data");
	return fd;
}

static void say(const char *text)
{
	fprintf(stderr, "%s\n", text);
	dprintf(2, "%s, by dprintf\n", text);
	ssize_t n = write(2, text, strlen(text));
	n += write(2, "\n", 1);
	if (n != (ssize_t)strlen(text) + 1)
		state("write %zd errno %d", n, errno);
}

static char self[512];

static char **speaker(const char *mode, const char *text)
{
	static char *argv[4];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		give_up("readlink");
	self[n] = '\0';
	argv[0] = self;
	argv[1] = (char *)mode;
	argv[2] = (char *)text;
	return argv;
}

static void say_speak(void)
{
	say(case_argc > 2 ? case_argv[2] : "spoken");
}

/* The text goes to descriptor 5, which this image has never seen being made. */
static void say_speak_5(void)
{
	state("dprintf %d", dprintf(5, "%s\n", case_argc > 2 ? case_argv[2] : "spoken") > 0);
}

static void reap(pid_t pid)
{
	int status = -1;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		give_up("waitpid");
	state("child %d", status);
}

static void say_close_on_exec(void)
{
	char **argv = speaker("speak", "in another image: 2 is closed there");

	state("%d", close_range(2, 2, CLOSE_RANGE_CLOEXEC));
	say("marked close-on-exec, still open");
	pid_t pid = fork();
	if (pid == 0) {
		execv(argv[0], argv);
		_exit(127);
	}
	reap(pid);
	state("%d", fcntl(2, F_SETFD, 0));
	say("and after");
}

static void say_fork_redirects(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		dup2(data(), 2);
		say("the child's, in the file");
		_exit(0);
	}
	reap(pid);
	say("the parent's");
}

static void say_vfork_redirects(void)
{
	char **argv = speaker("speak", "after exec, in the file");
	int fd = data();
	pid_t pid = vfork();

	if (pid == 0) {
		dup2(fd, 2);
		execv(argv[0], argv);
		_exit(127);
	}
	reap(pid);
	say("the parent's");
}

static void say_vfork_closes(void)
{
	char **argv = speaker("speak", "after exec, in the file");
	pid_t pid = vfork();

	if (pid == 0) {
		close(2);
		if (open("data", O_WRONLY | O_CREAT | O_APPEND, 0600) == 2)
			execv(argv[0], argv);
		_exit(127);
	}
	reap(pid);
	say("the parent's");
}

static void say_vfork_writes(void)
{
	int fd = data();
	pid_t pid = vfork();

	if (pid == 0) {
		ssize_t n = dup2(fd, 2) == 2 ? write(2, "the child's, in the file\n", 25) : 0;
		_exit(n == 25 ? 0 : 1);
	}
	reap(pid);
	say("the parent's");
}

static void say_vfork_fails(void)
{
	int fd = data();
	pid_t pid = vfork();

	if (pid == 0) {
		dup2(fd, 2);
		execl("/nonexistent", "nonexistent", NULL);
		_exit(126);
	}
	reap(pid);
	say("the parent's");
}

static void say_vfork_undoes(void)
{
	int fd = data();

	/* The other way round: 2 is elsewhere, the child moves its own back. */
	int saved = dup(2);
	dup2(fd, 2);
	pid_t pid = vfork();
	if (pid == 0) {
		ssize_t n = dup2(saved, 2) == 2 ? write(2, "the child's\n", 12) : 0;
		_exit(n == 12 ? 0 : 1);
	}
	reap(pid);
	say("the parent's, in the file");
}

static int cloned(void *argv)
{
	close(2);
	if (open("data", O_WRONLY | O_CREAT | O_APPEND, 0600) == 2)
		execv(((char **)argv)[0], argv);
	_exit(127);
}

static void say_clone_redirects(void)
{
	static char stack[16 * 1024] __attribute__((aligned(16)));

	reap(clone(cloned, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD,
		   speaker("speak", "after clone, in the file")));
	say("the parent's");
}

static void spawn(posix_spawn_file_actions_t *actions, const char *text)
{
	char **argv = speaker("speak", text);
	pid_t pid;

	int error = posix_spawn(&pid, argv[0], actions, NULL, argv, environ);
	reap(pid); /* first: the child states something, too */
	state("posix_spawn %d", error);
	posix_spawn_file_actions_destroy(actions);
}

static void say_spawn_redirects(void)
{
	posix_spawn_file_actions_t actions;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 2, "data", O_WRONLY | O_CREAT | O_APPEND, 0600);
	spawn(&actions, "spawned, in the file");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	spawn(&actions, "spawned, on stdout");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addclose(&actions, 2);
	spawn(&actions, "spawned, with 2 closed");
	posix_spawn_file_actions_init(&actions);
	spawn(&actions, "spawned, with 2 as it is");
	say("the parent's");
}

static void say_system_redirects(void)
{
	state("system %d", system("echo in the file 2>data >&2"));
	state("system %d", system("echo on stderr >&2"));
	state("system %d", system("exec 2>/dev/null; echo nowhere >&2"));
	say("the parent's");
}

static void say_exec_redirected(void)
{
	char **argv = speaker("speak", "after exec, in the file");

	say("before");
	dup2(data(), 2);
	execv(argv[0], argv);
}

static void say_exec_duplicate(void)
{
	char **argv = speaker("speak_5", "to a duplicate handed on through exec");

	dup2(2, 5);
	dup2(data(), 2);
	execv(argv[0], argv);
}

static void say_exec_swapped(void)
{
	char **argv = speaker("speak", "stderr is what stdout was");

	dup2(1, 2);
	execv(argv[0], argv);
}

/* Its descriptor 2 is another terminal before it does anything. */
static void say_forkpty(void)
{
	char came[1000];
	size_t length = 0;
	int master;
	pid_t pid = forkpty(&master, NULL, NULL, NULL);

	if (pid == 0) {
		say("the child's, on its terminal");
		_exit(0);
	}
	for (ssize_t n; (n = read(master, came + length, sizeof(came) - 1 - length)) > 0;)
		length += (size_t)n;
	came[length] = 0;
	for (char *line = strtok(came, "\r\n"); line; line = strtok(NULL, "\r\n"))
		state("came: %s", line);
	reap(pid);
	say("the parent's");
}

static void state_of_abort(void)
{
	struct sigaction now;

	sigaction(SIGABRT, NULL, &now);
	state("SIGABRT: default %d, ignored %d, flags %x", now.sa_handler == SIG_DFL,
	      now.sa_handler == SIG_IGN, (unsigned)now.sa_flags);
}

/* Who takes the signal in a vfork child has not taken it from the parent. */
static void say_vfork_ignores_abort(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		signal(SIGABRT, SIG_IGN);
		state_of_abort();
		_exit(0);
	}
	reap(pid);
	state_of_abort();
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
/* Ways to take it that are older, or inside of libc. */
static void say_older_ways_with_abort(void)
{
	state("held: was default %d", sigset(SIGABRT, SIG_HOLD) == SIG_DFL);
	state_of_abort();
	state("was held %d", sigset(SIGABRT, SIG_DFL) == SIG_HOLD);
	state_of_abort();
	state("%d", sigignore(SIGABRT));
	state_of_abort();
	state("was ignored %d", signal(SIGABRT, SIG_DFL) == SIG_IGN);
	state_of_abort();
}

enum { PART = 100000, PARTS = 40 };
static char *long_environment[PARTS + 1];

/* Parts of so many bytes altogether. */
static char **environment_of(size_t bytes)
{
	static char text[PARTS][PART + 1];
	size_t nr = 0;

	for (; bytes && nr < PARTS; nr++) {
		size_t some = bytes < PART ? bytes : PART;
		memset(text[nr], 'x', some);
		text[nr][some] = 0;
		long_environment[nr] = text[nr];
		bytes -= some;
	}
	long_environment[nr] = NULL;
	return long_environment;
}

/* The longest environment that the kernel takes: it is taken, though ours finds no room in it. */
static void say_exec_longest(void)
{
	static char *argv[] = { (char *)"true", NULL };
	size_t low = 0, high = (size_t)PART * PARTS, middle;

	while ((middle = (low + high) / 2) != low) {
		char **environment = environment_of(middle);
		int status = -1;
		pid_t pid = vfork();
		if (pid == 0)
			_exit(raw_syscall3(SYS_execve, (long)"/bin/true", (long)argv,
					   (long)environment) == -E2BIG ? 7 : 8);
		if (pid < 0 || waitpid(pid, &status, 0) != pid ||
		    (status && WEXITSTATUS(status) != 7))
			give_up("looking for the longest");
		*(status ? &high : &low) = middle;
	}
	pid_t pid;
	state("spawned %d", posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environment_of(low)));
	reap(pid);
	execve("/bin/true", argv, environment_of(low));
	state("refused: %d", errno);
}

static const struct test_case cases[] = {
	CASE(speak, ""),
	CASE(close_on_exec, ""),
	CASE(fork_redirects, ""),
	CASE(vfork_redirects, ""),
	CASE(vfork_closes, ""),
	CASE(vfork_writes, ""),
	CASE(vfork_fails, ""),
	CASE(vfork_undoes, "quiet"),
	CASE(clone_redirects, ""),
	CASE(spawn_redirects, ""),
	CASE(system_redirects, ""),
	CASE(exec_redirected, ""),
	CASE(exec_duplicate, ""),
	CASE(exec_swapped, "quiet"),
	CASE(forkpty, ""),
	CASE(vfork_ignores_abort, "quiet"),
	CASE(older_ways_with_abort, "quiet"),
	CASE(exec_longest, "quiet"),
	CASE(speak_5, "helper"),
};

CASES_MAIN(cases)
