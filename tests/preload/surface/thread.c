/*
 * thread.c - text from threads, from handlers of signals, and from where both meet a hook.
 *
 * Where the number of lines depends on time, the program states each line on descriptor 3.
 */
#include "tests/preload/case.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>

static void say_line(const char *text)
{
	char line[128];

	expect_stderr(text);
	int n = snprintf(line, sizeof(line), "%s\n", text);
	if (write(2, line, (size_t)n) != n)
		state("short write");
}

static void *one_line(void *text)
{
	say_line(text);
	return NULL;
}

static void *hundred_lines(void *number)
{
	char text[64];

	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "thread %d line %d", (int)(long)number, i);
		expect_stderr(text);
		fprintf(stderr, "%s\n", text);
	}
	return NULL;
}

static void say_one_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, one_line, (void *)"from a thread");
	pthread_join(thread, NULL);
	say_line("from the first thread");
}

static void say_many_threads(void)
{
	pthread_t threads[8];

	for (long i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, hundred_lines, (void *)i);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
}

static int c11_thread(void *text)
{
	say_line(text);
	return 0;
}

static void say_c11_thread(void)
{
	thrd_t thread;

	if (thrd_create(&thread, c11_thread, (void *)"from a C11 thread") == thrd_success)
		thrd_join(thread, NULL);
}

/* Pieces of lines from two threads: each thread's line stays whole. */
static pthread_barrier_t barrier;

static void *pieces(void *name)
{
	char text[64];

	snprintf(text, sizeof(text), "%s first, %s second", (char *)name, (char *)name);
	expect_stderr(text);
	if (write(2, text, 7) != 7)
		state("short write");
	pthread_barrier_wait(&barrier);
	dprintf(2, "%s\n", text + 7);
	return NULL;
}

static void say_pieces_of_two(void)
{
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, pieces, (void *)"b");
	pieces((void *)"a");
	pthread_join(thread, NULL);
}

static void *small_stack(void *unused)
{
	(void)unused;
	if (write(2, "from a small stack\n", 19) != 19)
		state("short write");
	return NULL;
}

static void say_small_stack(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 16384); /* PTHREAD_STACK_MIN of old */
	if (pthread_create(&thread, &attr, small_stack, NULL) == 0)
		pthread_join(thread, NULL);
}

static void *exiting(void *text)
{
	say_line(text);
	exit(21);
}

static void say_exit_in_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, exiting, (void *)"exit comes from a thread");
	pthread_join(thread, NULL);
}

static void *after_main(void *first)
{
	pthread_join(*(pthread_t *)first, NULL);
	say_line("the first thread has ended");
	return NULL;
}

static void say_pthread_exit_in_main(void)
{
	static pthread_t first;
	pthread_t thread;

	first = pthread_self();
	pthread_create(&thread, NULL, after_main, &first);
	say_line("the first thread ends");
	pthread_exit(NULL);
}

static void at_thread_end(void *text)
{
	say_line(text);
}

static pthread_key_t key;

static void *with_key(void *unused)
{
	(void)unused;
	pthread_setspecific(key, "from a destructor of thread-specific data");
	return NULL;
}

static void say_key_destructor(void)
{
	pthread_t thread;

	pthread_key_create(&key, at_thread_end);
	pthread_create(&thread, NULL, with_key, NULL);
	pthread_join(thread, NULL);
}

static void *to_be_cancelled(void *unused)
{
	(void)unused;
	pthread_cleanup_push(at_thread_end, (void *)"from a cleanup handler");
	pthread_barrier_wait(&barrier);
	for (;;)
		pause();
	pthread_cleanup_pop(0);
	return NULL;
}

static void say_cancelled(void)
{
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, to_be_cancelled, NULL);
	pthread_barrier_wait(&barrier);
	pthread_cancel(thread);
	pthread_join(thread, NULL);
}

/* Signals */

static void on_signal(int signo)
{
	char text[64] = "handler of signal ";
	size_t at = strlen(text);

	text[at++] = (char)('0' + signo / 10);
	text[at++] = (char)('0' + signo % 10);
	text[at++] = '\n';
	if (write(2, text, at) != (ssize_t)at)
		state("short write");
}

