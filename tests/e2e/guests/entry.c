/*
 * entry.c - starts a program under odd conditions: `entry CONDITION... -- PROG [ARG...]`.
 *
 * Run by the end-to-end tests, with the hark command as PROG or without it. It changes what a
 * program inherits and becomes PROG; it never says anything unless it fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

struct condition {
	const char *name;
	int (*impose)(long value);
};

static int ignore(long number)
{
	return signal((int)number, SIG_IGN) == SIG_ERR;
}

static int block(long number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, (int)number);
	return sigprocmask(SIG_BLOCK, &set, NULL);
}

static int block_all(long unused)
{
	sigset_t set;

	(void)unused;
	sigfillset(&set);
	return sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Blocked and sent to ourselves: still pending when PROG begins. */
static int pending(long number)
{
	return block(number) || raise((int)number);
}

static int limit(int which, long value)
{
	struct rlimit new = { (rlim_t)value, (rlim_t)value };

	return setrlimit((__rlimit_resource_t)which, &new);
}

static int files(long value) { return limit(RLIMIT_NOFILE, value); }
static int file_size(long value) { return limit(RLIMIT_FSIZE, value); }
static int memory(long value) { return limit(RLIMIT_AS, value << 20); }
static int stack(long value) { return limit(RLIMIT_STACK, value << 10); }
static int mask(long value) { return umask((mode_t)value) & 0; }
static int close_one(long fd) { return close((int)fd); }
static int nicer(long value) { return setpriority(PRIO_PROCESS, 0, (int)value); }
static int slack(long value) { return prctl(PR_SET_TIMERSLACK, value); }
static int reaper(long value) { return prctl(PR_SET_CHILD_SUBREAPER, value, 0, 0, 0); }
static int death(long value) { return prctl(PR_SET_PDEATHSIG, value, 0, 0, 0); }
static int mdwe(long value) { return prctl(65 /* PR_SET_MDWE */, value, 0, 0, 0); }
static int no_new(long value) { return prctl(PR_SET_NO_NEW_PRIVS, value, 0, 0, 0); }

/* What systemd calls MemoryDenyWriteExecute. */
static int no_write_execute(long unused)
{
	enum { SET_MDWE = 65, REFUSE_EXEC_GAIN = 1 };

	(void)unused;
	/* a kernel that does not know it has no such condition */
	return prctl(SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) != 0 && errno != EINVAL;
}

static int open_one(long fd)
{
	int made = open("/dev/null", O_RDWR);

	if (made < 0 || made == fd)
		return made < 0;
	return dup2(made, (int)fd) < 0 || close(made);
}

static int nonblocking(long fd)
{
	return fcntl((int)fd, F_SETFL, fcntl((int)fd, F_GETFL) | O_NONBLOCK);
}

static int timer(long seconds)
{
	struct itimerval value = { .it_value.tv_sec = seconds };

	return setitimer(ITIMER_REAL, &value, NULL);
}

/* One child of ours that PROG inherits, long dead: nobody but PROG may wait for it. */
static int child(long status)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit((int)status);
	siginfo_t info;
	return pid < 0 || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
}

static const struct condition conditions[] = {
	{ "ignore", ignore }, { "block", block }, { "block-all", block_all },
	{ "pending", pending },
	{ "files", files }, { "file-size", file_size }, { "memory", memory }, { "stack", stack },
	{ "umask", mask }, { "close", close_one }, { "open", open_one },
	{ "nonblocking", nonblocking },
	{ "nice", nicer }, { "slack", slack }, { "reaper", reaper }, { "death", death },
	{ "no-new-privileges", no_new }, { "timer", timer }, { "child", child },
	{ "mdwe", mdwe }, { "no-write-execute", no_write_execute },
};

static void impose(const char *word)
{
	size_t length = strcspn(word, "=");
	long value = word[length] ? strtol(word + length + 1, NULL, 0) : 0;

	for (size_t i = 0; i < sizeof(conditions) / sizeof(*conditions); i++) {
		const struct condition *c = &conditions[i];
		if (strlen(c->name) != length || strncmp(c->name, word, length) != 0)
			continue;
		if (c->impose(value)) {
			perror(word);
			_exit(99);
		}
		return;
	}
	fprintf(stderr, "entry: %s: no such condition\n", word);
	_exit(99);
}

int main(int argc, char **argv)
{
	int at = 1;

	for (; at < argc && strcmp(argv[at], "--") != 0; at++)
		impose(argv[at]);
	if (at + 1 >= argc)
		return 99;
	execvp(argv[at + 1], argv + at + 1);
	perror(argv[at + 1]);
	return 99;
}
