/*
 * portrait.c - what a program can see of itself: its descriptors, signals, threads, relatives.
 *
 * Says a few words first, then states everything, one fact a line. Run by test_identity.py, which
 * compares with a native run; `identity` is compared with what the runner made descriptor 2 of.
 */
#include "tests/preload/case.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <syslog.h>
#include <termios.h>

static void speak(void)
{
	for (int i = 0; i < 20; i++)
		fprintf(stderr, "words %d\n", i);
	if (write(2, "by write\n", 9) != 9)
		state("write failed");
	syslog(LOG_INFO, "by syslog");
}

static void describe(int fd)
{
	struct stat st;
	char target[256] = "", path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, target, sizeof(target) - 1) < 0)
		strcpy(target, "?");
	target[strcspn(target, "0123456789[")] = '\0'; /* numbers differ from run to run */
	char *place = strstr(target, "hark-test-");
	if (place)
		*place = '\0';
	int failed = fstat(fd, &st);
	state("fd %d: fstat %d, mode %o, %s, fcntl %x %x", fd, failed, st.st_mode, target,
	      (unsigned)fcntl(fd, F_GETFL), (unsigned)fcntl(fd, F_GETFD));
}

static void say_descriptor(void)
{
	struct stat st, named;
	struct winsize size;
	struct termios settings;
	char name[64] = "";
	int type = -1;
	socklen_t bytes = sizeof(type);

	for (int round = 0; round < 2; round++) {
		describe(2);
		if (fstat(2, &st))
			give_up("fstat");
		state("identity %lu %lu", (unsigned long)st.st_dev, (unsigned long)st.st_ino);
		state("isatty %d, fileno %d", isatty(2), fileno(stderr));
		int error = ttyname_r(2, name, sizeof(name));
		int same = !error && stat(name, &named) == 0 && named.st_ino == st.st_ino;
		state("ttyname %d %d", error, same);
		state("tcgetattr %d", tcgetattr(2, &settings));
		state("winsize %d", ioctl(2, TIOCGWINSZ, &size));
		state("tcgetpgrp %d", tcgetpgrp(2) == getpid());
		state("pipe size %d", fcntl(2, F_GETPIPE_SZ));
		state("socket type %d %d", getsockopt(2, SOL_SOCKET, SO_TYPE, &type, &bytes), type);
		state("mode of stderr %d %zu %d", __flbf(stderr), __fbufsize(stderr),
		      __fwriting(stderr));
		speak();
	}
	state("fcntl %d", fcntl(2, F_SETFL, fcntl(2, F_GETFL) | O_NONBLOCK));
	state("flags %x", (unsigned)fcntl(2, F_GETFL));
	state("fcntl %d", fcntl(2, F_SETFL, fcntl(2, F_GETFL) & ~O_NONBLOCK));
	state("fcntl %d", fcntl(2, F_SETFD, FD_CLOEXEC));
	state("flags %x", (unsigned)fcntl(2, F_GETFD));
}

static void count_entries(const char *path, const char *what)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	int nr = 0;

	while (directory && (entry = readdir(directory)))
		nr += entry->d_name[0] != '.';
	state("%s %d", what, nr);
	if (directory)
		closedir(directory);
}

static void say_descriptors(void)
{
	for (int round = 0; round < 2; round++) {
		for (int fd = 0; fd < 1024; fd++)
			if (fcntl(fd, F_GETFD) >= 0)
				describe(fd);
		count_entries("/proc/self/fd", "descriptors");
		state("next %d", dup(2));
		speak();
	}
}

static void say_signals(void)
{
	sigset_t blocked, pending;

	for (int round = 0; round < 2; round++) {
		sigprocmask(SIG_BLOCK, NULL, &blocked);
		sigpending(&pending);
		for (int signo = 1; signo <= 64; signo++) {
			struct sigaction action;

			if (sigaction(signo, NULL, &action))
				continue;
			state("signal %d: %s, flags %x, blocked %d, pending %d", signo,
			      action.sa_handler == SIG_DFL ? "default"
			      : action.sa_handler == SIG_IGN ? "ignored" : "handled",
			      (unsigned)action.sa_flags, sigismember(&blocked, signo),
			      sigismember(&pending, signo));
		}
		stack_t stack;
		sigaltstack(NULL, &stack);
		state("alternate stack %x", (unsigned)stack.ss_flags);
		for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
			struct itimerval value;
			getitimer(which, &value);
			state("timer %d: %ld", which,
			      value.it_value.tv_sec + value.it_value.tv_usec);
		}
		speak();
	}
}

static void say_relatives(void)
{
	int status;

	for (int round = 0; round < 2; round++) {
		count_entries("/proc/self/task", "threads");
		errno = 0;
		state("wait %d %d", waitpid(-1, &status, WNOHANG), errno);
		siginfo_t info;
		errno = 0;
		state("waitid %d %d", waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG), errno);
		state("group %d, session %d", getpgrp() == getpid(), getsid(0) == getpid());
		speak();
	}
	pid_t pid = fork();
	if (pid == 0)
		_exit(7);
	pid_t found = wait(&status);
	state("the only child %d %d", found == pid, WEXITSTATUS(status));
	state("wait %d %d", wait(&status), errno);
}

static void say_process(void)
{
	char line[PATH_MAX];
	int value = -1;

	speak();
	for (int i = 0; i < 16; i++) {
		struct rlimit limit;
		getrlimit((__rlimit_resource_t)i, &limit);
		state("limit %d %lu %lu", i, (unsigned long)limit.rlim_cur,
		      (unsigned long)limit.rlim_max);
	}
	mode_t mask = umask(0);
	state("umask %o, nice %d, scheduler %d", mask, getpriority(PRIO_PROCESS, 0),
	      sched_getscheduler(0));
	state("dumpable %d, no new privileges %d, slack %d", prctl(PR_GET_DUMPABLE),
	      prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_TIMERSLACK));
	state("death signal %d %d", prctl(PR_GET_PDEATHSIG, &value), value);
	state("subreaper %d %d", prctl(PR_GET_CHILD_SUBREAPER, &value), value);
	state("parent %d", getppid());
	state("names %s %s", program_invocation_name, program_invocation_short_name);
	ssize_t n = readlink("/proc/self/exe", line, sizeof(line) - 1);
	line[n > 0 ? n : 0] = '\0';
	state("exe %s", line);
	prctl(PR_GET_NAME, line);
	state("comm %s", line);
	state("locale %s", setlocale(LC_ALL, NULL));
	struct sched_param parameters;
	state("param %d", sched_getparam(0, &parameters));
	cpu_set_t cpus;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	state("cpus %d", CPU_COUNT(&cpus));
}

static const struct test_case cases[] = {
	CASE(descriptor, ""),
	CASE(descriptors, ""),
	CASE(signals, ""),
	CASE(relatives, ""),
	CASE(process, ""),
};

CASES_MAIN(cases)
