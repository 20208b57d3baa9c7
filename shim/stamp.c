/*
 * stamp.c - what the compiler's instrumentation calls at each end of every function.
 */
#include "shim/hook.h"
#include "shim/real.h"
#include "shim/stamp_fast.h"

#define INITIAL_EXEC __attribute__((tls_model("initial-exec")))
_Thread_local struct stamp stamp INITIAL_EXEC = {
	.seen = STAMP_ASK,
	.seen_by_clock = STAMP_ASK,
	.profiling = STAMP_ASK,
	.filtering = STAMP_ASK,
};

/* Where it differs little from call to call, and library calls find room below it (plt_sp). */
#if defined(__aarch64__)
#define HERE() ((uintptr_t)__builtin_dwarf_cfa())
#else
#define HERE() ((uintptr_t)__builtin_frame_address(0))
#endif
#define AFTER() ((uintptr_t)__builtin_extract_return_addr(__builtin_return_address(0)))

/* Apart, and called last of all: so the hooks need no register that they would have to save first. */
__attribute__((noinline)) static void enter_otherwise(uintptr_t function, uintptr_t site,
						      uintptr_t sp, uintptr_t after)
{
	bool done;

	if (stamp.sieve)
		done = stamp_filter_enter(function, site, sp, after);
	else
		done = stamp_fast_enter(&stamp, stamp.seen_by_clock, false, function, site, sp,
					after) ||
		       stamp_profile_enter(function, site, sp, after);
	if (!done)
		stamp_enter(function, site, sp, after);
}

__attribute__((noinline)) static void leave_otherwise(uintptr_t function, uintptr_t site,
						      uintptr_t sp, uintptr_t after)
{
	bool done;

	if (stamp.sieve)
		done = stamp_filter_exit(function, site, sp, after);
	else
		done = stamp_fast_leave(&stamp, stamp.seen_by_clock, false, function, site, sp,
					after) ||
		       stamp_profile_exit(function, site, sp, after);
	if (!done)
		stamp_exit(function, site, sp, after);
}

HOOKED void __cyg_profile_func_enter(void *function, void *call_site)
{
	uintptr_t called = (uintptr_t)function, site = (uintptr_t)call_site;

	if (!LIKELY(stamp_fast_enter(&stamp, stamp.seen, true, called, site, HERE(), AFTER())) &&
	    !stamp_gate_off())
		enter_otherwise(called, site, HERE(), AFTER());
}

HOOKED void __cyg_profile_func_exit(void *function, void *call_site)
{
	uintptr_t called = (uintptr_t)function, site = (uintptr_t)call_site;

	if (!LIKELY(stamp_fast_leave(&stamp, stamp.seen, true, called, site, HERE(), AFTER())) &&
	    !stamp_gate_off())
		leave_otherwise(called, site, HERE(), AFTER());
}
