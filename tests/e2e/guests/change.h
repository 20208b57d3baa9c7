/*
 * change.h - change(&from, to): goes on with another stack, by code of the program's own. Nobody is told.
 *
 * A new stack begins with CHANGED words; at CHANGED_TO stands the function that it goes on with.
 */
#if defined(__x86_64__)

#define CHANGES 1
enum { CHANGED = 8, CHANGED_TO = 6 };
__attribute__((naked, noinline)) static void change(void **from __attribute__((unused)),
						    void *to __attribute__((unused)))
{
	__asm__("push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15;"
		"mov %rsp, (%rdi); mov %rsi, %rsp;"
		"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret");
}

#elif defined(__aarch64__)

#define CHANGES 1
enum { CHANGED = 20, CHANGED_TO = 11 };
void change(void **from, void *to);
__asm__(".text; .type change, @function\n"
	"change: sub sp, sp, #160;"
	"stp x19, x20, [sp]; stp x21, x22, [sp, #16]; stp x23, x24, [sp, #32];"
	"stp x25, x26, [sp, #48]; stp x27, x28, [sp, #64]; stp x29, x30, [sp, #80];"
	"stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]; stp d12, d13, [sp, #128];"
	"stp d14, d15, [sp, #144]; mov x2, sp; str x2, [x0]; mov sp, x1;"
	"ldp x19, x20, [sp]; ldp x21, x22, [sp, #16]; ldp x23, x24, [sp, #32];"
	"ldp x25, x26, [sp, #48]; ldp x27, x28, [sp, #64]; ldp x29, x30, [sp, #80];"
	"ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]; ldp d12, d13, [sp, #128];"
	"ldp d14, d15, [sp, #144]; add sp, sp, #160; ret; .size change, . - change");

#endif
