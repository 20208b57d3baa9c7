/*
 * stamping.c - a program that knows libhark: stamps, groups and timers, as many as it is told. On its
 * standard output it says what hark must show.
 *
 *	stamping [threads|fork|die|loop]
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/hark.h"

enum { THREADS = 4, EACH = 1000 };

static struct hark_timer work = HARK_TIMER_INIT("work"), never = HARK_TIMER_INIT("never");

__attribute__((noinline)) static void measured(void)
{
	HARK_SCOPE(&work);
	__asm__ volatile("");
}

__attribute__((noinline)) static int64_t stamped(const char *text)
{
	return hark_stamp(text);
}

static void *run(void *step)
{
	for (int i = 0; i < EACH; i++)
		measured();
	if (hark_stamp_at(*(uint64_t *)step, "a part is done") < 0)
		exit(3);
	return NULL;
}

static void threads(void)
{
	pthread_t thread[THREADS];
	uint64_t step = hark_step();

	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, run, &step);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	stamped("all parts are done");
}

static void forked(void)
{
	uint64_t begun = hark_timer_begin(&work);
	pid_t pid = fork();

	if (pid == 0) {
		measured();
		stamped("in the child");
		hark_timer_end(&work, begun);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	hark_timer_end(&work, begun);
	stamped("in the parent");
}

static void show(void)
{
	struct hark_figures f;
	int error = hark_timer_read(&work, &f);

	if (error) {
		printf("error %d\n", error);
		return;
	}
	printf("count %llu last %u ordered %d\n", (unsigned long long)f.count, f.last_count,
	       f.min_ns <= f.average_ns && f.average_ns <= f.max_ns && f.max_ns <= f.total_ns &&
		       (f.count == 0 || f.max_ns > 0));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int64_t first;

	errno = 77;
	measured();
	first = stamped("chunking complete");
	printf("first %lld step %d\n", (long long)first, hark_step() != 0);
	if (hark_stamp(NULL) >= 0 || hark_timer_read(NULL, NULL) != -EINVAL || errno != 77)
		return 2;
	if (strcmp(what, "threads") == 0)
		threads();
	if (strcmp(what, "fork") == 0)
		forked();
	hark_timer_end(&never, 0);
	show();
	fflush(stdout);
	if (strcmp(what, "die") == 0)
		raise(SIGKILL);
	return 0;
}
