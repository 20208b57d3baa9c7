/*
 * plt_x86_64.S - what stands between a call of a library's function and the function, on x86_64.
 *
 * Slots of modules' tables lead to plt_stubs, 16 bytes for each traced function; all go on to `entry`,
 * which records, perhaps puts an address of plt_returns into the place of the return address, and jumps
 * to the function. The function then returns to plt_returns, which records, and jumps to where the
 * call came from. All code is here from the start: no page is ever both writable and executable.
 *
 * Nothing that a function or its caller could look at is touched: plt_enter() and plt_leave() are
 * compiled for general registers only, and what those may clobber is saved here; vector registers are
 * saved in front of the slow halves alone. r11 is free at both ends of a call, by the ABI.
 */
#if defined(__x86_64__)
#include "shim/plt_code.h"
#include "shim/plt_unwind.inc"

	.text
	.hidden	stamp_gate, plt_functions, plt_owners, plt_vectors
	.hidden	plt_enter, plt_enter_slowly, plt_leave, plt_leave_slowly

/* ---- the stubs ---- */

	.globl	plt_stubs
	.hidden	plt_stubs
	.type	plt_stubs, @object
	.p2align 6
plt_stubs:
	.cfi_startproc
	.set	i, 0
	.rept	PLT_FUNCTIONS
	endbr64
	.byte	0x41, 0xbb		/* mov $i, %r11d */
	.long	i
	.byte	0xe9			/* jmp entry */
	.long	entry - . - 4
	.p2align 4
	.set	i, i + 1
	.endr
	.cfi_endproc
	.size	plt_stubs, . - plt_stubs

/* Unwinders may come at every instruction: of samples, of handlers, of debuggers. */
	.macro	pushes	first:req, others:vararg
	push	\first
	.cfi_adjust_cfa_offset 8
	.ifnb	\others
	pushes	\others
	.endif
	.endm
	.macro	pops	first:req, others:vararg
	pop	\first
	.cfi_adjust_cfa_offset -8
	.ifnb	\others
	pops	\others
	.endif
	.endm

/* Vector registers that may hold arguments (at an exit: results), in full, below a new frame. */
	.macro	vectors	how
	mov	plt_vectors(%rip), %ecx
	cmp	$1, %ecx
	ja	.Lzmm\@
	je	.Lymm\@
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	\how	movaps, %xmm\n, \n*64(%rsp)
	.endr
	jmp	.Ldone\@
.Lymm\@:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	\how	vmovaps, %ymm\n, \n*64(%rsp)
	.endr
	jmp	.Ldone\@
.Lzmm\@:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	\how	vmovaps, %zmm\n, \n*64(%rsp)
	.endr
.Ldone\@:
	.endm

	.macro	store	move, register, place
	\move	\register, \place
	.endm
	.macro	load	move, register, place
	\move	\place, \register
	.endm

	.macro	save_vectors	cfa
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_escape 0x10, 6, 3		/* DW_CFA_expression of %rbp: what .cfi_rel_offset says, */
	.cfi_escape 0x08, \cfa, 0x1c	/*  const1u minus; but that takes no CFA that is off by 4 */
	mov	%rsp, %rbp
	.cfi_def_cfa %rbp, \cfa
	and	$-64, %rsp
	sub	$512, %rsp
	vectors	store
	.endm

	.macro	restore_vectors
	vectors	load
	mov	%rbp, %rsp
	pop	%rbp
	.endm

/* ---- the way in: %r11d says which function, the return address is on the stack ---- */

	.type	entry, @function
	.p2align 6
entry:
	.cfi_startproc
	push	%rax			/* how many vector registers, for printf and the like */
	.cfi_adjust_cfa_offset 8
	mov	stamp_gate(%rip), %rax
	mov	(%rax), %eax
	test	$3, %al			/* STAMP_MODE */
	jnz	1f
	test	%eax, %eax		/* 0: a forked child, which has to look again */
	jnz	5f
1:	pushes	%rdi, %rsi, %rdx, %rcx, %r8, %r9
	pushes	%r10, %r11		/* r10: the static chain of some languages */
	mov	%r11d, %edi
	lea	72(%rsp), %rsi
	call	plt_enter
	test	%rax, %rax
	jz	6f
2:	mov	%rax, (%rsp)
	.cfi_remember_state
	pops	%r11, %r10, %r9, %r8, %rcx, %rdx, %rsi, %rdi, %rax
	jmp	*%r11
5:	.cfi_adjust_cfa_offset 8
	pop	%rax
	.cfi_adjust_cfa_offset -8
	shl	$PLT_FUNCTION_SHIFT, %r11
	add	plt_functions(%rip), %r11
	jmp	*(%r11)
