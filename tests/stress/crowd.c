/*
 * crowd.c - a guest of many: PROCESSES processes of THREADS threads each, all there at once, that write
 * MESSAGES numbered lines each to stderr as fast as they can.
 *
 *	crowd PROCESSES THREADS MESSAGES
 *
 * A line is "process thread number padding". On stdout, when all are done: how long it took from the
 * moment when all were there, what that cost in processor time, and the largest process's memory.
 */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STACK = 64 << 10, LINE = 100 };

struct shared {
	_Atomic int here, go;   /* all who have come; all may begin */
	_Atomic int failed;
	_Atomic long long cpu_ns; /* of the writing alone */
};

static struct shared *shared;
static int processes, threads, messages;
static int number; /* of this process */

static void wait_until(_Atomic int *word, int wanted)
{
	for (int is; (is = atomic_load(word)) < wanted;)
		syscall(SYS_futex, word, FUTEX_WAIT, is, NULL, NULL, 0);
}

static void add_one(_Atomic int *word)
{
	atomic_fetch_add(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static long long now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void *talk(void *argument)
{
	int thread = (int)(long)argument;
	char line[LINE + 1];

	add_one(&shared->here);
	wait_until(&shared->go, 1);
	long long before = now(CLOCK_THREAD_CPUTIME_ID);
	for (int i = 0; i < messages; i++) {
		int n = snprintf(line, sizeof line, "%d %d %d ", number, thread, i);
		memset(line + n, 'x', LINE - (size_t)n);
		line[LINE - 1] = '\n';
		if (write(STDERR_FILENO, line, LINE) != LINE)
			atomic_store(&shared->failed, 1);
	}
	atomic_fetch_add(&shared->cpu_ns, now(CLOCK_THREAD_CPUTIME_ID) - before);
	return NULL;
}

static int be_one(void)
{
	pthread_t *ids = calloc((size_t)threads, sizeof *ids);
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (long i = 1; i < threads; i++)
		if (pthread_create(&ids[i], &attr, talk, (void *)i) != 0) {
			perror("pthread_create");
			_exit(1);
		}
	talk(NULL);
	for (int i = 1; i < threads; i++)
		pthread_join(ids[i], NULL);
	free(ids);
	return 0;
}

static void report(long long elapsed)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	printf("{\"elapsed_ns\":%lld,\"cpu_ns\":%lld,\"rss_kib\":%ld,\"failed\":%d}\n", elapsed,
	       atomic_load(&shared->cpu_ns), usage.ru_maxrss, atomic_load(&shared->failed));
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	processes = atoi(argv[1]), threads = atoi(argv[2]), messages = atoi(argv[3]);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return 2;
	for (number = 1; number <= processes; number++) {
		pid_t pid = fork();
		if (pid < 0) {
			perror("fork");
			atomic_store(&shared->failed, 1);
			atomic_store(&shared->here, processes * threads);
			break;
		}
		if (pid == 0)
			return be_one();
	}
	wait_until(&shared->here, processes * threads);
	long long before = now(CLOCK_MONOTONIC);
	add_one(&shared->go);
	for (int status; wait(&status) > 0;)
		if (status != 0)
			atomic_store(&shared->failed, 1);
	report(now(CLOCK_MONOTONIC) - before);
	return atomic_load(&shared->failed);
}
