/*
 * plt_stray.c - calls that seemed to be gone, and may come back: those of stacks that are copied.
 *
 * Some programs (greenlets, some Schemes) copy a piece of their stack elsewhere and later bring it
 * back, with what we put in the place of return addresses. Nobody tells us, and a call whose stack was
 * overwritten looks like one that was left. So what was left for no reason that we know (longjmp,
 * an exception) is remembered here for good. The place of the return address finds it again: a place that is
 * remembered is never taken for a call from elsewhere (plt_slow.c).
 *
 * Called on the program's threads, perhaps in handlers. No lock.
 */
#include <stdatomic.h>

#include "shim/plt.h"

enum { STRAYS = 4096, HALF_WRITTEN = 1 };

static struct plt_frame strays[STRAYS];
static _Atomic uint32_t count;

static uint32_t place_of(uintptr_t slot)
{
	return (uint32_t)(slot * UINT64_C(0x9e3779b97f4a7c15) >> 40) % STRAYS;
}

static uintptr_t slot_at(uint32_t at)
{
	return __atomic_load_n(&strays[at].slot, __ATOMIC_ACQUIRE);
}

bool plt_stray_find(uintptr_t slot, struct plt_frame *found)
{
	if (atomic_load_explicit(&count, memory_order_relaxed) == 0)
		return false;
	for (uint32_t at = place_of(slot); slot_at(at); at = (at + 1) % STRAYS)
		if (slot_at(at) == slot) {
			*found = strays[at];
			return true;
		}
	return false;
}

bool plt_stray_keep(const struct plt_frame *f)
{
	struct plt_frame other;
	uintptr_t none;

	if (plt_stray_find(f->slot, &other) && other.site == f->site)
		return true;
	if (atomic_fetch_add(&count, 1) >= STRAYS / 2) {
		atomic_fetch_sub(&count, 1);
		return false;
	}
	for (uint32_t at = place_of(f->slot);; at = (at + 1) % STRAYS) {
		none = 0;
		if (!__atomic_compare_exchange_n(&strays[at].slot, &none, HALF_WRITTEN, false,
						 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			continue;
		strays[at].site = f->site;
		strays[at].function = f->function;
		__atomic_store_n(&strays[at].slot, f->slot, __ATOMIC_RELEASE); /* pairs with slot_at() */
		return true;
	}
}
