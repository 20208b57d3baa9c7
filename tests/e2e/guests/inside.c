/*
 * inside.c - what a program must not notice of samples that it takes of itself, and threads that are hard
 * to see. usage: inside MODE; says on stdout what it saw, and the ids of threads that used time.
 */
#include <errno.h>
#include <linux/futex.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned long sink;
static volatile sig_atomic_t handled;

static long long used_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void burn(int ms)
{
	long long until = used_ns() + ms * 1000000LL;

	while (used_ns() < until)
		for (int i = 0; i < 20000; i++)
			sink = sink * 31 + i;
}

static void *burner(void *ms)
{
	burn((int)(long)ms);
	printf("tid %ld\n", syscall(SYS_gettid));
	return ms;
}

static int c11_burner(void *ms)
{
	burner(ms);
	return 7;
}

static void *nothing(void *unused)
{
	return unused;
}

/* More threads in a row than there may be timers at once, and then some of each kind. */
static int threads(void)
{
	pthread_attr_t detached;
	pthread_t thread;
	thrd_t c11;
	void *result;
	int number = 0;

	for (int i = 0; i < 1000; i++) {
		pthread_create(&thread, NULL, nothing, NULL);
		pthread_join(thread, NULL);
	}
	pthread_create(&thread, NULL, burner, (void *)40L);
	pthread_join(thread, &result);
	thrd_create(&c11, c11_burner, (void *)40L);
	thrd_join(c11, &number);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	pthread_create(&thread, &detached, burner, (void *)40L);
	pid_t child = fork();
	if (child == 0) {
		burner((void *)40L);
		pthread_create(&thread, NULL, burner, (void *)40L);
		pthread_join(thread, NULL);
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	usleep(200000);
	return result != (void *)40L || number != 7;
}

static int failures;

static void check(const char *what, long got, long wanted)
{
	if (got == wanted)
		return;
	failures++;
	printf("%s: %ld, not %ld (%s)\n", what, got, wanted, strerror(errno));
}

/* Calls that no kernel begins anew after a handler, and those that would be cut short. */
static int edges(void)
{
	enum { BIG = 1 << 20 };
	static char from[BIG], to[BIG];
	struct timespec moment = { 0, 1000 };
	struct epoll_event event;
	struct sembuf down = { 0, -1, 0 };
	int fds[2], word = 0, epoll = epoll_create1(0), sockets[2];
	int sem = semget(IPC_PRIVATE, 1, 0600 | IPC_CREAT);
	sigset_t usr;
	long long until = used_ns() + 400000000;

	sigemptyset(&usr);
	sigaddset(&usr, SIGUSR2);
	sigprocmask(SIG_BLOCK, &usr, NULL);
	if (pipe(fds) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0)
		return 1;
	struct timeval short_time = { 0, 50 };
	setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time);
	int zero = open("/dev/zero", 0), null = open("/dev/null", 1);
	for (int turn = 0; used_ns() < until; turn++) {
		struct timeval select_time = { 0, 1 };
		check("poll", poll(NULL, 0, 0), 0);
		check("ppoll", ppoll(NULL, 0, &moment, NULL), 0);
		check("select", select(0, NULL, NULL, NULL, &select_time), 0);
		check("pselect", pselect(0, NULL, NULL, NULL, &moment, &usr), 0);
		check("epoll_wait", epoll_wait(epoll, &event, 1, 0), 0);
		check("nanosleep", nanosleep(&moment, NULL), 0);
		check("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL), 0);
		check("futex", syscall(SYS_futex, &word, FUTEX_WAIT, 0, &moment, NULL, 0), -1);
		check("futex's error", errno, ETIMEDOUT);
		check("sigtimedwait", sigtimedwait(&usr, NULL, &moment), -1);
		check("sigtimedwait's error", errno, EAGAIN);
		check("semtimedop", semtimedop(sem, &down, 1, &moment), -1);
		check("semtimedop's error", errno, EAGAIN);
		if (turn % 16 == 0) { /* it waits for the kernel's tick */
			check("recv", recv(sockets[0], to, 1, 0), -1);
			check("recv's error", errno, EAGAIN);
		}
		check("write", write(fds[1], from, 60000), 60000);
		check("read", read(fds[0], to, 60000), 60000);
		check("a long read", read(zero, to, BIG), BIG);
		check("a long write", write(null, from, BIG), BIG);
	}
	semctl(sem, 0, IPC_RMID);
	return failures;
}

static void on_signal(int number)
{
	(void)number;
	handled = handled + 1;
}

/* A handler and a timer of its own, from the middle on. */
static int own(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, was;
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } };

	burn(100);
	check("sigaction", sigaction(SIGPROF, &action, &was), 0);
	check("what was there", was.sa_handler == SIG_DFL && !was.sa_flags, 1);
	setitimer(ITIMER_PROF, &often, NULL);
	burn(100);
	memset(&often, 0, sizeof often);
	setitimer(ITIMER_PROF, &often, NULL);
	check("its own signals and no others", handled <= 6, 1);
	check("signal", signal(SIGPROF, SIG_DFL) == on_signal, 1);
	burn(50);
	return failures;
}

