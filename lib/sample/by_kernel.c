/*
 * by_kernel.c - samples that the kernel takes: its records of samples, maps, threads and switches, as they
 * come out of perf.c. Nothing is in the program.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/sample/perf.h"
#include "lib/sample/sampler_inside.h"
#include "lib/sample/waits.h"

enum {
	/* Records of the last moment may still be on their way into another processor's ring. */
	SETTLE_NS = 1000000,
	STACK = 32 << 10, STACK_FAST = 16 << 10, FAST_RATE = 1000,
	ASK_MOST = 64,             /* threads at a time, what they wait in */
};

/* From exec to the first instruction the registers are those of the program that asked for it, of which
 * nothing is there any more: nobody calls the kernel then. */
static bool is_beginning(struct space_process *p, const struct perf_sample *sample, uint64_t pc)
{
	struct unwind_place place;

	p->begins = p->begins && sample->in_kernel && !space_find(p, pc, &place);
	return p->begins;
}

/* Where there are no registers of the program's, there is no stack either. */
static uint32_t node_of(struct sampler *s, struct space_thread *t, const struct perf_sample *sample)
{
	struct space_process *p = space_process(s->space, sample->pid);
	struct unwind_stack stack;

	if (!p || !sample->registers)
		return 0;
	if (!sample->native)
		return stacks_below(s->stacks, 0, STACKS_FOREIGN);
	perf_stack(sample, &stack);
	if (is_beginning(p, sample, stack.pc))
		return 0;
	return sampler_node(s, t, p, &stack);
}

static void on_sample(struct sampler *s, const struct perf_event_header *record)
{
	struct perf_sample sample;

	if (!perf_sample(s->perf, record, &sample) || sample.pid <= 0 || !sampler_ready(s))
		return;
	struct space_thread *t = space_thread(s->space, sample.pid, sample.tid);
	if (!t)
		return;
	uint32_t node = node_of(s, t, &sample);
	if (sample.is_switch) {
		t->waits_in = node;
		return;
	}
	if (sample.in_kernel)
		node = stacks_below(s->stacks, node, STACKS_KERNEL);
	sampler_tell(s, t, node, sampler_ticks(s, sample.time));
}

/* ---- waiting ----------------------------------------------------------------------------------- */

/* The program's part of the stack, as far as it can be known by the stack pointer alone, and the call. */
static void ask(struct sampler *s, struct space_thread *t)
{
	char name[WAITS_NAME];
	uint32_t node = 0;

	t->asked = true;
	if (waits_ask(t->pid, t->tid, s->waits) != 0)
		return;
	uint64_t now = clock_monotonic_ns();
	struct space_process *p = space_process(s->space, t->pid);
	waits_name(s->waits->number, name);
	struct space_file *file = space_file(s->space, name, 0, 0);
	if (!file || !sampler_ready(s))
		return;
	if (p && s->waits->stack.count)
		node = sampler_node(s, t, p, &s->waits->stack);
	t->answer = stacks_below_file(s->stacks, node, file);
	t->answered_ns = now;
}

/* Those that wait, as far as we have heard: who went on meanwhile says so by a later record, whose time tells
 * that the answer is not of this wait. Each is asked once. */
static void ask_all(struct sampler *s)
{
	unsigned asked = 0;

	if (!s->waits || s->ns - s->asked_ns < SAMPLER_BUSY_MS * UINT64_C(1000000) * 9 / 10)
		return; /* rounds follow each other as fast as rings fill */
	s->asked_ns = s->ns;
	for (size_t i = 0; i < SPACE_SLOTS && asked < ASK_MOST; i++) {
		size_t slot = s->asked_slot;
		for (struct space_thread *t = s->space->threads[slot]; t; t = t->next) {
			if (!t->left_ns || t->preempted || t->asked)
				continue;
			ask(s, t);
			asked++;
		}
		s->asked_slot = (slot + 1) % SPACE_SLOTS;
	}
}

