/*
 * threads.c - T7, T8, T14, P1: threads that are cancelled, left by a jump or forked under, in the
 * midst of what they say; and a program whose signals are its own.
 *
 * Run by test_traps.py under hark. Where it cannot be known whether a call was over when it was cut
 * off, "said TEXT" is stated once it has returned: that much must be heard, and nothing twice.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>

#include "tests/preload/case.h"

enum { ROUNDS = 200, THREADS = 4, CHILDREN = 30, ENOUGH = 5 };

static void say(const char *text)
{
	char line[80];
	int n = snprintf(line, sizeof(line), "%s\n", text);

	if (write(2, line, (size_t)n) == n)
		state("said %s", text);
}

static void joined(pthread_t thread, const char *what)
{
	void *result;

	pthread_join(thread, &result);
	state("%s: %s", what, result == PTHREAD_CANCELED ? "cancelled" : "returned");
}

/* ---- T7: what only a process with one thread may do ------------------------------------------- */

static void say_namespaces(void)
{
	int result = unshare(CLONE_NEWUSER);

	state("unshare %d errno %d", result, result ? errno : 0);
	fprintf(stderr, "from a user namespace of its own\n");
	result = unshare(CLONE_FS | CLONE_FILES | CLONE_NEWNS);
	state("unshare %d errno %d", result, result ? errno : 0);
	char path[] = "/proc/self/ns/mnt";
	FILE *file = fopen(path, "r");
	result = file ? setns(fileno(file), CLONE_NEWNS) : -2;
	state("setns %d errno %d", result, result ? errno : 0);
	fprintf(stderr, "from a mount namespace of its own\n");
	state("wait %d errno %d", wait(NULL), errno);
}

/* ---- T8: its signals ---------------------------------------------------------------------------- */

static atomic_int came[65];

/* So that the messages between two signals can be counted by thousands. */
static void work(void)
{
	for (volatile int i = 0; i < 20000; i++)
		;
}

static void count(int signo)
{
	atomic_fetch_add(&came[signo], 1);
	if (came[signo] <= ENOUGH)
		(void)!write(2, "in a handler\n", 13);
}

static void *sends(void *target)
{
	while (came[SIGUSR2] < ENOUGH) {
		pthread_kill(*(pthread_t *)target, SIGUSR2);
		sched_yield();
	}
	return NULL;
}

static void say_own_signals(void)
{
	static const int own[] = { SIGUSR2, SIGALRM, SIGPROF };
	struct itimerval each = { { 0, 500 }, { 0, 500 } }, none = { { 0, 0 }, { 0, 0 } };
	pthread_t self = pthread_self(), thread;
	struct sigaction action;

	for (int i = 0; i < 3; i++)
		signal(own[i], count);
	setitimer(ITIMER_REAL, &each, NULL);
	setitimer(ITIMER_PROF, &each, NULL);
	pthread_create(&thread, NULL, sends, &self);
	while (came[SIGUSR2] < ENOUGH || came[SIGALRM] < ENOUGH || came[SIGPROF] < ENOUGH) {
		(void)!write(2, "working\n", 8);
		fprintf(stderr, "%s\n", "working by stdio");
		syslog(LOG_DEBUG, "working by syslog");
		work();
	}
	pthread_join(thread, NULL);
	setitimer(ITIMER_REAL, &none, NULL);
	setitimer(ITIMER_PROF, &none, NULL);
	for (int i = 0; i < 3; i++) {
		sigaction(own[i], NULL, &action);
		state("signal %d is %s", own[i], action.sa_handler == count ? "ours" : "taken");
	}
	say("all came");
}

/* A handler that speaks while it interrupts syslog(), and stdio of a locked stream never. */
static volatile sig_atomic_t ticks;

static void on_tick(int signo)
{
	char text[32];

	(void)signo;
	if (ticks >= ROUNDS)
		return;
	snprintf(text, sizeof(text), "tick %d", (int)++ticks);
	say(text);
}

static void say_handler_over_syslog(void)
{
	struct itimerval each = { { 0, 200 }, { 0, 200 } }, none = { { 0, 0 }, { 0, 0 } };

	signal(SIGALRM, on_tick);
	setitimer(ITIMER_REAL, &each, NULL);
	for (int i = 0; ticks < ROUNDS; i++) {
		syslog(LOG_INFO, "main %d", i);
		if (i % 8 == 0)
			work();
	}
	setitimer(ITIMER_REAL, &none, NULL);
	say("after all of them");
}

/* ---- T14: threads that leave -------------------------------------------------------------------- */

static void *cancelled_at_write(void *unused)
{
	(void)unused;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cancel(pthread_self());
	(void)!write(2, "while it is disabled\n", 21);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	(void)!write(2, "not even begun\n", 15);
	(void)!write(2, "never reached\n", 14);
	return NULL;
}

static void *cancelled_at_stdio(void *unused)
{
	(void)unused;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cancel(pthread_self());
	fprintf(stderr, "while it is %s\n", "disabled");
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	fputs("natively not written either\n", stderr);
	pthread_testcancel();
	return NULL;
}

