/*
 * unwind.c - see unwind.h. Called for each sample and each message with a stack; must neither read
 * outside of the copy nor go on for ever, whatever the copy holds.
 */
#include "lib/image/unwind.h"

#include <dwarf.h>
#include <string.h>

#include "lib/image/unwind_rules.h"

enum { WORDS = 16, OPERATIONS_MOST = 256 };

struct walk {
	struct unwind_stack *s;
	unwind_find *find;
	void *arg;
	bool outside;              /* what was asked for lies behind the copy's end */
};

static bool is_known(const struct unwind_stack *s, unsigned number)
{
	return number < UNWIND_REGISTERS && (s->known >> number & 1);
}

static void set(struct unwind_stack *s, unsigned number, uint64_t value)
{
	s->reg[number] = value;
	s->known |= UINT64_C(1) << number;
}

static bool load_of(const void *bytes, uint64_t from, size_t count, uint64_t address,
		    uint64_t *value)
{
	uint64_t at = address - from;

	if (address < from || count < sizeof *value || at > count - sizeof *value)
		return false;
	memcpy(value, (const char *)bytes + at, sizeof *value);
	return true;
}

static bool load(struct walk *w, uint64_t address, uint64_t *value)
{
	const struct unwind_stack *s = w->s;

	if (load_of(s->bytes, s->address, s->count, address, value) ||
	    load_of(s->other.bytes, s->other.address, s->other.count, address, value))
		return true;
	w->outside = address >= s->address;
	return false;
}

/* ---- expressions ------------------------------------------------------------------------------- */

struct machine {
	uint64_t words[WORDS];
	unsigned count;
	bool value;                /* the result is the value itself and not where it is */
};

static bool push(struct machine *m, uint64_t word)
{
	if (m->count == WORDS)
		return false;
	m->words[m->count++] = word;
	return true;
}

static bool of_two(struct machine *m, uint8_t atom)
{
	if (m->count < 2)
		return false;
	uint64_t b = m->words[--m->count], *a = &m->words[m->count - 1];
	switch (atom) {
	case DW_OP_plus: *a += b; return true;
	case DW_OP_minus: *a -= b; return true;
	case DW_OP_mul: *a *= b; return true;
	case DW_OP_and: *a &= b; return true;
	case DW_OP_or: *a |= b; return true;
	case DW_OP_xor: *a ^= b; return true;
	case DW_OP_shl: *a = b < 64 ? *a << b : 0; return true;
	case DW_OP_shr: *a = b < 64 ? *a >> b : 0; return true;
	case DW_OP_eq: *a = *a == b; return true;
	case DW_OP_ne: *a = *a != b; return true;
	case DW_OP_lt: *a = (int64_t)*a < (int64_t)b; return true;
	case DW_OP_le: *a = (int64_t)*a <= (int64_t)b; return true;
	case DW_OP_gt: *a = (int64_t)*a > (int64_t)b; return true;
	case DW_OP_ge: *a = (int64_t)*a >= (int64_t)b; return true;
	default: return false;
	}
}

static bool push_register(struct walk *w, struct machine *m, uint64_t number, uint64_t offset)
{
	return number < UNWIND_REGISTERS && is_known(w->s, (unsigned)number) &&
	       push(m, w->s->reg[number] + offset);
}

