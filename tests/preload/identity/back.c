/*
 * back.c - descriptor 2 goes elsewhere and comes back, or somebody else's does.
 *
 * What is written while 2 is the file that it was, or to any duplicate of it, is captured; the rest
 * lands in the file `data`. Run by test_identity.py, which compares with a native run: real stderr
 * there is what must be captured here.
 */
#include "tests/preload/case.h"

#include <fcntl.h>
#include <pthread.h>

static int data(void)
{
	int fd = open("data", O_WRONLY | O_CREAT | O_APPEND, 0600);

	if (fd < 0)
		give_up("data");
	return fd;
}

static void say(const char *text)
{
	fprintf(stderr, "%s\n", text);
	dprintf(2, "%s, by dprintf\n", text);
	ssize_t n = write(2, text, strlen(text));
	n += write(2, "\n", 1);
	if (n != (ssize_t)strlen(text) + 1)
		state("write %zd errno %d", n, errno);
}

static void say_dup2(void)
{
	say("one");
	int saved = dup(2), fd = data();
	state("dup2 %d", dup2(fd, 2));
	close(fd);
	say("two, in the file");
	state("dup2 %d", dup2(saved, 2));
	close(saved);
	say("three");
}

static void say_dup3(void)
{
	int saved = fcntl(2, F_DUPFD_CLOEXEC, 100), fd = data();

	state("dup3 %d", dup3(fd, 2, O_CLOEXEC));
	say("in the file");
	state("dup3 %d", dup3(saved, 2, 0));
	say("back");
}

static void say_by_syscall(void)
{
	int saved = (int)syscall(SYS_dup, 2), fd = data();

	state("dup2 %ld", syscall(SYS_dup2, fd, 2));
	say("in the file");
	state("dup2 %ld", syscall(SYS_dup2, saved, 2));
	say("back");
}

static void say_close_dup(void)
{
	int saved = dup(2);

	close(2);
	int fd = data();
	state("data is %d", fd);
	say("in the file");
	close(2);
	state("dup %d", dup(saved));
	say("back");
}

static void say_many_times(void)
{
	int saved = dup(2), fd = data();

	for (int i = 0; i < 200; i++) {
		dup2(fd, 2);
		dprintf(2, "there %d\n", i);
		dup2(saved, 2);
		dprintf(2, "back %d\n", i);
	}
}

static void say_saved_meanwhile(void)
{
	int saved = dup(2), fd = data();

	dup2(fd, 2);
	say("in the file");
	state("dprintf %d", dprintf(saved, "to the duplicate\n"));
	FILE *stream = fdopen(saved, "w");
	fprintf(stream, "through a stream on the duplicate\n");
	state("fclose %d", fclose(stream));
	say("still in the file");
}

static void say_freopen_back(void)
{
	int saved = dup(2);

	state("freopen %d", freopen("data", "w", stderr) == stderr);
	fprintf(stderr, "in the file\n");
	fflush(stderr);
	state("dup2 %d", dup2(saved, 2));
	fprintf(stderr, "back\n");
	fflush(stderr);
}

static void say_swap(void)
{
	int spare = dup(1);

	dup2(2, 1);
	dup2(spare, 2);
	close(spare);
	printf("stdout's text goes where stderr's went\n");
	fflush(stdout);
	fprintf(stderr, "stderr's text goes to stdout\n");
}

static void say_to_stdout(void)
{
	int saved = dup(2);

	dup2(1, 2);
	say("on stdout");
	dup2(saved, 2);
	say("on stderr");
}

static void say_pending(void)
{
	static char buffer[4096];
	int saved = dup(2), fd = data();

	/* Where a buffered stream's text goes is decided when it is flushed. */
	setvbuf(stderr, buffer, _IOFBF, sizeof(buffer));
	fprintf(stderr, "written before, flushed after\n");
	dup2(fd, 2);
	fflush(stderr);
	fprintf(stderr, "and the other way round\n");
	dup2(saved, 2);
	fflush(stderr);
}

