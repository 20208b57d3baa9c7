/*
 * perf.c - see perf.h. One event for each thread there is and each processor, inherited by whoever they
 * start; one ring for each processor, since the kernel allows an inherited event no other.
 */
#include "lib/sample/perf.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	RECORD_MOST = 64 << 10,
	RING_MOST = 8 << 20, RING_LEAST = 64 << 10,
	PROCESSORS_MOST = 4096,
	FAST_NS = 900000,          /* rings fill within a tenth of a second: we have to be early */
};

#if defined(__aarch64__)
#define REGISTERS_MASK UINT64_C(0x1ffffffff) /* x0 to x30, sp, pc */
static const uint8_t dwarf_number[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
					17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
					UNWIND_REGISTERS };
#else
/* ax bx cx dx si di bp sp ip, r8 to r15: flags and segments tell nothing */
#define REGISTERS_MASK UINT64_C(0xff01ff)
static const uint8_t dwarf_number[] = { 0, 3, 2, 1, 4, 5, 6, 7, UNWIND_REGISTERS,
					8, 9, 10, 11, 12, 13, 14, 15 };
#endif

enum { REGISTERS = sizeof dwarf_number };

#define SAMPLE_TYPE \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_REGS_USER |     \
	 PERF_SAMPLE_STACK_USER)

static int event_open(const struct perf *p, uint64_t config, pid_t tid, int cpu, bool first)
{
	const size_t parts = p->plan.period_ns < FAST_NS ? 4 : 2;
	struct perf_event_attr attr = {
		.size = sizeof attr,
		.type = PERF_TYPE_SOFTWARE,
		.config = config,
		.sample_type = SAMPLE_TYPE,
		.sample_id_all = 1,
		.disabled = 1,
		.enable_on_exec = p->plan.on_exec,
		.inherit = 1,
		.exclude_kernel = !p->kernel,
		.exclude_hv = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark = (uint32_t)(p->ring_bytes / parts),
		.sample_regs_user = REGISTERS_MASK,
		.sample_stack_user = p->plan.stack_bytes,
	};

	attr.sample_period = config == PERF_COUNT_SW_CPU_CLOCK ? p->plan.period_ns : 1;
	if (first) { /* the others' would be the same, a second time */
		attr.mmap = attr.mmap2 = attr.comm = attr.comm_exec = attr.task = 1;
		attr.context_switch = p->plan.wall;
	}
	long fd = syscall(SYS_perf_event_open, &attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

/* As large as the kernel lets this user have it. */
static int map_ring(struct perf *p, struct perf_ring *ring)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (;; p->ring_bytes /= 2) {
		ring->page = mmap(NULL, p->ring_bytes + page, PROT_READ | PROT_WRITE, MAP_SHARED,
				  ring->fd, 0);
		ring->bytes = p->ring_bytes;
		if (ring->page != MAP_FAILED)
			return 0;
		ring->page = NULL;
		if ((errno != EPERM && errno != ENOMEM) || p->ring_bytes / 2 < RING_LEAST)
			return -errno;
	}
}

static int keep(struct perf *p, int fd, const struct perf_ring *ring)
{
	int *more = reallocarray(p->more, p->more_count + 1, sizeof *more);

	if (!more || ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, ring->fd) != 0) {
		int error = more ? -errno : -ENOMEM;
		if (more)
			p->more = more;
		close(fd);
		return error;
	}
	p->more = more;
	p->more[p->more_count++] = fd;
	return 0;
}

/* The kernel numbers events upward; inherited ones bear the number of the first. */
static int keep_switch(struct perf *p, int fd, const struct perf_ring *ring)
{
	uint64_t *ids = reallocarray(p->ids, p->id_count + 1, sizeof *ids);

	if (ids)
		p->ids = ids;
	if (!ids || ioctl(fd, PERF_EVENT_IOC_ID, &ids[p->id_count]) != 0) {
		int error = ids ? -errno : -ENOMEM;
		close(fd);
		return error;
	}
	p->id_count++;
	return keep(p, fd, ring);
}

static bool is_switch(const struct perf *p, uint64_t id)
{
	for (size_t i = 0; i < p->id_count; i++)
		if (p->ids[i] == id)
			return true;
	return false;
}

/* When it wakes us is said before anybody knows how large it may be: where that is less, it is said anew. With
 * a mark beyond its size it would wake nobody. */
static int open_ring(struct perf *p, pid_t tid, int cpu, struct perf_ring *ring)
{
	for (;;) {
		size_t wanted = p->ring_bytes;
		ring->fd = event_open(p, PERF_COUNT_SW_CPU_CLOCK, tid, cpu, true);
		int error = ring->fd < 0 ? ring->fd : map_ring(p, ring);
		if (error || p->ring_bytes == wanted)
			return error;
		munmap(ring->page, ring->bytes + (size_t)sysconf(_SC_PAGESIZE));
		ring->page = NULL;
		close(ring->fd);
	}
}

