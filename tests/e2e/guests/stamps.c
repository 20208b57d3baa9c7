/*
 * stamps.c - a program that is built with -finstrument-functions and counts its own calls. It knows
 * nothing of hark.
 *
 *	stamps CASE [FILE [MICROSECONDS or how much]]
 *
 * Each function counts itself, in FILE where one is given (shared memory, which outlives a kill), and
 * the counts are printed at the end: a name and a number a line.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <ucontext.h>
#include <unistd.h>

#define PLAIN __attribute__((no_instrument_function))
#define OWN __attribute__((noinline))

enum { NAMES = 32 };

static struct count {
	char name[24];
	_Atomic long calls;
} fallback[NAMES], *counts = fallback;

PLAIN static void count(const char *name)
{
	for (int i = 0; i < NAMES; i++) {
		if (!counts[i].name[0])
			strcpy(counts[i].name, name);
		if (strcmp(counts[i].name, name) == 0) {
			counts[i].calls++;
			return;
		}
	}
}

#define COUNT() count(__func__)

PLAIN static void print_counts(void)
{
	for (int i = 0; i < NAMES && counts[i].name[0]; i++)
		printf("%s %ld\n", counts[i].name, (long)counts[i].calls);
	fflush(stdout);
}

PLAIN static void share(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	if (fd < 0 || ftruncate(fd, sizeof fallback) != 0)
		exit(9);
	counts = mmap(NULL, sizeof fallback, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
}

/* ---- plain calls ------------------------------------------------------------------------------ */

OWN static int fib(int n)
{
	COUNT();
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static inline __attribute__((always_inline)) int inlined(int n)
{
	COUNT();
	return n * 3;
}

OWN static int holds_inlined(int n)
{
	int sum = 0;

	COUNT();
	for (int i = 0; i < n; i++)
		sum += inlined(i);
	return sum;
}

OWN static int deep(int n)
{
	COUNT();
	return n ? deep(n - 1) + 1 : 0;
}

static int by_value(const void *a, const void *b)
{
	COUNT();
	return *(const int *)a - *(const int *)b;
}

OWN static void sorted(void)
{
	static int numbers[5000];

	COUNT();
	for (int i = 0; i < 5000; i++)
		numbers[i] = i * 7919 % 5003;
	qsort(numbers, 5000, sizeof *numbers, by_value);
}

PLAIN static void *to_the_bottom(void *nothing)
{
	deep(100000);
	return nothing;
}

PLAIN static void deepest(void)
{
	pthread_attr_t attributes;
	pthread_t id;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 << 20);
	pthread_create(&id, &attributes, to_the_bottom, NULL);
	pthread_join(id, NULL);
}

/* ---- calls that do not return ----------------------------------------------------------------- */

static jmp_buf back;

OWN static void leaps(int n)
{
	COUNT();
	if (n)
		leaps(n - 1);
	longjmp(back, 1);
}

OWN static void after_leap(void)
{
	COUNT();
}

OWN static void leaping(void)
{
	COUNT();
	for (volatile int i = 0; i < 100; i++) {
		if (setjmp(back) == 0)
			leaps(i % 7);
		after_leap();
	}
}

static sigjmp_buf out;

OWN static void in_handler(int number)
{
	COUNT();
	if (number == SIGUSR2)
		siglongjmp(out, 1);
}

OWN static void signalled(void)
{
	COUNT();
	signal(SIGUSR1, in_handler);
	signal(SIGUSR2, in_handler);
	for (volatile int i = 0; i < 50; i++) {
		raise(SIGUSR1);
		if (sigsetjmp(out, 1) == 0)
			raise(SIGUSR2);
	}
}

/* A timer whose handler does not return, wherever it has interrupted the stamps. */
OWN static void jump_out(int number)
{
	(void)number;
	COUNT();
	siglongjmp(out, 1);
}

OWN static void calls_for_ever(void)
{
	COUNT();
	for (;;)
		fib(3);
}

