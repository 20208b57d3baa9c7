/*
 * replace.c - descriptor 2 is closed, or moved, and something else gets its number.
 *
 * A case is WAY+THING: a way to free the number 2, or to put another file there, and what that is.
 * The program writes to 2 by several functions, reads back what arrived at the other end, and states
 * on descriptor 1 whether it was all. Of this nothing may be captured; what it says before, must be.
 * Run by test_identity.py, which compares with a native run.
 */
#include "tests/preload/case.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <termios.h>

/* A thing that can get the number 2. open() returns its descriptor, and sets where to read it. */
static int other_end = -1;
static FILE *stream;        /* the stream that opened it, if one did */
static const char *path;    /* or where it lies */

static int made(int fd, const char *where)
{
	path = where;
	return fd;
}

static int by_stream(FILE *opened, const char *where)
{
	stream = opened;
	return made(opened ? fileno(opened) : -1, where);
}

static int open_open(void) { return made(open("data", O_WRONLY | O_CREAT, 0600), "data"); }
static int open_open64(void) { return made(open64("data", O_WRONLY | O_CREAT, 0600), "data"); }
static int open_creat(void) { return made(creat("data", 0600), "data"); }
static int open_fopen(void) { return by_stream(fopen("data", "w"), "data"); }
static int open_fopen64(void) { return by_stream(fopen64("data", "w"), "data"); }

static int open_openat(void)
{
	return made(openat(AT_FDCWD, "data", O_WRONLY | O_CREAT, 0600), "data");
}

static int open_openat2(void)
{
	struct open_how how = { .flags = O_WRONLY | O_CREAT, .mode = 0600 };

	return made((int)syscall(SYS_openat2, (long)AT_FDCWD, "data", &how, sizeof(how)), "data");
}

static int open_syscall(void)
{
	return made((int)syscall(SYS_open, "data", (long)(O_WRONLY | O_CREAT), 0600L), "data");
}

static char pattern[16];

static int open_mkstemp(void) { return made(mkstemp(strcpy(pattern, "aXXXXXX")), pattern); }
static int open_mkostemp(void) { return made(mkostemp(strcpy(pattern, "aXXXXXX"), 0), pattern); }
static int open_mkstemps(void) { return made(mkstemps(strcpy(pattern, "aXXXXXX.b"), 2), pattern); }

static int open_mkostemps(void)
{
	return made(mkostemps(strcpy(pattern, "aXXXXXX.b"), 2, 0), pattern);
}

static int open_tmpfile(void) { return by_stream(tmpfile(), "/proc/self/fd/2"); }
static int open_memfd(void) { return made(memfd_create("data", 0), "/proc/self/fd/2"); }

static int open_shm(void)
{
	static char name[32];
	static char where[48];

	snprintf(name, sizeof(name), "/hark-test-%d", (int)getpid());
	snprintf(where, sizeof(where), "/dev/shm%s", name);
	return made(shm_open(name, O_RDWR | O_CREAT, 0600), where);
}

/* With 0 free as well, the read end becomes 0 and the write end 2. */
static int open_pipe(void)
{
	int ends[2];

	close(0);
	if (pipe(ends))
		return -1;
	other_end = ends[0];
	return ends[1];
}

static int open_pipe2(void)
{
	int ends[2];

	close(0);
	if (pipe2(ends, O_CLOEXEC))
		return -1;
	other_end = ends[0];
	return ends[1];
}

static int open_popen(void)
{
	close(0);
	return by_stream(popen("cat >data", "w"), "data");
}

static int open_socketpair(void)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		return -1;
	other_end = ends[1];
	return ends[0];
}

static int listener(struct sockaddr_in *address)
{
	socklen_t size = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memset(address, 0, sizeof(*address));
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)address, size) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)address, &size))
		give_up("listen");
	return fd;
}

static int dialled(const struct sockaddr_in *address, int fd)
{
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		give_up("connect");
	return fd;
}

static int tcp_listener;
static struct sockaddr_in tcp_address;

static int open_socket(void)
{
	int fd = dialled(&tcp_address, socket(AF_INET, SOCK_STREAM, 0));

	other_end = accept(tcp_listener, NULL, NULL);
	return fd;
}

