/*
 * init.c - the first process of a pid namespace: which children does it have? Run by test_inside.py.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void wait_all(const char *when)
{
	int status, pids = 0;

	while (wait(&status) > 0)
		pids++;
	printf("%s: %d, then %s\n", when, pids, errno == ECHILD ? "none" : "an error");
}

int main(void)
{
	alarm(20); /* where somebody is waited for in vain */
	signal(SIGALRM, SIG_DFL);
	printf("pid %d\n", getpid());
	pid_t any = waitpid(-1, NULL, WNOHANG);
	printf("at first: %d\n", any < 0 && errno == ECHILD ? 0 : 1);
	fprintf(stderr, "said\n");
	pid_t pid = fork();
	if (pid == 0) {
		pid_t orphan = fork();
		if (orphan == 0)
			_exit(write(2, "orphan\n", 7) != 7);
		_exit(0);
	}
	wait_all("child and orphan");
	fprintf(stderr, "and said\n");
	if (system("echo by a shell >&2") != 0)
		return 9;
	wait_all("afterwards");
	return 3;
}