/* As many samples as there would have been while it waited. */
static void waited(struct sampler *s, struct space_thread *t, uint64_t now)
{
	uint64_t count = now / s->period_ns - t->left_ns / s->period_ns;

	if (!count || now <= t->left_ns || !sampler_ready(s))
		return;
	uint32_t node = t->answer && now > t->answered_ns
				? t->answer
				: stacks_below(s->stacks, t->waits_in,
					       t->preempted ? STACKS_PREEMPTED : STACKS_WAITING);
	uint64_t words[2] = { sampler_ticks(s, now), count * s->period_ns };
	if (!t->number)
		sampler_tell_thread(s, t);
	out_put(&s->out, TRACE_SAMPLE_WAIT, t->number, node, words, 2);
}

static void on_switch(struct sampler *s, const struct perf_event_header *record, uint64_t time)
{
	const uint64_t *words = (const void *)(record + 1);
	pid_t pid = (pid_t)(uint32_t)words[0], tid = (pid_t)(words[0] >> 32);
	struct space_thread *t = space_thread(s->space, pid, tid);

	if (!t || !s->plan.wall)
		return;
	if (record->misc & PERF_RECORD_MISC_SWITCH_OUT) {
		t->left_ns = time;
		t->preempted = record->misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT;
		t->asked = false;
		t->answer = 0;
		return;
	}
	if (t->left_ns)
		waited(s, t, time);
	t->left_ns = 0;
	t->waits_in = 0;
}

/* "//anon", "[heap]", a file that has no place: code that was made at run time */
static struct space_file *mapped_file(struct sampler *s, const char *path, pid_t pid,
				      uint64_t device, uint64_t inode)
{
	if (strcmp(path, "[vdso]") == 0)
		return space_file(s->space, path, 0, 0);
	if (path[0] != '/' || strncmp(path, "//", 2) == 0 || strncmp(path, "/memfd:", 7) == 0)
		return space_made(s->space, pid);
	return space_file(s->space, path, device, inode);
}

static void on_map(struct sampler *s, const struct perf_event_header *record)
{
	const struct {
		struct perf_event_header header;
		uint32_t pid, tid;
		uint64_t start, bytes, at;
		uint32_t major, minor;
		uint64_t inode, generation;
		uint32_t protection, flags;
		char path[];
	} *m = (const void *)record;

	if (record->size <= sizeof *m || !memchr(m->path, 0, record->size - sizeof *m))
		return;
	struct space_process *p = space_process(s->space, (pid_t)m->pid);
	if (!p || strcmp(m->path, "[vsyscall]") == 0)
		return;
	struct space_file *file = mapped_file(s, m->path, (pid_t)m->pid,
					      (uint64_t)m->major << 32 | m->minor, m->inode);
	if (!file)
		return;
	space_map(s->space, p, m->start, m->bytes, m->at, file);
	uint64_t words[] = { s->ticks, m->start, m->bytes };
	if (file->path[0] == '/' && sampler_tell_files(s) &&
	    out_room(&s->out, SAMPLER_RECORD_WORDS))
		out_put(&s->out, TRACE_SAMPLE_MAP, file->number, m->pid, words, 3);
}

static void on_comm(struct sampler *s, const struct perf_event_header *record)
{
	const struct {
		struct perf_event_header header;
		uint32_t pid, tid;
		char comm[];
	} *c = (const void *)record;

	if (record->size < sizeof *c + 16)
		return;
	/* made, if need be: from here on it is known to begin */
	if (record->misc & PERF_RECORD_MISC_COMM_EXEC && space_process(s->space, (pid_t)c->pid))
		space_exec(s->space, (pid_t)c->pid);
	struct space_thread *t = space_thread(s->space, (pid_t)c->pid, (pid_t)c->tid);
	if (!t)
		return;
	snprintf(t->comm, sizeof t->comm, "%.15s", c->comm);
	if (record->misc & PERF_RECORD_MISC_COMM_EXEC) {
		t->saved_count = 0;
		t->number = 0; /* another program: a thread of its own in the trace */
	} else if (t->number && out_room(&s->out, SAMPLER_RECORD_WORDS)) {
		sampler_tell_thread(s, t);
	}
}