static bool operate(struct walk *w, struct machine *m, const Dwarf_Op *op, uint64_t cfa)
{
	uint8_t atom = op->atom;

	if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31)
		return push(m, atom - DW_OP_lit0);
	if (atom >= DW_OP_breg0 && atom <= DW_OP_breg31)
		return push_register(w, m, atom - DW_OP_breg0, op->number);
	switch (atom) {
	case DW_OP_bregx: return push_register(w, m, op->number, op->number2);
	case DW_OP_regx: m->value = true; return push_register(w, m, op->number, 0);
	case DW_OP_call_frame_cfa: return push(m, cfa);
	case DW_OP_const1u: case DW_OP_const1s: case DW_OP_const2u: case DW_OP_const2s:
	case DW_OP_const4u: case DW_OP_const4s: case DW_OP_const8u: case DW_OP_const8s:
	case DW_OP_constu: case DW_OP_consts: return push(m, op->number);
	case DW_OP_plus_uconst:
		return m->count && push(m, op->number) && of_two(m, DW_OP_plus);
	case DW_OP_deref:
		return m->count && load(w, m->words[m->count - 1], &m->words[m->count - 1]);
	case DW_OP_dup: return m->count && push(m, m->words[m->count - 1]);
	case DW_OP_drop: return m->count && m->count--;
	case DW_OP_stack_value: m->value = true; return true;
	case DW_OP_nop: return true;
	default: return of_two(m, atom);
	}
}

static bool evaluate(struct walk *w, const struct rule_value *v, uint64_t cfa, struct machine *m)
{
	*m = (struct machine){ .count = 0 };
	if (!v->ops || v->count > OPERATIONS_MOST)
		return false;
	for (size_t i = 0; i < v->count; i++)
		if (!operate(w, m, &v->ops[i], cfa))
			return false;
	return m->count > 0;
}

/* ---- one step ---------------------------------------------------------------------------------- */

static bool step_long(struct walk *w, const struct rule_long *rule, uint64_t *cfa)
{
	struct unwind_stack next = *w->s;
	struct machine m;

	if (!evaluate(w, &rule->cfa, 0, &m))
		return false;
	*cfa = m.words[m.count - 1];
	for (unsigned i = 0; i < unwind_machine.saved_count; i++) {
		const struct rule_value *v = &rule->value[i];
		unsigned number = unwind_machine.saved[i];
		uint64_t value = 0;
		if (!v->ops)
			continue;
		next.known &= ~(UINT64_C(1) << number);
		if (!evaluate(w, v, *cfa, &m))
			continue;
		value = m.words[m.count - 1];
		if (m.value || load(w, value, &value))
			set(&next, number, value);
	}
	*w->s = next;
	return is_known(w->s, UNWIND_RA);
}

static bool step_plain(struct walk *w, const struct unwind_rule *rule, uint64_t *cfa)
{
	struct unwind_stack *s = w->s;

	if (!is_known(s, rule->cfa_register))
		return false;
	*cfa = s->reg[rule->cfa_register] + (uint64_t)(int64_t)rule->cfa_offset;
	for (unsigned i = 0; i < unwind_machine.saved_count; i++) {
		unsigned number = unwind_machine.saved[i];
		uint64_t value;
		uint64_t at = *cfa + (uint64_t)(int64_t)rule->saved[i];
		/* Below the stack pointer: the function is about to return and has it back already. */
		if (rule->saved[i] == RULE_SAME || (at < s->reg[UNWIND_SP] && number != UNWIND_RA))
			continue;
		s->known &= ~(UINT64_C(1) << number);
		if (load(w, at, &value))
			set(s, number, value);
	}
	return is_known(s, UNWIND_RA);
}

static bool may_be_code(struct walk *w, uint64_t address)
{
	struct unwind_place place;

	return address && w->find(w->arg, address - 1, &place) &&
	       (!place.module || unwind_module_has_code(place.module, place.offset));
}

/* Without a rule: a leaf of assembly has its caller's address on top of the stack, code that was made at
 * run time has frame pointers. Neither is believed that does not lead outward, to code. */
static bool step_guess(struct walk *w, bool leaf, bool in_file, uint64_t *cfa)
{
	struct unwind_stack *s = w->s;
	uint64_t fp = is_known(s, UNWIND_FP) ? s->reg[UNWIND_FP] : 0, sp = s->reg[UNWIND_SP];
	uint64_t outer, address;

	if (leaf && in_file && load(w, sp, &address) && may_be_code(w, address)) {
		*cfa = sp + sizeof address;
		set(s, UNWIND_RA, address);
		return true;
	}
	if (fp < sp || fp % sizeof fp || !load(w, fp, &outer) ||
	    !load(w, fp + sizeof fp, &address) || !may_be_code(w, address))
		return false;
	*cfa = fp + 2 * sizeof fp;
	set(s, UNWIND_FP, outer);
	set(s, UNWIND_RA, address);
	s->known &= UINT64_C(1) << UNWIND_FP | UINT64_C(1) << UNWIND_RA | UINT64_C(1) << UNWIND_SP;
	return true;
}

