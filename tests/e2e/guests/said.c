/*
 * said.c - a program that is built with -finstrument-functions and says what it does. It knows nothing
 * of hark.
 *
 *	said [die|threads]
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OWN __attribute__((noinline))

OWN static void step(void)
{
	__asm__ volatile("");
}

OWN static void parse(int die)
{
	step();
	usleep(2000); /* two clocks are compared here, by the test: they may differ by a little */
	fprintf(stderr, "ERROR: line %d\n", 7);
	usleep(2000);
	if (die)
		raise(SIGKILL);
	step();
}

OWN static void load(int die)
{
	parse(die);
}

OWN static void *work(void *unused)
{
	step();
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	usleep(2000);
	fprintf(stderr, "starting\n");
	usleep(2000);
	load(argc > 1 && strcmp(argv[1], "die") == 0);
	if (argc > 1 && strcmp(argv[1], "threads") == 0) {
		pthread_create(&thread, NULL, work, NULL);
		pthread_join(thread, NULL);
	}
	return 0;
}