static void *wait_for_any(void *unused)
{
	sigset_t all;
	int number = 0;

	(void)unused;
	sigfillset(&all);
	burn(30);
	sigwait(&all, &number);
	burn(30);
	check("sigwait", number, SIGTERM);
	return NULL;
}

/* What it could see of our handler and signals. */
static int unseen(void)
{
	struct sigaction was = { .sa_handler = on_signal };
	sigset_t all, before, pending, now;
	pthread_t thread;

	check("sigaction", sigaction(SIGPROF, NULL, &was), 0);
	check("the disposition", was.sa_handler == SIG_DFL && !was.sa_flags, 1);
	check("signal", signal(SIGPROF, SIG_DFL) == SIG_DFL, 1);
	burn(30);
	sigfillset(&all);
	check("sigprocmask", sigprocmask(SIG_BLOCK, &all, &before), 0);
	pthread_create(&thread, NULL, wait_for_any, NULL);
	burn(60);
	sigpending(&pending);
	check("a pending signal", sigismember(&pending, SIGPROF), 0);
	pthread_kill(thread, SIGTERM);
	pthread_join(thread, NULL);
	check("pthread_sigmask", pthread_sigmask(SIG_SETMASK, &before, &now), 0);
	check("the mask", memcmp(&now, &all, 8) != 0 && sigismember(&now, SIGPROF) != 1, 0);
	burn(60);
	printf("tid %ld\n", syscall(SYS_gettid));
	return failures;
}

static void *unblocking(void *ms)
{
	sigset_t none;

	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	return burner(ms);
}

/* Masks by words, as shells have them. */
static int words(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	check("sigsetmask", sigsetmask(0) & sigmask(SIGPROF), sigmask(SIGPROF));
	burn(60);
	check("sigblock", sigblock(sigmask(SIGPROF) | sigmask(SIGUSR1)), 0);
	burn(60);
	check("sigblock", sigblock(sigmask(SIGUSR2)) & sigmask(SIGPROF), sigmask(SIGPROF));
	sigset_t pending;
	sigpending(&pending);
	check("a pending signal", sigismember(&pending, SIGPROF), 0);
	check("sigsetmask", sigsetmask(sigmask(SIGUSR2)) & sigmask(SIGUSR1), sigmask(SIGUSR1));
	burn(60);
	printf("tid %ld\n", syscall(SYS_gettid));
	return failures;
}

static void *waiting(void *nothing)
{
	for (;;)
		pause();
	return nothing;
}

/* More threads than are looked at in one go. */
static int crowd(void)
{
	pthread_t thread;
	int error = 0;

	for (int i = 0; i < 80; i++)
		error |= pthread_create(&thread, NULL, waiting, NULL);
	return error;
}

/* Threads that begin with all signals blocked, as those of libraries do. -1: they unblock them at once. */
static int blocked(int ms)
{
	pthread_t threads[2];
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, ms < 0 ? unblocking : burner,
			       (void *)(long)(ms < 0 ? 100 : ms));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	burn(60);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(mode, "threads") == 0)
		return threads();
	if (strcmp(mode, "blocked") == 0)
		return blocked(500);
	if (strcmp(mode, "crowd") == 0)
		return crowd() ? 1 : blocked(500);
	if (strcmp(mode, "brief") == 0)
		return blocked(0);
	if (strcmp(mode, "unblocked") == 0)
		return blocked(-1);
	if (strcmp(mode, "edges") == 0)
		return edges();
	if (strcmp(mode, "own") == 0)
		return own();
	if (strcmp(mode, "unseen") == 0)
		return unseen();
	if (strcmp(mode, "words") == 0)
		return words();
	if (strcmp(mode, "killed") == 0) {
		burn(30);
		kill(getpid(), SIGPROF);
		burn(30);
	}
	if (strcmp(mode, "burn") == 0)
		burn(80);
	return 0;
}
