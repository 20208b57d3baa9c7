/*
 * binds.c - slots and modules in unhappy moments: a handler comes while a slot is being bound, and calls by the
 * same slot; a module is unloaded out of which a thread has just returned, or jumped. It counts its calls
 * as calls.c does, and knows nothing of hark.
 *
 *	binds binding|looking|returning|jumping PLUG TIMES
 *
 * It is linked with the library of leaf_chosen(); PLUG calls that, and has a library of its own. All are built
 * from this file: -DCHOSEN, -DPLUG and -DHOLD.
 */
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void function(void *argument);
typedef int number(int n);

#if defined(CHOSEN)

void (*chosen_meanwhile)(void);
static int chosen(int n) { return n + 1; }
static number *choose(void)
{
	void (*meanwhile)(void) = chosen_meanwhile;

	chosen_meanwhile = NULL;
	if (meanwhile)
		meanwhile();
	return chosen;
}
int leaf_chosen(int n) __attribute__((ifunc("choose")));

#elif defined(HOLD)

void leaf_hold(function *f, void *argument);
void leaf_hold(function *f, void *argument)
{
	f(argument);
	__asm__ volatile(""); /* no last call */
}

#elif defined(PLUG)

int leaf_chosen(int n);
void leaf_hold(function *f, void *argument);
extern void (*chosen_meanwhile)(void);
void loaded(number *work), unloading(void);

int plug_work(int n);
int plug_work(int n) { return leaf_chosen(n) + 1; }
void plug_hold(function *f, void *argument);
void plug_hold(function *f, void *argument)
{
	leaf_hold(f, argument);
	__asm__ volatile("");
}

__attribute__((constructor)) static void begin(void) { loaded(plug_work); }
__attribute__((destructor)) static void end(void) { unloading(); }

#else

int leaf_chosen(int n);
extern void (*chosen_meanwhile)(void);
void loaded(number *work), unloading(void);

static const char *how;
static int chosen, held, wrong;
static volatile int handled;
static number *again;

#define CHECK(what) ((what) ? 0 : (wrong++, fprintf(stderr, "%d: " #what "\n", __LINE__)))

/* ---- while a slot is bound ----------------------------------------------------------------------- */

static void handler(int number)
{
	if (strcmp(how, "looking") == 0)
		CHECK(dlsym(RTLD_DEFAULT, "leaf_chosen"));
	else
		CHECK(again(number) == number + 2);
	handled++;
}

static void interrupt(void) { raise(SIGUSR1); }

/* By PLUG's constructor: what it calls is not seen, for nobody has looked at its slots. */
void loaded(number *work)
{
	again = work;
	if (strcmp(how, "binding") != 0 && strcmp(how, "looking") != 0)
		return;
	chosen_meanwhile = interrupt;
	CHECK(work(1) == 3);
}

static void binding(const char *path, int times)
{
	signal(SIGUSR1, handler);
	void *plug = dlopen(path, RTLD_LAZY);
	number *work = plug ? (number *)dlsym(plug, "plug_work") : NULL;
	CHECK(work && handled == 1);
	for (int i = 0; i < times && work; i++) {
		CHECK(work(i) == i + 2);
		chosen++;
	}
}

/* ---- while a module is unloaded -------------------------------------------------------------------- */

static sem_t inside, leave, left, closed;
static void (*hold)(function *f, void *argument);
static jmp_buf out;

static void wait_there(void *argument)
{
	(void)argument;
	sem_post(&inside);
	sem_wait(&leave);
	if (strcmp(how, "jumping") == 0)
		longjmp(out, 1);
}

/* dlclose() has begun: the thread goes, and is gone when it ends. */
void unloading(void)
{
	if (!hold)
		return;
	sem_post(&leave);
	sem_wait(&left);
}

static void *visitor(void *argument)
{
	static int i, native;
	void *frames[32];

	for (i = 0; i < *(int *)argument; i++) {
		sem_wait(&closed); /* and there again */
		if (setjmp(out) == 0)
			hold(wait_there, NULL);
		sem_post(&left);
		sem_wait(&closed);
		int count = backtrace(frames, 32);
		native = native ? native : count;
		CHECK(count == native && count < 8);
		CHECK(leaf_chosen(i) == i + 1);
		sem_post(&inside);
	}
	pthread_exit(NULL);
}

static void leaving(const char *path, int times)
{
	pthread_t id;

	backtrace((void *[1]){ 0 }, 1); /* which loads what it needs */
	pthread_create(&id, NULL, visitor, &times);
	for (int i = 0; i < times; i++) {
		void *plug = dlopen(path, i % 2 ? RTLD_NOW : RTLD_LAZY);
		hold = plug ? (void (*)(function *, void *))dlsym(plug, "plug_hold") : NULL;
		CHECK(hold);
		held++;
		sem_post(&closed);
		sem_wait(&inside);
		CHECK(dlclose(plug) == 0);
		CHECK(!dlopen(path, RTLD_LAZY | RTLD_NOLOAD));
		sem_post(&closed);
		sem_wait(&inside);
		chosen++;
	}
	pthread_join(id, NULL);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	how = argv[1];
	int times = atoi(argv[3]);
	if (strcmp(how, "binding") == 0 || strcmp(how, "looking") == 0)
		binding(argv[2], times);
	else
		leaving(argv[2], times);
	printf("leaf_chosen %d\n", chosen);
	if (held)
		printf("leaf_hold %d\n", held);
	return wrong != 0;
}
#endif
