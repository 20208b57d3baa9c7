/*
 * names.c - children that say one line and are gone: of a thread that has said nothing, by vfork, and
 * one that gives itself another name. Run by test_inside.py.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMES = 30 };

static void reap(pid_t pid)
{
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		_exit(99);
}

static void *silent(void *unused)
{
	for (int i = 0; i < TIMES; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			if (write(2, "forked\n", 7) != 7)
				_exit(98);
			_exit(0);
		}
		reap(pid);
	}
	return unused;
}

int main(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, silent, NULL) != 0)
		return 97;
	pthread_join(thread, NULL);
	for (int i = 0; i < TIMES; i++) {
		pid_t pid = vfork();
		if (pid == 0) {
			dup2(2, 9);
			_exit(write(9, "borrowed\n", 9) != 9);
		}
		reap(pid);
	}
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, "another");
		_exit(write(2, "renamed\n", 8) != 8);
	}
	reap(pid);
	return 0;
}
