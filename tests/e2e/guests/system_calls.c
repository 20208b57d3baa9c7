/* system_calls.c - ways to make the same system call, and bytes that only look like one. */
#include <stdio.h>
static long raw(long n, long a, const void *b, long c)
{
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "0"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
}
__attribute__((noinline)) long any(long n) { return raw(n, 0, 0, 0); }
int main(int argc, char **argv)
{
	(void)argv;
#if KIND == 1
	raw(1, 2, "inline\n", 7);
#elif KIND == 2
	return (int)any(argc + 38) < 0;
#elif KIND == 3
	return raw(39, 0, 0, 0) < 0;
#else
	fprintf(stderr, "%d\n", argc * 0x050f050f);
	__asm__ volatile("movl $0x50f, %%eax" : : : "rax");
#endif
	fprintf(stderr, "done\n");
	return 0;
}
