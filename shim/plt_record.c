/*
 * plt_record.c - what is recorded of library calls that go the slow way, by the same means as of all
 * others: the fast half of a stamp, where that will do, else its slow one; with arguments and result, if
 * they are wanted.
 *
 * Runs on the program's thread, perhaps in a signal handler: no malloc, no lock.
 */
#include "shim/plt.h"

#include "shim/shim.h"
#include "shim/stamp.h"
#include "shim/stamp_fast.h"

#if PLT_AVAILABLE

static bool is_open(uintptr_t function, uintptr_t sp)
{
	return stamp.stack && stamp.top > stamp.stack->frames && stamp.top->function == function &&
	       stamp.top->sp == sp;
}

bool plt_record_entry(const struct plt_function *of, uintptr_t site, uintptr_t slot, bool jump)
{
	uintptr_t function = plt_stub((uint32_t)(of - plt_functions)), sp = plt_sp(slot);
	uintptr_t after = plt_after(jump);
	struct stamp *s = &stamp;
	bool told = atomic_load_explicit(&of->told, memory_order_relaxed) == s->image, done;

	if (s->sieve)
		done = stamp_filter_enter(function, site, sp, after);
	else
		done = (told && stamp_fast_enter(s, s->seen, true, function, site, sp, after)) ||
		       stamp_profile_enter(function, site, sp, after);
	if (!done)
		stamp_enter(function, site, sp, after);
	if (!is_open(function, sp))
		return false;
	stamp.top->after = plt_after(false);
	if (of->flags & PLT_VALUES)
		plt_values_entry(of->flags, slot);
	return true;
}

void plt_record_exit(const struct plt_frame *f, uintptr_t slot, int error)
{
	uintptr_t function = f->function & ~PLT_MARKS, sp = plt_sp(slot), after = plt_after(false);
	struct stamp *s = &stamp;
	bool done;

	if ((f->function & PLT_TOLD) && is_open(function, sp))
		plt_values_exit(plt_functions[plt_index(function)].flags, slot, error);
	if (s->sieve)
		done = stamp_filter_exit(function, f->site, sp, after);
	else
		done = stamp_fast_leave(s, s->seen, true, function, f->site, sp, after) ||
		       stamp_profile_exit(function, f->site, sp, after);
	if (!done)
		stamp_exit(function, f->site, sp, after);
}

#endif
