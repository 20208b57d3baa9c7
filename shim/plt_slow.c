/*
 * plt_slow.c - traced library calls that are not the common case, and the true return addresses.
 *
 * Runs on the program's thread, perhaps in a signal handler: no malloc, no lock.
 *
 * A return address that we took stands in the calling thread's stack of frames until its function returns. Some
 * never do: longjmp, exceptions, stacks that are left. Whether they will, nobody can know for sure, so a
 * frame is given up only together with its trace in the program: if the place of the return address still
 * holds what we put there, the true one is put back. If the function is gone, that is memory that nobody
 * reads; if it was only asleep (a coroutine of the program's own making), it returns past us, and all that
 * is lost is the time of its exit.
 */
#include "shim/plt.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/base/sysio.h"
#include "lib/base/testpoint.h"
#include "shim/frames.h"
#include "shim/shim.h"
#include "shim/stamp.h"

#if PLT_AVAILABLE

enum {
	FIRST_FRAMES = 4096 / sizeof(struct plt_frame),
	MOST_FRAMES = 1 << 20,
	FAR = 64 << 10,        /* so far above the outermost call there is another stack */
	GRAVES = 256,
	GONE = 1,              /* a slot that none is */
};

static struct plt_frame bottom = { .slot = UINTPTR_MAX };
static struct plt_stack nobody = { .top = &bottom, .limit = &bottom, .frames = &bottom };

_Thread_local struct plt_stack *plt_now __attribute__((tls_model("initial-exec"))) = &nobody;
struct plt_stack *plt_owners[PLT_STACKS];
bool plt_exits;
static bool copied; /* stacks are */

void plt_set_limit(struct plt_stack *k)
{
	bool closed = k->bare || k->strays || !plt_exits;

	k->limit = k->frames + (closed ? 0 : k->room); /* closed: the next entry is for the slow half */
}

static void no_more_exits(void)
{
	plt_exits = false;
	for (uint32_t i = 0; i < PLT_STACKS; i++) {
		struct plt_stack *k = __atomic_load_n(&plt_owners[i], __ATOMIC_ACQUIRE);
		if (k)
			k->limit = k->frames;
	}
}

void plt_copied(void)
{
	copied = true;
	no_more_exits();
}

/* ---- putting back ----------------------------------------------------------------------------- */

/* A coroutine may be about to return on another thread while this one gives it up. */
static struct plt_frame graves[GRAVES];
static _Atomic uint32_t grave;

bool plt_reachable(uintptr_t slot)
{
	return memory_readable((const void *)slot, sizeof slot) == sizeof slot;
}

static void bury(const struct plt_frame *f)
{
	graves[atomic_fetch_add(&grave, 1) % GRAVES] = *f;
}

/* False: there is something else meanwhile, or nobody knows where it is. */
bool plt_put_back(const struct plt_stack *k, const struct plt_frame *f)
{
	uintptr_t place = plt_place(f);

	if (shim.sandboxed) {
		bury(f); /* nobody to ask whether there is memory */
		return true;
	}
	if (place && !plt_reachable(place))
		return true;
	if (!place || !plt_place_holds(f, k->back))
		return false;
	bury(f);
	plt_place_swap(f, k->back, f->site);
	return true;
}

/* Of a call that is given up. Where its return address may be anywhere, it returns to us, if ever. */
static void give_up(const struct plt_stack *k, const struct plt_frame *f)
{
	if (PLT_IN_MEMORY)
		plt_put_back(k, f);
	else
		bury(f);
}

static void give_all_up(struct plt_stack *k)
{
	for (struct plt_frame *f = k->top; f > k->frames; f--)
		give_up(k, f);
}

/* False: it has to stay where it is, or could not find its way. */
bool plt_keep(struct plt_stack *k, const struct plt_frame *f)
{
	if (f->slot == GONE)
		return true;
	k->strays = true;
	plt_set_limit(k);
	if (plt_stray_keep(f))
		return true;
	bury(f);
	no_more_exits();
	return PLT_IN_MEMORY;
}

/* The innermost has been left. */
static bool drop(struct plt_stack *k)
{
	give_up(k, k->top);
	if (!(k->top->function & PLT_LEFT) && !plt_keep(k, k->top)) {
		copied = true;
		return false;
	}
	k->top--;
	return true;
}

/* A handler must not find a stack half changed. In a sandbox nothing is held back. */
uint64_t plt_hold_signals(void)
{
	uint64_t all = UINT64_MAX, mask = UINT64_MAX;

	if (!shim.sandboxed)
		sysio_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)&mask, sizeof mask, 0,
			   0);
	return mask;
}

void plt_release_signals(uint64_t mask)
{
	if (mask != UINT64_MAX)
		sysio_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof mask, 0, 0);
}

void plt_returns_twice(void)
{
	uint64_t mask = plt_hold_signals();

	plt_copied();
	give_all_up(plt_now);
	if (!PLT_IN_MEMORY)
		for (struct plt_frame *f = plt_now->top; f > plt_now->frames; f--)
			plt_stray_keep(f);
	plt_release_signals(mask);
}

