/*
 * calls.c - a program that calls much, and measures what calls cost it. Built with
 * -finstrument-functions; it knows nothing of hark.
 *
 *	calls fib|qsort|threads    ns per call, elapsed and of processor time: one line of JSON on fd 1
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PLAIN __attribute__((no_instrument_function))

enum { FIB = 32, ITEMS = 1000000, THREADS = 4, FIB_OF_THREAD = 30 };

static long compared;

__attribute__((noinline)) static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static int by_value(const void *a, const void *b)
{
	const int *x = a, *y = b;

	compared++; /* in one thread only */
	return (*x > *y) - (*x < *y);
}

PLAIN static long calls_of_fib(int n)
{
	long before = 1, last = 1;

	for (int i = 2; i <= n; i++) {
		long next = before + last + 1;
		before = last;
		last = next;
	}
	return last;
}

PLAIN static double now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

PLAIN static void *thread(void *argument)
{
	*(volatile int *)argument = fib(FIB_OF_THREAD);
	return NULL;
}

PLAIN static long in_threads(void)
{
	pthread_t id[THREADS];
	int results[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&id[i], NULL, thread, &results[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(id[i], NULL);
	return THREADS * calls_of_fib(FIB_OF_THREAD);
}

PLAIN static int *shuffled(void)
{
	int *items = malloc(ITEMS * sizeof *items);

	for (int i = 0; items && i < ITEMS; i++)
		items[i] = (int)((unsigned)i * 2654435761u >> 8);
	return items;
}

PLAIN int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	int *items = shuffled();
	long calls;

	if (!items)
		return 1;
	double begin = now_ns(CLOCK_MONOTONIC), used = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	if (strcmp(what, "fib") == 0) {
		*(volatile int *)items = fib(FIB);
		calls = calls_of_fib(FIB);
	} else if (strcmp(what, "qsort") == 0) {
		qsort(items, ITEMS, sizeof *items, by_value);
		calls = compared;
	} else if (strcmp(what, "threads") == 0) {
		calls = in_threads();
	} else {
		return 2;
	}
	double took = now_ns(CLOCK_MONOTONIC) - begin;
	used = now_ns(CLOCK_PROCESS_CPUTIME_ID) - used;
	printf("{\"ns\": %.3f, \"cpu_ns\": %.3f, \"calls\": %ld}\n", took / (double)calls,
	       used / (double)calls, calls);
	return 0;
}
