/*
 * process.c - text from children of every kind, and from the images that follow one another.
 *
 * A child is the same binary with the case `speak`, or the forked program itself. Each states its
 * own pid with its line, so that the runner sees whose line it was.
 */
#include "tests/preload/case.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static void say_line(const char *text)
{
	expect_stderr(text);
	fprintf(stderr, "%s\n", text);
}

static char self[512];

static char **speaker(const char *text)
{
	static char *argv[4];

	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		give_up("readlink");
	self[n] = '\0';
	argv[0] = self;
	argv[1] = (char *)"speak";
	argv[2] = (char *)text;
	return argv;
}

static void say_speak(void)
{
	say_line(case_argc > 2 ? case_argv[2] : "spoken");
}

static void reap(pid_t pid)
{
	int status = -1;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		give_up("waitpid");
	state("child %d", status);
}

static void say_fork(void)
{
	say_line("parent before");
	pid_t pid = fork();
	if (pid == 0) {
		say_line("child");
		exit(3);
	}
	reap(pid);
	say_line("parent after");
}

static void say_fork_syscall(void)
{
#ifdef SYS_fork
	pid_t pid = (pid_t)syscall(SYS_fork);
#else
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
#endif

	if (pid == 0) {
		say_line("child of a bare system call");
		_exit(3);
	}
	reap(pid);
	say_line("parent");
}

static void say_fork_pending(void)
{
	setvbuf(stderr, NULL, _IOFBF, 4096);
	fprintf(stderr, "buffered before fork, said by both\n");
	pid_t pid = fork();
	if (pid == 0)
		exit(0);
	reap(pid);
}

static void say_fork_unfinished(void)
{
	/* The beginning is the parent's, the rest the child's: two writers, two messages. */
	if (write(2, "begun by the parent", 19) != 19)
		state("short write");
	pid_t pid = fork();
	if (pid == 0) {
		say_line("a line of the child");
		_exit(0);
	}
	reap(pid);
	state("expect {\"source\":\"stderr\",\"pid\":%d,"
	      "\"msg\":\"begun by the parent, and ended\"}",
	      (int)getpid());
	fprintf(stderr, ", and ended\n");
}

static void say_fork_many(void)
{
	char text[32];

	for (int i = 0; i < 20; i++) {
		if (fork() == 0) {
			snprintf(text, sizeof(text), "child %d", i);
			say_line(text);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
}

static void say_grandchildren(void)
{
	char text[32];
	int depth = 0;
	pid_t pid;

	while ((pid = fork()) == 0 && depth < 5)
		depth++;
	if (pid > 0)
		waitpid(pid, NULL, 0);
	snprintf(text, sizeof(text), "generation %d", depth + (pid == 0));
	say_line(text);
}

/* The child outlives the parent: it waits for the end of a pipe that the parent holds. */
static void say_orphan(void)
{
	int ends[2];
	char c;

	if (pipe(ends))
		give_up("pipe");
	if (fork() == 0) {
		close(ends[1]);
		if (read(ends[0], &c, 1) == 0)
			say_line("the parent has gone");
		_exit(0);
	}
	say_line("the parent goes");
}

static void say_double_fork(void)
{
	int ends[2];
	char c;

	if (pipe(ends))
		give_up("pipe");
	pid_t pid = fork();
	if (pid == 0) {
		setsid();
		if (fork() == 0)
			say_line("a daemon");
		_exit(0);
	}
	reap(pid);
	close(ends[1]);
	while (read(ends[0], &c, 1) > 0)
		;
	say_line("its starter");
}

static void say_vfork(void)
{
	char **argv = speaker("after vfork and exec");
	pid_t pid = vfork();

	if (pid == 0) {
		execv(argv[0], argv);
		_exit(127);
	}
	reap(pid);
	say_line("the parent after vfork");
}

static void say_vfork_write(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		ssize_t n = write(2, "in the child of vfork\n", 22);
		_exit(n == 22 ? 4 : 5);
	}
	reap(pid);
	say_line("the parent after vfork");
}

static void say_vfork_failed_exec(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execl("/nonexistent", "nonexistent", NULL);
		ssize_t n = write(2, "exec failed\n", 12);
		_exit(n == 12 ? 6 : 7);
	}
	reap(pid);
	say_line("the parent");
}

static int cloned(void *argv)
{
	execv(((char **)argv)[0], argv);
	_exit(127);
}

static void say_clone_vfork(void)
{
	static char stack[5 * 1024] __attribute__((aligned(16)));

	reap(clone(cloned, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD,
		   speaker("after clone on a small stack")));
	say_line("the parent");
}

static void say_posix_spawn(void)
{
	char **argv = speaker("spawned");
	pid_t pid;

	state("posix_spawn %d", posix_spawn(&pid, argv[0], NULL, NULL, argv, environ));
	reap(pid);
	state("posix_spawnp %d", posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ));
	reap(pid);
}

static void say_spawn_failed(void)
{
	char *argv[] = { (char *)"nonexistent", NULL };
	pid_t pid;

	state("posix_spawn %d", posix_spawn(&pid, "/nonexistent", NULL, NULL, argv, environ));
	say_line("nothing was spawned");
}