static void on_record(struct sampler *s, const struct perf_event_header *record, uint64_t time)
{
	const uint32_t *ids = (const void *)(record + 1); /* pid, parent, tid, parent's tid */
	const uint64_t *words = (const void *)(record + 1);

	switch (record->type) {
	case PERF_RECORD_SAMPLE: on_sample(s, record); break;
	case PERF_RECORD_SWITCH: on_switch(s, record, time); break;
	case PERF_RECORD_MMAP2: on_map(s, record); break;
	case PERF_RECORD_COMM: on_comm(s, record); break;
	case PERF_RECORD_FORK:
		space_fork(s->space, (pid_t)ids[1], (pid_t)ids[0], (pid_t)ids[2]);
		break;
	case PERF_RECORD_EXIT:
		if (ids[0] == ids[2])
			sampler_keep_made(s, (pid_t)ids[0]);
		space_exit(s->space, (pid_t)ids[0], (pid_t)ids[2]);
		break;
	case PERF_RECORD_LOST: sampler_tell_gap(s, TRACE_SAMPLE_GAP_RING, words[1]); break;
	case PERF_RECORD_THROTTLE: sampler_tell_gap(s, TRACE_SAMPLE_GAP_THROTTLE, 0); break;
	default: break;
	}
}

/* ---- the back end ------------------------------------------------------------------------------ */

static void close_events(struct sampler *s)
{
	if (s->perf)
		perf_close(s->perf);
	free(s->perf);
	free(s->waits);
	s->perf = NULL;
	s->waits = NULL;
}

static int open_events(struct sampler *s, struct trace_samples *head, char *why, size_t why_bytes)
{
	const struct perf_plan plan = {
		.period_ns = head->period_ns, .wall = s->plan.wall, .on_exec = s->plan.on_exec,
		.stack_bytes = s->plan.rate > FAST_RATE ? STACK_FAST : STACK,
	};

	s->perf = calloc(1, sizeof *s->perf);
	int error = s->perf ? perf_open(s->perf, &plan, s->plan.pid) : -ENOMEM;
	if (error) {
		snprintf(why, why_bytes, "no samples can be taken: %s", strerror(-error));
		close_events(s);
		return error;
	}
	if (s->plan.wall && !s->perf->switches) /* without memory, nobody is asked */
		s->waits = calloc(1, sizeof *s->waits);
	head->reach = s->perf->kernel ? TRACE_REACH_KERNEL : 0;
	head->stack_bytes = plan.stack_bytes;
	if (!s->plan.on_exec)
		space_read(s->space, s->plan.pid);
	return 0;
}

static bool wait_for_events(struct sampler *s, bool busy)
{
	/* Each round takes a processor from the program. But who is to be asked what he waits in must be met
	 * while he does. */
	int ms = s->waits ? SAMPLER_BUSY_MS : busy ? 2 * SAMPLER_BUSY_MS : SAMPLER_IDLE_MS;

	return perf_wait(s->perf, ms);
}

static uint64_t take_records(struct sampler *s, bool last)
{
	uint64_t time, count = 0, until = last ? UINT64_MAX : s->ns - SETTLE_NS;
	const struct perf_event_header *record;

	perf_look(s->perf);
	for (; (record = perf_next(s->perf, until, &time)); count++)
		on_record(s, record, time);
	if (!last)
		ask_all(s);
	return count;
}

const struct sampler_source sampler_by_kernel = {
	.source = TRACE_SOURCE_PERF, .open = open_events, .wait = wait_for_events,
	.take = take_records, .close = close_events,
};
