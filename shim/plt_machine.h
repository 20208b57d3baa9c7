/*
 * plt_machine.h - what of library calls (plt.h) depends on the machine, beside the trampolines.
 *
 * On x86_64, a return address stands in memory from the call to the return: its place is the call's
 * slot, and what we have put there can be put back at any time. On aarch64 it comes in a register, and the
 * function keeps it where it likes. There the slot is the word below the caller's stack pointer: the
 * trampolines hold the return address in it for as long as they are at work, and afterwards it is a
 * name for the call and nothing else. Where the function keeps its return address can be found
 * while it is open, by the chain of frame pointers.
 */
#ifndef HARK_SHIM_PLT_MACHINE_H
#define HARK_SHIM_PLT_MACHINE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "shim/plt_code.h"

#if defined(__x86_64__)

enum {
	PLT_IN_MEMORY = 1, /* whether return addresses are where the slot is, until their functions return */
	PLT_JUMP_SLOT = R_X86_64_JUMP_SLOT,
	PLT_CALLED_SLOT = R_X86_64_GLOB_DAT, /* may be read by code that calls, and by nobody else */
};

static inline uintptr_t plt_sp(uintptr_t slot) { return slot - 16; }
	/* Between the frames of the caller's stamps, if it has any, and those of the function. */

static inline bool plt_own_convention(unsigned char other) { return (void)other, false; }
	/* st_other says that its arguments are where the trampolines keep nothing. */

static inline void *plt_find_ret(uintptr_t code, uintptr_t end)
	/* An instruction that returns to the address on the stack, for plt_ask(); NULL: there is none. */
{
	return memchr((void *)code, 0xc3, end - code);
}

static inline int plt_vector_registers(void)
	/* plt_vectors */
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx512f") ? 2 : __builtin_cpu_supports("avx") ? 1 : 0;
}

static inline bool plt_shadow_stack(void)
	/* The processor checks return addresses. */
{
	uint64_t at = 0;
	__asm__ volatile(".byte 0xf3, 0x48, 0x0f, 0x1e, 0xc8" : "+a"(at)); /* rdsspq %rax */
	return at != 0;
}

#elif defined(__aarch64__)

enum {
	PLT_IN_MEMORY = 0,
	PLT_JUMP_SLOT = R_AARCH64_JUMP_SLOT,
	PLT_CALLED_SLOT = R_AARCH64_NONE,
};

static inline uintptr_t plt_sp(uintptr_t slot) { return slot; }

static inline bool plt_own_convention(unsigned char other)
{
	return other & STO_AARCH64_VARIANT_PCS; /* vectors of any length, for one */
}

/* ldp x29, x30, [sp], #16 and a return, which may check a signature before. */
static inline void *plt_find_ret(uintptr_t code, uintptr_t end)
{
	for (const uint32_t *at = (const uint32_t *)code; (uintptr_t)(at + 3) <= end; at++)
		if (at[0] == 0xa8c17bfd &&
		    (at[1] == 0xd65f03c0 || at[1] == 0xd65f0bff ||         /* ret, retaa */
		     (at[1] == 0xd50323bf && at[2] == 0xd65f03c0)))         /* autiasp, ret */
			return (void *)at;
	return NULL;
}

static inline int plt_vector_registers(void) { return 0; }

static inline bool plt_shadow_stack(void)
{
	register uint64_t off __asm__("x16") = 1;
	__asm__ volatile("hint #40" : "+r"(off)); /* chkfeat x16: guarded control stack */
	return !off;
}

#endif

#endif
