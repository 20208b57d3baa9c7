/*
 * stamp_sieve.c - the slow half of stamps where a session has rules: taking them, and entering functions
 * into a thread's table.
 *
 * Signals are held back, or what their handlers call is counted as lost: see stamp_slow.c.
 */
#include "shim/stamp_sieve.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/base/clock.h"
#include "lib/base/sysio.h"
#include "lib/stamp/event.h"
#include "shim/shim.h"

enum { FIRST_SLOTS = 128, RULE_SETS = 2 };

struct sieve_process sieve_process;

/* ---- the process ------------------------------------------------------------------------------ */

static void tell_unread(int error)
{
	struct event event;

	if (shim.sandboxed)
		return;
	event_begin(&event, "unfiltered");
	event_number(&event, "image", stamp_image_number());
	event_number(&event, "ticks", stamp_now());
	event_number(&event, "error", (uint64_t)-error);
	event_append(&event, stamp_events());
}

/* Of two sets, the one that no thread has been told of is written; what reads the other meanwhile is
 * told of a change once more. */
static void read_rules(uint32_t number)
{
	static struct rules sets[RULE_SETS];
	static uint32_t turn;
	struct rules *rules = &sets[turn++ % RULE_SETS];
	int error = rules_read(strchr(shim.session_entry, '=') + 1, number, rules, NULL);

	if (error)
		tell_unread(error);
	/* the number last: a fork in between reads them again */
	atomic_store(&sieve_process.rules, error ? NULL : rules);
	sieve_process.number = number;
}

static void follow(void)
{
	uint32_t number = atomic_load(&shim.session.control->rules);

	atomic_store(&sieve_process.muted_count, 0);
	atomic_store(&sieve_process.spent_ns, 0);
	if (!number) {
		atomic_store(&sieve_process.rules, NULL);
		sieve_process.number = 0;
	} else if (number != sieve_process.number && !shim.sandboxed) {
		read_rules(number);
	}
	atomic_fetch_add(&stamp_names_changed, 1);
}

void stamp_sieve_follow(uint32_t word)
{
	static _Atomic uint32_t reader;             /* pid of who does it */
	static uint32_t followed_word, followed_by; /* by which process */
	uint32_t pid = shim.epoch->value, other = atomic_load(&reader);

	while (other == pid || !atomic_compare_exchange_strong(&reader, &other, pid)) {
		if (!shim.sandboxed)
			sysio_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
		other = atomic_load(&reader);
	}
	if (followed_word != word || followed_by != pid) {
		follow();
		followed_word = word;
		followed_by = pid;
	}
	atomic_store(&reader, 0);
}

/* ---- the thread ------------------------------------------------------------------------------- */