static void say_cancelled_at_write(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, cancelled_at_write, NULL);
	joined(thread, "write");
	pthread_create(&thread, NULL, cancelled_at_stdio, NULL);
	joined(thread, "stdio");
	fprintf(stderr, "the stream is not locked\n");
}

static atomic_int going;

static void *talks(void *which)
{
	char text[32];

	pthread_setcanceltype(*(char *)which == 'a' ? PTHREAD_CANCEL_ASYNCHRONOUS
						    : PTHREAD_CANCEL_DEFERRED, NULL);
	for (int i = 0;; i++) {
		snprintf(text, sizeof(text), "%s %d", (char *)which, i);
		say(text);
		atomic_store(&going, 1);
	}
	return NULL;
}

/* Cut off wherever it is, time and again. */
static void cut_off(const char *kind, void (*cut)(pthread_t))
{
	char name[32];
	pthread_t thread;

	for (int i = 0; i < ROUNDS / 4; i++) {
		struct timespec moment = { 0, 1000 * (i * 37 % 100) };

		snprintf(name, sizeof(name), "%s%d", kind, i);
		atomic_store(&going, 0);
		pthread_create(&thread, NULL, talks, name);
		while (!atomic_load(&going))
			sched_yield();
		nanosleep(&moment, NULL);
		cut(thread);
		pthread_join(thread, NULL);
		snprintf(name, sizeof(name), "main after %s %d", kind, i);
		say(name);
	}
}

static void cancel(pthread_t thread) { pthread_cancel(thread); }
static void interrupt(pthread_t thread) { pthread_kill(thread, SIGUSR1); }

static void leave(int signo)
{
	(void)signo;
	pthread_exit(NULL);
}

static void say_cancelled_anywhere(void)
{
	cut_off("async", cancel);
	cut_off("deferred", cancel);
}

static void say_pthread_exit_in_handler(void)
{
	signal(SIGUSR1, leave);
	cut_off("exiting", interrupt);
}

static sigjmp_buf back;
static jmp_buf plainly_back;
static volatile sig_atomic_t armed, jumps;

static void jump(int signo)
{
	(void)signo;
	if (!armed)
		return;
	armed = 0;
	jumps++;
	siglongjmp(back, 1);
}

static void jump_plainly(int signo)
{
	sigset_t set;

	if (!armed)
		return;
	armed = 0;
	jumps++;
	sigemptyset(&set);
	sigaddset(&set, signo);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	longjmp(plainly_back, 1);
}

static void until_jumped(const char *kind)
{
	char text[48], line[50];
	static int number;

	for (;;) {
		snprintf(text, sizeof(text), "%s %d", kind, number++);
		int n = snprintf(line, sizeof(line), "%s\n", text);
		armed = 1; /* only the call is left, nothing of our own */
		ssize_t written = write(2, line, (size_t)n);
		armed = 0;
		if (written == n)
			state("said %s", text);
	}
}

static void say_jumps_over_write(void)
{
	struct itimerval each = { { 0, 100 }, { 0, 100 } }, none = { { 0, 0 }, { 0, 0 } };

	signal(SIGALRM, jump);
	setitimer(ITIMER_REAL, &each, NULL);
	sigsetjmp(back, 1);
	if (jumps < ROUNDS)
		until_jumped("siglongjmp");
	armed = 0;
	jumps = 0;
	signal(SIGALRM, jump_plainly);
	setjmp(plainly_back);
	if (jumps < ROUNDS)
		until_jumped("longjmp");
	setitimer(ITIMER_REAL, &none, NULL);
	say("after all jumps");
}

/* ---- P1: fork among threads that log ------------------------------------------------------------ */

/* With pauses, so that whoever forks has its turn. */
static void *logs(void *which)
{
	const struct timespec pause = { 0, 20000 };
	char text[32];

	for (int i = 0; atomic_load(&going); i++) {
		snprintf(text, sizeof(text), "%s %d", (char *)which, i);
		if (i % 8 == 0)
			nanosleep(&pause, NULL);
		if (i % 2)
			say(text);
		else if (fprintf(stderr, "%s\n", text) > 0)
			state("said %s", text);
	}
	return NULL;
}

static void say_fork_among_threads(void)
{
	static char names[THREADS][8];
	pthread_t threads[THREADS];
	char text[32];

	atomic_store(&going, 1);
	for (int i = 0; i < THREADS; i++) {
		snprintf(names[i], sizeof(names[i]), "t%d", i);
		pthread_create(&threads[i], NULL, logs, names[i]);
	}
	for (int i = 0; i < CHILDREN; i++) {
		if (fork() == 0) {
			snprintf(text, sizeof(text), "child %d", getpid());
			say(text);
			_exit(0);
		}
		wait(NULL);
	}
	atomic_store(&going, 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	say("all joined");
}

static const struct test_case cases[] = {
	CASE(namespaces, ""),
	CASE(own_signals, "cut"),
	CASE(handler_over_syslog, "cut"),
	CASE(cancelled_at_write, ""),
	CASE(cancelled_anywhere, "cut"),
	CASE(pthread_exit_in_handler, "cut"),
	CASE(jumps_over_write, "cut"),
	CASE(fork_among_threads, "cut"),
};

CASES_MAIN(cases)
