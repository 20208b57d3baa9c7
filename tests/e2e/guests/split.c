/*
 * split.c - burns processor time, seven parts in seven() and three in three(), in some threads; then says
 * how much it was, and which threads. usage: split THREADS SECONDS [wait | fixed]
 *
 * fixed: as much work as would take about so long, however long it takes.
 * wait: it also sleeps, polls, reads and waits for a lock as long, and says whether anything of that
 * was interrupted.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

enum { THREADS = 64, TURN_NS = 10000000 };

static volatile unsigned long sink[THREADS];
static long tids[THREADS];
static long long wanted_ns;
static long turns; /* of fixed work */

static long long clock_ns(clockid_t which)
{
	struct timespec now;

	clock_gettime(which, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline unsigned long turn(unsigned long x)
{
	for (int i = 0; i < 40000; i++)
		x = x * 31 + (unsigned long)i;
	return x;
}

NOINLINE void seven(long k, long long until)
{
	do
		sink[k] += turn(sink[k]);
	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < until);
}

NOINLINE void three(long k, long long until)
{
	do
		sink[k] ^= turn(sink[k] + 1);
	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < until);
}

NOINLINE void *work(void *number)
{
	long k = (long)number;
	long long at = clock_ns(CLOCK_THREAD_CPUTIME_ID), end = at + wanted_ns;

	tids[k] = syscall(SYS_gettid);
	for (long i = 0; i < turns; i++)
		(i % 10 < 7 ? seven : three)(k, 0);
	if (turns)
		return NULL;
	while (at < end) {
		seven(k, at + TURN_NS * 7);
		three(k, at + TURN_NS * 10);
		at += TURN_NS * 10;
	}
	return NULL;
}

static int interrupted(long result, const char *what)
{
	if (result >= 0 || errno != EINTR)
		return 0;
	printf("EINTR in %s\n", what);
	return 1;
}

static void *write_later(void *fd)
{
	struct timespec nap = { 0, 100000000 };

	while (nanosleep(&nap, &nap) != 0)
		;
	if (write((int)(long)fd, "x", 1) != 1)
		abort();
	return NULL;
}

NOINLINE int wait_for_all(void)
{
	struct timespec nap = { 0, 100000000 };
	struct timeval short_while = { 0, 100000 };
	struct epoll_event event;
	int fds[2], word = 0, count = 0, epoll = epoll_create1(0);
	pthread_t thread;
	char byte;

	if (pipe(fds) != 0)
		abort();
	count += interrupted(nanosleep(&nap, NULL), "nanosleep");
	count += interrupted(poll(NULL, 0, 100), "poll");
	count += interrupted(select(0, NULL, NULL, NULL, &short_while), "select");
	count += interrupted(epoll_wait(epoll, &event, 1, 100), "epoll_wait");
	count += interrupted(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &nap, NULL, 0), "futex");
	pthread_create(&thread, NULL, write_later, (void *)(long)fds[1]);
	count += interrupted(read(fds[0], &byte, 1), "read");
	pthread_join(thread, NULL);
	return count;
}

int main(int argc, char **argv)
{
	long long before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	long threads = argc > 1 ? atol(argv[1]) : 1;
	pthread_t ids[THREADS];
	int waits = argc > 3 && strcmp(argv[3], "wait") == 0, bad = 0;
	int fixed = argc > 3 && strcmp(argv[3], "fixed") == 0;

	wanted_ns = (long long)(atof(argc > 2 ? argv[2] : "1") * 1e9);
	turns = fixed ? (long)(wanted_ns / 50000) : 0;
	for (long i = 1; i < threads; i++)
		pthread_create(&ids[i], NULL, work, (void *)i);
	work(0);
	if (waits)
		bad = wait_for_all();
	for (long i = 1; i < threads; i++)
		pthread_join(ids[i], NULL);
	printf("cpu_ns %lld\n", clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before);
	for (long i = 0; i < threads; i++)
		printf("tid %ld\n", tids[i]);
	return bad;
}