static int open_accept(void) { return accept(tcp_listener, NULL, NULL); }
static int open_accept4(void) { return accept4(tcp_listener, NULL, NULL, SOCK_CLOEXEC); }

static int open_openpt(void)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY);
	struct termios raw;

	if (grantpt(fd) || unlockpt(fd))
		return -1;
	other_end = open(ptsname(fd), O_RDWR | O_NOCTTY);
	tcgetattr(other_end, &raw);
	cfmakeraw(&raw);
	tcsetattr(other_end, TCSANOW, &raw);
	return fd;
}

static int open_openpty(void)
{
	struct termios raw;
	int master, slave;

	memset(&raw, 0, sizeof(raw));
	cfmakeraw(&raw);
	if (openpty(&master, &slave, NULL, &raw, NULL))
		return -1;
	other_end = slave;
	return master;
}

static int spare_pipe[2], spare_sockets[2];

static int open_dup(void) { other_end = spare_pipe[0]; return dup(spare_pipe[1]); }
static int open_dupfd(void) { other_end = spare_pipe[0]; return fcntl(spare_pipe[1], F_DUPFD, 0); }

static int open_dupfd_cloexec(void)
{
	other_end = spare_pipe[0];
	return fcntl(spare_pipe[1], F_DUPFD_CLOEXEC, 0);
}

/* A descriptor that arrives in a message. */
static int open_received(void)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control;
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int fd;

	memset(&control, 0, sizeof(control));
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.header), &spare_pipe[1], sizeof(int));
	if (sendmsg(spare_sockets[0], &message, 0) != 1 ||
	    recvmsg(spare_sockets[1], &message, 0) != 1)
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	other_end = spare_pipe[0];
	return fd;
}

static int open_eventfd(void) { return eventfd(0, 0); }
static int open_readonly(void) { return open("/dev/null", O_RDONLY); }
static int open_opendir(void) { DIR *d = opendir("."); return d ? dirfd(d) : -1; }
static int open_epoll(void) { return epoll_create1(0); }
static int open_timerfd(void) { return timerfd_create(CLOCK_MONOTONIC, 0); }
static int open_inotify(void) { return inotify_init(); }
static int open_null(void) { return open("/dev/null", O_WRONLY); }
static int open_full(void) { return open("/dev/full", O_WRONLY); }

enum end { ARRIVES, COUNTS, REFUSES };

static const struct thing {
	const char *name;
	int (*open)(void);
	enum end end;
	int dials;          /* somebody has to connect first */
} things[] = {
	{ "open", open_open, ARRIVES, 0 },
	{ "open64", open_open64, ARRIVES, 0 },
	{ "openat", open_openat, ARRIVES, 0 },
	{ "openat2", open_openat2, ARRIVES, 0 },
	{ "syscall_open", open_syscall, ARRIVES, 0 },
	{ "creat", open_creat, ARRIVES, 0 },
	{ "fopen", open_fopen, ARRIVES, 0 },
	{ "fopen64", open_fopen64, ARRIVES, 0 },
	{ "mkstemp", open_mkstemp, ARRIVES, 0 },
	{ "mkostemp", open_mkostemp, ARRIVES, 0 },
	{ "mkstemps", open_mkstemps, ARRIVES, 0 },
	{ "mkostemps", open_mkostemps, ARRIVES, 0 },
	{ "tmpfile", open_tmpfile, ARRIVES, 0 },
	{ "memfd", open_memfd, ARRIVES, 0 },
	{ "shm", open_shm, ARRIVES, 0 },
	{ "pipe", open_pipe, ARRIVES, 0 },
	{ "pipe2", open_pipe2, ARRIVES, 0 },
	{ "popen", open_popen, ARRIVES, 0 },
	{ "socketpair", open_socketpair, ARRIVES, 0 },
	{ "socket", open_socket, ARRIVES, 0 },
	{ "accept", open_accept, ARRIVES, 1 },
	{ "accept4", open_accept4, ARRIVES, 1 },
	{ "openpt", open_openpt, ARRIVES, 0 },
	{ "openpty", open_openpty, ARRIVES, 0 },
	{ "dup", open_dup, ARRIVES, 0 },
	{ "dupfd", open_dupfd, ARRIVES, 0 },
	{ "dupfd_cloexec", open_dupfd_cloexec, ARRIVES, 0 },
	{ "received", open_received, ARRIVES, 0 },
	{ "eventfd", open_eventfd, COUNTS, 0 },
	{ "readonly", open_readonly, REFUSES, 0 },
	{ "opendir", open_opendir, REFUSES, 0 },
	{ "epoll", open_epoll, REFUSES, 0 },
	{ "timerfd", open_timerfd, REFUSES, 0 },
	{ "inotify", open_inotify, REFUSES, 0 },
	{ "null", open_null, REFUSES, 0 },
	{ "full", open_full, REFUSES, 0 },
};

