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
#include "lib/sample/made.h"
#include "lib/sample/sampler_inside.h"
#include "lib/session/process.h"

/* A whole stack of new nodes, and what stands around it. */
enum { STACK_WORDS = (2 * STACKS_FRAMES + 8) * 2 + 8 * SAMPLER_RECORD_WORDS };

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

uint64_t sampler_ticks(const struct sampler *s, uint64_t ns)
{
	if (!s->counter)
		return ns;
	return s->ticks - (uint64_t)(int64_t)((double)(int64_t)(s->ns - ns) * s->ticks_per_ns);
}

/* ---- what is written --------------------------------------------------------------------------- */

void sampler_tell_gap(struct sampler *s, enum trace_sample_gap reason, uint64_t count)
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

void sampler_tell_thread(struct sampler *s, struct space_thread *t)
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
bool sampler_tell_files(struct sampler *s)
{
	for (; s->files_told < s->space->file_count; s->files_told++) {
		const struct space_file *f = s->space->files[s->files_told];
		if (!out_room(&s->out, SAMPLER_RECORD_WORDS + TRACE_SAMPLE_TEXT / 8))
			return false;
		out_file(&s->out, f->number, f->build_id, f->path);
	}
	return true;
}

/* Its files are told before a stack: nobody knows which of them it goes through. */
bool sampler_ready(struct sampler *s)
{
	if (s->space->thread_count >= (1u << TRACE_SAMPLE_NUMBER_BITS) - 1 ||
	    !sampler_tell_files(s) || !out_room(&s->out, STACK_WORDS)) {
		s->missed++;
		return false;
	}
	if (s->missed) {
		sampler_tell_gap(s, TRACE_SAMPLE_GAP_DISK, s->missed);
		s->missed = 0;
	}
	return true;
}

/* In the midst of a stack that goes through what was not known: its files, and room for all of it. */
bool sampler_ready_anew(struct sampler *s)
{
	return sampler_tell_files(s) && out_room(&s->out, STACK_WORDS);
}

uint32_t sampler_node(struct sampler *s, struct space_thread *t, struct space_process *p,
		      const struct unwind_stack *stack)
{
	uint32_t node = stacks_of(s->stacks, t, p, stack);

	if (s->stacks->full && !s->told_full) {
		s->told_full = true;
		sampler_tell_gap(s, TRACE_SAMPLE_GAP_MEMORY, 0);
	}
	return node;
}

void sampler_tell(struct sampler *s, struct space_thread *t, uint32_t node, uint64_t ticks)
{
	if (!t->number)
		sampler_tell_thread(s, t);
	if (node)
		out_put(&s->out, TRACE_SAMPLE_SAMPLE, t->number, node, &ticks, 1);
}

void sampler_keep_made(struct sampler *s, pid_t pid)
{
	for (size_t i = 0; i < s->space->file_count; i++) {
		const struct space_file *f = s->space->files[i];
		if (f->made_by && (!pid || f->made_by == pid))
			made_keep(MADE_FOLDER, s->plan.data, f);
	}
}

/* ---- the whole --------------------------------------------------------------------------------- */

static bool is_refusal(int error)
{
	return error == -EACCES || error == -EPERM || error == -ENOSYS;
}

/* What the user can do where the kernel shows stacks to nobody. */
static void advise(const struct sampler *s, char *why, size_t why_bytes)
{
	size_t used = strlen(why);
	char where[128] = "";

	if (s->plan.wall)
		snprintf(where, sizeof where, "; only cpu@RATE can do without");
	snprintf(why + used, why_bytes - used,
		 "; the kernel refuses perf_event_open: set kernel.perf_event_paranoid to 2 or "
		 "less, give the hark command CAP_PERFMON, or let the container's seccomp profile "
		 "allow the call%s", where);
}

static int open_source(struct sampler *s, const struct sampler_source *source,
		       struct trace_samples *head, char *why, size_t why_bytes)
{
	head->source = source->source;
	int error = source->open(s, head, why, why_bytes);
	if (!error)
		s->source = source;
	return error;
}

/* From outside where that is allowed, else from inside the program. */
static int choose(struct sampler *s, struct trace_samples *head, char *why, size_t why_bytes)
{
	bool timers = s->plan.session && !s->plan.wall && s->plan.by != SAMPLE_BY_KERNEL;

	if (timers && s->plan.by == SAMPLE_BY_TIMER)
		return open_source(s, &sampler_by_timer, head, why, why_bytes);
	int error = open_source(s, &sampler_by_kernel, head, why, why_bytes);
	if (is_refusal(error) && timers)
		return open_source(s, &sampler_by_timer, head, why, why_bytes);
	if (is_refusal(error))
		advise(s, why, why_bytes);
	return error;
}

static int begin(struct sampler *s, char *why, size_t why_bytes)
{
	struct trace_samples head = {
		.magic = TRACE_SAMPLES_MAGIC, .bytes = sizeof head,
		.mode = s->plan.wall ? TRACE_SAMPLE_WALL : TRACE_SAMPLE_CPU,
		.period_ns = (SAMPLER_SECOND + s->plan.rate / 2) / s->plan.rate,
		.pid = getpid(), .target = s->plan.pid, .pid_start = process_start(getpid()),
	};

	int error = choose(s, &head, why, why_bytes);
	if (error)
		return error;
	s->period_ns = head.period_ns;
	error = out_open(&s->out, s->plan.data, &head);
	if (error)
		snprintf(why, why_bytes, "%s/" TRACE_SAMPLES ": %s", s->plan.data,
			 strerror(-error));
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

static bool round_of(struct sampler *s, bool last)
{
	uint64_t count = s->source->take(s, last);

	if (count && s->ns >= s->clock_ns + SAMPLER_SECOND &&
	    out_room(&s->out, SAMPLER_RECORD_WORDS)) {
		uint64_t words[2] = { s->ticks, s->ns };
		out_put(&s->out, TRACE_SAMPLE_CLOCK, 0, 0, words, 2);
		s->clock_ns = s->ns;
	}
	out_flush(&s->out);
	return count != 0;
}

void sampler_run(struct sampler *s)
{
	bool some = true, busy = true;

	while (some) {
		some = s->source->wait(s, busy);
		read_clocks(s);
		busy = round_of(s, !some);
	}
	sampler_keep_made(s, 0);
	uint64_t words[2] = { s->ticks, s->ns };
	if (out_room(&s->out, SAMPLER_RECORD_WORDS)) {
		if (s->missed)
			sampler_tell_gap(s, TRACE_SAMPLE_GAP_DISK, s->missed);
		out_put(&s->out, TRACE_SAMPLE_CLOCK, 0, 0, words, 2);
		out_put(&s->out, TRACE_SAMPLE_END, 0, 0, words, 1);
	}
	out_flush(&s->out);
}

void sampler_close(struct sampler *s)
{
	if (!s)
		return;
	if (s->source)
		s->source->close(s);
	out_close(&s->out);
	stacks_close(s->stacks);
	space_close(s->space);
	free(s);
}
