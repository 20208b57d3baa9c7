/*
 * mortal.c - a program that is killed at a random moment, in several threads and processes, and has
 * counted its calls in memory that outlives it. Built with -finstrument-functions; it knows nothing of hark.
 *
 *	mortal LEDGER THREADS FORKS MICROSECONDS
 *
 * Each thread is inside main › load › parse (or work › load › parse), and calls step() from there for
 * ever. So many microseconds after all of them do that, everybody is killed.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PLAIN __attribute__((no_instrument_function))
#define OWN __attribute__((noinline))

enum { ROWS = 64, NAMES = 5 };
enum { MAIN, WORK, LOAD, PARSE, STEP };

/* A thread's: each on lines of its own, or it is them that would be measured. */
struct row {
	_Atomic long tid, calls[NAMES];
	char pad[128 - (1 + NAMES) * sizeof(long)];
};

struct head {
	_Atomic long count;
	char pad[120];
};

static struct row *rows;
static struct head *head;

static __thread struct row *mine __attribute__((tls_model("initial-exec")));

PLAIN static void count(int what)
{
	atomic_store_explicit(&mine->calls[what], mine->calls[what] + 1, memory_order_release);
}

PLAIN static void begin(void)
{
	mine = &rows[head->count++];
	mine->tid = syscall(SYS_gettid);
}

OWN static void step(void)
{
	count(STEP);
}

OWN static void parse(void)
{
	count(PARSE);
	for (;;)
		step();
}

OWN static void load(void)
{
	count(LOAD);
	parse();
}

static void *work(void *nothing)
{
	count(WORK);
	load();
	return nothing;
}

PLAIN static void *start(void *nothing)
{
	begin();
	return work(nothing);
}

PLAIN static void share(const char *path)
{
	size_t bytes = sizeof *head + ROWS * sizeof *rows;
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
		exit(9);
	head = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	rows = (struct row *)(head + 1);
	close(fd);
}

static struct end {
	long threads;
	unsigned microseconds;
} end;

PLAIN static int all_at_work(void)
{
	for (long i = 0; i < end.threads; i++)
		if (!rows[i].calls[STEP])
			return 0;
	return head->count == end.threads;
}

PLAIN static void *kill_all(void *nothing)
{
	while (!all_at_work())
		usleep(100);
	usleep(end.microseconds);
	kill(0, SIGKILL); /* the process group, which is ours */
	return nothing;
}

PLAIN static void set_off(int threads, int kills)
{
	pthread_t id;

	for (int i = 1; i < threads; i++)
		pthread_create(&id, NULL, start, NULL);
	if (kills)
		pthread_create(&id, NULL, kill_all, NULL);
}

/* The calls that are open when it forks are open in the child, too. */
int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	share(argv[1]);
	begin();
	count(MAIN);
	int threads = atoi(argv[2]), forks = atoi(argv[3]), first = 1;
	end.threads = (long)threads * (forks + 1);
	end.microseconds = (unsigned)atoi(argv[4]);
	setpgid(0, 0);
	for (int i = 0; i < forks; i++)
		if (fork() == 0) {
			begin();
			first = 0;
			break;
		}
	set_off(threads, first);
	load();
	return 0;
}
