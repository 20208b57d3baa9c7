/*
 * library.c - a program that calls functions of libc that do next to nothing, and measures what such a call
 * costs it. Not instrumented; it knows nothing of hark.
 *
 *	library flat|nested|threads    ns per call, elapsed and of processor time: one line of JSON on fd 1
 *
 * Built with -fno-builtin: each call is one.
 */
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { CALLS = 4000000, THREADS = 4, ITEMS = 1000 };

static double now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static long flat(long calls)
{
	volatile int sink = 0;

	for (long i = 0; i < calls; i++)
		sink = ffs((int)i);
	(void)sink;
	return calls;
}

static int compare(const void *a, const void *b)
{
	return ffs(*(const int *)a) != ffs(*(const int *)b);
}

/* Called back by the library, with its call open. */
static long nested(void)
{
	int items[ITEMS], key = 0;
	size_t count = ITEMS;

	for (int i = 0; i < ITEMS; i++)
		items[i] = i + 1;
	for (int i = 0; i < CALLS / ITEMS / 2; i++)
		lfind(&key, items, &count, sizeof *items, compare);
	return CALLS + CALLS / ITEMS / 2;
}

static void *thread(void *argument)
{
	(void)argument;
	flat(CALLS / THREADS);
	return NULL;
}

static long threads(void)
{
	pthread_t id[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&id[i], NULL, thread, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(id[i], NULL);
	return CALLS;
}

int main(int argc, char **argv)
{
	const char *what = argc >= 2 ? argv[1] : "";
	long calls;
	double begin = now_ns(CLOCK_MONOTONIC), used = now_ns(CLOCK_PROCESS_CPUTIME_ID);

	if (strcmp(what, "flat") == 0)
		calls = flat(CALLS);
	else if (strcmp(what, "nested") == 0)
		calls = nested();
	else if (strcmp(what, "threads") == 0)
		calls = threads();
	else
		return 2;
	double took = now_ns(CLOCK_MONOTONIC) - begin;
	used = now_ns(CLOCK_PROCESS_CPUTIME_ID) - used;
	printf("{\"ns\": %.3f, \"cpu_ns\": %.3f, \"calls\": %ld}\n", took / (double)calls,
	       used / (double)calls, calls);
	return 0;
}
