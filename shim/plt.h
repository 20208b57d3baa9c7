/*
 * plt.h - stamps of library calls: every call of another module's function goes by a slot in a table of
 * the calling module; we put code of ours there (plt_x86_64.S, plt_aarch64.S).
 *
 *	plt.c             the common case of an entry and an exit
 *	plt_slow.c        the rest of both; the stacks of true return addresses
 *	plt_bare.c        who looks at the stack finds them
 *	plt_record.c      what that records
 *	plt_stray.c       calls on stacks that are copied elsewhere and back
 *	plt_functions.c   which functions are traced, and their names in the trace
 *	plt_values.c      arguments and results of those that are well known (calls.def)
 *	plt_modules.c     the modules' slots
 *	plt_reads.c       what code does with them
 *	plt_loader.c      when they may be looked at
 *	plt_lookup.c      what the loader would put into a slot
 *	plt_place.c       where functions keep their return addresses, when they are not in slots
 *	plt_machine.h     what differs between machines
 *
 * A record of a call is as any other stamp's; the function that it names is the stub in plt_stubs.
 */
#ifndef HARK_SHIM_PLT_H
#define HARK_SHIM_PLT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/plt_machine.h"

#if defined(__x86_64__) || defined(__aarch64__)
#define PLT_AVAILABLE 1
#else
#define PLT_AVAILABLE 0
#endif

/* What is special about a function; 0 for most. */
enum {
	PLT_INSTANT = 1, /* entry and exit in one: it returns twice, or asks where it will return to */
	PLT_LAST = 2,    /* an entry without an exit: it never returns */
	PLT_QUIET = 4,   /* nobody has asked for it: it is not recorded */
	PLT_OPENS = 8,   /* may bring new modules */
	PLT_FINDS = 16,  /* may be about to call into new modules */
	PLT_LOOKS = 32,  /* looks at the stack: return addresses are put back first */
	PLT_SHARES = 64, /* may begin a thread that has no memory of its own */
	PLT_NEVER = 128, /* calls of it are left alone */
	PLT_DEAD = 256,  /* its module was unloaded */
	PLT_LEAVES = 512, /* calls that are open may be left without returning */
	PLT_ASKS = 1024, /* who calls it is an unwinder; without PLT_LOOKS: perhaps */
	PLT_VALUES = 2048, /* arguments and result are recorded; above PLT_ROW_SHIFT: the row of calls.def */

	PLT_ROW_SHIFT = 16,
	/* for these, nobody may be found in the place of the true caller */
	PLT_SPECIAL = PLT_INSTANT | PLT_LAST | PLT_QUIET | PLT_OPENS | PLT_FINDS | PLT_LOOKS |
		      PLT_SHARES | PLT_LEAVES | PLT_ASKS,
};

/* With plt_frame.function: the result is to be recorded; it may be left without returning, the program has
 * said. No stub has these bits, so the fast half of an exit knows of neither. */
#define PLT_TOLD ((uintptr_t)1)
#define PLT_LEFT ((uintptr_t)2)
#define PLT_MARKS (PLT_TOLD | PLT_LEFT)

struct plt_function {
	uintptr_t target;
	_Atomic uint32_t told;     /* number of the image in whose trace its name stands */
	uint32_t flags;
	const char *name;          /* as the calling module has it; ours */
	const char *library;       /* path; ours */
};
_Static_assert(sizeof(struct plt_function) == 1 << PLT_FUNCTION_SHIFT, "as the code has it");

/* A call whose return address we have taken. */
struct plt_frame {
	uintptr_t slot;            /* where it stood when the function was called */
	uintptr_t site;            /* the true one */
	uintptr_t function;        /* its stub; with PLT_MARKS, perhaps */
#if defined(__aarch64__)
	uintptr_t place;           /* plt_place_find() */
#endif
};
_Static_assert(sizeof(struct plt_frame) == PLT_FRAME, "as unwinders are told");

/* Those of one stack, innermost last. They are apart from what is recorded of calls: of that, guesses may
 * drop something, but a function that returns to us must find its way. The first frame is none. */
