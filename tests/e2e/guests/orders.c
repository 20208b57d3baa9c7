/*
 * orders.c - lines by write() with something in between that reaches descriptor 2 by another way. Run
 * by test_inside.py, which compares the bytes that arrive with what arrives without hark.
 */
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const char text[] = "by another way\n";
enum { LENGTH = sizeof text - 1 };
static struct iovec part = { (void *)text, LENGTH };

static void say(const char *line)
{
	if (write(2, line, strlen(line)) < 0)
		_exit(99);
}

static int piped(void)
{
	int ends[2];

	if (pipe(ends) || write(ends[1], text, LENGTH) != LENGTH)
		_exit(98);
	close(ends[1]);
	return ends[0];
}

static int filed(void)
{
	char path[] = "./copy-XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	if (fd < 0 || write(fd, text, LENGTH) != LENGTH || lseek(fd, 0, SEEK_SET) != 0)
		_exit(97);
	return fd;
}

static int listened(void)
{
	struct aiocb cb = { .aio_fildes = 2, .aio_buf = (void *)text, .aio_nbytes = LENGTH };
	const struct aiocb *list[] = { &cb };

	if (aio_write(&cb) != 0)
		return -1;
	while (aio_error(&cb) == EINPROGRESS)
		aio_suspend(list, 1, NULL);
	return (int)aio_return(&cb);
}

#define TRY(call)                                                                                 \
	do {                                                                                      \
		say("before " #call "\n");                                                        \
		long n_ = (long)(call);                                                           \
		say(n_ < 0 ? "refused\n" : n_ == LENGTH ? "all\n" : "some\n");                    \
	} while (0)

int main(void)
{
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int append = fcntl(2, F_GETFL) & O_APPEND;

	TRY(tee(piped(), 2, 100, 0));
	TRY(vmsplice(2, &part, 1, 0));
	TRY(splice(piped(), NULL, 2, NULL, 100, 0));
	TRY(copy_file_range(filed(), NULL, 2, NULL, LENGTH, 0));
	TRY(sendfile(2, filed(), NULL, LENGTH));
	TRY(send(2, text, LENGTH, MSG_OOB));
	TRY(pwritev2(2, &part, 1, -1, RWF_SYNC));
	if (append) {
		TRY(pwrite(2, text, LENGTH, 0)); /* to the end, on Linux */
		TRY(listened());
		TRY(syscall(SYS_pwrite64, 2, text, LENGTH, 0));
		TRY(syscall(SYS_pwritev, 2, &part, 1, 0, 0));
	}
	TRY(syscall(SYS_write, 2, text, LENGTH));
	TRY(syscall(SYS_writev, 2, &part, 1));
	TRY(syscall(SYS_pwritev2, 2, &part, 1, -1L, 0L, 0L));
	TRY(syscall(SYS_pwritev2, 2, &part, 1, -1L, 0L, (long)RWF_SYNC));
	TRY(syscall(SYS_sendfile, 2, filed(), 0, LENGTH));
	TRY(syscall(SYS_splice, piped(), 0, 2, 0, 100, 0));
	TRY(syscall(SYS_vmsplice, 2, &part, 1, 0));
	TRY(syscall(SYS_tee, piped(), 2, 100, 0));
	TRY(syscall(SYS_copy_file_range, filed(), 0, 2, 0, LENGTH, 0));
	TRY(syscall(SYS_sendto, 2, text, LENGTH, 0, 0, 0));
	TRY(syscall(SYS_sendmsg, 2, &message, 0));
	/* descriptors by number: a copy of 2, and what takes its place */
	TRY(write((int)syscall(SYS_dup, 2), text, LENGTH));
	TRY(write((int)syscall(SYS_fcntl, 2, F_DUPFD, 40), text, LENGTH));
	TRY(write((int)syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, getpid(), 0), 2, 0), text,
		  LENGTH));
	int saved = dup(2), null_fd = open("/dev/null", O_WRONLY);
	syscall(SYS_dup3, null_fd, 2, 0);
	say("nowhere\n");
	syscall(SYS_close, 2);
	unsigned long how[3] = { O_WRONLY, 0, 0 };
	if (syscall(SYS_openat2, AT_FDCWD, "/dev/null", how, sizeof how) == 2)
		say("nowhere\n");
	syscall(SYS_dup3, saved, 2, 0);
	say("back\n");
	return 0;
}
