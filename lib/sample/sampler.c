/*
 * sampler.c - see sampler.h. Called by `hark sample` alone. What arrives is dealt with at once: nothing
 * but the tree of stacks grows, and that has a bound.
 */
#include "lib/sample/sampler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/sample/out.h"
#include "lib/sample/perf.h"
#include "lib/sample/stacks.h"
#include "lib/session/process.h"

enum {
	SECOND = 1000000000,
	/* Records of the last moment may still be on their way into another processor's ring. */
	SETTLE_NS = 1000000,
	BUSY_MS = 50, IDLE_MS = 1000,
	STACK = 32 << 10, STACK_FAST = 16 << 10, FAST_RATE = 1000,
	RECORD_WORDS = 8,
};

struct sampler {
	struct perf perf;
	struct space *space;
	struct stacks *stacks;
	struct out out;
	struct sampler_plan plan;
	uint64_t period_ns;
	bool counter;
	uint64_t first_ticks, first_ns, ticks, ns; /* pairs of clocks */
	double ticks_per_ns;
	uint64_t clock_ns;         /* when the file was told of both clocks */
	size_t files_told;         /* of the space's files, in their order */
	uint64_t missed;           /* samples for which the file had no room */
	bool told_full;
};

/* ---- time -------------------------------------------------------------------------------------- */

static void read_clocks(struct sampler *s)
{
	s->ns = clock_monotonic_ns();
	s->ticks = clock_ticks(s->counter);
	if (!s->first_ns) {
		s->first_ns = s->ns;
		s->first_ticks = s->ticks;
	}
	uint64_t past_ns = s->ns - s->first_ns;
	if (s->counter && past_ns)
		s->ticks_per_ns = (double)(s->ticks - s->first_ticks) / (double)past_ns;
}

static uint64_t ticks_of(const struct sampler *s, uint64_t ns)
{
	if (!s->counter)
		return ns;
	return s->ticks - (uint64_t)(int64_t)((double)(int64_t)(s->ns - ns) * s->ticks_per_ns);
}

/* ---- what is written --------------------------------------------------------------------------- */

static void tell_gap(struct sampler *s, enum trace_sample_gap reason, uint64_t count)
{
	uint64_t word = s->ticks;

	if (out_room(&s->out, 2))
		out_put(&s->out, TRACE_SAMPLE_GAP, reason,
			count > UINT32_MAX ? UINT32_MAX : (uint32_t)count, &word, 1);
}

/* There is room for it: that has been seen to before the stack was looked at. */
static void tell_node(void *arg, const struct stacks_node *node)
{
	struct sampler *s = arg;

	out_put(&s->out, TRACE_SAMPLE_NODE, node->file, node->parent, &node->offset, 1);
}

static void tell_thread(struct sampler *s, struct space_thread *t)
{
	uint64_t words[4] = { (uint32_t)t->tid, s->ticks };

	if (!t->number)
		t->number = ++s->space->thread_count;
	if (!t->comm[0])
		process_comm(t->tid, t->comm);
	memcpy(&words[2], t->comm, sizeof t->comm);
	out_put(&s->out, TRACE_SAMPLE_THREAD, t->number, (uint32_t)t->pid, words, 4);
}

/* All that are known, each as soon as there is room for it: a process that runs already brings hundreds. */
static bool tell_files(struct sampler *s)
{
	for (; s->files_told < s->space->file_count; s->files_told++) {
		const struct space_file *f = s->space->files[s->files_told];
		if (!out_room(&s->out, RECORD_WORDS + TRACE_SAMPLE_TEXT / 8))
			return false;
		out_file(&s->out, f->number, f->build_id, f->path);
	}
	return true;
}

/* For a whole stack of new nodes, and what stands around it. Its files are told before: nobody knows
 * which of them it goes through. */
static bool ready(struct sampler *s)
{
	const uint32_t most = (2 * STACKS_FRAMES + 8) * 2 + 8 * RECORD_WORDS;

	if (s->space->thread_count >= (1u << TRACE_SAMPLE_NUMBER_BITS) - 1 || !tell_files(s) ||
	    !out_room(&s->out, most)) {
		s->missed++;
		return false;
	}
	if (s->missed) {
		tell_gap(s, TRACE_SAMPLE_GAP_DISK, s->missed);
		s->missed = 0;
	}
	return true;
}

