/*
 * alarm.c - a program that is built with -finstrument-functions, says that something is wrong in the
 * midst of its calls, or dies there. It knows nothing of hark.
 *
 *	alarm say          main > serve > parse: seven steps, an error, two steps more
 *	alarm burst        twenty errors, one after the other
 *	alarm hot          two threads that do nothing but call, until standard input ends
 *	alarm die SIGNAL   a child dies in serve > parse; then the parent goes on with other children
 *	alarm storm        four hundred threads, few at a time
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLAIN __attribute__((no_instrument_function))
#define OWN __attribute__((noinline))

static volatile int sum;

OWN static void step(void) { sum++; }

OWN static void leaf(void) { sum++; }

/* Fifty of them, always. */
OWN static void work(void)
{
	for (int i = 0; i < 50; i++)
		leaf();
}

OWN static void parse(const char *how, int number)
{
	for (int i = 0; i < 7; i++)
		step();
	if (strcmp(how, "die") == 0 && number == SIGABRT)
		abort();
	if (strcmp(how, "die") == 0 && number == SIGSEGV)
		*(volatile int *)(intptr_t)number = 0;
	if (strcmp(how, "die") == 0)
		raise(number);
	for (int i = 0; i < number; i++)
		fprintf(stderr, "ERROR: line %d\n", i + 7);
	step();
	step();
}

OWN static void serve(const char *how, int number) { parse(how, number); }

static _Atomic int at_work;

PLAIN static void *hot(void *nothing)
{
	for (int i = 0; i < 1000; i++)
		work();
	at_work++;
	for (;;)
		work();
	return nothing;
}

PLAIN static void *once(void *nothing)
{
	work();
	return nothing;
}

PLAIN static void storm(void)
{
	pthread_t id[4];

	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 4; i++)
			pthread_create(&id[i], NULL, once, NULL);
		for (int i = 0; i < 4; i++)
			pthread_join(id[i], NULL);
	}
}

PLAIN static void deaths(int number)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	if (fork() == 0) {
		serve("die", number);
		_exit(0);
	}
	wait(NULL);
	for (int i = 0; i < 6; i++) {
		if (fork() == 0) {
			for (int k = 0; k < 200; k++)
				work();
			_exit(0);
		}
		wait(NULL);
	}
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	pthread_t id[2];

	if (strcmp(how, "say") == 0) {
		serve(how, 1);
	} else if (strcmp(how, "burst") == 0) {
		serve(how, 20);
	} else if (strcmp(how, "hot") == 0) {
		for (int i = 0; i < 2; i++)
			pthread_create(&id[i], NULL, hot, NULL);
		while (at_work < 2)
			usleep(1000);
		fprintf(stderr, "ready\n");
		while (getchar() != EOF)
			;
		_exit(0);
	} else if (strcmp(how, "die") == 0 && argc > 2) {
		deaths(atoi(argv[2]));
	} else if (strcmp(how, "storm") == 0) {
		storm();
	} else {
		return 2;
	}
	return 0;
}
