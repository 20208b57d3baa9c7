/*
 * looks.c - writes to descriptor 2 and asks in between what has become of it: how long the file is, where
 * its next byte goes, whether the socket ends. Run by test_inside.py, which compares what it finds and
 * what arrives with a run without hark.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

static void say(const char *line)
{
	long n = write(2, line, strlen(line));
	dprintf(1, "said %ld, errno %d\n", n, n < 0 ? errno : 0);
}

#define SEE(call)                                                                                 \
	do {                                                                                      \
		errno = 0;                                                                        \
		long saw_ = (long)(call);                                                         \
		dprintf(1, "%s = %ld, errno %d\n", #call, saw_, saw_ < 0 ? errno : 0);            \
	} while (0)

static long length(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (long)st.st_size : -1;
}

static long length64(int fd)
{
	struct stat64 st;
	return fstat64(fd, &st) == 0 && S_ISREG(st.st_mode) ? (long)st.st_size : -1;
}

static long length_by_statx(int fd)
{
	struct statx st;
	return statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &st) == 0 && S_ISREG(st.stx_mode)
		       ? (long)st.stx_size : -1;
}

static long length_by_name(void)
{
	struct stat st;
	return stat("/proc/self/fd/2", &st) == 0 && S_ISREG(st.st_mode) ? (long)st.st_size : -1;
}

int main(void)
{
	int copy = dup(2);

	signal(SIGPIPE, SIG_IGN);
	say("the first\n");
	SEE(length(2));
	say("the second\n");
	SEE(length64(copy));
	SEE(lseek(2, 0, SEEK_CUR));
	say("the third\n");
	SEE(fsync(2));
	SEE(length_by_name());
	say("by number\n");
	SEE(syscall(SYS_lseek, 2, 0, SEEK_CUR));
	say("by all\n");
	SEE(length_by_statx(2));
	say("the fourth\n");
	SEE(fdatasync(copy));
	SEE(length_by_name());
	say("is cut off\n");
	SEE(ftruncate(2, 12));
	SEE(lseek64(2, 4, SEEK_SET));
	say("in the middle\n");
	SEE(lseek(2, 0, SEEK_END));
	say("at the end\n");
	SEE(tcdrain(2));
	say("before the last word\n");
	SEE(shutdown(2, SHUT_WR));
	say("and after\n");
	SEE(length(2));
	return 0;
}
