/*
 * calls.c - a program that counts the calls it makes of a library (leaf.c), and checks what it gets
 * back. It knows nothing of hark.
 *
 *	calls CASE [TIMES]
 *
 * Prints a name and a number a line; the exit status is 1 where something came back wrong.
 */
#include <complex.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/e2e/guests/change.h"

struct pair { long a, b; };
struct mixed { double d; long n; };
struct large { long n[9]; };

int leaf_plain(int n);
long leaf_stack(long a, long b, long c, long d, long e, long f, long g, long h, double x);
double leaf_doubles(double a, double b, double c, double d, double e, double f, double g, double h);
double leaf_varargs(int n, ...);
struct pair leaf_pair(long n);
struct mixed leaf_mixed(long n);
struct large leaf_large(long n);
long double leaf_long_double(long double x);
double complex leaf_complex(double complex x);
long double complex leaf_long_complex(long double x);
void leaf_back(void (*function)(void *), void *argument);
int leaf_deep(int (*function)(int), int n);

#define NAMES(_) _(plain) _(stack) _(doubles) _(varargs) _(pair) _(mixed) _(large) _(long_double) \
	_(complex) _(long_complex) _(wide) _(widest) _(back) _(deep)
#define ENUM(name) n_##name,
enum { NAMES(ENUM) N };
#define TEXT(name) "leaf_" #name,
static const char *const names[] = { NAMES(TEXT) };
static _Atomic long *counts; /* shared with children */
static _Atomic int wrong;

#define CALL(name, ...) (counts[n_##name]++, leaf_##name(__VA_ARGS__))
#define CHECK(what) ((what) ? 0 : (wrong++, fprintf(stderr, "%d: " #what "\n", __LINE__)))

/* ---- what goes in and comes out ---------------------------------------------------------------- */

#ifdef __x86_64__
typedef double ymm __attribute__((vector_size(32)));
typedef double zmm __attribute__((vector_size(64)));
ymm leaf_wide(ymm a, ymm b) __attribute__((target("avx")));
zmm leaf_widest(zmm a, zmm b) __attribute__((target("avx512f")));

__attribute__((target("avx"))) static void wide(void)
{
	ymm got = CALL(wide, ((ymm){ 4, 3, 2, 1 }), ((ymm){ 40, 30, 20, 10 }));

	CHECK(got[0] == 44 && got[1] == 33 && got[2] == 22 && got[3] == 11);
}

__attribute__((target("avx512f"))) static void widest(void)
{
	zmm got = CALL(widest, ((zmm){ 8, 7, 6, 5, 4, 3, 2, 1 }), (zmm){} + 100);

	for (int i = 0; i < 8; i++)
		CHECK(got[i] == 108 - i);
}

static void vectors(void)
{
	if (__builtin_cpu_supports("avx"))
		wide();
	if (__builtin_cpu_supports("avx512f"))
		widest();
}
#else
static void vectors(void) { }
#endif

static void everything(int n)
{
	CHECK(CALL(plain, n) == n + 1);
	CHECK(CALL(stack, 1, 2, 3, 4, 5, 6, 7, n, 9.0) == 140 + 9 + 8 * n);
	CHECK(CALL(doubles, 1, 2, 3, 4, 5, 6, 7, n) == 140 + 8 * n);
	CHECK(CALL(varargs, 10, 1., 2., 3., 4., 5., 6., 7., 8., 9., 10.) == 55);
	struct pair pair = CALL(pair, n);
	CHECK(pair.a == n && pair.b == ~(long)n);
	struct mixed mixed = CALL(mixed, n);
	CHECK(mixed.d == n / 2.0 && mixed.n == n);
	struct large large = CALL(large, n);
	CHECK(large.n[0] == n && large.n[8] == -n && large.n[4] == 0);
	CHECK(CALL(long_double, 3.0L * n) == n);
	double complex turned = CALL(complex, n + 2 * I);
	CHECK(creal(turned) == -2 && cimag(turned) == n);
	long double complex both = CALL(long_complex, n);
	CHECK(creall(both) == n && cimagl(both) == 2 * n);
	vectors();
}

/* ---- ways to leave ------------------------------------------------------------------------------ */

static jmp_buf leap;

static void jump(void *argument)
{
	CALL(plain, 1);
	if (--*(int *)argument)
		CALL(back, jump, argument);
	longjmp(leap, 1);
}

/* A last call, as leaf_back() has one itself. */
static void jump_deeper(void *argument) { CALL(back, jump, argument); }

static void leaps(int times)
{
	for (int i = 0; i < times; i++) {
		int depth = i % 7 + 1;
		if (setjmp(leap) == 0)
			CALL(back, i % 2 ? jump : jump_deeper, &depth);
		CHECK(CALL(plain, i) == i + 1);
	}
}

static void nested(void *n) { CALL(pair, *(int *)n); }

/* The first call after a leap is no sign of what was left: it comes from further in. */
static __attribute__((noinline)) void below(int i) { CHECK(CALL(plain, i) == i + 1); }