/* So the ABI marks a thread's first function. A leaf of assembly may hold anything there, but where a program
 * begins. */
static bool is_first(const struct unwind_stack *s, const struct unwind_place *place, bool leaf)
{
	return is_known(s, UNWIND_FP) && !s->reg[UNWIND_FP] &&
	       (!leaf || (place->module && unwind_module_begins(place->module, place->offset)));
}

/* What makecontext() and its like have put there, as if it had called, is where a function begins: nobody
 * has called that one. */
static bool begins_function(struct walk *w, struct unwind_frame *frame)
{
	struct unwind_place place;

	if (!frame->place.module || !w->find(w->arg, frame->pc, &place) || !place.module ||
	    unwind_rule(place.module, place.offset)->kind == RULE_NONE)
		return false;
	frame->place = place;
	return true;
}

/* ---- the walk ---------------------------------------------------------------------------------- */

/* The frame of who called it; false: there is none, or none that can be found, and why. */
static bool step(struct walk *w, struct unwind_frame *frame, bool leaf, bool *signal,
		 enum unwind_end *end)
{
	static const struct unwind_rule none = { .kind = RULE_NONE };
	struct unwind_stack *s = w->s;
	const struct unwind_rule *rule =
		frame->place.module ? unwind_rule(frame->place.module, frame->place.offset) : &none;
	uint64_t before = s->reg[UNWIND_SP];
	bool found;

	w->outside = false;
	*signal = rule->signal;
	if (UNWIND_RA == 16)
		set(s, UNWIND_RA, s->pc); /* rules of stubs ask for the address itself */
	switch ((enum rule_kind)rule->kind) {
	case RULE_OUTERMOST:
		*end = UNWIND_OUTERMOST;
		return false;
	case RULE_PLAIN: found = step_plain(w, rule, &frame->cfa); break;
	case RULE_LONG: found = step_long(w, rule->more, &frame->cfa); break;
	default:
		if ((!leaf && begins_function(w, frame)) || is_first(s, &frame->place, leaf)) {
			*end = UNWIND_OUTERMOST;
			return false;
		}
		frame->guessed = true;
		found = step_guess(w, leaf, frame->place.module != NULL, &frame->cfa);
	}
	*end = w->outside ? UNWIND_CUT : UNWIND_LOST;
	if (!found)
		return false;
	/* A frame that lies further in than who it called is none; a signal's may be on another stack. */
	if (!*signal && (frame->cfa < before || (frame->cfa == before && !leaf)))
		return false;
	set(s, UNWIND_SP, frame->cfa);
	return true;
}

size_t unwind(struct unwind_stack *stack, unwind_find *find, void *arg, struct unwind_frame *frames,
	      size_t most, enum unwind_end *end)
{
	struct walk w = { .s = stack, .find = find, .arg = arg };
	bool in_call = false, signal;
	size_t count = 0;

	*end = UNWIND_DEEP;
	while (count < most) {
		struct unwind_frame *frame = &frames[count];
		*frame = (struct unwind_frame){ .pc = stack->pc };
		if (!find(arg, stack->pc - in_call, &frame->place)) {
			*end = UNWIND_LOST;
			return count;
		}
		count++;
		if (!step(&w, frame, count == 1 || !in_call, &signal, end))
			break;
		stack->pc = stack->reg[UNWIND_RA];
		in_call = !signal;
		if (!stack->pc) {
			*end = UNWIND_OUTERMOST;
			break;
		}
		*end = UNWIND_DEEP;
	}
	return count;
}