/* ---- stacks ----------------------------------------------------------------------------------- */

void plt_use(struct plt_stack *k)
{
	if (!k->frames)
		k->top = k->limit = k->frames = &bottom;
	plt_now = k;
}

void plt_end(struct plt_stack *k)
{
	if (!k->room)
		return;
	give_all_up(k);
	k->top = k->limit = k->frames; /* the next entry is for the slow half */
	k->bare = 0;
	k->near = 0;
	k->strays = false;
	if (k->back) {
		plt_owners[(k->back - (uintptr_t)plt_returns) / PLT_STUB] = &nobody;
		k->back = 0;
	}
}

static bool take_back(struct plt_stack *k)
{
	static _Atomic uint32_t next;

	for (uint32_t i = 0; i < PLT_STACKS; i++) {
		uint32_t at = atomic_fetch_add(&next, 1) % PLT_STACKS;
		struct plt_stack *none = __atomic_load_n(&plt_owners[at], __ATOMIC_RELAXED);
		if ((!none || none == &nobody) &&
		    __atomic_compare_exchange_n(&plt_owners[at], &none, k, false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST)) {
			k->back = (uintptr_t)plt_returns + (uintptr_t)at * PLT_STUB;
			plt_set_limit(k);
			return true;
		}
	}
	return false;
}

/* Where it is: another thread may be looking there, or a call that we interrupted. */
static bool grow(struct plt_stack *k)
{
	const size_t one = sizeof *k->frames;
	uint32_t most = (uint32_t)(k->reserved / one);

	if (shim.sandboxed)
		return false;
	if (k->room) {
		uint32_t room = k->room < most / 4 ? k->room * 4 : most;
		if (room == k->room || !frames_extend(k->frames, room * one, k->reserved))
			return false;
		k->room = room;
	} else {
		struct plt_frame *frames =
			frames_reserve(FIRST_FRAMES * one, MOST_FRAMES * one, &k->reserved);
		if (!frames)
			return false;
		*frames = bottom;
		k->top = k->frames = frames;
		k->room = FIRST_FRAMES;
	}
	plt_set_limit(k);
	return true;
}

/* Whether it was jumped to in the place of a last call, by a function whose return address we have. */
static bool is_jump(const struct plt_stack *k, uintptr_t slot)
{
	return k->top->slot == slot && k->back && *(uintptr_t *)slot == k->back;
}

/* Those at or below the new one are gone, if this is the same stack. */
static bool make_way(struct plt_stack *k, uintptr_t slot)
{
	if (k->top > k->frames && slot > k->frames[1].slot + FAR)
		return true;
	while (k->top->slot <= slot && !is_jump(k, slot)) {
		if (shim.sandboxed)
			return false; /* nobody to ask whether there is memory */
		if (!drop(k))
			return false;
	}
	return true;
}

static bool make_room(struct plt_stack *k, uintptr_t slot)
{
	bool change = k->bare || k->top + 1 >= k->limit;
	uint64_t mask = change ? plt_hold_signals() : UINT64_MAX;

	if (k->bare && slot >= k->bare)
		plt_take_again(k, slot);
	bool room = make_way(k, slot) && (k->back || take_back(k)) &&
		    (k->top + 1 < k->frames + k->room || grow(k));
	plt_set_limit(k);
	plt_release_signals(mask);
	return room;
}

/* False: its exit will not be seen. */
static bool take(uintptr_t slot, uintptr_t function) /* PLT_MARKS with it, perhaps */
{
	struct plt_stack *k = plt_now;
	struct plt_frame stray;

	if (!plt_exits || k == &nobody)
		return false;
	if (plt_is_looking(k, slot) || !make_room(k, slot))
		return false;
	struct plt_frame *f = k->top + 1;
	uintptr_t site = is_jump(k, slot) ? f[-1].site : *(uintptr_t *)slot;
	if (k->strays && plt_stray_find(slot, &stray) && stray.site != site)
		return false; /* were both to return there, nobody could tell which does */
	do { /* as in plt.c: a handler that comes in between has used the same frame */
		*f = (struct plt_frame){ .slot = slot, .site = site, .function = function };
		TESTPOINT(plt_framed);
		*(struct plt_frame *volatile *)&k->top = f;
	} while (*(volatile uintptr_t *)&f->slot != slot);
	*(volatile uintptr_t *)slot = k->back;
	return true;
}

/* ---- entries ---------------------------------------------------------------------------------- */

/* Which of them are gone only tells who comes from further out: what is called first after a longjmp() may come
 * from further in. Those below a marked one are marked. */
static void excuse_all(struct plt_stack *k)
{
	for (struct plt_frame *f = k->top; f > k->frames && !(f->function & PLT_LEFT); f--)
		f->function |= PLT_LEFT;
}