/* The ways: those that free the number before the thing is made, and those that move it there. */
static int stdio_gone; /* the stream stderr was closed */

static int free_close(void) { return close(2); }
static int free_fclose(void) { stdio_gone = 1; return fclose(stderr); }
static int free_close_range(void) { return close_range(2, 2, 0); }
static int free_syscall(void) { return (int)syscall(SYS_close, 2); }
static int free_syscall_range(void) { return (int)syscall(SYS_close_range, 2, 2, 0); }
static int free_unseen(void) { return (int)raw_syscall3(SYS_close, 2, 0, 0); }

static int move_dup2(int fd) { return dup2(fd, 2); }
static int move_dup3(int fd) { return dup3(fd, 2, O_CLOEXEC); }
static int move_syscall_dup2(int fd) { return (int)syscall(SYS_dup2, fd, 2); }
static int move_syscall_dup3(int fd) { return (int)syscall(SYS_dup3, fd, 2, 0); }
static int move_close_dup(int fd) { close(2); return dup(fd); }
static int move_close_fcntl(int fd) { close(2); return fcntl(fd, F_DUPFD, 2); }

static const struct way {
	const char *name;
	int (*free)(void);
	int (*move)(int fd);
	int few;            /* meets only some of the things */
} ways[] = {
	{ "close", free_close, NULL, 0 },
	{ "fclose", free_fclose, NULL, 0 },
	{ "close_range", free_close_range, NULL, 1 },
	{ "syscall_close", free_syscall, NULL, 1 },
	{ "syscall_close_range", free_syscall_range, NULL, 1 },
	{ "unseen_close", free_unseen, NULL, 0 },
	{ "dup2", NULL, move_dup2, 0 },
	{ "dup3", NULL, move_dup3, 1 },
	{ "syscall_dup2", NULL, move_syscall_dup2, 1 },
	{ "syscall_dup3", NULL, move_syscall_dup3, 1 },
	{ "close_dup", NULL, move_close_dup, 1 },
	{ "close_fcntl", NULL, move_close_fcntl, 1 },
};

static const char *const few_things[] = { "open", "fopen", "pipe", "socketpair", "memfd" };

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static int meets(const struct way *way, const struct thing *thing)
{
	for (size_t i = 0; way->few && i < COUNT(few_things); i++)
		if (strcmp(few_things[i], thing->name) == 0)
			return 1;
	return !way->few;
}

/* What was written, to be compared with what arrived. */
static char sent[8192], received[8192];
static size_t sent_length;

static void note(const char *call, ssize_t n, const char *text)
{
	size_t length = strlen(text);

	if (n != (ssize_t)length)
		state("%s = %zd, errno %d", call, n, errno);
	memcpy(sent + sent_length, text, length);
	sent_length += length;
}

static void write_by_stdio(void)
{
	if (!stdio_gone) {
		int n = fprintf(stderr, "fprintf to %s\n", "stderr");
		note("fprintf", n, "fprintf to stderr\n");
		n = fputs("fputs to stderr\n", stderr) < 0 ? -1 : 16;
		note("fputs", n, "fputs to stderr\n");
		errno = ENOENT;
		perror("perror");
		note("perror", 34, "perror: No such file or directory\n");
	}
	if (stream) {
		note("stream", fprintf(stream, "to its own stream\n"), "to its own stream\n");
		if (fflush(stream))
			state("fflush errno %d", errno);
	}
}

