/*
 * stamp_fiber.c - stacks of open calls: growing them, and changing between them with swapcontext().
 *
 * A coroutine has open calls of its own. The one that is left is remembered on its own stack, by the
 * hook that it is suspended in; one that was never seen before begins with none. Coroutines that are
 * switched by code of their own look like deep calls and longjmps, and are told so.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "lib/base/sysio.h"
#include "shim/frames.h"
#include "shim/real.h"
#include "shim/shim.h"
#include "shim/stamp.h"

enum { FIRST_FRAMES = 128, MOST_FRAMES = 1 << 20 };

static _Atomic uint32_t fibers;

bool stamp_stack_open(struct stamp_stack *stack)
{
	const size_t one = sizeof *stack->frames;

	stack->frames = shim.sandboxed ? NULL :
					 frames_reserve(FIRST_FRAMES * one, MOST_FRAMES * one,
							&stack->reserved);
	if (!stack->frames)
		return false;
	stack->room = FIRST_FRAMES;
	stack->frames[0].sp = UINTPTR_MAX;
	return true;
}

bool stamp_stack_grow(struct stamp_stack *stack)
{
	const size_t one = sizeof *stack->frames;
	uint32_t most = (uint32_t)(stack->reserved / one);
	uint32_t room = stack->room < most / 4 ? stack->room * 4 : most;

	if (shim.sandboxed || room == stack->room ||
	    !frames_extend(stack->frames, room * one, stack->reserved))
		return false;
	stack->room = room;
	return true;
}

void stamp_stack_clean(struct stamp_stack *stack)
{
	sysio_call(SYS_madvise, (long)stack->frames, (long)(stack->room * sizeof *stack->frames),
		   MADV_DONTNEED, 0, 0, 0);
	stack->frames[0].sp = UINTPTR_MAX;
}

void stamp_stack_use(struct stamp_stack *stack, uint32_t depth)
{
	struct stamp *s = &stamp;

	s->stack = stack;
	s->top = stack->frames + depth;
	s->limit = stack->frames + stack->room;
	plt_use(&stack->calls);
}

/* A coroutine's stack of calls lives in pages of its own; where there are none, it stays with the one
 * that it was started from, and its calls look like calls of that one. */
static struct stamp_stack *new_fiber(void)
{
	struct stamp_stack *stack = atomic_exchange(&stamp.room->spare, NULL);

	if (!stack) {
		stack = sysio_map(sizeof *stack, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (sysio_is_error(stack))
			return NULL;
		if (!stamp_stack_open(stack)) {
			sysio_unmap(stack, sizeof *stack);
			return NULL;
		}
	}
	stack->fiber = atomic_fetch_add(&fibers, 1) + 1;
	return stack;
}

/* Each swapcontext() needs one and leaves one: whoever goes on has a stack already. Mapping one each
 * time would cost a hundred times as much as the call. */
static void discard(struct stamp_stack *stack, bool empty)
{
	struct stamp_stack *none = NULL;

	if (empty && !stack->calls.room &&
	    atomic_compare_exchange_strong(&stamp.room->spare, &none, stack))
		return;
	plt_end(&stack->calls);
	sysio_unmap(stack->frames, stack->reserved);
	sysio_unmap(stack, sizeof *stack);
}

static void change(struct stamp_stack *stack, uint32_t depth)
{
	struct stamp *s = &stamp;
	uint32_t *way = stamp_fast_way(s), was = *way;

	s->busy = true;
	stamp_ask(s);
	stamp_stack_use(stack, depth);
	if (s->mode != STAMP_PROFILE)
		stamp_long(TRACE_FIBER, 0, stamp_now(), &stack->fiber, 1);
	if (!s->stopped)
		*way = was;
	s->busy = false;
}

static bool recording(const struct stamp *s)
{
	return s->stack && !s->busy && !s->stopped && !shim.sandboxed &&
	       s->image == stamp_image_number();
}

HOOKED int swapcontext(ucontext_t *from, const ucontext_t *to)
{
	struct stamp_stack *own = NULL, *other = NULL;
	uint32_t depth = 0;

	if (recording(&stamp) && (other = new_fiber())) {
		own = stamp.stack;
		depth = stamp_depth(&stamp);
		own->suspended = true;
		change(other, 0);
	}
	int result = REAL(swapcontext)(from, to);
	if (own) {
		/* Whoever has come back to us came to its end, or waits in a call like this one. On another
		 * thread, the calls come along. */
		struct stamp_stack *left = stamp.stack;
		own->suspended = false;
		if (left && recording(&stamp)) {
			bool empty = stamp_depth(&stamp) == 0;
			change(own, depth);
			if (left->fiber && !left->suspended)
				discard(left, empty);
		}
	}
	return result;
}
