/*
 * guest.c - the programs of the end-to-end tests that no interpreter can stand in for.
 *
 * `guest WORD [ARG]`: see the table at the end. It knows nothing of hark. One that stays behind
 * as a daemon writes its pid to the file ARG and ends after a minute if nobody ends it before.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LIFE_SECONDS = 60, LONG_LINE = 200000 };

static int errno_before_main;
static const char *argument = "";
static char *self;

__attribute__((constructor)) static void look_at_errno(void)
{
	errno_before_main = errno;
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void die_fault(void)
{
	int *volatile nowhere = (int *)8;
	*nowhere = 1;
}

static void die_illegal(void) { __builtin_trap(); }
static void die_abort(void) { abort(); }

static void die_divide(void)
{
	volatile int zero = 0, number = 12345;
	printf("%d", number / zero);
}

static void die_bus(void)
{
	FILE *file = tmpfile();
	char *at = file ? mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(file), 0) : MAP_FAILED;
	if (at != MAP_FAILED)
		printf("%d", *(volatile char *)at);
}

static void die_pipe(void)
{
	int fds[2];
	if (pipe(fds) == 0 && close(fds[0]) == 0 && write(fds[1], "x", 1) == 1)
		puts("written to nobody");
}

static void die_assert(void)
{
	fputs("guest: assertion failed\n", stderr);
	abort();
}

static void die_corrupt(void)
{
	void *volatile nothing = (void *)0x1008;
	free(nothing);
}

/* ---- bytes on both descriptors --------------------------------------------------------------- */

static void put(int fd, const char *bytes, size_t count)
{
	while (count) {
		ssize_t n = write(fd, bytes, count);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(98);
		bytes += n;
		count -= (size_t)n;
	}
}

static void say_nul(void)
{
	put(2, "a\0b\0\0\n\0", 8);
	fwrite("c\0d\n", 1, 4, stderr);
	put(1, "out\0\n", 5);
}

static void say_invalid(void)
{
	put(2, "\xff\xfe caf\xe9 \xc3\x28 \xf0\x9f\x98\n\xed\xa0\x80\n", 22);
	put(1, "\x80\n", 2);
}

static void say_unfinished(void)
{
	put(1, "out", 3);
	put(2, "no newline", 10);
}

static void say_long(void)
{
	static char line[LONG_LINE];
	for (int i = 0; i < LONG_LINE; i++)
		line[i] = (char)('!' + i % 90);
	put(2, line, sizeof(line));
	put(2, "\nand one more\n", 14);
}

static void say_single(void)
{
	static const char text[] = "one byte a write, on both descriptors in turn\nand again\n";
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		put(2, text + i, 1);
		put(1, text + i, 1);
	}
}

static void say_every_byte(void)
{
	for (int i = 0; i < 256; i++) {
		char c = (char)i;
		put(2, &c, 1);
	}
}

static void say_errno(void)
{
	int at_main = errno;
	printf("%d %d\n", errno_before_main, at_main);
}

/* ---- daemons --------------------------------------------------------------------------------- */

static void stay(void)
{
	FILE *file = fopen(argument, "w");
	if (file) {
		fprintf(file, "%d\n", getpid());
		fclose(file);
	}
	alarm(LIFE_SECONDS);
	for (;;)
		pause();
}

static void detach(void)
{
	fputs("daemon: starting\n", stderr);
	if (fork() != 0)
		_exit(0);
	setsid();
	if (fork() != 0)
		_exit(0);
	fputs("daemon: detached\n", stderr);
}

static void daemon_null(void)
{
	detach();
	int fd = open("/dev/null", O_RDWR);
	for (int to = 0; to < 3; to++)
		dup2(fd, to);
	close(fd);
	fputs("daemon: to nobody\n", stderr);
	stay();
}

static void daemon_close(void)
{
	detach();
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	stay();
}

static void daemon_closefrom(void)
{
	detach();
	closefrom(0);
	stay();
}

static void daemon_close_range(void)
{
	detach();
	close_range(0, ~0u, 0);
	stay();
}

/* The descriptors close when the next image begins. */
static void daemon_cloexec(void)
{
	detach();
	close_range(0, ~0u, CLOSE_RANGE_CLOEXEC);
	execl(self, self, "stay", argument, (char *)NULL);
}

static void daemon_raw(void)
{
	detach();
	for (int fd = 0; fd < 3; fd++)
		syscall(SYS_close, fd);
	stay();
}

static void daemon_freopen(void)
{
	detach();
	if (!freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout) ||
	    !freopen("/dev/null", "w", stderr))
		_exit(97);
	fputs("daemon: to nobody\n", stderr);
	stay();
}

static void daemon_libc(void)
{
	fputs("daemon: starting\n", stderr);
	if (daemon(1, 0))
		_exit(97);
	stay();
}

/* The one that started it waits for the go-ahead, and lets go of its own after the daemon did. */
static void daemon_waited(void)
{
	int ready[2];
	char c;
	if (pipe(ready))
		_exit(97);
	if (fork() != 0) {
		close(ready[1]);
		ssize_t n = read(ready[0], &c, 1);
		fputs("daemon: is up\n", stderr);
		_exit(n == 1 ? 0 : 96);
	}
	setsid();
	int fd = open("/dev/null", O_RDWR);
	for (int to = 0; to < 3; to++)
		dup2(fd, to);
	put(ready[1], "!", 1);
	close(ready[1]);
	stay();
}

static const struct {
	const char *word;
	void (*run)(void);
} words[] = {
	{ "die-fault", die_fault }, { "die-illegal", die_illegal }, { "die-abort", die_abort },
	{ "die-divide", die_divide }, { "die-bus", die_bus }, { "die-pipe", die_pipe },
	{ "die-assert", die_assert }, { "die-corrupt", die_corrupt },
	{ "say-nul", say_nul }, { "say-invalid", say_invalid },
	{ "say-unfinished", say_unfinished }, { "say-long", say_long },
	{ "say-single", say_single }, { "say-every-byte", say_every_byte },
	{ "say-errno", say_errno },
	{ "daemon-null", daemon_null }, { "daemon-close", daemon_close },
	{ "daemon-closefrom", daemon_closefrom }, { "daemon-close-range", daemon_close_range },
	{ "daemon-cloexec", daemon_cloexec }, { "daemon-raw", daemon_raw },
	{ "daemon-freopen", daemon_freopen }, { "daemon-libc", daemon_libc },
	{ "daemon-waited", daemon_waited }, { "stay", stay },
};

int main(int argc, char **argv)
{
	int saved = errno;

	self = argv[0];
	if (argc > 2)
		argument = argv[2];
	for (size_t i = 0; argc > 1 && i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp(argv[1], words[i].word) == 0) {
			errno = saved;
			words[i].run();
			return 0;
		}
	}
	return 99;
}
