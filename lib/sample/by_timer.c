/*
 * by_timer.c - samples that the program takes of itself, where the kernel shows stacks to nobody: the shim
 * has a timer on each thread's own processor time (shim/sample.c), whose handler puts registers and stack
 * into a ring of its own in the session's directory. Here they are read; what is mapped in the processes,
 * /proc says.
 */
#include "lib/sample/by_timer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/ring/reader.h"
#include "lib/sample/blocked.h"
#include "lib/sample/sampler_inside.h"
#include "lib/sample/words.h"
#include "lib/session/process.h"
#include "lib/session/session.h"

enum {
	RING_BYTES = 4 << 20,
	/* Where a sample is due at each tick, the timer's interval is shorter, or every other tick would come
	 * a moment too early for it. */
	PARTS = 8,
	AT_ONCE_MOST = 4096,            /* periods that one look may stand for */
	RELEASE_EVERY = 64,
	ANEW_NS = 100000000, STALE_NS = 1000000000,
	JOINED_MOST = 1024,
	SESSION_NS = 1000000000,        /* from one look whether a session without a collector has ended */
};

struct timed {
	struct session session;
	struct ring ring;
	struct reader reader;
	int fd;
	uint64_t interval_ns;           /* of the timers */
	uint64_t lost;                  /* for which the ring had no room, as far as they are told */
	uint64_t namespace;             /* of pids: ours */
	uint64_t looked_ns;
	uint32_t joined;                /* processes and threads since those that have ended were forgotten */
	bool left;                      /* somebody was there when it was last looked */
	struct words words;
};

/* ---- what this kernel can do ------------------------------------------------------------------- */

uint64_t by_timer_tick_ns(void)
{
	struct timespec tick;

	/* A clock that moves with the tick. */
	if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) != 0 || tick.tv_sec ||
	    tick.tv_nsec < 100000)
		return 4000000;
	return (uint64_t)tick.tv_nsec;
}

static void ignore(int number)
{
	(void)number;
}

/* Where signals interrupt, a long read of zeros is cut short by them. */
static bool read_at_length(uint64_t until_ns)
{
	enum { PIECE = 64 << 10, PIECES = 1024 }; /* as many as readv(2) takes, into the same place */
	static char zeros[PIECE];
	struct iovec parts[PIECES];
	bool whole = true;
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	for (unsigned i = 0; i < PIECES; i++)
		parts[i] = (struct iovec){ zeros, PIECE };
	for (unsigned i = 0; fd >= 0 && whole && i < 8 && clock_monotonic_ns() < until_ns; i++)
		whole = readv(fd, parts, PIECES) == (ssize_t)PIECE * PIECES;
	if (fd >= 0)
		close(fd);
	return fd >= 0 && whole;
}

bool by_timer_undisturbed(void)
{
	struct sigaction wanted = { .sa_handler = ignore, .sa_flags = SA_RESTART }, before;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF };
	uint64_t tick = by_timer_tick_ns();
	struct itimerspec often = { .it_interval.tv_nsec = (long)tick / 2,
				    .it_value.tv_nsec = (long)tick / 2 };
	timer_t timer;

	if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0)
		return false;
	sigaction(SIGPROF, &wanted, &before);
	timer_settime(timer, 0, &often, NULL);
	bool whole = read_at_length(clock_monotonic_ns() + 3 * tick);
	timer_delete(timer);
	sigaction(SIGPROF, &before, NULL);
	return whole;
}

/* ---- records of the shim ----------------------------------------------------------------------- */

