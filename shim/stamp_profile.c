/*
 * stamp_profile.c - profile mode: calls are added up where they happen, for each caller and callee.
 *
 * The figures stand in the thread's segments and outlive it; how to find them, a hash of functions with
 * a list of callers each, is private. Nothing that was found ever moves, so a signal handler that calls
 * functions in the midst of this does no harm: it adds its own, by single additions. Nor does one that
 * leaves by longjmp: a frame has an edge only while it is to be added there, and nothing counts what is open.
 */
#include <string.h>
#include <sys/mman.h>

#include "lib/base/clock.h"
#include "lib/base/sysio.h"
#include "shim/shim.h"
#include "shim/stamp.h"

enum {
	FIRST_FUNCTIONS = 256, /* a power of two */
	ARENA = 64 << 10,
	MAPS = 128,            /* pieces of memory that a thread may have for this */
	MOST_EDGES = 65536,    /* of a thread; further ones are added up in one */
};

struct profile_edge {
	struct profile_edge *next;
	uintptr_t caller;
	struct trace_edge *edge;
};

struct profile_function {
	uintptr_t address;
	uint64_t name;              /* TRACE_FUNCTION */
	struct stamp_frame *outer;  /* its outermost open call, the last that there was; perhaps gone */
	struct profile_edge *edges; /* the one that was needed last comes first */
};

struct profile {
	struct profile_function **table;
	uint32_t slots, used;       /* of the table */
	uint32_t edges;
	uint8_t *at, *end;          /* of the present arena */
	struct trace_segment *segment;
	struct trace_profile *head;
	struct trace_edge *others;
	struct piece {
		void *at;
		size_t bytes;
	} pieces[MAPS];
	uint32_t piece_count;
};

/* ---- memory ----------------------------------------------------------------------------------- */

