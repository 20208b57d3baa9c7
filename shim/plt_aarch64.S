/*
 * plt_aarch64.S - what stands between a call of a library's function and the function, on aarch64.
 *
 * As plt_x86_64.S, but for the return address, which comes in x30: what plt_enter() finds in, and writes
 * into, the slot is the place where we keep x30 while we are at work, right below the caller's
 * stack pointer. When the function returns, the stack pointer is the same again, and so is the slot.
 *
 * x16 and x17 are free at both ends of a call, by the ABI; a branch by one of them is a call, where targets
 * of branches are checked. Functions sign x30 after we have changed it, and check it before we see it.
 */
#if defined(__aarch64__)
#include "shim/plt_code.h"
#include "shim/plt_unwind.inc"

	.text
	.hidden	stamp_gate, plt_functions, plt_owners
	.hidden	plt_enter, plt_enter_slowly, plt_leave, plt_leave_slowly

	.macro	address	register, symbol
	adrp	\register, \symbol
	add	\register, \register, :lo12:\symbol
	.endm

/* ---- the stubs ---- */

	.globl	plt_stubs
	.hidden	plt_stubs
	.type	plt_stubs, @object
	.p2align 6
plt_stubs:
	.cfi_startproc
	.set	i, 0
	.rept	PLT_FUNCTIONS
	hint	#34			/* bti c */
	movz	w17, #i
	b	entry
	.p2align 4
	.set	i, i + 1
	.endr
	.cfi_endproc
	.size	plt_stubs, . - plt_stubs

/* The frame: registers that may hold arguments (at an exit: results), x17, and the caller's x29 and x30, as
 * every frame has them. The slot is where x30 is. */