static uint64_t namespace_of_pids(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

/* Its first records, or what a child has of its parent. What is mapped in the parent is in the child. */
static void on_join(struct sampler *s, const struct reader_record *r)
{
	struct record_join join = { 0 };
	pid_t pid = (pid_t)r->pid;

	s->timed->joined++;
	if (r->detail == JOIN_THREAD || r->detail == JOIN_BLOCKED) {
		blocked_ended(s, false);
		space_exit(s->space, 0, (pid_t)r->tid); /* the number's owner before */
		struct space_thread *t = space_thread(s->space, pid, (pid_t)r->tid);
		if (t && r->detail == JOIN_BLOCKED)
			blocked_begun(s, t);
		return;
	}
	memcpy(&join, r->payload, r->bytes < sizeof join ? r->bytes : sizeof join);
	bool hidden = join.pid_namespace && join.pid_namespace != s->timed->namespace;
	if (r->detail == JOIN_CHILD) {
		space_fork(s->space, (pid_t)join.parent, pid, (pid_t)r->tid);
	} else {
		space_exit(s->space, 0, (pid_t)r->tid);
		space_exec(s->space, pid);
	}
	struct space_process *p = space_process(s->space, pid);
	if (!p)
		return;
	p->hidden = hidden;
	if (!hidden && r->detail != JOIN_CHILD && space_read_anew(s->space, pid) == 0)
		p->read_ns = s->ns;
}

static struct space_thread *thread_of(struct sampler *s, pid_t pid, pid_t tid)
{
	struct space_thread *t = space_thread(s->space, pid, tid);

	if (!t || t->pid == pid)
		return t;
	space_exit(s->space, 0, tid); /* another process's, of which nobody told us that it ended */
	return space_thread(s->space, pid, tid);
}

/* An address lies in nothing that we know of: a module was loaded, or code was made. */
static bool read_maps_anew(void *arg, struct space_process *p)
{
	struct sampler *s = arg;

	if (p->hidden || s->ns - p->read_ns < ANEW_NS)
		return false;
	p->read_ns = s->ns;
	return space_read_anew(s->space, p->pid) == 0 && sampler_ready_anew(s);
}

/* Of modules that went, and others that came in their place, the shim does not always tell. */
static struct space_process *process_of(struct sampler *s, pid_t pid)
{
	struct space_process *p = space_process(s->space, pid);

	if (!p || p->hidden || (p->count && s->ns - p->read_ns < STALE_NS))
		return p;
	p->read_ns = s->ns;
	space_read_anew(s->space, pid);
	return p;
}

/* How many periods are over by now. The rest is owed. */
static uint64_t due(struct sampler *s, struct space_thread *t, uint64_t intervals)
{
	t->owed_ns += intervals * s->timed->interval_ns;
	uint64_t count = t->owed_ns / s->period_ns;
	t->owed_ns %= s->period_ns;
	return count < AT_ONCE_MOST ? count : AT_ONCE_MOST;
}

static void on_sample(struct sampler *s, const struct reader_record *r)
{
	struct unwind_stack stack;

	if (!words_read(&s->timed->words, r->payload, r->bytes, WORDS_ALL, &stack))
		return;
	struct space_thread *t = thread_of(s, (pid_t)r->pid, (pid_t)r->tid);
	struct space_process *p = process_of(s, (pid_t)r->pid);
	uint64_t count = t ? due(s, t, r->detail) : 0;
	if (t)
		t->seen = true;
	if (!p || !count || !sampler_ready(s))
		return;
	uint32_t node = sampler_node(s, t, p, &stack);
	uint64_t period = (uint64_t)((double)s->period_ns * s->ticks_per_ns);
	while (count--) /* while it was in a system call, its signals were one */
		if (out_room(&s->out, 2 * SAMPLER_RECORD_WORDS))
			sampler_tell(s, t, node, r->ticks - count * period);
}

static void on_record(struct sampler *s, const struct reader_record *r)
{
	struct space_process *p;

	if (!r->pid || r->pid > INT32_MAX)
		return;
	switch (r->kind) {
	case RECORD_SAMPLE: on_sample(s, r); break;
	case RECORD_JOIN: on_join(s, r); break;
	case RECORD_MODULE: /* some went: whatever is there next, it is another one */
		p = space_process(s->space, (pid_t)r->pid);
		if (p)
			p->read_ns = 0;
		break;
	default: break;
	}
}

/* ---- the back end ------------------------------------------------------------------------------ */

static void close_ring(struct sampler *s)
{
	struct timed *t = s->timed;

	if (!t)
		return;
	if (t->session.control)
		atomic_store(&t->session.control->sample_ns, 0);
	reader_close(&t->reader);
	ring_unmap(&t->ring);
	session_leave(&t->session);
	if (t->fd >= 0)
		close(t->fd);
	free(t);
	s->timed = NULL;
}

static int make_ring(struct timed *t, const char *dir)
{
	char path[512];
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

	if ((size_t)snprintf(path, sizeof path, "%s/" CONTROL_SAMPLES, dir) >= sizeof path)
		return -ENAMETOOLONG;
	t->fd = open(path, flags, 0600);
	int error = t->fd < 0 ? -errno : ring_create(t->fd, RING_BYTES, RING_WHOLE);
	if (!error)
		error = ring_map(&t->ring, t->fd);
	if (!error)
		error = reader_open(&t->reader, &t->ring, t->fd, 0, false);
	return error;
}

static void plan(struct timed *t, struct trace_samples *head)
{
	uint64_t tick = by_timer_tick_ns();

	t->interval_ns = head->period_ns;
	if (head->period_ns <= tick) {
		head->period_ns = tick;
		t->interval_ns = tick / PARTS;
	}
	head->least_ns = (uint32_t)tick;
	head->reach = TRACE_REACH_KERNEL; /* as the time of who called it */
	head->stack_bytes = RECORD_STACK_WORDS * sizeof(uint64_t);
}

static int open_ring(struct sampler *s, struct trace_samples *head, char *why, size_t why_bytes)
{
	struct timed *t = s->timed = calloc(1, sizeof *t);

	snprintf(why, why_bytes,
		 "no samples can be taken: the kernel refuses perf_event_open, and its timers "
		 "interrupt system calls");
	if (!t)
		return -ENOMEM;
	t->fd = -1;
	int error = by_timer_undisturbed() ? 0 : -ENOTSUP;
	if (!error) {
		error = session_attach(&t->session, s->plan.session);
		if (!error)
			error = make_ring(t, s->plan.session);
		snprintf(why, why_bytes, "no samples can be taken: %s/" CONTROL_SAMPLES ": %s",
			 s->plan.session, strerror(-error));
	}
	if (error) {
		close_ring(s);
		return error;
	}
	t->namespace = namespace_of_pids();
	t->left = true;
	plan(t, head);
	s->stacks->stale = read_maps_anew;
	atomic_store(&t->session.control->sample_ns, (uint32_t)t->interval_ns);
	return 0;
}

/* The session's end is the last process's. Where nobody is left who could tell, /proc says. */
static bool anybody_left(struct sampler *s)
{
	const struct control *control = s->timed->session.control;

	if (atomic_load(&control->state) == SESSION_ENDED)
		return false;
	if (session_alive(control))
		return true;
	for (size_t i = 0; i < SPACE_SLOTS; i++)
		for (const struct space_process *p = s->space->processes[i]; p; p = p->next)
			if (!p->hidden && !process_is_zombie(p->pid))
				return true;
	return false;
}

static bool wait_for_samples(struct sampler *s, bool busy)
{
	struct timed *t = s->timed;
	const uint64_t ms = 1000000;
	uint64_t now = clock_monotonic_ns();

	if (s->some_blocked) /* of whom nobody tells anything */
		reader_sleep(&t->reader, READER_NAPPING, BLOCKED_LOOK_MS * ms);
	else if (busy)
		reader_sleep(&t->reader, READER_NAPPING, SAMPLER_BUSY_MS * ms);
	else
		reader_sleep(&t->reader, READER_ASLEEP, SAMPLER_IDLE_MS * ms);
	if (t->left && (atomic_load(&t->session.control->state) == SESSION_ENDED ||
			now - t->looked_ns > SESSION_NS)) {
		t->looked_ns = now;
		t->left = anybody_left(s);
	}
	return t->left;
}

static bool is_gone(pid_t pid, pid_t tid)
{
	return syscall(SYS_tgkill, pid, tid, 0) != 0 && errno == ESRCH;
}

static uint64_t take_records(struct sampler *s, bool last)
{
	struct timed *t = s->timed;
	struct reader_record record;
	uint64_t count = 0;

	/* a claim that is open at last has nobody who could fill it */
	while (reader_next(&t->reader, s->ns, &record) == READER_RECORD) {
		on_record(s, &record);
		if (++count % RELEASE_EVERY == 0)
			reader_release(&t->reader, t->reader.at, s->ns);
	}
	reader_release(&t->reader, t->reader.at, s->ns);
	if (t->joined > JOINED_MOST) { /* what those who ended had said is read */
		t->joined = 0;
		space_sweep(s->space, is_gone);
	}
	if (last)
		blocked_ended(s, true);
	else
		blocked_look(s);
	if (t->reader.aside_count || t->reader.missing)
		reader_tend(&t->reader, s->ns);
	uint64_t lost = atomic_load(&t->ring.shared->lost_messages) + t->reader.torn +
			t->reader.corrupt;
	if (lost > t->lost)
		sampler_tell_gap(s, TRACE_SAMPLE_GAP_RING, lost - t->lost);
	t->lost = lost > t->lost ? lost : t->lost;
	return count;
}

const struct sampler_source sampler_by_timer = {
	.source = TRACE_SOURCE_TIMER, .open = open_ring, .wait = wait_for_samples,
	.take = take_records, .close = close_ring,
};
