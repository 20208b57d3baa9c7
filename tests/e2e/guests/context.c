/*
 * context.c - works on a stack that makecontext() has made, and in a signal handler. usage: context MS
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <ucontext.h>

static volatile unsigned long sink;
static ucontext_t outside, inside;
static int ms;

static __attribute__((noinline)) void burn(void)
{
	clock_t until = clock() + ms * (CLOCKS_PER_SEC / 1000);

	while (clock() < until)
		for (int i = 0; i < 20000; i++)
			sink = sink * 31 + i;
}

static void on_stack(void) { burn(); sink++; }
static void on_signal(int number) { burn(); sink += number; }

int main(int argc, char **argv)
{
	static char stack[1 << 16];

	ms = argc > 1 ? atoi(argv[1]) : 1;
	getcontext(&inside);
	inside.uc_stack.ss_sp = stack;
	inside.uc_stack.ss_size = sizeof stack;
	inside.uc_link = &outside;
	makecontext(&inside, on_stack, 0);
	swapcontext(&outside, &inside);
	signal(SIGUSR1, on_signal);
	raise(SIGUSR1);
	return 0;
}