static int open_one(struct perf *p, pid_t tid, int cpu, struct perf_ring *ring)
{
	int fd, error;

	if (!ring->page) {
		error = open_ring(p, tid, cpu, ring);
	} else {
		fd = event_open(p, PERF_COUNT_SW_CPU_CLOCK, tid, cpu, true);
		error = fd < 0 ? fd : keep(p, fd, ring);
	}
	if (error || !p->plan.wall || !p->kernel)
		return error;
	fd = event_open(p, PERF_COUNT_SW_CONTEXT_SWITCHES, tid, cpu, false);
	if (fd < 0)
		return fd;
	p->switches = true;
	return keep_switch(p, fd, ring);
}

static int open_thread(struct perf *p, pid_t tid)
{
	for (size_t cpu = 0; cpu < p->ring_count; cpu++) {
		int error = open_one(p, tid, (int)cpu, &p->rings[cpu]);
		if (error == -ENODEV && cpu) /* a processor that is switched off */
			continue;
		if (error)
			return error;
	}
	return 0;
}

static int open_threads(struct perf *p, pid_t pid)
{
	char path[64];
	int error = 0, opened = 0;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	DIR *dir = opendir(path);
	for (struct dirent *e; dir && !error && (e = readdir(dir));) {
		if (e->d_name[0] == '.')
			continue;
		error = open_thread(p, (pid_t)atoi(e->d_name));
		if (error == -ESRCH) /* it has ended */
			error = 0;
		else
			opened++;
	}
	if (dir)
		closedir(dir);
	return error ? error : opened ? 0 : -ESRCH;
}

static void each(struct perf *p, unsigned long request)
{
	for (size_t i = 0; i < p->ring_count; i++)
		if (p->rings[i].page)
			ioctl(p->rings[i].fd, request, 0);
	for (size_t i = 0; i < p->more_count; i++)
		ioctl(p->more[i], request, 0);
}

static int begin(struct perf *p, pid_t pid)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);

	p->ring_count = cpus < 1 ? 1 : cpus > PROCESSORS_MOST ? PROCESSORS_MOST : (size_t)cpus;
	p->ring_bytes = RING_MOST;
	p->rings = calloc(p->ring_count, sizeof *p->rings);
	for (size_t i = 0; p->rings && i < p->ring_count; i++) {
		p->rings[i] = (struct perf_ring){ .fd = -1, .wrapped = malloc(RECORD_MOST) };
		if (!p->rings[i].wrapped)
			return -ENOMEM;
	}
	return p->rings ? open_threads(p, pid) : -ENOMEM;
}

/* With the kernel's time, where the user may know of it; else of the program's own alone. */
int perf_open(struct perf *p, const struct perf_plan *plan, pid_t pid)
{
	*p = (struct perf){ .plan = *plan, .kernel = true };
	int error = begin(p, pid);
	if (error == -EACCES || error == -EPERM) {
		perf_close(p);
		*p = (struct perf){ .plan = *plan };
		error = begin(p, pid);
	}
	if (error)
		perf_close(p);
	else if (!plan->on_exec)
		each(p, PERF_EVENT_IOC_ENABLE);
	return error;
}

void perf_close(struct perf *p)
{
	for (size_t i = 0; i < p->more_count; i++)
		close(p->more[i]);
	for (size_t i = 0; p->rings && i < p->ring_count; i++) {
		struct perf_ring *r = &p->rings[i];
		if (r->page)
			munmap(r->page, r->bytes + (size_t)sysconf(_SC_PAGESIZE));
		if (r->fd >= 0)
			close(r->fd);
		free(r->wrapped);
	}
	free(p->more);
	free(p->ids);
	free(p->rings);
	*p = (struct perf){ .ring_count = 0 };
}

bool perf_wait(struct perf *p, int timeout_ms)
{
	struct pollfd *fds = calloc(p->ring_count + p->more_count, sizeof *fds);
	size_t count = 0, gone = 0;

	if (!fds) {
		poll(NULL, 0, timeout_ms); /* no reason to go round and round */
		return true;
	}
	for (size_t i = 0; i < p->ring_count; i++)
		if (p->rings[i].page)
			fds[count++] = (struct pollfd){ .fd = p->rings[i].fd, .events = POLLIN };
	for (size_t i = 0; i < p->more_count; i++)
		fds[count++] = (struct pollfd){ .fd = p->more[i], .events = 0 };
	/* Who is gone answers at once and for ever: he must not keep us awake. */
	poll(fds, (nfds_t)count, 0);
	for (size_t i = 0; i < count; i++) {
		if (fds[i].revents & (POLLHUP | POLLERR | POLLNVAL)) {
			fds[i].fd = -1;
			gone++;
		}
	}
	if (gone < count)
		poll(fds, (nfds_t)count, timeout_ms);
	free(fds);
	return gone < count;
}

