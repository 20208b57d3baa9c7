/*
 * say.c - a program that says much, and measures what saying costs it. It knows nothing of hark.
 *
 *	say write|fprintf|syslog cost ROUNDS    ns per call in bursts, with pauses: one line of JSON on fd 1
 *	say write|fprintf|syslog flood N T      N lines by T threads, as fast as they go
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { BURST = 500, LINE = 100 };

static char line[LINE + 1];
static char way;
static long lines_each;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void say(long i)
{
	if (way == 'w')
		(void)!write(2, line, LINE);
	else if (way == 'f') /* 60 bytes, formatted */
		fprintf(stderr, "request %8ld took %3d ms, status %d, %-18s\n", i, 12, 200,
			"client ok");
	else
		syslog(LOG_INFO, "request %8ld took %3d ms, status %d", i, 12, 200);
}

static int by_value(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

/* Each call is timed on its own for the percentiles, and each burst as a whole for the mean, since
 * reading the clock costs as much as a captured call. */
static void cost(long rounds)
{
	size_t count = (size_t)rounds * BURST;
	uint32_t *each = calloc(count, sizeof *each);
	double *bursts = calloc((size_t)rounds, sizeof *bursts);
	struct timespec pause = { 0, 1000000 };

	for (long r = 0; r < rounds; r++) {
		uint64_t from = now_ns();
		for (long i = 0; i < BURST; i++)
			say(i);
		bursts[r] = (double)(now_ns() - from) / BURST;
		nanosleep(&pause, NULL);
		for (long i = 0; i < BURST; i++) {
			uint64_t before = now_ns();
			say(i);
			each[r * BURST + i] = (uint32_t)(now_ns() - before);
		}
		nanosleep(&pause, NULL);
	}
	for (long i = 1; i < rounds; i++) /* insertion sort: few, and no function for doubles needed */
		for (long k = i; k > 0 && bursts[k] < bursts[k - 1]; k--) {
			double t = bursts[k];
			bursts[k] = bursts[k - 1];
			bursts[k - 1] = t;
		}
	qsort(each, count, sizeof *each, by_value);
	printf("{\"median_ns\":%.1f,\"p99_ns\":%u,\"p999_ns\":%u}\n", bursts[rounds / 2],
	       each[count * 99 / 100], each[count * 999 / 1000]);
}

static void *flood(void *unused)
{
	(void)unused;
	for (long i = 0; i < lines_each; i++)
		say(i);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[64];

	if (argc < 4)
		return 2;
	way = argv[1][0];
	memset(line, 'x', LINE - 1);
	line[LINE - 1] = '\n';
	if (argv[2][0] == 'c') {
		cost(atol(argv[3]));
		return 0;
	}
	int count = argc > 4 ? atoi(argv[4]) : 1;
	lines_each = atol(argv[3]) / count;
	uint64_t from = now_ns();
	for (int i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, flood, NULL);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	printf("{\"said_ns\":%llu}\n", (unsigned long long)(now_ns() - from));
	return 0;
}
