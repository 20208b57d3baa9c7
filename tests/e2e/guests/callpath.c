/*
 * callpath.c - says that something is wrong from known functions: main › outer › inner, in the way that its
 * argument names. Knows nothing of hark. test_message_stack.py builds it in several ways.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <syslog.h>
#include <ucontext.h>
#include <unistd.h>

#define OWN __attribute__((noinline, noclone))
#define STAY __asm__ volatile("" ::: "memory") /* no jump in the place of a last call */

static const char *way, *argument;
static ucontext_t back, other;

static void put(const char *text)
{
	if (write(2, text, strlen(text)) < 0)
		_exit(9);
	STAY;
}

static void on_signal(int number)
{
	(void)number;
	put("error: said in a handler\n");
}

static void long_text(void)
{
	char *text = malloc(40001);

	memset(text, 'x', 40000);
	memcpy(text, "error: long ", 12);
	text[39999] = '\n';
	text[40000] = 0;
	put(text);
	free(text);
}

OWN void inner(void)
{
	struct iovec parts[] = { { (char *)"error: ", 7 }, { (char *)"in parts\n", 9 } };

	if (strcmp(way, "write") == 0)
		put("error: said by write\n");
	else if (strcmp(way, "fprintf") == 0)
		fprintf(stderr, "error: said by fprintf %d\n", 1);
	else if (strcmp(way, "perror") == 0)
		perror("error: said by perror");
	else if (strcmp(way, "syslog") == 0)
		syslog(LOG_CRIT, "said by syslog");
	else if (strcmp(way, "writev") == 0 && writev(2, parts, 2) < 0)
		_exit(9);
	else if (strcmp(way, "below") == 0)
		put("warning: that is less\n"), put("nothing\n");
	else if (strcmp(way, "pieces") == 0)
		put("e"), put("rr"), put("or: in pieces\n"), put("fine\n");
	else if (strcmp(way, "tail") == 0)
		put("error: without an end");
	else if (strcmp(way, "long") == 0)
		long_text();
	else if (strcmp(way, "many") == 0)
		put("fine\nerror: one\nfine\nerror: two\n");
	else if (strcmp(way, "abort") == 0)
		put("error: the last one\n"), abort();
	else if (strcmp(way, "kill") == 0)
		put("error: the last one\n"), kill(getpid(), SIGKILL);
	STAY;
}

OWN void outer(void)
{
	inner();
	STAY;
}

OWN void deeper(int n)
{
	volatile char room[100];

	room[n % 100] = (char)n;
	if (n > 0 && room[n % 100] == (char)n)
		deeper(n - 1);
	else
		put("error: said deep down\n");
	STAY;
}

OWN void interrupted(void)
{
	raise(SIGUSR1);
	STAY;
}

static void handle(int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
	stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };

	if (flags & SA_ONSTACK)
		sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &action, NULL);
	interrupted();
	STAY;
}

OWN void *in_thread(void *none)
{
	way = argument;
	if (strcmp(way, "altstack") == 0)
		handle(SA_ONSTACK);
	else
		outer();
	STAY;
	return none;
}

OWN void in_coroutine(void)
{
	put("error: said by a coroutine\n");
	STAY;
}

static void switch_stacks(void)
{
	getcontext(&other);
	other.uc_stack.ss_sp = malloc(65536);
	other.uc_stack.ss_size = 65536;
	other.uc_link = &back;
	makecontext(&other, in_coroutine, 0);
	swapcontext(&back, &other);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	way = argv[1];
	argument = argc > 2 ? argv[2] : "write";
	if (strcmp(way, "thread") == 0) {
		pthread_create(&thread, NULL, in_thread, NULL);
		pthread_join(thread, NULL);
	} else if (strcmp(way, "handler") == 0 || strcmp(way, "altstack") == 0) {
		handle(way[0] == 'a' ? SA_ONSTACK : 0);
	} else if (strcmp(way, "deep") == 0) {
		deeper(atoi(argument));
	} else if (strcmp(way, "coroutine") == 0) {
		switch_stacks();
	} else if (strcmp(way, "fork") == 0) {
		way = "write";
		outer();
		if (fork() == 0) {
			outer();
			_exit(0);
		}
		wait(NULL);
	} else if (strcmp(way, "plugin") == 0) {
		void (*say)(void) = (void (*)(void))dlsym(dlopen(argument, RTLD_NOW), "plugged_in");
		say();
		kill(getpid(), SIGKILL);
	} else {
		outer();
	}
	STAY;
	return 0;
}