static void command(char *line, size_t bytes, const char *text)
{
	snprintf(line, bytes, "'%s' speak '%s'", speaker("")[0], text);
}

static void say_system(void)
{
	char line[600];

	command(line, sizeof(line), "by system");
	state("system %d", system(line));
	state("system %d", system("echo the shell itself >&2; exit 5"));
	say_line("the parent");
}

static void say_popen_read(void)
{
	char line[600];

	command(line, sizeof(line), "by popen");
	FILE *stream = popen(line, "r");
	state("read %d", fgetc(stream));
	state("pclose %d", pclose(stream));
}

static void say_popen_write(void)
{
	FILE *stream = popen("cat >&2", "w");

	fprintf(stream, "through a pipe to cat\n");
	state("pclose %d", pclose(stream));
}

static void say_popen_two(void)
{
	FILE *first = popen("cat >&2", "w"), *second = popen("echo second >&2; cat", "r");

	while (fgetc(second) != EOF)
		;
	state("pclose %d", pclose(second));
	fprintf(first, "first\n");
	state("pclose %d", pclose(first));
}

static void say_exec(void)
{
	char **argv = speaker("after exec");

	say_line("before exec");
	execv(argv[0], argv);
}

static void say_exec_kinds(void)
{
	char **argv = speaker("by another exec");
	pid_t pid;

	setenv("PATH", "/nonexistent:/usr/bin:/bin", 1);
	for (int kind = 0; kind < 7; kind++) {
		pid = fork();
		if (pid == 0) {
			int fd = open(self, O_RDONLY | O_CLOEXEC);

			switch (kind) {
			case 0: execve(argv[0], argv, environ); break;
			case 1: execvp(argv[0], argv); break;
			case 2: execvpe(argv[0], argv, environ); break;
			case 3: execl(self, self, argv[1], argv[2], NULL); break;
			case 4: execlp(self, self, argv[1], argv[2], NULL); break;
			case 5: execle(self, self, argv[1], argv[2], NULL, environ); break;
			default: fexecve(fd, argv, environ); break;
			}
			_exit(127);
		}
		reap(pid);
	}
}

static void say_exec_unfinished(void)
{
	char **argv = speaker("after exec");

	if (write(2, "the old image did not end its line, ", 36) != 36)
		state("short write");
	argv[1] = (char *)"end_line";
	execv(argv[0], argv);
}

static void say_end_line(void)
{
	fprintf(stderr, "the new one did\n");
}

static void say_exec_failed(void)
{
	char *argv[] = { (char *)"nonexistent", NULL };

	say_line("before");
	state("execv %d %d", execv("/nonexistent", argv), errno);
	errno = 0;
	state("execvp %d %d", execvp("nonexistent-too", argv), errno);
	say_line("after");
}

/* An environment of the caller's own must not lose the session. */
static void say_exec_empty_environment(void)
{
	char **argv = speaker("with an empty environment"), *none[] = { NULL };
	pid_t pid = fork();

	if (pid == 0) {
		execve(argv[0], argv, none);
		_exit(127);
	}
	reap(pid);
	state("posix_spawn %d", posix_spawn(&pid, argv[0], NULL, NULL, argv, none));
	reap(pid);
	state("system %d", system("env -i /bin/sh -c 'echo env -i >&2'"));
	pid = fork();
	if (pid == 0) {
		clearenv();
		execv(argv[0], argv);
		_exit(127);
	}
	reap(pid);
}

static void say_shells(void)
{
	state("system %d", system("sh -c 'bash -c \"env perl -we 4+4\"'"));
}

static void say_child_killed(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		say_line("the child before SIGKILL");
		raw_syscall3(SYS_kill, getpid(), SIGKILL, 0);
	}
	reap(pid);
	say_line("the parent");
}

static const struct test_case cases[] = {
	CASE(speak, ""),
	CASE(end_line, ""),
	CASE(fork, "others"),
	CASE(fork_syscall, "others"),
	CASE(fork_pending, "others"),
	CASE(fork_unfinished, "others stated pieces"),
	CASE(fork_many, "others stated"),
	CASE(grandchildren, "others"),
	CASE(orphan, "others late unordered file pipe socket"),
	CASE(double_fork, "others late unordered"),
	CASE(vfork, "others"),
	CASE(vfork_write, "others"),
	CASE(vfork_failed_exec, "others"),
	CASE(clone_vfork, "others"),
	CASE(posix_spawn, "others"),
	CASE(spawn_failed, ""),
	CASE(system, "others"),
	CASE(popen_read, "others"),
	CASE(popen_write, "others"),
	CASE(popen_two, "others"),
	CASE(exec, ""),
	CASE(exec_kinds, "others"),
	CASE(exec_unfinished, "joined"),
	CASE(exec_failed, ""),
	CASE(exec_empty_environment, "others"),
	CASE(shells, "others"),
	CASE(child_killed, "others"),
};

CASES_MAIN(cases)