void perf_look(struct perf *p)
{
	for (size_t i = 0; i < p->ring_count; i++) {
		struct perf_ring *r = &p->rings[i];
		if (r->page) /* pairs with the kernel's smp_wmb() before it moves the head */
			r->head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);
	}
}

static const uint8_t *data_of(const struct perf_ring *r)
{
	return (const uint8_t *)r->page + r->page->data_offset;
}

static const struct perf_event_header *record_at(struct perf_ring *r)
{
	uint64_t mask = r->bytes - 1, offset = r->at & mask;
	const struct perf_event_header *header = (const void *)(data_of(r) + offset);

	if (r->head - r->at < sizeof *header || header->size < sizeof *header ||
	    header->size > r->head - r->at) {
		r->at = r->head; /* it makes no sense */
		return NULL;
	}
	if (offset + header->size <= r->bytes)
		return header;
	size_t first = r->bytes - offset, size = header->size;
	memcpy(r->wrapped, header, first);
	memcpy(r->wrapped + first, data_of(r), size - first);
	return (const void *)r->wrapped;
}

/* Samples begin with it; all others end with it, before the identifier. */
static uint64_t time_of(const struct perf_event_header *record)
{
	const uint64_t *words = (const void *)(record + 1);
	size_t count = (record->size - sizeof *record) / sizeof *words;

	if (record->type == PERF_RECORD_SAMPLE)
		return count > 2 ? words[2] : 0;
	return count > 2 ? words[count - 2] : 0;
}

const struct perf_event_header *perf_next(struct perf *p, uint64_t until, uint64_t *time)
{
	const struct perf_event_header *best = NULL;
	struct perf_ring *from = NULL;

	for (size_t i = 0; i < p->ring_count; i++) {
		struct perf_ring *r = &p->rings[i];
		if (!r->page)
			continue;
		/* the one before has been dealt with; pairs with the kernel's load before it writes */
		__atomic_store_n(&r->page->data_tail, r->at, __ATOMIC_RELEASE);
		if (r->at == r->head)
			continue;
		const struct perf_event_header *record = record_at(r);
		uint64_t at = record ? time_of(record) : 0;
		if (!record || at > until || (best && at >= *time))
			continue;
		best = record;
		from = r;
		*time = at;
	}
	if (best)
		from->at += best->size;
	return best;
}

bool perf_sample(const struct perf *p, const struct perf_event_header *record,
		 struct perf_sample *s)
{
	const uint64_t *word = (const void *)(record + 1);
	const uint64_t *end = (const void *)((const char *)record + record->size);
	unsigned mode = record->misc & PERF_RECORD_MISC_CPUMODE_MASK;

	if (end - word < 5)
		return false;
	*s = (struct perf_sample){ .in_kernel = mode == PERF_RECORD_MISC_KERNEL };
	s->is_switch = is_switch(p, word[0]);
	s->pid = (pid_t)(uint32_t)word[1];
	s->tid = (pid_t)(word[1] >> 32);
	s->time = word[2];
	s->native = word[3] == PERF_SAMPLE_REGS_ABI_64;
	bool registers = word[3] != PERF_SAMPLE_REGS_ABI_NONE;
	word += 4;
	if (registers) {
		if (end - word < REGISTERS)
			return false;
		s->registers = word;
		word += REGISTERS;
	}
	if (word == end)
		return true;
	uint64_t room = *word++; /* then as much, then how much of it was copied */
	if (!room || end == word || room > (uint64_t)(end - word - 1) * sizeof *word)
		return !room;
	uint64_t copied = word[room / sizeof *word];
	s->stack = (const uint8_t *)word;
	s->stack_bytes = copied < room ? (size_t)copied : (size_t)room;
	return true;
}

void perf_stack(const struct perf_sample *s, struct unwind_stack *stack)
{
	*stack = (struct unwind_stack){ .bytes = s->stack, .count = s->stack_bytes };
	for (unsigned i = 0; i < REGISTERS; i++) {
		unsigned number = dwarf_number[i];
		if (number == UNWIND_REGISTERS) {
			stack->pc = s->registers[i];
			continue;
		}
		stack->reg[number] = s->registers[i];
		stack->known |= UINT64_C(1) << number;
	}
	stack->address = stack->reg[UNWIND_SP];
}
