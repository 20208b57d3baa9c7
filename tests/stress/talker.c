/*
 * talker.c - a guest that says numbered messages from several threads and keeps account of them.
 *
 *	talker ACCOUNT RUN MESSAGES HOW LONG END THREAD
 *
 * ACCOUNT is a file that is mapped: per thread, how many messages were begun and how many calls have
 * returned. It outlives every way to die, so whoever reads it knows what must have been heard.
 * A message is "RUN thread number padding.", one call each. HOW: write, fprintf, syslog, mixed.
 * LONG: every so many messages one is some 40 kB long, but for syslog; 0: none. It is written, always:
 * the C library would make several calls of it, and time may pass between these. END says how the
 * process ends when the first thread is done; with a + before it, all threads are waited for, else the
 * others are interrupted where they are. THREAD: the number of the first thread; the second role
 * that exec starts goes on with the numbers above.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <syslog.h>
#include <unistd.h>

enum { THREADS = 4, ACCOUNTS = 2 * THREADS, STATUS = 7, LONGEST = 40000, RUN_MOST = 40 };

struct account {
	_Alignas(64) _Atomic uint64_t begun;
	_Atomic uint64_t done;
};

static struct account *accounts;
static char **arguments;
static const char *run, *how;
static uint64_t messages, long_every, first_thread;

static size_t padding(uint64_t thread, uint64_t number, bool may_be_long)
{
	if (may_be_long && long_every && number % long_every == long_every - 1 - thread)
		return LONGEST;
	return number * 7919 % 97;
}

static void say(uint64_t thread, uint64_t number, char *text)
{
	static const char *const ways[] = { "write", "fprintf", "syslog" };
	const char *way = strcmp(how, "mixed") == 0 ? ways[number % 3] : how;
	size_t pad = padding(thread, number, *way != 's');
	int head = snprintf(text, 100, "%s %d %llu ", run, (int)thread, (unsigned long long)number);
	size_t length = (size_t)head + pad;

	memset(text + head, 'a' + (int)(number % 26), pad);
	memcpy(text + length, ".\n", 3);
	if (*way == 'w' || pad == LONGEST) {
		/* A program would go on with the rest of a short write; hark never writes short. */
		for (size_t at = 0; at < length + 2;) {
			ssize_t n = write(STDERR_FILENO, text + at, length + 2 - at);
			if (n <= 0)
				abort();
			at += (size_t)n;
		}
	} else if (*way == 'f') {
		fprintf(stderr, "%.*s.\n", (int)length, text);
	} else {
		syslog(LOG_INFO, "%.*s.", (int)length, text);
	}
}

static void *talk(void *argument)
{
	uint64_t thread = (uintptr_t)argument;
	struct account *mine = &accounts[thread];
	char *text = malloc(LONGEST + 200);

	for (uint64_t number = 1; number <= messages; number++) {
		atomic_store_explicit(&mine->begun, number, memory_order_relaxed);
		say(thread, number, text);
		atomic_store_explicit(&mine->done, number, memory_order_relaxed);
	}
	free(text);
	return NULL;
}

static void second_role(void)
{
	char first[8];

	snprintf(first, sizeof first, "%d", THREADS);
	arguments[6] = (char *)"+exit";
	arguments[7] = first;
	execv("/proc/self/exe", arguments);
	abort();
}

static void end(const char *which)
{
	if (strcmp(which, "_exit") == 0)
		_exit(STATUS);
	if (strcmp(which, "abort") == 0)
		abort();
	if (strcmp(which, "kill") == 0)
		kill(getpid(), SIGKILL);
	if (strcmp(which, "exec") == 0)
		second_role();
	exit(STATUS);
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	if (argc != 8 || strlen(argv[2]) > RUN_MOST)
		return 2;
	arguments = argv;
	run = argv[2];
	messages = strtoull(argv[3], NULL, 10);
	how = argv[4];
	long_every = strtoull(argv[5], NULL, 10);
	first_thread = strtoull(argv[7], NULL, 10);
	int fd = open(argv[1], O_RDWR | O_CLOEXEC);
	accounts = mmap(NULL, ACCOUNTS * sizeof *accounts, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			0);
	if (fd < 0 || accounts == MAP_FAILED || first_thread + THREADS > ACCOUNTS)
		return 2;
	close(fd);
	openlog("talker", 0, LOG_USER);
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, talk, (void *)(first_thread + i)) != 0)
			return 2;
	const char *which = argv[6];
	int awaited = *which == '+' ? THREADS : 1;
	for (int i = 0; i < awaited; i++)
		pthread_join(threads[i], NULL);
	end(which + (*which == '+'));
}