6:	.cfi_restore_state
	.cfi_remember_state
	save_vectors 88
	mov	8(%rbp), %edi
	lea	80(%rbp), %rsi
	call	plt_enter_slowly
	mov	%rax, 8(%rbp)
	restore_vectors
	.cfi_restore_state
	mov	(%rsp), %rax
	jmp	2b
	.cfi_endproc
	.size	entry, . - entry

/*
 * ---- the way out: PLT_STACKS addresses of 16 bytes, one for each stack that has open calls ----
 *
 * To an unwinder this is a frame of no size, in the midst of two others: what it finds as the return address of
 * the function that was called. Where that frame returns to, it computes with the expression below; that
 * is all it needs, whoever it is (libgcc for exceptions and for threads that are cancelled, gdb, libunwind).
 * Its CFA is off by 4, so that no other frame has the same: libgcc knows the frame that catches an exception
 * by the CFA of the one below, and aborts where a frame that catches nothing seems to be it.
 *
 *	slot = CFA - 12			where the return address was, and now one of these is
 *	at = *slot			which of them: its first instruction is lea plt_owners[n], %r11
 *	stack = *(at + 7 + the four bytes at (at + 3))
 *	f = stack->top;
 *	while (f->slot != slot && f->slot != -1) f--;
 *	&f->site			where the true return address stands
 */
	.macro	true_return
	.cfi_escape 0x10, 16, 40	/* DW_CFA_expression of the return address, bytes: */
	.cfi_escape 0x12		/*  dup: libgcc cannot pick the lowest of a stack */
	.cfi_escape 0x3c, 0x1c		/*  lit12 minus: slot */
	.cfi_escape 0x12, 0x06		/*  dup deref: at */
	.cfi_escape 0x12, 0x23, 3	/*  dup plus_uconst 3 */
	.cfi_escape 0x94, 4		/*  deref_size 4 */
	.cfi_escape 0x22, 0x23, 7	/*  plus plus_uconst 7: &plt_owners[n] */
	site_of_frame
	.endm

	.macro	returns_to below	/* the true return address is so far below the CFA */
	.cfi_escape 0x10, 16, 3, 0x08, \below, 0x1c /* DW_CFA_expression: const1u minus */
	.endm

	.p2align 6
	.cfi_startproc simple
	.cfi_def_cfa %rsp, 4
	.cfi_escape 0x16, 7, 2, 0x34, 0x1c /* DW_CFA_val_expression of %rsp: lit4 minus */
	true_return
	nop				/* unwinders look at the byte before a return address */
	.p2align 4
	.globl	plt_returns
	.hidden	plt_returns
	.type	plt_returns, @object
plt_returns:
	.set	i, 0
	.rept	PLT_STACKS
	.byte	0x4c, 0x8d, 0x1d	/* lea plt_owners + 8 * i, %r11 */
	.long	plt_owners + 8 * i - . - 4
	.byte	0xe9			/* jmp exit */
	.long	exit - . - 4
	.p2align 4
	.set	i, i + 1
	.endr
	.size	plt_returns, . - plt_returns

exit:
	sub	$8, %rsp		/* the slot again */
	.cfi_adjust_cfa_offset 8
	pushes	%rax, %rdx, %rcx, %r8	/* results; some languages have four of them */
	pushes	%r11
	lea	40(%rsp), %rdi
	call	plt_leave
	test	%rax, %rax
	jz	6f
1:	.cfi_remember_state
	.cfi_register %rip, %rax	/* the frame that the expression looks for is gone */
	mov	%rax, (%rsp)
	pops	%r11
	.cfi_register %rip, %r11
	pops	%r8, %rcx, %rdx, %rax
	add	$8, %rsp
	.cfi_adjust_cfa_offset -8
	jmp	*%r11
6:	.cfi_restore_state
	.cfi_remember_state
	save_vectors 60
	lea	48(%rbp), %rdi
	mov	8(%rbp), %rsi
	call	plt_leave_slowly
	.cfi_register %rip, %rax
	mov	%rax, 8(%rbp)
	returns_to 52
	restore_vectors
	.cfi_restore_state
	returns_to 52
	mov	(%rsp), %rax
	jmp	1b
	.cfi_endproc

/*
 * void *plt_ask(void *handle, const char *name, const char *version, void *function, void *ret)
 *
 * Calls dlsym() or dlvsym() so that the call seems to come from `ret`, where there is a return instruction
 * in the module on whose behalf we ask.
 */
	.globl	plt_ask
	.hidden	plt_ask
	.type	plt_ask, @function
	.p2align 4
plt_ask:
	.cfi_startproc
	endbr64
	lea	1f(%rip), %rax
	push	%rax
	.cfi_adjust_cfa_offset 8
	push	%r8
	.cfi_adjust_cfa_offset 8
	jmp	*%rcx
1:	.cfi_adjust_cfa_offset -16
	ret
	.cfi_endproc
	.size	plt_ask, . - plt_ask
#endif

	.section .note.GNU-stack, "", %progbits
