/*
 * bench_ring.c - what an append of 100 bytes costs, beside a write(2) of 100 bytes to a file.
 *
 *	bench_ring [ROUNDS]
 *
 * Paced: bursts of 1,000 with a pause in between, in which the reader keeps up; that is what a program
 * feels. Flat out: as fast as it goes, with 1, 2 and 4 threads; the reader may be what is measured
 * then. All variants take turns, and the best and the median of the rounds are shown.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/sysio.h"
#include "lib/ring/reader.h"

enum { BURST = 1000, BURSTS = 300, FLAT = 500000, ROUNDS_MOST = 99, BYTES = 100 };

static struct ring ring;
static int ring_fd;
static _Atomic bool stop;
static const struct ring_policy policy = { .overflow = RING_BLOCK };

/* Reads and throws away, napping as the collector does when there is nothing. */
static void *reader_thread(void *unused)
{
	struct reader reader;
	struct reader_record record;
	unsigned count = 0;

	if (reader_open(&reader, &ring, ring_fd, 0, false) != 0)
		abort();
	while (!stop) {
		enum reader_found found = reader_next(&reader, clock_monotonic_ns(), &record);
		if (found == READER_RECORD && ++count % 256)
			continue;
		reader_release(&reader, reader.at, clock_monotonic_ns());
		if (found != READER_RECORD)
			reader_sleep(&reader, READER_NAPPING, 200000);
	}
	reader_close(&reader);
	return unused;
}

static struct ring_author author_here(void)
{
	return (struct ring_author){ .pid = (uint32_t)getpid(), .tid = (uint32_t)sysio_gettid() };
}

static int by_size(const void *a, const void *b)
{
	return *(const double *)a < *(const double *)b ? -1
						       : *(const double *)a > *(const double *)b;
}

/* The middle one: a burst that an interrupt fell into says nothing. */
static double middle(double *ns)
{
	qsort(ns, BURSTS, sizeof *ns, by_size);
	return ns[BURSTS / 2];
}

static double paced(void)
{
	static double ns[BURSTS];
	struct ring_author author = author_here();
	struct record_info info = { .fd = 2 };
	char text[BYTES];
	struct iovec part = { text, sizeof text };

	memset(text, 'x', sizeof text);
	for (int burst = 0; burst < BURSTS; burst++) {
		uint64_t before = clock_monotonic_ns();
		for (int i = 0; i < BURST; i++)
			ring_append(&ring, &author, &info, &part, 1, &policy);
		ns[burst] = (double)(clock_monotonic_ns() - before) / BURST;
		usleep(300);
	}
	return middle(ns);
}

static double paced_write(void)
{
	char path[] = "/tmp/bench_ring.XXXXXX", text[BYTES];
	static double ns[BURSTS];
	int fd = mkstemp(path);

	if (fd < 0)
		return 0;
	unlink(path);
	memset(text, 'x', sizeof text);
	for (int burst = 0; burst < BURSTS; burst++) {
		uint64_t before = clock_monotonic_ns();
		for (int i = 0; i < BURST; i++)
			if (write(fd, text, sizeof text) < 0)
				abort();
		ns[burst] = (double)(clock_monotonic_ns() - before) / BURST;
		usleep(300);
	}
	close(fd);
	return middle(ns);
}

static void *flat_thread(void *count)
{
	struct ring_author author = author_here();
	struct record_info info = { .fd = 2 };
	char text[BYTES] = { 0 };
	struct iovec part = { text, sizeof text };

	for (uintptr_t i = 0; i < (uintptr_t)count; i++)
		ring_append(&ring, &author, &info, &part, 1, &policy);
	return NULL;
}

static double flat(uintptr_t threads)
{
	pthread_t thread[4];
	uint64_t before = clock_monotonic_ns();

	for (uintptr_t i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, flat_thread, (void *)(FLAT / threads));
	for (uintptr_t i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	return (double)(clock_monotonic_ns() - before) / FLAT;
}

static double flat_1(void) { return flat(1); }
static double flat_2(void) { return flat(2); }
static double flat_4(void) { return flat(4); }

static const struct {
	const char *name;
	double (*run)(void);
} variant[] = {
	{ "append, paced", paced },
	{ "append, flat out, 1 thread", flat_1 },
	{ "append, flat out, 2 threads", flat_2 },
	{ "append, flat out, 4 threads", flat_4 },
	{ "write(2) to a file, paced", paced_write },
};

enum { VARIANTS = sizeof variant / sizeof variant[0] };

int main(int argc, char **argv)
{
	static double ns[VARIANTS][ROUNDS_MOST];
	int rounds = argc > 1 ? atoi(argv[1]) : 5;
	pthread_t reader;

	rounds = rounds < 1 ? 1 : rounds > ROUNDS_MOST ? ROUNDS_MOST : rounds;
	ring_fd = memfd_create("ring", MFD_CLOEXEC);
	uint64_t before = clock_monotonic_ns();
	if (ring_create(ring_fd, 4 << 20, RING_WHOLE) != 0 || ring_map(&ring, ring_fd) != 0)
		return 1;
	printf("%-28s %8.2f ms\n", "a ring of 4 MiB is made in",
	       (double)(clock_monotonic_ns() - before) / 1e6);
	ring.counter = clock_counter_usable();
	pthread_create(&reader, NULL, reader_thread, NULL);
	for (int round = -1; round < rounds; round++)
		for (int i = 0; i < VARIANTS; i++)
			ns[i][round < 0 ? 0 : round] = variant[i].run(); /* the first is to warm up */
	stop = true;
	ring_poke(&ring);
	pthread_join(reader, NULL);
	for (int i = 0; i < VARIANTS; i++) {
		qsort(ns[i], (size_t)rounds, sizeof(double), by_size);
		printf("%-28s %8.1f ns at best, %8.1f ns in the middle\n", variant[i].name,
		       ns[i][0], ns[i][rounds / 2]);
	}
	return 0;
}
