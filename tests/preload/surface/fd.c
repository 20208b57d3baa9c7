/*
 * fd.c - text put on a descriptor: the write family, its relatives in the kernel, duplicates.
 *
 * Results are stated on descriptor 3, where they must be the same with and without hark.
 */
#include "tests/preload/case.h"

#include <aio.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

extern ssize_t __write(int fd, const void *data, size_t length);
extern ssize_t __pwrite64(int fd, const void *data, size_t length, off64_t offset);
extern ssize_t __send(int fd, const void *data, size_t length, int flags);

#define TEXT(name, words)                                                                         \
	static const char name[] = words;                                                         \
	enum { name##_length = sizeof(name) - 1 }
TEXT(words, "some words\n");
TEXT(more, "more words\nof two lines\n");

#define SAW(call)                                                                                 \
	do {                                                                                      \
		errno = 0;                                                                        \
		long saw_ = (long)(call);                                                         \
		state("%s = %ld, errno %d", #call, saw_, errno);                                  \
	} while (0)

static struct iovec iov[3] = {
	{ (void *)words, words_length },
	{ NULL, 0 },
	{ (void *)more, more_length },
};

static int file_with(const char *text, size_t length)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) != 0)
		give_up("memfd");
	return fd;
}

static int pipe_with(const char *text, size_t length)
{
	int ends[2];

	if (pipe(ends) || write(ends[1], text, length) != (ssize_t)length)
		give_up("pipe");
	close(ends[1]);
	return ends[0];
}

static void say_write(void) { SAW(write(2, words, words_length)); }
static void say_write_lines(void) { SAW(write(2, more, more_length)); }
static void say_write_unfinished(void) { SAW(write(2, words, 6)); }
static void say_write_nothing(void) { SAW(write(2, words, 0)); SAW(write(2, NULL, 0)); }
static void say_write_alias(void) { SAW(__write(2, words, words_length)); }

static void say_write_bytes(void)
{
	for (int i = 0; i < more_length; i++)
		if (write(2, more + i, 1) != 1)
			state("failed at %d", i);
}

static void say_write_many(void)
{
	char line[64];

	for (int i = 0; i < 2000; i++)
		if (write(2, line, (size_t)snprintf(line, sizeof(line), "line %d\n", i)) <= 0)
			state("failed at %d", i);
}

static void say_write_big(void)
{
	size_t length = 40000 * 5;
	char *text = malloc(length);

	for (size_t i = 0; i < length; i++)
		text[i] = i % 50 == 49 ? '\n' : (char)('a' + i / 50 % 26);
	SAW(write(2, text, length));
	free(text);
}

static void say_writev(void) { SAW(writev(2, iov, 3)); }
static void say_writev_empty(void) { SAW(writev(2, iov, 0)); SAW(writev(2, iov + 1, 1)); }

static void say_writev_most(void)
{
	struct iovec many[1025];

	for (int i = 0; i < 1025; i++)
		many[i] = (struct iovec){ (void *)(words + i % words_length), 1 };
	SAW(writev(2, many, 1024));
	SAW(writev(2, many, 1025));
	fputc('\n', stderr);
}

static void say_pwrite(void)
{
	SAW(pwrite(2, words, words_length, 0));
	SAW(pwrite64(2, words, words_length, 5));
	SAW(__pwrite64(2, words, words_length, 5));
	SAW(pwritev(2, iov, 3, 0));
	SAW(pwritev64(2, iov, 3, 0));
	SAW(syscall(SYS_pwrite64, 2, words, words_length, 0L));
	SAW(write(2, "after\n", 6));
}

/* An offset of -1 makes it writev. */
static void say_pwritev2(void)
{
	SAW(pwritev2(2, iov, 3, -1, 0));
	SAW(pwritev64v2(2, iov, 3, -1, 0));
	SAW(pwritev2(2, iov, 3, -1, 0x40000000));
}

static void say_syscall_write(void) { SAW(syscall(SYS_write, 2, words, words_length)); }
static void say_syscall_writev(void) { SAW(syscall(SYS_writev, 2, iov, 3)); }