static void before(const struct plt_function *of, uintptr_t slot)
{
	if (of->flags & PLT_SHARES) {
		no_more_exits(); /* two threads on one stack of frames */
		give_all_up(plt_now);
	}
	if (of->flags & (PLT_LOOKS | PLT_ASKS))
		plt_bare(plt_now, slot, of->flags);
	if (of->flags & PLT_LEAVES)
		excuse_all(plt_now);
	if (of->flags & PLT_FINDS)
		plt_look();
	else
		plt_look_if_due(slot);
	if (of->flags & (PLT_FINDS | PLT_OPENS))
		plt_loader_called();
	if (of->flags & PLT_OPENS)
		plt_opening(slot);
}

/* Its caller's call is over, then: who asks where he will return to shall find that. */
static void end_callers(uintptr_t slot)
{
	struct plt_stack *k = plt_now;

	while (is_jump(k, slot)) {
		struct plt_frame ended = *k->top--;
		bury(&ended);
		*(volatile uintptr_t *)slot = ended.site;
		uintptr_t function = ended.function & ~PLT_MARKS;
		stamp_exit(function, ended.site, plt_sp(slot), plt_after(false));
	}
}

uintptr_t plt_enter_slowly(uint32_t index, uintptr_t slot)
{
	struct plt_function *of = &plt_functions[index];
	uintptr_t function = plt_stub(index), target = of->target;
	uintptr_t marks = (of->flags & PLT_VALUES ? PLT_TOLD : 0) |
			  (of->flags & PLT_LEAVES ? PLT_LEFT : 0);
	int saved = errno;

	before(of, slot);
	if (of->flags & PLT_SPECIAL)
		end_callers(slot);
	bool jump = is_jump(plt_now, slot);
	uintptr_t site = jump ? plt_now->top->site : *(uintptr_t *)slot;
	bool open = !(of->flags & PLT_QUIET) && plt_record_entry(of, site, slot, jump);
	if (open && !(of->flags & PLT_LAST) &&
	    ((of->flags & PLT_INSTANT) || !take(slot, function | marks)))
		stamp_exit(function, site, plt_sp(slot), plt_after(false));
	if (plt_due())
		stamp_ask(&stamp);
	errno = saved;
	return target;
}

/* ---- exits ------------------------------------------------------------------------------------ */

/* k NULL: nobody's */
static struct plt_frame *find(const struct plt_stack *k, uintptr_t slot)
{
	for (struct plt_frame *f = k ? k->top : NULL; f && f > k->frames; f--)
		if (f->slot == slot)
			return f;
	return NULL;
}

/* Another thread may be writing there: the slot is written first, and so looked at last. */
static bool copy(const volatile struct plt_frame *from, uintptr_t slot, struct plt_frame *to)
{
	if (!from)
		return false;
	to->slot = slot;
	to->site = from->site;
	to->function = from->function;
	return from->slot == slot;
}

/* It was called on another thread, or that thread has given it up this very moment; or it was on a piece
 * of stack that was elsewhere meanwhile. */
static struct plt_frame find_elsewhere(uintptr_t slot, struct plt_stack **owner)
{
	struct plt_frame f;

	if (copy(find(*owner, slot), slot, &f))
		return f;
	if (plt_stray_find(slot, &f)) {
		plt_copied();
		return f;
	}
	for (uint32_t i = 0; i < GRAVES; i++)
		if (copy(&graves[(atomic_load(&grave) - 1 - i) % GRAVES], slot, &f))
			return f;
	for (uint32_t i = 0; i < PLT_STACKS; i++)
		if (copy(find(plt_owners[i], slot), slot, &f))
			return f;
	return bottom;
}

/* Where stacks are copied, those above it are still to return. */
static bool end_here(struct plt_stack *k, uintptr_t slot, struct plt_frame *ended)
{
	struct plt_frame *f = find(k, slot);

	if (!f)
		return false;
	*ended = *f;
	*(volatile uintptr_t *)&k->frames->site = f->site; /* what unwinders find once it is gone */
	while (!copied && k->top > f)
		drop(k);
	if (copied) {
		f->slot = GONE;
		while (k->top->slot == GONE)
			k->top--;
		return true;
	}
	k->top--;
	return true;
}

uintptr_t plt_leave_slowly(uintptr_t slot, struct plt_stack **owner)
{
	struct plt_stack *k = plt_now;
	struct plt_frame ended;
	uintptr_t before = k->frames->site;
	int saved = errno;
	bool here;

	do {
		here = end_here(k, slot, &ended);
		if (!here)
			ended = find_elsewhere(slot, owner);
		uint32_t gate = atomic_load_explicit(stamp_gate, memory_order_relaxed);
		if (!gate || (gate & STAMP_MODE))
			plt_record_exit(&ended, slot, saved);
	} while (here && k->top->slot == slot);
	if (here)
		k->frames->site = before; /* that of an exit that a handler came in, perhaps */
	errno = saved;
	return ended.site;
}

#else

_Thread_local struct plt_stack *plt_now __attribute__((tls_model("initial-exec")));
void plt_use(struct plt_stack *k) { plt_now = k; }
void plt_end(struct plt_stack *k) { plt_now = k; }

#endif
