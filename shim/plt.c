/*
 * plt.c - the common case of a traced library call: see plt.h.
 *
 * Called with the arguments, or results, of the program's call in vector registers, so this file is
 * compiled for general registers only, and calls nothing of libc's: by another clock than the
 * counter, all is for the slow half.
 */
#include "shim/plt.h"

#include "shim/stamp_fast.h"

#if PLT_AVAILABLE

/* A signal handler that comes between frame and top has used the same frame, for another slot. */
static inline void push(struct plt_stack *k, struct plt_frame *f, uintptr_t slot, uintptr_t site,
			uintptr_t function)
{
	do {
		f->slot = slot;
		f->site = site;
		f->function = function;
		*(struct plt_frame *volatile *)&k->top = f;
	} while (!LIKELY(*(volatile uintptr_t *)&f->slot == slot));
	*(volatile uintptr_t *)slot = k->back;
}

uintptr_t plt_enter(uint32_t index, uintptr_t slot)
{
	struct plt_function *of = &plt_functions[index];
	struct plt_stack *k = plt_now;
	struct plt_frame *f = k->top + 1;
	struct stamp *s = &stamp;
	uintptr_t function = plt_stub(index), site = *(uintptr_t *)slot, sp = plt_sp(slot);

	if (!LIKELY(f < k->limit && slot <= f[-1].slot && !of->flags &&
		    atomic_load_explicit(&of->told, memory_order_relaxed) == s->image))
		return 0;
	bool jump = slot == f[-1].slot;
	if (__builtin_expect(jump, 0)) {
		if (site != k->back)
			return 0;
		site = f[-1].site; /* a jump in the place of a last call: both will return there */
	}
	uintptr_t after = plt_after(jump);
	if (!LIKELY(stamp_fast_enter(s, s->seen, true, function, site, sp, after)) &&
	    !(shim.session.ring.counter && stamp_profile_enter(function, site, sp, after)))
		return 0;
	if (__builtin_expect(jump, 0))
		s->top->after = plt_after(false);
	push(k, f, slot, site, function);
	return of->target;
}

static inline bool exit_stamp(const struct plt_frame *f)
{
	struct stamp *s = &stamp;
	uintptr_t sp = plt_sp(f->slot), after = plt_after(false);

	return LIKELY(stamp_fast_leave(s, s->seen, true, f->function, f->site, sp, after)) ||
	       stamp_gate_off() ||
	       (shim.session.ring.counter && stamp_profile_exit(f->function, f->site, sp, after));
}

uintptr_t plt_leave(uintptr_t slot)
{
	struct plt_stack *k = plt_now;
	struct plt_frame *f = k->top;

	if (!LIKELY(f->slot == slot))
		return 0;
	uintptr_t site = f->site;
	do {
		if (!exit_stamp(f))
			return 0;
		k->top = --f;
	} while (__builtin_expect(f->slot == slot, 0));
	return site;
}

#endif
