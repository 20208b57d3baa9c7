/*
 * stamp_budget.c - how much of the program's time recording takes, and what is muted where that is more
 * than the session allows.
 *
 * A recorded call is taken for so many nanoseconds. Every BUDGET_CALLS of them, a thread compares what it
 * has spent with its processor time since; where that is too much, and the process has used up what
 * it had saved (a second's worth at most, a tenth of one to begin with), the functions with most calls
 * are muted until the rest would do: in the whole process, until `hark set`.
 */
#include <sys/syscall.h>
#include <time.h>

#include "lib/base/sysio.h"
#include "lib/stamp/event.h"
#include "shim/shim.h"
#include "shim/stamp_sieve.h"

enum { CALL_NS = 25, SLOW_CALL_NS = 80, /* by another clock than the counter */
        BEGINNING_NS = 100000000, SAVED_NS = 1000000000, WHOLE = 10000 };

static uint64_t cpu_ns(clockid_t clock)
{
	struct timespec t = { 0, 0 };

	/* In a sandbox, by the clock on the wall, which is a system call nowhere. */
	if (shim.sandboxed || sysio_call(SYS_clock_gettime, clock, (long)&t, 0, 0, 0, 0) != 0)
		return clock_monotonic_ns();
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t share(uint64_t ns, uint32_t budget)
{
	return ns / WHOLE * budget + ns % WHOLE * budget / WHOLE;
}

/* Whether the process may go on for a while, from what it has saved. */
static bool has_saved(uint64_t spent_ns, uint32_t budget)
{
	uint64_t allowed = share(cpu_ns(CLOCK_PROCESS_CPUTIME_ID) + BEGINNING_NS, budget);
	uint64_t most = share(SAVED_NS, budget);
	uint64_t spent = atomic_fetch_add(&sieve_process.spent_ns, spent_ns) + spent_ns;

	if (spent + most < allowed) /* it was idle for long: that is not all kept */
		atomic_fetch_add(&sieve_process.spent_ns, allowed - most - spent);
	return spent < allowed;
}

static struct sieve_slot *hottest(const struct sieve *v)
{
	struct sieve_slot *most = NULL;

	for (uint32_t i = 0; i <= v->table->mask; i++) {
		struct sieve_slot *slot = &v->table->slots[i];
		if (slot->function && slot->muted == SIEVE_HEARD && slot->calls > slot->before &&
		    (!most || slot->calls - slot->before > most->calls - most->before))
			most = slot;
	}
	return most;
}

/* From the outermost of its calls on, frames are needed: exits would else be taken for theirs. */
static uint32_t outermost(const struct stamp *s, uintptr_t function)
{
	for (const struct stamp_frame *f = s->stack->frames + 1; f <= s->top; f++)
		if (f->function == function)
			return (uint32_t)(f - s->stack->frames);
	return 0;
}

void sieve_mute(struct sieve_slot *slot)
{
	struct stamp_module module = stamp_module(slot->function);
	uint32_t open = outermost(&stamp, slot->function);
	struct event event;

	slot->muted = open ? SIEVE_MUTING + open : SIEVE_MUTED;
	if (shim.sandboxed || !slot->calls)
		return;
	event_begin(&event, "muted");
	event_number(&event, "image", stamp_image_number());
	event_number(&event, "module", module.number);
	event_hex(&event, "offset", slot->function - module.base);
	event_number(&event, "calls", slot->calls);
	event_number(&event, "ticks", stamp_now());
	event_append(&event, stamp_events());
}

/* In the other threads too, as soon as they call something. */
static void mute(struct sieve_slot *slot)
{
	uint32_t n = atomic_fetch_add(&sieve_process.muted_count, 1);

	if (n < SIEVE_MUTED_MOST)
		atomic_store(&sieve_process.muted[n], slot->function);
	sieve_mute(slot);
	stamp_look_again();
}

void stamp_budget(void)
{
	struct sieve *v = stamp.sieve;
	const struct rules *rules = atomic_load(&sieve_process.rules);
	uint32_t budget = rules ? rules->budget : 0;
	uint64_t now = cpu_ns(CLOCK_THREAD_CPUTIME_ID), since = v->cpu_ns;
	uint64_t calls = BUDGET_CALLS + (uint64_t)(-v->left);

	v->left = budget ? BUDGET_CALLS : INT64_MAX;
	v->cpu_ns = now;
	if (!budget)
		return;
	uint64_t each = shim.session.ring.counter ? CALL_NS : SLOW_CALL_NS;
	uint64_t allowed = share(now - since, budget), spent = calls * each;
	bool saved = has_saved(spent, budget);
	while (since && !saved && spent > allowed) {
		struct sieve_slot *slot = hottest(v);
		if (!slot)
			break;
		uint64_t its = (slot->calls - slot->before) * each;
		mute(slot);
		spent = spent > its ? spent - its : 0;
	}
	for (uint32_t i = 0; i <= v->table->mask; i++)
		v->table->slots[i].before = v->table->slots[i].calls;
}