static void say_syscall_pwritev2(void)
{
	SAW(syscall(SYS_pwritev2, 2L, iov, 3L, -1L, -1L, 0L));
}

static void say_syscall_others(void)
{
	/* Everything else goes through untouched, with all six arguments. */
	SAW(syscall(SYS_getpid) == getpid());
	SAW(syscall(SYS_close, 4711));
	void *p = (void *)syscall(SYS_mmap, 0L, 4096L, 3L, 34L, -1L, 0L);
	state("mmap %d", p != MAP_FAILED && memset(p, 1, 4096) == p);
	SAW(syscall(SYS_write, 2, words, words_length));
}

static void say_send(void) { SAW(send(2, words, words_length, 0)); }
#ifndef __x86_64__ /* an old name, kept where libc is as old */
#define __send send
#endif
static void say_send_alias(void) { SAW(__send(2, words, words_length, MSG_NOSIGNAL)); }
static void say_sendto(void) { SAW(sendto(2, words, words_length, 0, NULL, 0)); }
static void say_socket_write(void) { SAW(write(2, words, words_length)); fputs("stdio\n", stderr); }

static void say_sendmsg(void)
{
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 3 };

	SAW(sendmsg(2, &message, 0));
}

static void say_sendmmsg(void)
{
	struct mmsghdr messages[2] = {
		{ .msg_hdr = { .msg_iov = iov, .msg_iovlen = 3 } },
		{ .msg_hdr = { .msg_iov = iov, .msg_iovlen = 1 } },
	};

	SAW(sendmmsg(2, messages, 2, 0));
	state("lengths %u %u", messages[0].msg_len, messages[1].msg_len);
}

static void say_syscall_sendto(void)
{
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 3 };

	SAW(syscall(SYS_sendto, 2L, words, (long)words_length, 0L, 0L, 0L));
	SAW(syscall(SYS_sendmsg, 2L, &message, 0L));
}

/* On what is no socket the sends fail, and nothing is said. */
static void say_send_no_socket(void)
{
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 3 };

	SAW(send(2, words, words_length, 0));
	SAW(sendto(2, words, words_length, 0, NULL, 0));
	SAW(sendmsg(2, &message, 0));
	SAW(syscall(SYS_sendto, 2L, words, (long)words_length, 0L, 0L, 0L));
	SAW(write(2, "after\n", 6));
}

static void say_sendfile(void)
{
	int fd = file_with(more, more_length);
	off_t offset = 5;

	SAW(sendfile(2, fd, NULL, 100));
	SAW(lseek(fd, 0, SEEK_CUR));
	SAW(sendfile64(2, fd, &offset, 6));
	state("offset %ld", (long)offset);
	SAW(lseek(fd, 0, SEEK_CUR));
}

static void say_sendfile_big(void)
{
	char text[50000];
	memset(text, 'x', sizeof(text));
	for (size_t i = 99; i < sizeof(text); i += 100)
		text[i] = '\n';
	int fd = file_with(text, sizeof(text));

	SAW(sendfile(2, fd, NULL, 1 << 20));
	SAW(sendfile(2, fd, NULL, 1 << 20));
	SAW(sendfile(2, -1, NULL, 10));
}

static void say_syscall_sendfile(void)
{
	int fd = file_with(more, more_length);

	SAW(syscall(SYS_sendfile, 2L, (long)fd, 0L, 100L));
}

static void say_splice(void)
{
	int fd = pipe_with(more, more_length);

	SAW(splice(fd, NULL, 2, NULL, 100, 0));
	SAW(splice(fd, NULL, 2, NULL, 100, 0));
}

static void say_splice_from_file(void)
{
	int fd = file_with(more, more_length);

	SAW(splice(fd, NULL, 2, NULL, 100, 0));
}

static void say_tee(void) { int fd = pipe_with(more, more_length); SAW(tee(fd, 2, 100, 0)); }
static void say_vmsplice(void) { SAW(vmsplice(2, iov, 1, 0)); }