static void *map(size_t bytes)
{
	if (shim.sandboxed)
		return NULL;
	void *at = sysio_map(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return sysio_is_error(at) ? NULL : at;
}

/* To be given back when the thread's room goes to another one. */
static bool keep(struct profile *p, void *at, size_t bytes)
{
	if (!at || p->piece_count == MAPS)
		return false;
	p->pieces[p->piece_count++] = (struct piece){ at, bytes };
	return true;
}

static void *take(struct profile *p, size_t bytes)
{
	if ((size_t)(p->end - p->at) < bytes) {
		uint8_t *arena = p->piece_count < MAPS ? map(ARENA) : NULL;
		if (!keep(p, arena, ARENA))
			return NULL;
		p->at = arena;
		p->end = arena + ARENA;
	}
	p->at += bytes;
	return p->at - bytes;
}

/* NULL: recording has stopped. */
static struct trace_profile *grow_segment(struct profile *p)
{
	uint32_t bytes = p->segment ? p->segment->bytes * 2 : TRACE_SEGMENT_LEAST;

	if (bytes > TRACE_SEGMENT_MOST)
		bytes = TRACE_SEGMENT_MOST;
	struct trace_segment *segment = NULL;
	if (p->piece_count == MAPS)
		stamp_stop(TRACE_GAP_MEMORY, "memory");
	else if (shim.sandboxed)
		stamp_stop(TRACE_GAP_SANDBOX, "sandbox");
	else if (sysio_is_error(segment = segment_map(stamp_file(), bytes)))
		stamp_stop_by((int)(intptr_t)segment);
	if (!segment || sysio_is_error(segment))
		return NULL;
	keep(p, segment, bytes);
	struct trace_profile *head = (struct trace_profile *)(segment + 1);
	size_t room = bytes - sizeof *segment - sizeof *head;
	head->slots = (uint32_t)(room / sizeof(struct trace_edge));
	stamp_head(segment, bytes);
	p->segment = segment;
	p->head = head;
	return head;
}

static struct trace_edge *new_edge(struct profile *p, uint64_t caller, uint64_t callee)
{
	if (p->edges >= MOST_EDGES && p->others)
		return p->others;
	struct trace_profile *head = p->head;
	if (!head || head->used == head->slots)
		head = grow_segment(p);
	if (!head)
		return p->others;
	struct trace_edge *edge = (struct trace_edge *)(void *)(head + 1) + head->used;
	edge->caller = caller;
	edge->callee = callee;
	head->used++;
	if (++p->edges == MOST_EDGES) {
		edge->callee = TRACE_EDGE_OTHERS;
		p->others = edge;
	}
	return edge;
}

static struct profile *begin(struct stamp *s)
{
	struct profile *p = s->profile ? s->profile : map(sizeof *p);

	if (!p)
		return NULL;
	p->table = map(FIRST_FUNCTIONS * sizeof(void *));
	p->slots = FIRST_FUNCTIONS;
	if (!p->table)
		return NULL;
	s->profile = s->room->profile = p;
	return p;
}

void stamp_profile_end(enum trace_end how)
{
	struct profile *p = stamp.profile;
	uint64_t now = stamp_now();

	if (p && p->segment)
		p->segment->end = how;
	if (how != TRACE_END_EXIT)
		return; /* who fails to exec goes on */
	for (struct stamp_frame *f = stamp.top; f > stamp.stack->frames; f--)
		if (!f->hidden)
			stamp_profile_left(f, now);
}

void stamp_profile_forget(void)
{
	struct stamp *s = &stamp;
	struct profile *p = s->profile = s->room->profile;

	if (!p)
		return;
	for (uint32_t i = 0; i < p->piece_count; i++)
		sysio_unmap(p->pieces[i].at, p->pieces[i].bytes);
	if (p->table)
		sysio_unmap(p->table, p->slots * sizeof(void *));
	memset(p, 0, sizeof *p);
}

/* ---- finding ---------------------------------------------------------------------------------- */

static inline uint32_t slot_of(const struct profile *p, uintptr_t function)
{
	return (uint32_t)((function * UINT64_C(0x9e3779b97f4a7c15)) >> 40) & (p->slots - 1);
}

static inline struct profile_function *find(const struct profile *p, uintptr_t function)
{
	for (uint32_t i = slot_of(p, function);; i = (i + 1) & (p->slots - 1)) {
		struct profile_function *f = p->table[i];
		if (!f || f->address == function)
			return f;
	}
}

static void insert(struct profile *p, struct profile_function *f)
{
	uint32_t i = slot_of(p, f->address);

	while (p->table[i])
		i = (i + 1) & (p->slots - 1);
	p->table[i] = f;
}

/* What the address is called now. */
static bool is_still(uint64_t name, uintptr_t address)
{
	struct stamp_module module = stamp_module(address);

	return name == TRACE_FUNCTION(module.number, address - module.base);
}

/* Edges from callers that are gone are forgotten; they stay in the segment. */
static void forget_callers(struct profile_function *f)
{
	for (struct profile_edge **at = &f->edges; *at;)
		if ((*at)->caller && !is_still((*at)->edge->caller, (*at)->caller))
			*at = (*at)->next;
		else
			at = &(*at)->next;
}

void stamp_profile_rename(void)
{
	struct profile *p = stamp.profile;

	if (!p || !p->table)
		return;
	size_t bytes = p->slots * sizeof(void *);
	struct profile_function **old = map(bytes);
	if (old)
		memcpy(old, p->table, bytes);
	memset(p->table, 0, bytes);
	p->used = 0;
	for (uint32_t i = 0; old && i < p->slots; i++) {
		if (!old[i] || !is_still(old[i]->name, old[i]->address))
			continue;
		forget_callers(old[i]);
		insert(p, old[i]);
		p->used++;
	}
	if (old)
		sysio_unmap(old, bytes);
}

static bool grow_table(struct profile *p)
{
	struct profile old = *p, new = *p;

	new.slots *= 2;
	new.table = map(new.slots * sizeof(void *));
	if (!new.table)
		return false;
	for (uint32_t i = 0; i < old.slots; i++)
		if (old.table[i])
			insert(&new, old.table[i]);
	p->table = new.table; /* first: indices of the old one fit into it */
	p->slots = new.slots;
	sysio_unmap(old.table, old.slots * sizeof(void *));
	return true;
}

static struct profile_function *make(struct profile *p, uintptr_t address)
{
	struct stamp_module module = stamp_module(address);

	if (p->used * 2 >= p->slots && !grow_table(p))
		return NULL;
	struct profile_function *f = take(p, sizeof *f);
	if (!f)
		return NULL;
	f->address = address;
	f->name = TRACE_FUNCTION(module.number, address - module.base);
	insert(p, f);
	p->used++;
	return f;
}

static struct profile_edge *edge_of(struct profile_function *f, uintptr_t caller)
{
	struct profile_edge *edge = f->edges;

	while (edge && edge->caller != caller)
		edge = edge->next;
	return edge;
}

static struct profile_edge *make_edge(struct profile *p, struct profile_function *f,
				      const struct stamp_frame *caller)
{
	struct profile_edge *edge = take(p, sizeof *edge);

	if (!edge)
		return NULL;
	edge->caller = caller->function;
	edge->edge = new_edge(p, caller->callee ? caller->callee->name : 0, f->name);
	edge->next = f->edges;
	if (edge->edge)
		f->edges = edge;
	return edge->edge ? edge : NULL;
}

/* ---- adding up -------------------------------------------------------------------------------- */

/* Other stacks may not be there any more: they are not looked at. */
static inline bool is_outermost(const struct stamp_frame *frame, const struct profile_function *f)
{
	const struct stamp_stack *stack = stamp.stack;
	const struct stamp_frame *outer = f->outer;

	if (!outer)
		return true;
	if (outer >= stack->frames && outer < stack->frames + stack->room)
		return outer >= frame || outer->callee != f;
	for (outer = frame - 1; outer > stack->frames && outer->callee != f;)
		outer--;
	return outer == stack->frames;
}

/* The frame is pushed, for this callee, without an edge. */
static inline void entered(struct stamp_frame *frame, struct trace_edge *edge)
{
	frame->outermost = is_outermost(frame, frame->callee);
	if (frame->outermost)
		frame->callee->outer = frame;
	edge->calls++;
	atomic_signal_fence(memory_order_seq_cst);
	frame->edge = edge;
}

static inline unsigned bucket(uint64_t ticks)
{
	unsigned power = 63 - (unsigned)__builtin_clzll(ticks | 1);
	unsigned half = power ? (unsigned)(ticks >> (power - 1)) & 1 : 0;
	unsigned which = 2 * power + half;

	return which < TRACE_BUCKETS ? which : TRACE_BUCKETS - 1;
}

void stamp_profile_left(struct stamp_frame *frame, uint64_t now)
{
	struct trace_edge *edge = frame->edge;

	if (!edge)
		return;
	frame->edge = NULL;
	atomic_signal_fence(memory_order_seq_cst);
	uint64_t time = now > frame->start ? now - frame->start : 0;
	if (frame->outermost) {
		edge->total += time;
		if (frame->callee->outer == frame)
			frame->callee->outer = NULL;
	}
	edge->self += time > frame->below ? time - frame->below : 0;
	if (time < edge->min || !edge->min)
		edge->min = time ? time : 1;
	if (time > edge->max)
		edge->max = time;
	edge->buckets[bucket(time)]++;
	stamp_caller(frame)->below += time;
}

void stamp_profile_entered(struct stamp_frame *frame, uint64_t now)
{
	struct stamp *s = &stamp;
	struct profile *p = s->profile;

	frame->edge = NULL;
	if ((!p || !p->table) && !(p = begin(s)))
		return;
	struct profile_function *f = find(p, frame->function);
	if (!f && !(f = make(p, frame->function)))
		return;
	const struct stamp_frame *caller = stamp_caller(frame);
	struct profile_edge *edge = edge_of(f, caller->function);
	if (!edge && !(edge = make_edge(p, f, caller)))
		return;
	s->epoch = now >> STAMP_EPOCH_BITS;
	frame->callee = f;
	frame->below = 0;
	frame->start = now;
	entered(frame, edge->edge);
}

static inline bool mine(const struct stamp *s)
{
	return s->profiling == atomic_load_explicit(stamp_gate, memory_order_relaxed);
}

bool stamp_profile_enter(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after)
{
	struct stamp *s = &stamp;
	struct stamp_frame *frame = s->top + 1;

	if (!mine(s) || frame >= s->limit || !stamp_below(frame - 1, site, sp, after) ||
	    !s->profile || !s->profile->table)
		return false;
	struct profile_function *f = find(s->profile, function);
	struct profile_edge *edge = f ? edge_of(f, frame[-1].function) : NULL;
	uint64_t now = clock_ticks(shim.session.ring.counter);
	/* now and then the slow half looks whether the session has been switched off */
	if (!edge || now >> STAMP_EPOCH_BITS != s->epoch)
		return false;
	do {
		frame->function = function;
		frame->sp = sp;
		frame->site = site;
		frame->after = after;
		frame->callee = f;
		frame->edge = NULL;
		frame->below = 0;
		frame->start = now;
		atomic_signal_fence(memory_order_seq_cst);
		*(struct stamp_frame *volatile *)&s->top = frame;
	} while (*(volatile uintptr_t *)&frame->sp != sp);
	entered(frame, edge->edge);
	return true;
}

bool stamp_profile_enter_as(const struct stamp_frame *from)
{
	struct stamp *s = &stamp;
	struct stamp_frame *frame = s->top + 1;

	if (!s->profile || !s->profile->table)
		return false;
	struct profile_function *f = find(s->profile, from->function);
	struct profile_edge *edge = f ? edge_of(f, stamp_caller(frame)->function) : NULL;
	uint64_t now = stamp_now();
	if (!edge || now >> STAMP_EPOCH_BITS != s->epoch)
		return false;
	struct stamp_frame begun = *from;
	begun.callee = f;
	begun.start = now;
	do {
		*frame = begun;
		atomic_signal_fence(memory_order_seq_cst);
		*(struct stamp_frame *volatile *)&s->top = frame;
	} while (*(volatile uintptr_t *)&frame->sp != from->sp);
	entered(frame, edge->edge);
	return true;
}

bool stamp_profile_exit(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after)
{
	struct stamp *s = &stamp;

	if (!mine(s) || !stamp_is(s->top, function, site, sp, after))
		return false;
	stamp_profile_left(s->top, clock_ticks(shim.session.ring.counter));
	stamp_close_frame(s, s->top);
	return true;
}
