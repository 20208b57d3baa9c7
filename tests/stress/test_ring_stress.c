/*
 * test_ring_stress.c - processes and threads append to one ring while a parent stops, continues and
 * kills them at random, and the reader as well.
 *
 *	test_ring_stress [SECONDS [SEED]]	(default: $STRESS_SECONDS or 5)
 *
 * Claimed is: each message whose append has returned is read, in its thread's order and whole, and
 * read again only after a reader's death, from its checkpoint on.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/sysio.h"
#include "lib/ring/reader.h"

enum { PROCESSES = 4, THREADS = 2, SLOTS = PROCESSES * THREADS, CUTS = 1 << 17, LONGEST = 3000 };

/* A writer's own count. A new writer in the same slot goes on where the killed one was. */
struct slot {
	_Alignas(64) _Atomic uint64_t begun, done;
	_Atomic uint32_t cuts;
	uint64_t cut[CUTS]; /* numbers whose append was cut short by death: they may be missing */
};

struct mark {
	uint64_t at, seen[SLOTS];
};

struct shared {
	struct slot slot[SLOTS];
	struct mark mark[2];
	_Atomic uint32_t current; /* which of the marks counts */
	_Atomic uint32_t stop, drained;
	_Atomic uint64_t records, again, torn, deaths, most_missing;
	char error[256];
};

static struct shared *shared;
static struct ring ring;
static int ring_fd;
static unsigned process_number;

struct message {
	uint64_t slot, number, bytes;
	unsigned char fill[LONGEST];
};

static void *write_messages(void *thread)
{
	struct ring_author author = { .pid = (uint32_t)getpid(), .tid = (uint32_t)sysio_gettid() };
	const struct ring_policy policy = { .overflow = RING_BLOCK };
	const struct record_info info = { .fd = 2 };
	uint64_t which = process_number * THREADS + (uintptr_t)thread;
	struct slot *slot = &shared->slot[which];
	struct message message = { .slot = which };
	unsigned seed = author.tid;

	while (!shared->stop) {
		message.number = slot->begun + 1;
		message.bytes = 24 + (unsigned)rand_r(&seed) % (rand_r(&seed) % 16 ? 200 : LONGEST);
		memset(message.fill, (int)((message.number + which) & 0xff), sizeof message.fill);
		slot->begun = message.number;
		struct iovec part = { &message, message.bytes };
		if (ring_append(&ring, &author, &info, &part, 1, &policy) != 0)
			abort();
		slot->done = message.number;
	}
	return NULL;
}

static pid_t start_writer(unsigned number)
{
	pid_t child = fork();
	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	process_number = number;
	pthread_t thread[THREADS];
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, write_messages, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	_exit(0);
}

/* ---- the reader, which checks */

__attribute__((format(printf, 1, 2))) static void wrong(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(shared->error, sizeof shared->error, format, args);
	va_end(args);
	_exit(3);
}

static bool was_cut(const struct slot *slot, uint64_t number)
{
	for (uint32_t i = slot->cuts; i-- > 0;)
		if (slot->cut[i] <= number)
			return slot->cut[i] == number;
	return false;
}

static void check(struct mark *mark, const struct reader_record *record)
{
	struct message message;
	uint32_t head = record->flags & RECORD_CONTINUES ? 0 : 24;

	if (record->bytes < head || record->bytes > sizeof message)
		wrong("%u bytes", record->bytes);
	memcpy(&message, record->payload, record->bytes);
	const unsigned char *fill = (const unsigned char *)&message + head;
	for (uint32_t i = 1; i < record->bytes - head; i++)
		if (fill[i] != fill[0])
			wrong("position %lu: byte %u is spoilt", (unsigned long)record->position,
			      i);
	if (!head)
		return;
	if (message.slot >= SLOTS)
		wrong("slot %lu", (unsigned long)message.slot);
	uint64_t *seen = &mark->seen[message.slot];
	if (message.number <= *seen)
		wrong("slot %lu: %lu after %lu", (unsigned long)message.slot,
		      (unsigned long)message.number, (unsigned long)*seen);
	for (uint64_t n = *seen + 1; n < message.number; n++)
		if (!was_cut(&shared->slot[message.slot], n))
			wrong("slot %lu: %lu is lost", (unsigned long)message.slot,
			      (unsigned long)n);
	if (record->bytes > head && fill[0] != ((message.number + message.slot) & 0xff))
		wrong("position %lu: not its own bytes", (unsigned long)record->position);
	if (!(record->flags & RECORD_MORE) && record->bytes != message.bytes)
		wrong("position %lu: %u of %lu bytes", (unsigned long)record->position,
		      record->bytes, (unsigned long)message.bytes);
	*seen = message.number;
}

static void checkpoint(struct reader *reader, const struct mark *mark)
{
	uint32_t next = !shared->current;
	shared->mark[next] = *mark;
	shared->current = next;
	reader_release(reader, mark->at, clock_monotonic_ns());
	if (reader->missing > shared->most_missing)
		shared->most_missing = reader->missing;
}