static void say_copy_file_range(void)
{
	char path[] = "/tmp/hark-copy-XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	if (write(fd, more, more_length) != more_length || lseek(fd, 0, SEEK_SET))
		give_up("file");
	ssize_t n = copy_file_range(fd, NULL, 2, NULL, more_length, 0);
	if (n != more_length)
		SAW(write(2, more, more_length)); /* other file systems refuse */
}

static void say_aio_write(void)
{
	struct aiocb cb = { .aio_fildes = 2, .aio_buf = (void *)words, .aio_nbytes = words_length };
	const struct aiocb *list[] = { &cb };

	SAW(aio_write(&cb));
	while (aio_error(&cb) == EINPROGRESS)
		aio_suspend(list, 1, NULL);
}

static void say_lio_listio(void)
{
	struct aiocb cb = { .aio_fildes = 2, .aio_buf = (void *)words, .aio_nbytes = words_length,
			    .aio_lio_opcode = LIO_WRITE };
	struct aiocb *list[] = { &cb };

	SAW(lio_listio(LIO_WAIT, list, 1, NULL));
}

static void say_dprintf(void) { SAW(dprintf(2, "dprintf %d %s\n", 5, "words")); }

__attribute__((format(printf, 1, 2))) static int by_vdprintf(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vdprintf(2, format, args);
	va_end(args);
	return n;
}

static void say_vdprintf(void) { SAW(by_vdprintf("vdprintf %d\n", 5)); }
static void say_dprintf_unfinished(void) { SAW(dprintf(2, "dprintf without end")); }

static void say_dprintf_big(void)
{
	for (int i = 0; i < 20; i++)
		dprintf(2, "%05000d\n", i);
}

static void say_dup(void) { int fd = dup(2); SAW(write(fd, words, words_length)); }
static void say_dup2(void) { SAW(dup2(2, 77)); SAW(write(77, words, words_length)); }
static void say_dup3(void) { SAW(dup3(2, 78, O_CLOEXEC)); SAW(write(78, words, words_length)); }

static void say_dup_fcntl(void)
{
	SAW(fcntl(2, F_DUPFD, 50));
	SAW(write(50, words, words_length));
	SAW(fcntl(2, F_DUPFD_CLOEXEC, 60));
	SAW(write(60, more, more_length));
}

static void say_dup_syscall(void)
{
#ifdef SYS_dup2 /* newer machines have dup3 alone */
	SAW(syscall(SYS_dup2, 2, 55));
	SAW(write(55, words, words_length));
#endif
	SAW(syscall(SYS_dup3, 2, 56, 0));
	SAW(write(56, words, words_length));
	SAW(syscall(SYS_fcntl, 2, F_DUPFD, 57));
	SAW(write(57, words, words_length));
}

static void say_dup_chain(void)
{
	int first = dup(2), second = dup(first), third = dup2(second, 90);

	close(first);
	close(second);
	SAW(write(third, words, words_length));
	SAW(dup2(third, 1));
	SAW(write(1, more, more_length));
	close(2);
	SAW(write(third, words, words_length));
}

static void say_dup_high(void)
{
	SAW(dup2(2, 1000));
	SAW(write(1000, words, words_length));
}

static void say_fdopen(void)
{
	FILE *stream = fdopen(2, "w");

	fprintf(stream, "through fdopen(2)\n");
	SAW(fflush(stream));
}

static void say_fdopen_dup(void)
{
	FILE *stream = fdopen(dup(2), "a");

	for (int i = 0; i < 3000; i++)
		fprintf(stream, "buffered line %d\n", i);
	SAW(fclose(stream));
	SAW(write(2, "after\n", 6));
}

static void say_fdopen_exit(void)
{
	fprintf(fdopen(dup(2), "w"), "flushed by nobody but exit\n");
}

static void say_open_dev_stderr(void)
{
	int fd = open("/dev/stderr", O_WRONLY | O_APPEND);

	SAW(write(fd, words, words_length));
}

static void say_open_proc(void)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND);

	SAW(write(fd, words, words_length));
}

static void say_fopen_dev_stderr(void)
{
	FILE *stream = fopen("/dev/stderr", "a");

	fprintf(stream, "through fopen\n");
	SAW(fclose(stream));
}