static void say_raise(void)
{
	signal(SIGUSR1, on_signal);
	signal(SIGALRM, on_signal);
	signal(SIGPROF, on_signal);
	fprintf(stderr, "before\n");
	raise(SIGUSR1);
	kill(getpid(), SIGALRM);
	raise(SIGPROF);
	fprintf(stderr, "after\n");
}

static volatile sig_atomic_t ticks;

static void on_tick(int signo)
{
	char text[32];

	(void)signo;
	if (ticks >= 100)
		return;
	snprintf(text, sizeof(text), "tick %d", (int)++ticks);
	say_line(text);
}

static void count_while_ticking(void (*say)(const char *))
{
	struct itimerval each = { { 0, 300 }, { 0, 300 } }, none = { { 0, 0 }, { 0, 0 } };
	char text[32];

	signal(SIGALRM, on_tick);
	setitimer(ITIMER_REAL, &each, NULL);
	for (int i = 0; ticks < 100 && i < 20000; i++) {
		snprintf(text, sizeof(text), "main %d", i);
		say(text);
	}
	setitimer(ITIMER_REAL, &none, NULL);
	say("end of main");
}

static void by_fprintf(const char *text)
{
	expect_stderr(text);
	fprintf(stderr, "%s\n", text);
}

static void say_alarm_over_write(void) { count_while_ticking(say_line); }
static void say_alarm_over_fprintf(void) { count_while_ticking(by_fprintf); }

/* What the kernel needs for its frame, 1 KiB for the handler, 2 KiB for the hook; then no page. */
static void say_alternate_stack(void)
{
	struct sigaction action;
	stack_t stack = { .ss_size = (size_t)sysconf(_SC_MINSIGSTKSZ) + 3072 };
	char *pages = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || mprotect(pages + 4096, 65536 - 4096, PROT_READ | PROT_WRITE))
		give_up("mmap");
	stack.ss_sp = pages + 4096;
	if (stack.ss_size > 65536 - 4096 || sigaltstack(&stack, NULL))
		give_up("sigaltstack");
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_signal;
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR1, &action, NULL);
	say_line("binds write"); /* lazy binding needs more stack than the call */
	raise(SIGUSR1);
	say_line("after");
}

static sigjmp_buf back;

static void jump(int signo)
{
	on_signal(signo);
	siglongjmp(back, 1);
}

static void say_siglongjmp(void)
{
	signal(SIGUSR1, jump);
	for (volatile int i = 0; i < 20; i++)
		if (sigsetjmp(back, 1) == 0)
			raise(SIGUSR1);
	fprintf(stderr, "back again\n");
}

static void on_segv(int signo)
{
	on_signal(signo);
	_exit(33);
}

static void say_segv_handled(void)
{
	signal(SIGSEGV, on_segv);
	fprintf(stderr, "about to fault\n");
	fault();
}

static void nested(int signo)
{
	on_signal(signo);
	if (signo == SIGUSR1)
		raise(SIGUSR2);
	fprintf(stderr, "leaving %d\n", signo);
}

static void say_nested(void)
{
	signal(SIGUSR1, nested);
	signal(SIGUSR2, nested);
	raise(SIGUSR1);
	signal(SIGRTMIN + 3, nested);
	raise(SIGRTMIN + 3);
}

static const struct test_case cases[] = {
	CASE(one_thread, ""),
	CASE(many_threads, "stated"),
	CASE(c11_thread, ""),
	CASE(pieces_of_two, "stated pieces"),
	CASE(small_stack, ""),
	CASE(exit_in_thread, ""),
	CASE(pthread_exit_in_main, ""),
	CASE(key_destructor, ""),
	CASE(cancelled, ""),
	CASE(raise, ""),
	CASE(alarm_over_write, "stated interrupted"),
	CASE(alarm_over_fprintf, "stated interrupted"),
	CASE(alternate_stack, ""),
	CASE(siglongjmp, ""),
	CASE(segv_handled, "late"),
	CASE(nested, ""),
};

CASES_MAIN(cases)