static void settles(int times)
{
	for (int i = 0, depth; i < times; i++) {
		if (depth = i % 7 + 1, setjmp(leap) == 0)
			CALL(back, jump, &depth);
		below(i);
		CALL(back, nested, &i);
	}
}

static int down(int n) { return n ? CALL(deep, down, n - 1) + 1 : 0; }

/* ---- other stacks ------------------------------------------------------------------------------- */

static ucontext_t outside, inside[3];

static void yield(void *argument) { swapcontext(argument, &outside); }

static void coroutine(int which)
{
	for (int i = 0; i < 5; i++) {
		CHECK(CALL(plain, i) == i + 1);
		CALL(back, yield, &inside[which]);
	}
}

static void coroutines(int times)
{
	static char stacks[3][64 << 10];

	for (int t = 0; t < times; t++) {
		for (int i = 0; i < 3; i++) {
			getcontext(&inside[i]);
			inside[i].uc_stack.ss_sp = stacks[i];
			inside[i].uc_stack.ss_size = sizeof stacks[i];
			inside[i].uc_link = &outside;
			makecontext(&inside[i], (void (*)(void))(void *)coroutine, 1, i);
		}
		for (int round = 0; round < 6; round++)
			for (int i = 0; i < 3; i++) {
				swapcontext(&outside, &inside[i]);
				CHECK(CALL(plain, i) == i + 1);
			}
	}
}

#ifdef CHANGES
static void *stack_of[2];

static void change_in_library(void *argument)
{
	(void)argument;
	change(&stack_of[1], stack_of[0]);
}

static void own_coroutine(void)
{
	for (int i = 0;; i++) {
		CHECK(CALL(plain, i) == i + 1);
		CALL(back, change_in_library, NULL);
	}
}

static void change_back(void *argument)
{
	(void)argument;
	change(&stack_of[0], stack_of[1]);
}

static void own_stacks(int times)
{
	static long below[64 << 7] __attribute__((aligned(64)));
	static long above[64 << 7] __attribute__((aligned(64)));
	long *stacks[] = { below, above };

	for (int which = 0; which < 2; which++) {
		long *top = stacks[which] + (64 << 7) - CHANGED;
		top[CHANGED_TO] = (long)own_coroutine;
		stack_of[1] = top;
		for (int i = 0; i < times; i++) {
			CALL(back, change_back, NULL);
			CHECK(CALL(plain, i) == i + 1);
		}
	}
}

/* Two of them take turns on one stack: what the one has there is copied away while the other runs. */
enum { COPIED = 32 << 10 };
static struct piece { char *low, saved[COPIED]; size_t bytes; bool over; } pieces[2];
static void *outside_of[2]; /* the stack pointer of who starts and goes on with them */
static char *top_of_copies;
static int turn, turns;
static char beside[64 << 10];

static void piece_out(void)
{
	struct piece *p = &pieces[turn];

	p->bytes = (size_t)(top_of_copies - p->low);
	memcpy(p->saved, p->low, p->bytes);
}
static void piece_in(void)
{
	const struct piece *p = &pieces[turn];

	memset(top_of_copies - COPIED, 0x5a, COPIED);
	memcpy(p->low, p->saved, p->bytes);
}

static void pause_in_library(void *argument)
{
	(void)argument;
	change((void **)&pieces[turn].low, outside_of[0]);
}
static void pause_elsewhere(void *argument)
{
	CALL(back, pause_in_library, argument);
	atomic_signal_fence(memory_order_seq_cst); /* no jump in the place of a last call */
}

static void copied(void)
{
	for (int i = 0; i < turns; i++) {
		CHECK(CALL(plain, i) == i + 1);
		CALL(back, turn ? pause_in_library : pause_elsewhere, NULL);
	}
	pieces[turn].over = true;
	change((void **)&pieces[turn].low, outside_of[0]);
}

static void go_on(char *where)
{
	change(&outside_of[0], where);
	piece_out(); /* from a stack apart */
}

static void copies_from_beside(void)
{
	for (turn = 0; turn < 2; turn++) {
		long *top = (long *)top_of_copies - CHANGED;
		top[CHANGED_TO] = (long)copied;
		go_on((char *)top);
	}
	while (!pieces[0].over || !pieces[1].over)
		for (turn = 0; turn < 2; turn++) {
			if (pieces[turn].over)
				continue;
			piece_in();
			go_on(pieces[turn].low);
		}
	change(&outside_of[0], outside_of[1]);
}

static void copies(int times)
{
	static char place[2 * COPIED];
	long *top = (long *)(((unsigned long)beside + sizeof beside) & -64UL) - CHANGED;

	turns = times;
	top_of_copies = (char *)(((unsigned long)place + sizeof place) & -64UL);
	top[CHANGED_TO] = (long)copies_from_beside;
	change(&outside_of[1], top);
	CHECK(pieces[0].over && pieces[1].over);
}
#else
static void own_stacks(int times) { (void)times; }
static void copies(int times) { (void)times; }
#endif

/* ---- threads, processes, handlers --------------------------------------------------------------- */