/* Calls that fail or change nothing change nothing. */
static void say_no_change(void)
{
	say("before");
	state("%d %d", dup2(999, 2), errno);
	state("%d %d", dup2(-1, 2), errno);
	state("%d", dup2(2, 2));
	state("%d %d", dup3(2, 2, 0), errno);
	state("%d %d", close(999), errno);
	state("%d", close(dup(2)));
	state("%d", fclose(fdopen(dup(2), "w")));
	state("%d %d", close_range(5, 4, 0), errno);
	state("%d", close_range(10, ~0U, 0));
	closefrom(10);
	say("after");
}

static void say_closed_twice(void)
{
	int saved = dup(2);

	state("close %d", close(2));
	state("close %d %d", close(2), errno);
	state("write %zd %d", write(2, "lost\n", 5), errno);
	state("fputs %d", fputs("lost\n", stderr));
	state("dup %d", dup2(saved, 2));
	say("back");
}

static void say_fclose_dup(void)
{
	int saved = dup(2);

	state("fclose %d", fclose(stderr));
	state("dup %d", dup(saved));
	state("dprintf %d", dprintf(2, "descriptor 2 is back, the stream is not\n"));
}

static void say_closefrom(void)
{
	say("before");
	dup2(3, 0);
	report_fd = 0;
	closefrom(2);
	state("write %zd %d", write(2, "lost\n", 5), errno);
	state("data is %d", data());
	say("in the file");
}

static void say_close_range_all(void)
{
	dup2(3, 0);
	report_fd = 0;
	state("close_range %d", close_range(1, ~0U, 0));
	state("other is %d", open("other", O_WRONLY | O_CREAT, 0600));
	state("data is %d", data());
	say("in the file");
}

static void say_close_loop(void)
{
	dup2(3, 0);
	report_fd = 0;
	for (int fd = 1; fd < 256; fd++)
		close(fd);
	state("null is %d", open("/dev/null", O_RDWR));
	state("data is %d", data());
	say("in the file");
}

static void after_daemon(int noclose)
{
	/* Whoever waits for the end of descriptor 3's pipe sees ours. */
	state("daemon %d", daemon(1, noclose));
	say("said by the daemon");
	state("said");
}

static void say_daemon(void) { say("before"); after_daemon(0); }
static void say_daemon_noclose(void) { say("before"); after_daemon(1); }

static void say_daemon_by_hand(void)
{
	say("before");
	if (fork() > 0)
		_exit(0);
	setsid();
	if (fork() > 0)
		_exit(0);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	int null = open("/dev/null", O_RDWR);
	state("%d %d %d", null, dup(null), dup(null));
	say("to /dev/null");
	close(2);
	state("%d", data());
	say("in the file");
}

static void *redirect(void *fd)
{
	dup2((int)(long)fd, 2);
	return NULL;
}

static void say_thread_redirects(void)
{
	pthread_t thread;
	int saved = dup(2), fd = data();

	pthread_create(&thread, NULL, redirect, (void *)(long)fd);
	pthread_join(thread, NULL);
	say("in the file");
	pthread_create(&thread, NULL, redirect, (void *)(long)saved);
	pthread_join(thread, NULL);
	say("back");
}

static const struct test_case cases[] = {
	CASE(dup2, ""),
	CASE(dup3, ""),
	CASE(by_syscall, ""),
	CASE(close_dup, ""),
	CASE(many_times, ""),
	CASE(saved_meanwhile, ""),
	CASE(freopen_back, ""),
	CASE(swap, ""),
	CASE(to_stdout, ""),
	CASE(pending, ""),
	CASE(no_change, ""),
	CASE(closed_twice, ""),
	CASE(fclose_dup, ""),
	CASE(closefrom, ""),
	CASE(close_range_all, "quiet"),
	CASE(close_loop, "quiet"),
	CASE(daemon, ""),
	CASE(daemon_noclose, ""),
	CASE(daemon_by_hand, ""),
	CASE(thread_redirects, ""),
};

CASES_MAIN(cases)
