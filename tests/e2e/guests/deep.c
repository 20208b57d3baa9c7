/*
 * deep.c - uses time far down a stack that is full of what looks like addresses.
 * usage: deep SECONDS MORE: first above it, then, once stdin has ended, below
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static volatile unsigned long sink;

static void burn(double seconds)
{
	clock_t until = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);

	while (clock() < until)
		for (int i = 0; i < 10000; i++)
			sink = sink * 31 + i;
}

static void deep(int depth, double seconds)
{
	void *volatile frame[64];

	for (int i = 0; i < 64; i++)
		frame[i] = (void *)&frame[i];
	if (depth)
		deep(depth - 1, seconds);
	else
		burn(seconds);
	frame[0] = NULL;
}

int main(int argc, char **argv)
{
	burn(atof(argv[1]));
	getchar();
	deep(200, atof(argv[2]));
	puts("done");
	return 0;
}