struct plt_stack {
	struct plt_frame *top;   /* first: unwinders are told so */
	struct plt_frame *limit;
	uintptr_t back;            /* what we put in the place of return addresses */
	struct plt_frame *frames;
	size_t reserved;           /* bytes that they may become */
	uint32_t room;
	uintptr_t bare;            /* they have been put back, for who was called with this slot; 0: not */
	unsigned near;             /* calls close to bare that may be made by him still */
	bool strays;               /* it has left some without a word */
};

extern struct plt_function *plt_functions; /* NULL: no calls are traced */
extern struct plt_stack *plt_owners[PLT_STACKS];
extern int plt_vectors;      /* 0: 128 bits, 1: 256, 2: 512 */
extern const char plt_stubs[], plt_returns[];
extern _Thread_local struct plt_stack *plt_now __attribute__((tls_model("initial-exec")));

static inline uintptr_t plt_stub(uint32_t index)
{
	return (uintptr_t)plt_stubs + (uintptr_t)index * PLT_STUB;
}
static inline uint32_t plt_index(uintptr_t stub)
{
	return (uint32_t)((stub - (uintptr_t)plt_stubs) / PLT_STUB);
}
static inline bool plt_is_stub(uintptr_t address)
{
	return PLT_AVAILABLE &&
	       address - (uintptr_t)plt_stubs < (uintptr_t)PLT_FUNCTIONS * PLT_STUB;
}

/* `after` of these stamps. What was jumped to in the place of a last call is deeper than what jumped, also
 * if it is the same function; any other call has taken the place of all that were open at its height. */
static inline uintptr_t plt_after(bool jump) { return (uintptr_t)plt_stubs + jump; }

/* from the trampolines */
uintptr_t plt_enter(uint32_t index, uintptr_t slot);
	/* Where to go on; 0: plt_enter_slowly() knows. No vector register may be touched. */
uintptr_t plt_enter_slowly(uint32_t index, uintptr_t slot);
uintptr_t plt_leave(uintptr_t slot);
	/* The true return address. Likewise. */
uintptr_t plt_leave_slowly(uintptr_t slot, struct plt_stack **owner);
void *plt_ask(void *handle, const char *name, const char *version, void *function, void *ret);

/* plt_slow.c */
void plt_use(struct plt_stack *stack);
	/* The calling thread goes on there. */
void plt_end(struct plt_stack *stack);
	/* It will not be gone on with: whatever may still return there does so without us. */
extern bool plt_exits;      /* false: return addresses are not taken any more */
void plt_copied(void);
	/* Stacks are copied elsewhere and back: those that were taken are remembered until they return. */

void plt_returns_twice(void);
	/* Likewise, and from one call that is open now there may be several returns: nothing of us is on the
	 * calling thread's stack any more. */

void plt_set_limit(struct plt_stack *stack);
	/* Whether the fast half may go on with it. */
bool plt_reachable(uintptr_t slot);
	/* There is memory. */
bool plt_put_back(const struct plt_stack *stack, const struct plt_frame *frame);
	/* False: there is something else meanwhile, or nobody knows where it is. */
bool plt_keep(struct plt_stack *stack, const struct plt_frame *frame);
	/* For good, though it was left. False: it has to stay where it is, or could not find its way. */
uint64_t plt_hold_signals(void);
void plt_release_signals(uint64_t mask);
	/* A handler must not find a stack half changed. In a sandbox nothing is held back. */

/* plt_bare.c */
void plt_bare(struct plt_stack *stack, uintptr_t slot, uint32_t flags);
	/* Before somebody looks who is called with this slot, or calls: PLT_LOOKS, PLT_ASKS. */
bool plt_is_looking(struct plt_stack *stack, uintptr_t slot);
	/* Whether the call with this slot is made by somebody who is at it still. */
void plt_take_again(struct plt_stack *stack, uintptr_t slot);
	/* He is done; this call comes from above him. Signals are held back. */

/* plt_stray.c */
bool plt_stray_keep(const struct plt_frame *frame);
	/* Remembers it for good. False: there is no room. */
bool plt_stray_find(uintptr_t slot, struct plt_frame *found);

/* plt_place.c */
void plt_place_find(struct plt_stack *stack, uintptr_t slot);
	/* Where the return addresses of its open calls stand now; who has this slot is being called. */