/* ---- records of the kernel --------------------------------------------------------------------- */

static void on_sample(struct sampler *s, const struct perf_event_header *record)
{
	struct perf_sample sample;

	if (!perf_sample(&s->perf, record, &sample) || sample.pid <= 0 || !ready(s))
		return;
	struct space_thread *t = space_thread(s->space, sample.pid, sample.tid);
	if (!t)
		return;
	uint32_t node = stacks_of(s->stacks, t, &sample);
	if (s->stacks->full && !s->told_full) {
		s->told_full = true;
		tell_gap(s, TRACE_SAMPLE_GAP_MEMORY, 0);
	}
	if (sample.is_switch) {
		t->waits_in = node;
		return;
	}
	if (sample.in_kernel)
		node = stacks_below(s->stacks, node, STACKS_KERNEL);
	if (!t->number)
		tell_thread(s, t);
	uint64_t word = ticks_of(s, sample.time);
	if (node)
		out_put(&s->out, TRACE_SAMPLE_SAMPLE, t->number, node, &word, 1);
}

/* As many samples as there would have been while it waited. */
static void waited(struct sampler *s, struct space_thread *t, uint64_t now)
{
	uint64_t count = now / s->period_ns - t->left_ns / s->period_ns;

	if (!count || now <= t->left_ns || !ready(s))
		return;
	uint32_t node = stacks_below(s->stacks, t->waits_in,
				     t->preempted ? STACKS_PREEMPTED : STACKS_WAITING);
	uint64_t words[2] = { ticks_of(s, now), count * s->period_ns };
	if (!t->number)
		tell_thread(s, t);
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
		return;
	}
	if (t->left_ns)
		waited(s, t, time);
	t->left_ns = 0;
	t->waits_in = 0;
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
	const char *path = m->path;
	if (path[0] != '/' && strcmp(path, "[vdso]") != 0)
		path = "[anonymous]"; /* "//anon", "[heap]": code that was made at run time */
	else if (strncmp(path, "//", 2) == 0 || strncmp(path, "/memfd:", 7) == 0)
		path = "[anonymous]";
	struct space_file *file =
		*path == '[' ? space_file(s->space, path, 0, 0)
			     : space_file(s->space, path, (uint64_t)m->major << 32 | m->minor,
					  m->inode);
	if (!p || !file || strcmp(m->path, "[vsyscall]") == 0)
		return;
	space_map(s->space, p, m->start, m->bytes, m->at, file);
	uint64_t words[] = { s->ticks, m->start, m->bytes };
	if (file->path[0] == '/' && tell_files(s) && out_room(&s->out, RECORD_WORDS))
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
	if (record->misc & PERF_RECORD_MISC_COMM_EXEC)
		space_exec(s->space, (pid_t)c->pid);
	struct space_thread *t = space_thread(s->space, (pid_t)c->pid, (pid_t)c->tid);
	if (!t)
		return;
	snprintf(t->comm, sizeof t->comm, "%.15s", c->comm);
	if (record->misc & PERF_RECORD_MISC_COMM_EXEC) {
		t->saved_count = 0;
		t->number = 0; /* another program: a thread of its own in the trace */
	} else if (t->number && out_room(&s->out, RECORD_WORDS)) {
		tell_thread(s, t);
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
	case PERF_RECORD_EXIT: space_exit(s->space, (pid_t)ids[0], (pid_t)ids[2]); break;
	case PERF_RECORD_LOST: tell_gap(s, TRACE_SAMPLE_GAP_RING, words[1]); break;
	case PERF_RECORD_THROTTLE: tell_gap(s, TRACE_SAMPLE_GAP_THROTTLE, 0); break;
	default: break;
	}
}

/* ---- the whole --------------------------------------------------------------------------------- */