static void write_by_all(void)
{
	struct iovec iov[2] = { { (void *)"writev, ", 8 }, { (void *)"in two\n", 7 } };

	note("write", write(2, "write\n", 6), "write\n");
	for (int i = 0; i < 100; i++)
		note("write", write(2, "b", 1), "b");
	note("writev", writev(2, iov, 2), "writev, in two\n");
	note("dprintf", dprintf(2, "dprintf %d\n", 5), "dprintf 5\n");
	note("syscall", syscall(SYS_write, 2, "syscall\n", 8), "syscall\n");
	char big[2049];
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	note("write", write(2, big, sizeof(big) - 1), big);
	write_by_stdio();
	note("write", write(2, "the last\n", 9), "the last\n");
}

static void read_back(void)
{
	size_t got = 0;

	if (strstr(case_argv[1], "+popen")) {
		if (fileno(stream) != 2)
			close(2); /* or the reader would never see the end */
		state("pclose %d", pclose(stream));
	}
	int fd = other_end >= 0 ? other_end : open(path, O_RDONLY);
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	while (got < sent_length && poll(&ready, 1, 5000) == 1) {
		ssize_t n = read(fd, received + got, sizeof(received) - got);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	state("arrived %zu of %zu, %s", got, sent_length,
	      got == sent_length && memcmp(sent, received, got) == 0 ? "the same" : "WRONG");
}

static void check_end(const struct thing *thing)
{
	unsigned long long count = 0;

	if (thing->end == ARRIVES) {
		write_by_all();
		read_back();
	} else if (thing->end == COUNTS) {
		state("write = %zd", write(2, &(unsigned long long){ 41 }, 8));
		state("eventfd_write = %d", eventfd_write(2, 1));
		state("write = %zd, errno %d", write(2, "short", 5), errno);
		state("read = %zd", read(2, &count, 8));
		state("arrived %llu, %s", count, count == 42 ? "the same" : "WRONG");
	} else {
		errno = 0;
		state("write = %zd, errno %d", write(2, "refused\n", 8), errno);
		errno = 0;
		state("dprintf = %d, errno %d", dprintf(2, "refused\n"), errno);
		state("fputs = %d", stdio_gone ? 0 : fputs("refused\n", stderr) < 0);
	}
}

static void prepare(void)
{
	report_fd = 1;
	if (pipe(spare_pipe) || socketpair(AF_UNIX, SOCK_STREAM, 0, spare_sockets))
		give_up("spares");
	tcp_listener = listener(&tcp_address);
}

static void replace(const struct way *way, const struct thing *thing)
{
	prepare();
	fprintf(stderr, "before\n");
	if (thing->dials)
		other_end = dialled(&tcp_address, socket(AF_INET, SOCK_STREAM, 0));
	if (way->free) {
		state("free %d", way->free());
		int fd = thing->open();
		if (fd != 2)
			give_up("it did not get the number 2");
	} else {
		int fd = thing->open();
		if (fd < 0 || fd == 2)
			give_up("open");
		state("move %d", way->move(fd));
		if (!stream)
			close(fd);
	}
	check_end(thing);
	if (path && strncmp(path, "/dev/shm", 8) == 0)
		unlink(path);
	if (path == pattern)
		rename(pattern, "data"); /* the same name in each run */
}

int main(int argc, char **argv)
{
	case_argv = argv;
	for (size_t i = 0; i < COUNT(ways); i++) {
		for (size_t k = 0; k < COUNT(things); k++) {
			char name[80];

			snprintf(name, sizeof(name), "%s+%s", ways[i].name, things[k].name);
			if (!meets(&ways[i], &things[k]))
				continue;
			if (argc == 2 && strcmp(argv[1], "--list") == 0)
				printf("%s\t\n", name);
			else if (argc == 2 && strcmp(argv[1], name) == 0)
				replace(&ways[i], &things[k]);
		}
	}
	return 0;
}