static void say_freopen_dev_stderr(void)
{
	FILE *stream = freopen("/dev/stderr", "a", stderr);

	state("freopen %d", stream == stderr);
	fprintf(stderr, "through freopen\n");
	SAW(fflush(stderr));
}

static ssize_t cookie_write(void *cookie, const char *data, size_t length)
{
	(void)cookie;
	return write(2, data, length);
}

static void say_fopencookie(void)
{
	cookie_io_functions_t functions = { .write = cookie_write };
	FILE *stream = fopencookie(NULL, "w", functions);

	fprintf(stream, "a stream whose writer writes to 2\n");
	SAW(fclose(stream));
}

static void say_dlsym_default(void)
{
	ssize_t (*found)(int, const void *, size_t);

	*(void **)&found = dlsym(RTLD_DEFAULT, "write");
	SAW(found(2, words, words_length));
}

/* Past every hook, straight into libc: said once, here or there. */
static void say_dlsym_libc(void)
{
	ssize_t (*found)(int, const void *, size_t);

	*(void **)&found = dlsym(dlopen("libc.so.6", RTLD_NOW), "write");
	SAW(found(2, words, words_length));
}

static void say_dlsym_libc_stdio(void)
{
	int (*found)(const char *, FILE *);

	*(void **)&found = dlsym(dlopen("libc.so.6", RTLD_NOW), "fputs");
	SAW(found(words, stderr) >= 0);
}

static void say_inline_syscall(void)
{
	state("inline %ld", raw_syscall3(SYS_write, 2, (long)words, words_length));
}

static const struct test_case cases[] = {
	CASE(write, ""),
	CASE(write_lines, ""),
	CASE(write_unfinished, ""),
	CASE(write_nothing, "silent"),
	CASE(write_alias, ""),
	CASE(write_bytes, ""),
	CASE(write_many, ""),
	CASE(write_big, ""),
	CASE(writev, ""),
	CASE(writev_empty, "silent"),
	CASE(writev_most, ""),
	CASE(pwrite, "pipe tty"),
	CASE(pwritev2, ""),
	CASE(syscall_write, ""),
	CASE(syscall_writev, ""),
	CASE(syscall_pwritev2, ""),
	CASE(syscall_others, ""),
	CASE(send, "socket"),
	CASE(send_alias, "socket"),
	CASE(sendto, "socket"),
	CASE(sendmsg, "socket"),
	CASE(sendmmsg, "socket"),
	CASE(syscall_sendto, "socket"),
	CASE(socket_write, "socket"),
	CASE(send_no_socket, "file pipe tty"),
	CASE(sendfile, "file pipe socket"),
	CASE(sendfile_big, "file pipe socket"),
	CASE(syscall_sendfile, "file pipe socket"),
	CASE(splice, "file pipe socket"),
	CASE(splice_from_file, "pipe"),
	CASE(tee, "pipe either"),
	CASE(vmsplice, "pipe either"),
	CASE(copy_file_range, "file either"),
	CASE(aio_write, "either"),
	CASE(lio_listio, "either"),
	CASE(dprintf, ""),
	CASE(vdprintf, ""),
	CASE(dprintf_unfinished, ""),
	CASE(dprintf_big, ""),
	CASE(dup, ""),
	CASE(dup2, ""),
	CASE(dup3, ""),
	CASE(dup_fcntl, ""),
	CASE(dup_syscall, ""),
	CASE(dup_chain, ""),
	CASE(dup_high, ""),
	CASE(fdopen, ""),
	CASE(fdopen_dup, ""),
	CASE(fdopen_exit, ""),
	CASE(open_dev_stderr, "file pipe tty"),
	CASE(open_proc, "file pipe tty"),
	CASE(fopen_dev_stderr, "file pipe tty"),
	CASE(freopen_dev_stderr, "file pipe tty"),
	CASE(fopencookie, ""),
	CASE(dlsym_default, ""),
	CASE(dlsym_libc, "either"),
	CASE(dlsym_libc_stdio, ""),
	CASE(inline_syscall, "either"),
};

CASES_MAIN(cases)