static const char *advice(int error)
{
	if (error == -EACCES || error == -EPERM)
		return "; the kernel refuses perf_event_open: see kernel.perf_event_paranoid (2 is "
		       "enough), or the container's seccomp profile";
	return "";
}

static int begin(struct sampler *s, char *why, size_t why_bytes)
{
	const struct perf_plan plan = {
		.period_ns = s->period_ns, .wall = s->plan.wall, .on_exec = s->plan.on_exec,
		.stack_bytes = s->plan.rate > FAST_RATE ? STACK_FAST : STACK,
	};
	int error = perf_open(&s->perf, &plan, s->plan.pid);

	if (error) {
		snprintf(why, why_bytes, "no samples can be taken: %s%s", strerror(-error),
			 advice(error));
		return error;
	}
	struct trace_samples head = {
		.magic = TRACE_SAMPLES_MAGIC, .bytes = sizeof head,
		.mode = s->plan.wall ? TRACE_SAMPLE_WALL : TRACE_SAMPLE_CPU,
		.source = TRACE_SOURCE_PERF,
		.reach = s->perf.kernel ? TRACE_REACH_KERNEL : 0,
		.period_ns = s->period_ns, .pid = getpid(), .target = s->plan.pid,
		.pid_start = process_start(getpid()), .stack_bytes = plan.stack_bytes,
	};
	error = out_open(&s->out, s->plan.data, &head);
	if (error)
		snprintf(why, why_bytes, "%s/" TRACE_SAMPLES ": %s", s->plan.data,
			 strerror(-error));
	else if (!s->plan.on_exec)
		space_read(s->space, s->plan.pid);
	return error;
}

int sampler_open(struct sampler **made, const struct sampler_plan *plan, char *why,
		 size_t why_bytes)
{
	struct sampler *s = calloc(1, sizeof *s);
	int error = -ENOMEM;

	*made = NULL;
	snprintf(why, why_bytes, "no samples can be taken: no memory");
	if (!s)
		return error;
	s->out.fd = -1;
	s->plan = *plan;
	s->period_ns = (SECOND + plan->rate / 2) / plan->rate;
	s->counter = clock_counter_usable();
	s->ticks_per_ns = 1;
	s->space = space_open();
	s->stacks = s->space ? stacks_open(s->space, tell_node, s) : NULL;
	if (s->stacks)
		error = begin(s, why, why_bytes);
	if (error) {
		sampler_close(s);
		return error;
	}
	read_clocks(s);
	*made = s;
	return 0;
}

static uint64_t round_to(struct sampler *s, uint64_t until)
{
	const struct perf_event_header *record;
	uint64_t time, count = 0;

	perf_look(&s->perf);
	for (; (record = perf_next(&s->perf, until, &time)); count++)
		on_record(s, record, time);
	if (count && s->ns >= s->clock_ns + SECOND && out_room(&s->out, RECORD_WORDS)) {
		uint64_t words[2] = { s->ticks, s->ns };
		out_put(&s->out, TRACE_SAMPLE_CLOCK, 0, 0, words, 2);
		s->clock_ns = s->ns;
	}
	out_flush(&s->out);
	return count;
}

void sampler_run(struct sampler *s)
{
	bool some = true;
	int timeout = BUSY_MS;

	while (some) {
		some = perf_wait(&s->perf, timeout);
		read_clocks(s);
		timeout = round_to(s, some ? s->ns - SETTLE_NS : UINT64_MAX) ? BUSY_MS : IDLE_MS;
	}
	uint64_t words[2] = { s->ticks, s->ns };
	if (out_room(&s->out, RECORD_WORDS)) {
		if (s->missed)
			tell_gap(s, TRACE_SAMPLE_GAP_DISK, s->missed);
		out_put(&s->out, TRACE_SAMPLE_CLOCK, 0, 0, words, 2);
		out_put(&s->out, TRACE_SAMPLE_END, 0, 0, words, 1);
	}
	out_flush(&s->out);
}

void sampler_close(struct sampler *s)
{
	if (!s)
		return;
	perf_close(&s->perf);
	out_close(&s->out);
	stacks_close(s->stacks);
	space_close(s->space);
	free(s);
}