uintptr_t plt_place(const struct plt_frame *frame);
	/* As it was found last; 0: nobody knows. */
uintptr_t plt_place_true(uintptr_t address, uintptr_t place);
	/* The true one, if it is ours and stands there as a return address; else the same. For copies of
	 * stacks: who reads one later finds no frames of ours. */
bool plt_place_holds(const struct plt_frame *frame, uintptr_t address);
bool plt_place_swap(const struct plt_frame *frame, uintptr_t from, uintptr_t to);
	/* Whether that return address is there, and writes another one if so. It is known where, and there
	 * is memory. */

/* plt_record.c */
bool plt_record_entry(const struct plt_function *function, uintptr_t site, uintptr_t slot,
		      bool jump);
	/* Whether the call is open now, as far as the trace is concerned. jump: plt_after() */
void plt_record_exit(const struct plt_frame *frame, uintptr_t slot, int error);
	/* error: errno when the function returned */

/* plt_values.c: what is read of registers stands where the trampolines put it, below the slot */
uint32_t plt_values_flags(const char *name);
	/* PLT_VALUES and the row, or 0 */
void plt_values_entry(uint32_t flags, uintptr_t slot);
	/* The call was entered just now, and is recorded. */
void plt_values_exit(uint32_t flags, uintptr_t slot, int error);
	/* It is about to end. error: errno */

/* plt_functions.c */
bool plt_functions_begin(void);
uint32_t plt_function(const char *name, uintptr_t target, const char *library, uint32_t flags);
	/* The index of its stub; PLT_FUNCTIONS: there are no more. */
void plt_tell(uintptr_t stub, uint32_t image, uint32_t module, const char *events);
	/* Its name, to the trace, if it is not there yet. */
void plt_functions_unloaded(void);
	/* Modules may have gone. */
unsigned plt_flags(const char *name);
bool plt_wanted(const char *name, const char *library);
	/* library NULL: whatever it is */

/* plt_modules.c */
void plt_begin(void);
	/* Once the session is joined and all modules are there that the program was linked with. */
void plt_look(void);
	/* Rewrites the slots of modules that came since the last time. Takes the loader's lock. */
void plt_unloaded(void);
	/* dlclose() is done. Likewise. */

/* plt_reads.c */
struct plt_read {
	uintptr_t slot;
	uint32_t symbol;
	uint32_t calls, others;    /* places that may call by it, and other places that may read it */
};
void plt_reads(uintptr_t code, uintptr_t end, struct plt_read *reads, uint32_t count);
	/* Counts them, for all of the slots at once. x86_64's code. */

/* plt_loader.c */
void plt_locked(void (*function)(void));
	/* Calls it while no module can come or go; not at all where that cannot be had. */
void plt_loader_called(void);
	/* By the program: what dlerror() had to say is gone. */
void plt_opening(uintptr_t slot);
	/* The call with this slot may bring modules. */
bool plt_due(void);
	/* To be looked for in this thread: all calls have to go the slow way. */
void plt_look_if_due(uintptr_t slot);
	/* Does, if this call is made after the one that brought them, and not by a handler. */

/* plt_lookup.c */
struct plt_module {
	uintptr_t base;            /* what addresses in it are counted from */
	uintptr_t from, to;        /* where it is mapped */
	void *ret;                 /* a return instruction in it */
	const void *symbols;       /* ElfW(Sym) */
	const char *strings;
	const uint16_t *versions;  /* of each symbol; NULL: none */
	const void *needed;        /* ElfW(Verneed); NULL: none */
};
uintptr_t plt_lookup(const struct plt_module *module, uint32_t symbol);
	/* What the symbol means to the module; 0: nothing. May lock what dlsym() locks. */
bool plt_is_detour(uintptr_t address);
	/* It is no function but the program's stub for another module's. */
extern void *plt_program_ret; /* a return instruction in the program itself */
bool plt_object(uintptr_t address, uintptr_t *from, uintptr_t *to, const char **path);
	/* The module that an address is in. No lock. */
bool plt_objects_known(void);
	/* Whether the loader has a table of modules that can be asked. */

#endif
