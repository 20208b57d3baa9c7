/*
 * plt_bare.c - who looks at the stack finds the true return addresses: they are put back before he does, and
 * taken again when he is done.
 *
 * Runs on the program's thread, perhaps in a signal handler: no malloc, no lock.
 */
#include "shim/plt.h"

#include "lib/base/testpoint.h"
#include "shim/shim.h"

#if PLT_AVAILABLE

enum {
	NEAR = 512,      /* an unwinder's calls are no farther apart, and its caller is farther away */
	NEAR_CALLS = 32, /* more than it makes from one question to the next */
};

/* dl_iterate_phdr() has many callers. An unwinder hands on, from its stack, an address of code. */
static bool is_unwinder(uintptr_t slot)
{
	const uintptr_t *data = *(uintptr_t **)(slot + PLT_ARGUMENT + PLT_ARGUMENT_STEP);
	uintptr_t from, to;
	const char *path;

	return (uintptr_t)data - slot < NEAR && (uintptr_t)data % sizeof *data == 0 &&
	       plt_object(*data, &from, &to, &path);
}

/* Before somebody looks: until he is done, which the next entry above him tells, nothing of us is there.
 * Where he only asks somebody, where he is himself is not known so exactly. */
void plt_bare(struct plt_stack *k, uintptr_t slot, uint32_t flags)
{
	bool asks = flags & PLT_ASKS;

	if (asks && !(flags & PLT_LOOKS) && !is_unwinder(slot))
		return;
	if (!k->room || shim.sandboxed)
		return; /* in a sandbox he has to believe our unwind tables */
	uintptr_t until = asks ? slot + NEAR : slot;
	if (until <= k->bare && (asks || !k->near)) {
		k->near = k->near ? NEAR_CALLS : 0;
		return; /* he is at it already */
	}
	uint64_t mask = plt_hold_signals();
	plt_place_find(k, slot);
	for (struct plt_frame *f = k->top; f > k->frames; f--)
		if (!plt_put_back(k, f) && !k->bare && !(f->function & PLT_LEFT))
			plt_keep(k, f);
	TESTPOINT(plt_bared);
	if (k->bare < until || k->near)
		k->bare = until;
	k->near = asks ? NEAR_CALLS : 0;
	plt_set_limit(k);
	plt_release_signals(mask);
}

/* Whether the call with this slot is made by somebody who is at it still. */
bool plt_is_looking(struct plt_stack *k, uintptr_t slot)
{
	if (slot < k->bare && k->near && slot + NEAR >= k->bare && --k->near == 0)
		k->bare = slot;
	return slot < k->bare;
}

void plt_take_again(struct plt_stack *k, uintptr_t slot)
{
	struct plt_frame *to = k->frames;

	for (struct plt_frame *f = k->frames + 1; f <= k->top; f++) {
		uintptr_t place = plt_place(f); /* 0: it was not put back */
		if (f->slot <= slot ||
		    (place && (!plt_reachable(place) ||
			       (!plt_place_swap(f, f->site, k->back) &&
				!plt_place_holds(f, k->back))))) /* nor then: a handler took it again */
			continue; /* it has returned meanwhile, or will, without us */
		*++to = *f;
	}
	k->top = to;
	k->bare = 0;
	k->near = 0;
	plt_set_limit(k);
}

#endif