static void *thread(void *argument)
{
	for (int i = 0; i < *(int *)argument; i++)
		everything(i);
	if (*(int *)argument % 2)
		pthread_exit(NULL);
	return NULL;
}

static void threads(int times)
{
	pthread_t ids[64];

	for (int i = 0; i < 64; i++)
		pthread_create(&ids[i], NULL, thread, &times);
	for (int i = 0; i < 64; i++)
		pthread_join(ids[i], NULL);
}

static void block(void *argument)
{
	(void)argument;
	for (;;)
		pause();
}

static _Atomic int cleaned;
static void clean(void *argument) { cleaned += argument == &cleaned; }

static void *cancelled(void *argument)
{
	pthread_cleanup_push(clean, &cleaned);
	CALL(back, block, argument);
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancels(int times)
{
	for (int i = 0; i < times; i++) {
		pthread_t id;
		void *result;
		pthread_create(&id, NULL, cancelled, NULL);
		pthread_cancel(id);
		pthread_join(id, &result);
		CHECK(result == PTHREAD_CANCELED);
	}
	CHECK(cleaned <= times);
}

static void forks(int times)
{
	for (int i = 0; i < times; i++) {
		int status;
		pid_t child = i % 2 ? fork() : vfork();
		if (child == 0 && i % 2) {
			everything(i);
			_exit(wrong ? 1 : 7);
		}
		if (child == 0)
			_exit(7);
		waitpid(child, &status, 0);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
		CHECK(CALL(plain, i) == i + 1);
	}
}

static _Atomic int ticks;
static void tick(int number)
{
	(void)number;
	ticks++;
	everything(ticks);
}

static void interrupted(int times)
{
	struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { { 0, 0 }, { 0, 0 } };
	static char stack[64 << 10];
	stack_t other = { .ss_sp = stack, .ss_size = sizeof stack };
	struct sigaction action = { .sa_handler = tick, .sa_flags = SA_ONSTACK | SA_RESTART };

	if (times % 2)
		sigaltstack(&other, NULL);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	while (ticks < times)
		everything(1);
	setitimer(ITIMER_REAL, &never, NULL);
}

/* ---- who looks at the stack --------------------------------------------------------------------- */

static void look(void *argument)
{
	void *frames[64];
	int count = backtrace(frames, 64);
	Dl_info info;

	for (int i = 0; i < count; i++)
		if (dladdr(frames[i], &info) && strstr(info.dli_fname, "libhark"))
			CHECK(!"a frame of somebody else's");
	*(int *)argument = count;
	CALL(plain, 1);
}

static void look_deeper(void *argument) { CALL(back, look, argument); }

static void backtraces(int times)
{
	int first = 0, count;

	for (int i = 0; i < times; i++) {
		CALL(back, look_deeper, &count);
		first = first ? first : count;
		CHECK(count == first && count >= 4);
	}
	printf("frames %d\n", first);
}

/* Whoever interrupts us sends SIGUSR1: the handler looks, and calls. */
static void look_and_call(int number)
{
	void *frames[64];

	CHECK(backtrace(frames, 64) > 2);
	CHECK(CALL(plain, number) == number + 1);
}

static void held(int times)
{
	int count;

	signal(SIGUSR1, look_and_call);
	for (int i = 0; i < times; i++) {
		CALL(back, look_deeper, &count);
		CHECK(count > 4);
		CHECK(CALL(plain, i) == i + 1);
	}
}

/* ---- modules ------------------------------------------------------------------------------------ */

static int loads(const char *path, int times)
{
	int calls = 0;

	for (int i = 0; i < times; i++) {
		void *library = dlopen(path, i % 2 ? RTLD_NOW : RTLD_LAZY);
		CHECK(library != NULL);
		int (*work)(int) = (int (*)(int))(library ? dlsym(library, "plug_work") : NULL);
		CHECK(work && work(i) == i + 3);
		counts[n_plain] += 2;
		CHECK(dlclose(library) == 0);
	}
	return calls;
}

int main(int argc, char **argv)
{
	const char *which = argc > 1 ? argv[1] : "";
	counts = mmap(NULL, N * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	int times = argc > 2 ? atoi(argv[2]) : 10;
	const struct {
		const char *name;
		void (*run)(int times);
	} cases[] = {
		{ "leaps", leaps }, { "settles", settles }, { "coroutines", coroutines },
		{ "own_stacks", own_stacks }, { "copies", copies }, { "threads", threads },
		{ "cancels", cancels }, { "forks", forks }, { "interrupted", interrupted },
		{ "backtraces", backtraces }, { "held", held },
	};

	if (strcmp(which, "everything") == 0)
		for (int i = 0; i < times; i++)
			everything(i);
	else if (strcmp(which, "deep") == 0)
		CHECK(down(times) == times);
	else if (strcmp(which, "loads") == 0)
		loads(argv[3], times);
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
		if (strcmp(which, cases[i].name) == 0)
			cases[i].run(times);
	for (int i = 0; i < N; i++)
		if (counts[i])
			printf("%s %ld\n", names[i], counts[i]);
	return wrong ? 1 : 0;
}