static void *map(size_t bytes)
{
	if (shim.sandboxed)
		return NULL;
	void *at = sysio_map(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return sysio_is_error(at) ? NULL : at;
}

static struct sieve_table *map_table(uint32_t slots)
{
	struct sieve_table *table = map(sizeof *table + slots * sizeof table->slots[0]);

	if (table)
		table->mask = slots - 1;
	return table;
}

static struct sieve *take_sieve(struct stamp_room *room)
{
	if (!room->sieve) {
		struct sieve *v = map(sizeof *v);
		struct sieve_table *table = v ? map_table(FIRST_SLOTS) : NULL;
		if (!table) {
			if (v)
				sysio_unmap(v, sizeof *v);
			return NULL;
		}
		v->table = table;
		room->sieve = v;
	}
	return room->sieve;
}

static void grow(struct sieve *v)
{
	const struct sieve_table *old = v->table;
	struct sieve_table *new = map_table((old->mask + 1) * 2);

	if (!new)
		return; /* fuller, then */
	for (uint32_t i = 0; i <= old->mask; i++)
		if (old->slots[i].function)
			*sieve_slot(new, old->slots[i].function) = old->slots[i];
	new->used = old->used;
	v->table = new;
}

static bool is_muted(uintptr_t function, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (atomic_load(&sieve_process.muted[i]) == function)
			return true;
	return false;
}

/* Where there is no room for one, a slot that does for this call. */
static struct sieve_slot *enter_slot(struct sieve *v, uintptr_t function, struct sieve_slot *spare)
{
	struct sieve_slot *slot = sieve_slot(v->table, function);

	if (slot->function)
		return slot;
	struct sieve_slot made = { .function = function };
	const struct rules *rules = atomic_load(&sieve_process.rules);
	if (rules && rules->named)
		made.fits = stamp_fits(function, v->number);
	if (is_muted(function, v->muted_seen))
		made.muted = SIEVE_MUTED;
	if (v->table->used * 2 > v->table->mask)
		grow(v);
	bool room = v->table->used + 1 < v->table->mask;
	slot = room ? sieve_slot(v->table, function) : spare;
	*slot = made;
	v->table->used += room;
	return slot;
}

/* What is open, as if it had been entered by these rules; but what is recorded stays that. */
static void judge_again(struct stamp *s, struct sieve *v)
{
	struct sieve_slot spare;

	for (struct stamp_frame *f = s->stack->frames + 1; f <= s->top; f++) {
		uint32_t fits = enter_slot(v, f->function, &spare)->fits;
		f->path = filter_step(&v->rules, f[-1].path, fits);
		f->depth = f[-1].depth + !f->hidden;
		f->entry = s->mode == STAMP_PROFILE ? f->entry : NULL;
	}
}

static bool hidden_are_open(const struct stamp *s)
{
	for (const struct stamp_frame *f = s->top; f > s->stack->frames; f--)
		if (f->hidden)
			return true;
	return false;
}

static void forget_slots(struct sieve *v)
{
	memset(v->table->slots, 0, (v->table->mask + 1UL) * sizeof v->table->slots[0]);
	v->table->used = 0;
	v->muted_seen = 0;
}

static uint64_t ticks_of(uint64_t ns)
{
	const struct clock_base *first = &shim.session.control->clock;
	struct clock_base now;

	clock_base_now(&now, shim.session.ring.counter);
	double passed = (double)(now.monotonic_ns - first->monotonic_ns);
	double rate = passed > 0 ? (double)(now.ticks - first->ticks) / passed : 1;
	return shim.session.ring.counter ? (uint64_t)((double)ns * rate) : ns;
}

/* What others, or we ourselves, have muted since. */
static void take_muted(struct sieve *v)
{
	uint32_t count = atomic_load(&sieve_process.muted_count);

	count = count < SIEVE_MUTED_MOST ? count : SIEVE_MUTED_MOST;
	for (; v->muted_seen < count; v->muted_seen++) {
		struct sieve_slot *slot =
			sieve_slot(v->table, atomic_load(&sieve_process.muted[v->muted_seen]));
		if (slot->function && slot->muted == SIEVE_HEARD)
			sieve_mute(slot);
	}
}

void stamp_sieve_begin(void)
{
	struct stamp *s = &stamp;
	const struct rules *rules = atomic_load(&sieve_process.rules);
	uint32_t names = atomic_load(&stamp_names_changed);

	if (!rules && !(s->sieve && hidden_are_open(s))) {
		s->sieve = NULL;
		return;
	}
	struct sieve *v = take_sieve(s->room);
	if (!v)
		return;
	if (s->sieve != v || v->names != names || v->number != sieve_process.number) {
		static const struct rules none;
		const struct rules *r = rules ? rules : &none;
		forget_slots(v);
		v->number = sieve_process.number;
		v->names = names;
		v->rules = r->filter;
		v->min_ns = r->min_ns;
		v->min_ticks = v->min_ns && s->mode != STAMP_PROFILE ? ticks_of(v->min_ns) : 0;
		v->left = r->budget ? BUDGET_CALLS : INT64_MAX;
		v->cpu_ns = 0;
		judge_again(s, v);
		s->sieve = v;
	}
	v->word = atomic_load(&shim.session.control->stamp);
	take_muted(v);
}

/* ---- a call ----------------------------------------------------------------------------------- */

struct stamp_verdict stamp_sieve_judge(uintptr_t function)
{
	struct stamp *s = &stamp;
	struct sieve *v = s->sieve;
	struct sieve_slot spare;

	if (v->left <= 0)
		stamp_budget();
	if (v->min_ns && v->min_ticks)
		v->min_ticks = ticks_of(v->min_ns); /* known better and better */
	struct sieve_slot *slot = enter_slot(v, function, &spare);
	if (slot->muted > SIEVE_MUTED && stamp_depth(s) < slot->muted - SIEVE_MUTING)
		slot->muted = SIEVE_MUTED;
	struct stamp_verdict verdict = {
		.path = filter_step(&v->rules, s->top->path, slot->fits),
		.depth = s->top->depth,
		.skipped = slot->muted == SIEVE_MUTED,
	};
	verdict.recorded = slot->muted == SIEVE_HEARD && filter_wants(&v->rules, verdict.path) &&
			   (!v->rules.depth || verdict.depth < v->rules.depth);
	if (verdict.recorded) {
		verdict.depth++;
		slot->calls++;
		v->left--;
	}
	return verdict;
}

void stamp_sieve_opened(struct stamp_frame *f, const struct stamp_verdict *verdict)
{
	f->path = verdict->path;
	f->depth = verdict->depth;
	f->hidden = verdict->recorded ? 0 : f[-1].hidden + 1;
}

bool stamp_sieve_hides(uintptr_t function)
{
	struct stamp *s = &stamp;
	struct sieve_slot spare;

	if (!s->sieve)
		return false;
	struct sieve_slot *slot = enter_slot(s->sieve, function, &spare);
	struct filter_state path = filter_step(&s->sieve->rules, s->top->path, slot->fits);
	return slot->muted != SIEVE_HEARD || !filter_wants(&s->sieve->rules, path);
}