OWN static void jumped_out_of(int turn)
{
	struct itimerval soon = { { 0, 0 }, { 0, 100 + turn % 50 } };

	COUNT();
	if (sigsetjmp(out, 1) == 0) {
		setitimer(ITIMER_REAL, &soon, NULL);
		calls_for_ever();
	}
}

OWN static void jumps(int turns)
{
	COUNT();
	signal(SIGALRM, jump_out);
	for (int i = 0; i < turns; i++)
		jumped_out_of(i);
}

/* A timer that interrupts the stamps themselves, wherever they are. */
OWN static void tick(int number)
{
	(void)number;
	COUNT();
	after_leap();
}

OWN static void interrupted(int turns)
{
	struct sigaction action = { .sa_handler = tick, .sa_flags = SA_RESTART };
	timer_t timer;
	struct itimerspec every = { { 0, 50000 }, { 0, 50000 } };

	COUNT();
	sigaction(SIGALRM, &action, NULL);
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_settime(timer, 0, &every, NULL);
	for (int i = 0; i < turns; i++)
		fib(20);
	timer_delete(timer);
}

/* ---- threads, processes, stacks --------------------------------------------------------------- */

static void *thread(void *argument)
{
	COUNT();
	fib((int)(intptr_t)argument);
	return NULL;
}

OWN static void threads(int count_of_them, int n)
{
	pthread_t id[64];

	COUNT();
	for (int round = 0; round < count_of_them; round += 64) {
		int some = count_of_them - round < 64 ? count_of_them - round : 64;
		for (int i = 0; i < some; i++)
			pthread_create(&id[i], NULL, thread, (void *)(intptr_t)n);
		for (int i = 0; i < some; i++)
			pthread_join(id[i], NULL);
	}
}

OWN static void child(void)
{
	COUNT();
	fib(10);
}

OWN static void forks(void)
{
	COUNT();
	fib(10);
	pid_t pid = fork();
	if (pid == 0) {
		child();
		return;
	}
	waitpid(pid, NULL, 0);
	fib(10);
}

static ucontext_t main_context, contexts[3];

static void coroutine(int number)
{
	COUNT();
	for (int i = 0; i < 10; i++) {
		fib(5);
		if (i == 5 && number == 2)
			return;
		swapcontext(&contexts[number], &main_context);
	}
}

static void swaps_for_ever(void)
{
	for (;;)
		swapcontext(&contexts[0], &main_context);
}

/* How many pages were touched for the first time, from the second swap on? */
OWN static long swaps(int turns)
{
	static char stack[64 << 10];
	struct rusage before = { 0 }, after;

	COUNT();
	getcontext(&contexts[0]);
	contexts[0].uc_stack = (stack_t){ .ss_sp = stack, .ss_size = sizeof stack };
	makecontext(&contexts[0], swaps_for_ever, 0);
	for (int i = 0; i < turns; i++) {
		swapcontext(&main_context, &contexts[0]);
		if (i == 0)
			getrusage(RUSAGE_SELF, &before);
	}
	getrusage(RUSAGE_SELF, &after);
	return after.ru_minflt - before.ru_minflt;
}

OWN static void coroutines(void)
{
	static char stacks[3][64 << 10];

	COUNT();
	for (int i = 0; i < 3; i++) {
		getcontext(&contexts[i]);
		contexts[i].uc_stack.ss_sp = stacks[i];
		contexts[i].uc_stack.ss_size = sizeof stacks[i];
		contexts[i].uc_link = &main_context;
		makecontext(&contexts[i], (void (*)(void))(void *)coroutine, 1, i);
	}
	for (int round = 0; round < 6; round++)
		for (int i = 0; i < 3; i++) {
			swapcontext(&main_context, &contexts[i]);
			after_leap();
		}
}

/* ---- modules ---------------------------------------------------------------------------------- */

OWN static void loads(const char *first, const char *second, int times)
{
	COUNT();
	for (int i = 0; i < times; i++) {
		void *handle = dlopen(i % 2 ? second : first, RTLD_NOW);
		if (!handle)
			exit(8);
		int (*call)(int) = (int (*)(int))dlsym(handle, i % 2 ? "of_second" : "of_first");
		for (int k = 0; k < 3; k++)
			call(k);
		fib(1);
		dlclose(handle);
	}
}