static void read_messages(void)
{
	struct mark mark = shared->mark[shared->current];
	struct reader reader;
	struct reader_record record;

	if (reader_open(&reader, &ring, ring_fd, mark.at, false) != 0)
		wrong("reader_open");
	if (mark.at && reader.at != mark.at)
		wrong("the checkpoint %lu is gone", (unsigned long)mark.at);
	mark.at = reader.at;
	for (unsigned count = 0;;) {
		bool stopped = shared->stop == 2; /* all writers have ended */
		enum reader_found found = reader_next(&reader, clock_monotonic_ns(), &record);
		if (found == READER_RECORD) {
			check(&mark, &record);
			mark.at = record.next;
			shared->records++;
			if (++count % 64)
				continue;
		}
		checkpoint(&reader, &mark);
		if (reader.corrupt)
			wrong("corrupt");
		if (found == READER_NOTHING && stopped)
			break;
		if (found != READER_RECORD)
			reader_sleep(&reader, count % 2 ? READER_ASLEEP : READER_NAPPING, 1000000);
	}
	shared->torn += reader.torn;
	reader_tend(&reader, clock_monotonic_ns());
	if (reader.missing)
		wrong("%u chunks are missing in the end", reader.missing);
	for (int i = 0; i < SLOTS; i++)
		if (mark.seen[i] < shared->slot[i].done)
			wrong("slot %d: %lu of %lu came", i, (unsigned long)mark.seen[i],
			      (unsigned long)shared->slot[i].done);
	_exit(0);
}

static pid_t start_reader(void)
{
	pid_t child = fork();
	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	read_messages();
	_exit(3);
}

/* ---- the parent, who is cruel */

static struct { pid_t pid; uint64_t until; } writer[PROCESSES];

static void kill_writer(unsigned i)
{
	kill(writer[i].pid, SIGKILL);
	waitpid(writer[i].pid, NULL, 0);
	for (int k = 0; k < THREADS; k++) {
		struct slot *slot = &shared->slot[i * THREADS + (unsigned)k];
		if (slot->begun > slot->done && slot->cuts < CUTS)
			slot->cut[slot->cuts++] = slot->begun;
	}
	writer[i].pid = start_writer(i);
	writer[i].until = 0;
}

static int torment(uint64_t until_ns, pid_t *reader)
{
	uint64_t reader_dies = 0, now;

	while ((now = clock_monotonic_ns()) < until_ns) {
		unsigned i = (unsigned)rand() % PROCESSES;
		if (!writer[i].until && rand() % 4 == 0) {
			kill_writer(i);
		} else if (!writer[i].until) {
			kill(writer[i].pid, SIGSTOP);
			writer[i].until = now + (unsigned)rand() % 200000000;
		}
		for (i = 0; i < PROCESSES; i++) {
			if (!writer[i].until || writer[i].until > now)
				continue;
			if (rand() % 3 == 0)
				kill_writer(i); /* where it stands */
			else
				kill(writer[i].pid, SIGCONT);
			writer[i].until = 0;
		}
		if (now > reader_dies) {
			int status;
			kill(*reader, SIGKILL);
			waitpid(*reader, &status, 0);
			if (WIFEXITED(status))
				return -1;
			shared->deaths++;
			*reader = start_reader();
			reader_dies = now + (unsigned)rand() % 150000000;
		}
		usleep((unsigned)rand() % 10000);
	}
	return 0;
}

static int finish(pid_t reader)
{
	int status;

	shared->stop = 1;
	for (int i = 0; i < PROCESSES; i++)
		kill(writer[i].pid, SIGCONT);
	for (int i = 0; i < PROCESSES; i++)
		waitpid(writer[i].pid, NULL, 0);
	shared->stop = 2;
	if (waitpid(reader, &status, 0) < 0)
		return -1;
	return status ? -1 : 0;
}

int main(int argc, char **argv)
{
	const char *wanted = argc > 1 ? argv[1] : getenv("STRESS_SECONDS");
	unsigned seconds = wanted ? (unsigned)atoi(wanted) : 5;
	unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)clock_monotonic_ns();

	srand(seed);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	ring_fd = memfd_create("ring", MFD_CLOEXEC);
	if (shared == MAP_FAILED || ring_create(ring_fd, 128 << 10, RING_WHOLE) ||
	    ring_map(&ring, ring_fd))
		return 1;
	for (unsigned i = 0; i < PROCESSES; i++)
		writer[i].pid = start_writer(i);
	pid_t reader = start_reader();
	int bad = torment(clock_monotonic_ns() + seconds * UINT64_C(1000000000), &reader);
	bad = bad || finish(reader);
	for (int i = 0; bad && i < PROCESSES; i++)
		kill(writer[i].pid, SIGKILL);
	printf("1..1\n%sok 1 - %lu records, %lu readers killed, at most %lu chunks missing, seed "
	       "%u%s%s\n",
	       bad ? "not " : "", (unsigned long)shared->records, (unsigned long)shared->deaths,
	       (unsigned long)shared->most_missing, seed, bad ? ": " : "", shared->error);
	return bad;
}