#define FRAME	112
#define KEPT	80
#define RECORD	96
#define SLOT	104

	.macro	registers how
	\how	x0, x1, [sp]
	\how	x2, x3, [sp, #16]
	\how	x4, x5, [sp, #32]
	\how	x6, x7, [sp, #48]
	\how	x8, x18, [sp, #64]	/* x18: the static chain of some languages */
	.endm

	.macro	save
	stp	x29, x30, [sp, #-16]!
	.cfi_adjust_cfa_offset 16
	.cfi_rel_offset x29, 0
	sub	sp, sp, #RECORD
	.cfi_adjust_cfa_offset RECORD
	registers stp
	str	x17, [sp, #KEPT]
	add	x29, sp, #RECORD
	.endm

	.macro	vectors how
	\how	q0, q1, [sp]
	\how	q2, q3, [sp, #32]
	\how	q4, q5, [sp, #64]
	\how	q6, q7, [sp, #96]
	.endm

	.macro	save_vectors
	sub	sp, sp, #128
	.cfi_adjust_cfa_offset 128
	vectors stp
	.endm

	.macro	restore_vectors
	vectors ldp
	add	sp, sp, #128
	.cfi_adjust_cfa_offset -128
	.endm

/* ---- the way in: w17 says which function, the return address is in x30 ---- */

	.type	entry, @function
	.p2align 6
entry:
	.cfi_startproc
	adrp	x16, stamp_gate
	ldr	x16, [x16, :lo12:stamp_gate]
	ldr	w16, [x16]
	tst	w16, #3			/* STAMP_MODE */
	b.ne	1f
	cbnz	w16, 5f			/* 0: a forked child, which has to look again */
1:	.cfi_remember_state
	save
	.cfi_rel_offset x30, SLOT
	mov	w0, w17
	add	x1, sp, #SLOT
	bl	plt_enter
	cbz	x0, 6f
2:	mov	x17, x0
	registers ldp
	ldp	x29, x30, [sp, #RECORD]
	add	sp, sp, #FRAME
	.cfi_remember_state
	.cfi_adjust_cfa_offset -FRAME
	.cfi_restore x29
	.cfi_restore x30
	br	x17
6:	.cfi_restore_state
	save_vectors
	ldr	w0, [sp, #128 + KEPT]
	add	x1, sp, #128 + SLOT
	bl	plt_enter_slowly
	restore_vectors
	b	2b
5:	.cfi_restore_state
	adrp	x16, plt_functions
	ldr	x16, [x16, :lo12:plt_functions]
	add	x16, x16, x17, lsl #PLT_FUNCTION_SHIFT
	ldr	x17, [x16]
	br	x17
	.cfi_endproc
	.size	entry, . - entry

/*
 * ---- the way out: PLT_STACKS addresses of 16 bytes, one for each stack that has open calls ----
 *
 * To an unwinder this is a frame of no size: see plt_x86_64.S. Its CFA is off by 8, so that no other frame has
 * the same: libgcc knows the frame that catches an exception by that.
 *
 *	slot = CFA - 16
 *	at = x30, without its signature; or *slot, once we have kept it there
 *	stack = *(at + 8 + the four bytes at (at + 8))		plt_owners[n]
 *	f = stack->top;
 *	while (f->slot != slot && f->slot != -1) f--;
 *	&f->site			where the true return address stands
 */
	.macro	true_return in_register
	.if	\in_register
	.cfi_escape 0x10, 30, 50	/* DW_CFA_expression of x30, bytes: */
	.else
	.cfi_escape 0x10, 30, 40
	.endif
	.cfi_escape 0x12		/*  dup */
	.cfi_escape 0x40, 0x1c		/*  lit16 minus: slot */
	.if	\in_register
	.cfi_escape 0x8e, 0		/*  breg30 0 */
	.cfi_escape 0x0e, 255, 255, 255, 255, 255, 255, 0, 0, 0x1a /* const8u, and: at */
	.else
	.cfi_escape 0x12, 0x06		/*  dup deref: at */
	.endif
	.cfi_escape 0x12, 0x23, 8	/*  dup plus_uconst 8 */
	.cfi_escape 0x94, 4		/*  deref_size 4 */
	.cfi_escape 0x22, 0x23, 8	/*  plus plus_uconst 8: &plt_owners[n] */
	site_of_frame
	.endm

	.p2align 6
	.cfi_startproc
	.cfi_def_cfa sp, 8
	.cfi_val_offset 31, -8
	true_return 1
	nop				/* unwinders look at the byte before a return address */
	.p2align 4
	.globl	plt_returns
	.hidden	plt_returns
	.type	plt_returns, @object
plt_returns:
	.set	i, 0
	.rept	PLT_STACKS
	movz	w17, #i
	b	exit
	.word	plt_owners + 8 * i - .
	.p2align 4
	.set	i, i + 1
	.endr
	.size	plt_returns, . - plt_returns

exit:
	address	x16, plt_returns
	add	x30, x16, x17, lsl #4	/* it is so already, for all that we know */
	save
	true_return 0
	add	x0, sp, #SLOT
	bl	plt_leave
	cbz	x0, 6f
1:	mov	x16, x0
	.cfi_remember_state
	.cfi_register x30, x16
	registers ldp
	ldr	x29, [sp, #RECORD]
	add	sp, sp, #FRAME
	.cfi_adjust_cfa_offset -FRAME
	.cfi_restore x29
	mov	x30, x16
	.cfi_restore x30
	ret
6:	.cfi_restore_state
	save_vectors
	add	x0, sp, #128 + SLOT
	ldr	x17, [sp, #128 + KEPT]
	address	x1, plt_owners
	add	x1, x1, x17, lsl #3
	bl	plt_leave_slowly
	.cfi_register x30, x0
	restore_vectors
	b	1b
	.cfi_endproc

/*
 * void *plt_ask(void *handle, const char *name, const char *version, void *function, void *ret)
 *
 * Calls dlsym() or dlvsym() so that the call seems to come from `ret`, where two registers are taken from the
 * stack and x30, perhaps with a signature, is returned to, in the module on whose behalf we ask.
 */
	.globl	plt_ask
	.hidden	plt_ask
	.type	plt_ask, @function
	.p2align 4
plt_ask:
	.cfi_startproc
	hint	#34			/* bti c */
	stp	x29, x30, [sp, #-16]!
	.cfi_adjust_cfa_offset 16
	.cfi_rel_offset x29, 0
	.cfi_rel_offset x30, 8
	mov	x29, sp
	adr	x17, 1f
	ldr	w9, [x4, #4]
	movz	w10, #0x03c0
	movk	w10, #0xd65f, lsl #16	/* ret */
	cmp	w9, w10
	b.eq	2f
	mov	x16, sp
	hint	#8			/* pacia1716: as it is checked there */
2:	stp	x29, x17, [sp, #-16]!
	.cfi_adjust_cfa_offset 16
	mov	x30, x4
	mov	x16, x3
	br	x16
1:	.cfi_adjust_cfa_offset -16
	ldp	x29, x30, [sp], #16
	.cfi_adjust_cfa_offset -16
	.cfi_restore x29
	.cfi_restore x30
	ret
	.cfi_endproc
	.size	plt_ask, . - plt_ask
#endif

	.section .note.GNU-stack, "", %progbits