OWN static void forever(void)
{
	COUNT();
	for (;;)
		fib(12);
}

OWN static void leaves_by(void (*way)(int))
{
	COUNT();
	fib(15);
	way(3);
}

PLAIN static void *calls(void *nothing)
{
	fib(10);
	return nothing;
}

/* A thread that begins where no file can be opened any more. */
OWN static void begins_late(void)
{
	struct rlimit none = { 3, 3 };
	pthread_t id;

	COUNT();
	setrlimit(RLIMIT_NOFILE, &none);
	pthread_create(&id, NULL, calls, NULL);
	pthread_join(id, NULL);
}

/* From here on, any system call but read, write and exit is the end. */
OWN static void sandboxed(void)
{
	COUNT();
	fib(10);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
		exit(7);
	deep(3000);
	fib(22);
	syscall(SYS_exit, 0);
}

/* Longer than short records can tell of time. */
OWN static void nap(void)
{
	COUNT();
	usleep(300000);
}

/* From the first call on: a machine that has better to do gets to it late. */
PLAIN static void *kill_us(void *argument)
{
	while (!counts[0].calls)
		usleep(10);
	usleep((unsigned)(intptr_t)argument);
	kill(getpid(), SIGKILL);
	return NULL;
}

PLAIN static void killed_after(unsigned microseconds)
{
	pthread_t id;

	pthread_create(&id, NULL, kill_us, (void *)(intptr_t)microseconds);
	forever();
}

PLAIN int main(int argc, char **argv)
{
	const char *which = argc > 1 ? argv[1] : "";

	if (argc >= 3 && strcmp(which, "modules") != 0)
		share(argv[2]);
	if (strcmp(which, "fib") == 0)
		fib(20);
	else if (strcmp(which, "inlined") == 0)
		holds_inlined(1000);
	else if (strcmp(which, "deep") == 0)
		deep(20000), deep(40000);
	else if (strcmp(which, "deepest") == 0)
		deepest();
	else if (strcmp(which, "qsort") == 0)
		sorted();
	else if (strcmp(which, "longjmp") == 0)
		leaping();
	else if (strcmp(which, "signals") == 0)
		signalled();
	else if (strcmp(which, "interrupted") == 0)
		interrupted(argc > 3 ? atoi(argv[3]) : 20);
	else if (strcmp(which, "jumps") == 0)
		jumps(argc > 3 ? atoi(argv[3]) : 1000);
	else if (strcmp(which, "threads") == 0)
		threads(4, argc > 3 ? atoi(argv[3]) : 18);
	else if (strcmp(which, "storm") == 0)
		threads(500, 5);
	else if (strcmp(which, "fork") == 0)
		forks();
	else if (strcmp(which, "swaps") == 0)
		printf("pages %ld\n", swaps(1000));
	else if (strcmp(which, "coroutines") == 0)
		coroutines();
	else if (strcmp(which, "modules") == 0)
		loads(argv[2], argv[3], argc > 4 ? atoi(argv[4]) : 6);
	else if (strcmp(which, "forever") == 0)
		forever();
	else if (strcmp(which, "unopened") == 0)
		begins_late();
	else if (strcmp(which, "sandbox") == 0)
		sandboxed();
	else if (strcmp(which, "killed") == 0)
		killed_after((unsigned)atoi(argv[3]));
	else if (strcmp(which, "exit") == 0)
		fib(10), _exit(3);
	else if (strcmp(which, "late") == 0)
		fib(3), nap(), usleep(300000), fib(3);
	else if (strcmp(which, "leaves") == 0)
		leaves_by(strcmp(argv[3], "exit") == 0	? exit :
			  strcmp(argv[3], "_exit") == 0 ? _exit :
							  quick_exit);
	else if (strcmp(which, "many") == 0)
		fib(23);
	else
		return 2;
	print_counts();
	return 0;
}
