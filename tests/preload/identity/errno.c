/*
 * errno.c - errno is 0 where it has to be, and every function that hark touches keeps it.
 *
 * States errno after each call. A function that natively may change it although it succeeds (syslog
 * without a daemon) is stated as `kept`: those must keep it under hark.
 */
#include "tests/preload/case.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <syslog.h>
#include <wchar.h>

#define AFTER(call)                                                                               \
	do {                                                                                      \
		errno = 77;                                                                       \
		(void)!(call);                                                                    \
		state("%s: %d", #call, errno);                                                    \
	} while (0)
#define KEPT(call)                                                                                \
	do {                                                                                      \
		errno = 77;                                                                       \
		call;                                                                             \
		state("kept %s: %d", #call, errno);                                               \
	} while (0)

static int at_constructor = -1, at_preinit = -1;

__attribute__((constructor)) static void constructed(void)
{
	at_constructor = errno;
}

static void preinit(void)
{
	at_preinit = errno;
}

__attribute__((section(".preinit_array"), used)) static void (*preinit_entry)(void) = preinit;

static void say_at_main(void)
{
	state("errno at main %d, in a constructor %d, before %d", errno, at_constructor,
	      at_preinit);
	fprintf(stderr, "said\n");
	state("errno after the first words %d", errno);
}

static void say_writes(void)
{
	struct iovec iov = { (void *)"v\n", 2 };

	AFTER(write(2, "a\n", 2));
	AFTER(write(2, "", 0));
	AFTER(writev(2, &iov, 1));
	AFTER(pwritev2(2, &iov, 1, -1, 0));
	AFTER(dprintf(2, "d\n"));
	AFTER(syscall(SYS_write, 2, "s\n", 2));
	AFTER(write(1, "o\n", 2));
}

static void say_stdio(void)
{
	AFTER(fprintf(stderr, "%d\n", 1));
	AFTER(fputs("fputs\n", stderr));
	AFTER(fputc('\n', stderr));
	AFTER(putc_unlocked('\n', stderr));
	AFTER(fwrite("fw\n", 1, 3, stderr));
	AFTER(fflush(stderr));
	AFTER(setvbuf(stderr, NULL, _IOFBF, 100));
	AFTER(fputs("buffered\n", stderr));
	AFTER(fflush(stderr));
	AFTER(fflush(NULL));
}

static void say_wide(void)
{
	AFTER(fputws(L"wide\n", stderr));
	AFTER(fwprintf(stderr, L"%d\n", 1));
}

static void say_reporters(void)
{
	AFTER((perror("perror"), 0));
	AFTER((psignal(SIGINT, "psignal"), 0));
}

static void say_descriptors(void)
{
	int fd = dup(2), ends[2];

	AFTER(dup2(fd, 50));
	AFTER(dup3(fd, 51, 0));
	AFTER(dup(2));
	AFTER(fcntl(2, F_DUPFD, 60));
	AFTER(fcntl(2, F_GETFD));
	AFTER(close(50));
	AFTER(close_range(51, 60, 0));
	AFTER(close(4711));
	AFTER(dup2(4711, 2));
	AFTER(open("/dev/null", O_RDONLY));
	AFTER(open("/nonexistent", O_RDONLY));
	AFTER(socket(AF_UNIX, SOCK_STREAM, 0));
	AFTER(socket(4711, 0, 0));
	AFTER(pipe(ends));
	AFTER(eventfd(0, 0));
	AFTER(memfd_create("m", 0));
	AFTER(fclose(fdopen(dup(2), "w")));
	AFTER(dup2(fd, 2));
	AFTER(close(2));
	AFTER(close(2));
	AFTER(write(2, "lost\n", 5));
	AFTER(dup2(fd, 2));
	fprintf(stderr, "the end\n");
}

static void say_processes(void)
{
	char *argv[] = { (char *)"nonexistent", NULL };
	pid_t pid;
	int status;

	fprintf(stderr, "the parent\n");
	AFTER(execv("/nonexistent", argv));
	errno = 77;
	pid = fork();
	if (pid == 0) {
		state("in the child: %d", errno);
		fprintf(stderr, "the child\n");
		state("in the child after speaking: %d", errno);
		_exit(0);
	}
	int kept = errno;
	waitpid(pid, &status, 0); /* so that the statements have an order */
	state("in the parent: %d", kept);
	AFTER(system("exit 3"));
}

static void *in_thread(void *unused)
{
	state("in a thread: %d", errno);
	fprintf(stderr, "a thread\n");
	state("in a thread after speaking: %d", errno);
	return unused;
}

static void say_threads(void)
{
	pthread_t thread;

	errno = 77;
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	state("in the first thread: %d", errno);
}

static void on_signal(int signo)
{
	errno = 78;
	fprintf(stderr, "signal %d\n", signo);
	state("in the handler: %d", errno);
	errno = 77;
}

static void say_handlers(void)
{
	signal(SIGUSR1, on_signal);
	AFTER(raise(SIGUSR1));
}

static void say_syslogs(void)
{
	fprintf(stderr, "kept\n");
	KEPT(openlog("somebody", LOG_NDELAY | LOG_PID, LOG_USER));
	KEPT(syslog(LOG_INFO, "text %d", 1));
	KEPT(syslog(LOG_INFO, "text %m"));
	KEPT(syslog(LOG_INFO, "%2000d", 1));
	KEPT(setlogmask(0));
	KEPT(closelog());
	KEPT(syslog(LOG_INFO, "again"));
}

static const struct test_case cases[] = {
	CASE(at_main, ""),
	CASE(writes, ""),
	CASE(stdio, ""),
	CASE(wide, ""),
	CASE(reporters, ""),
	CASE(descriptors, ""),
	CASE(processes, ""),
	CASE(threads, ""),
	CASE(handlers, ""),
	CASE(syslogs, ""),
};

CASES_MAIN(cases)
