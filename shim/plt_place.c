/*
 * plt_place.c - where the return addresses of open calls stand, to put back the true ones for as long as
 * somebody looks at the stack.
 *
 * Where they come in a register, functions save them, signed perhaps, beside the caller's frame pointer, in a
 * chain that goes through all functions which were compiled with frame pointers, as they are on aarch64
 * unless somebody asks for less. What is not found there stays, and unwinders are told the truth by our
 * unwind tables.
 *
 * Runs on the program's thread, perhaps in a signal handler: no malloc, no lock.
 */
#include "shim/plt.h"

#include <sys/auxv.h>

#include "shim/shim.h"

#if PLT_AVAILABLE

#if defined(__x86_64__)

void plt_place_find(struct plt_stack *k, uintptr_t slot)
{
	(void)k;
	(void)slot;
}

uintptr_t plt_place(const struct plt_frame *f) { return f->slot; }

static uintptr_t as_saved(const struct plt_frame *f, uintptr_t address)
{
	(void)f;
	return address;
}

#else

enum { RECORD = 16, PAGE = 4096 };

/* Where the processor signs nothing, both do nothing. */
static uintptr_t sign_a(uintptr_t address, uintptr_t sp)
{
	register uintptr_t value __asm__("x17") = address;
	register uintptr_t with __asm__("x16") = sp;
	__asm__("hint #8" : "+r"(value) : "r"(with)); /* pacia1716 */
	return value;
}

static uintptr_t sign_b(uintptr_t address, uintptr_t sp)
{
	register uintptr_t value __asm__("x17") = address;
	register uintptr_t with __asm__("x16") = sp;
	__asm__("hint #10" : "+r"(value) : "r"(with)); /* pacib1716 */
	return value;
}

/* How it is saved, in the low bits of its place. */
enum { PLAIN, SIGNED_A, SIGNED_B, NOT_SAVED, HOW = 3 };

static uintptr_t as(unsigned how, const struct plt_frame *f, uintptr_t address)
{
	uintptr_t sp = f->slot + sizeof f->slot;

	if (how == SIGNED_A)
		return sign_a(address, sp);
	return how == SIGNED_B ? sign_b(address, sp) : address;
}

static uintptr_t as_saved(const struct plt_frame *f, uintptr_t address)
{
	return as(f->place & HOW, f, address);
}

/* A signature has few bits, and may be none to be seen, by chance: then nobody can tell. */
static unsigned how_saved(const struct plt_frame *f, uintptr_t saved, uintptr_t address)
{
	unsigned how = NOT_SAVED, found = 0;

	for (unsigned i = PLAIN; i <= SIGNED_B; i++)
		if (as(i, f, address) == saved) {
			how = i;
			found++;
		}
	if (found > 1)
		how = getauxval(AT_HWCAP) & HWCAP_PACA ? NOT_SAVED : PLAIN;
	return how;
}

uintptr_t plt_place(const struct plt_frame *f) { return f->place & ~(uintptr_t)HOW; }

static bool is_there(uintptr_t at, uintptr_t last)
{
	return at / PAGE == last / PAGE || memory_readable((const void *)at, RECORD) == RECORD;
}

/* A record of the chain is at the end of a frame, and so between the slot of the call and that of the call
 * that was made from it. Beyond the outermost of them nothing is looked for. */
void plt_place_find(struct plt_stack *k, uintptr_t slot)
{
	uintptr_t at = slot - sizeof slot, next; /* the trampoline's */
	struct plt_frame *f = k->top;

	for (struct plt_frame *i = k->top; i > k->frames; i--)
		i->place = 0;
	while (f > k->frames && (next = *(const uintptr_t *)at) > at && next < k->frames[1].slot &&
	       next % RECORD == 0 && is_there(next, at)) {
		uintptr_t saved = ((const uintptr_t *)next)[1];
		while (f->slot < next)
			f--;
		unsigned how = f > k->frames ? how_saved(f, saved, k->back) : NOT_SAVED;
		if (how != NOT_SAVED) {
			f->place = (next + sizeof saved) | how;
			for (f--; f->slot == f[1].slot; f--)
				f->place = f[1].place; /* jumps in the place of a last call */
		}
		at = next;
	}
}

#endif

uintptr_t plt_place_true(uintptr_t address, uintptr_t place)
{
	uintptr_t at = (address - (uintptr_t)plt_returns) / PLT_STUB;
	const struct plt_stack *k = at < PLT_STACKS ? plt_owners[at] : NULL;

	for (const struct plt_frame *f = k ? k->top : NULL; f && f > k->frames; f--)
		if (PLT_IN_MEMORY ? f->slot == place : f->slot > place)
			return f->site;
	return address;
}

bool plt_place_holds(const struct plt_frame *f, uintptr_t address)
{
	return __atomic_load_n((uintptr_t *)plt_place(f), __ATOMIC_RELAXED) == as_saved(f, address);
}

bool plt_place_swap(const struct plt_frame *f, uintptr_t from, uintptr_t to)
{
	uintptr_t saved = as_saved(f, from);

	return __atomic_compare_exchange_n((uintptr_t *)plt_place(f), &saved, as_saved(f, to),
					   false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

#else

uintptr_t plt_place_true(uintptr_t address, uintptr_t place) { return (void)place, address; }

#endif
