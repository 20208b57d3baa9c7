/*
 * deep.c - see deep.h. Called by `hark run`; must never touch standard input or the settings of the
 * real terminal.
 */
#include "tools/deep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum {
	LEAST_FD = 10,          /* ours stay above those that people name */
	PIPE_BYTES = 1 << 20,   /* asked for; the kernel gives what it likes */
};

/* The same open file at a number out of the way. 0, 1 and 2 may be closed, and would be taken. */
static int raised(int fd)
{
	if (fd < 0)
		return -errno;
	int high = fcntl(fd, F_DUPFD_CLOEXEC, LEAST_FD);
	int error = -errno;
	close(fd);
	return high < 0 ? error : high;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Settings and size are those of the terminal, but for output processing: what comes out here goes
 * to the real terminal, which does that. */
static void dress(int slave, int terminal)
{
	struct termios settings;
	struct winsize size;

	if (tcgetattr(terminal, &settings) == 0) {
		settings.c_oflag &= ~(tcflag_t)OPOST;
		tcsetattr(slave, TCSANOW, &settings);
	}
	if (ioctl(terminal, TIOCGWINSZ, &size) == 0)
		ioctl(slave, TIOCSWINSZ, &size);
}

static int open_terminal(int like, int *reading, int *writing)
{
	char name[64];

	*reading = raised(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	if (*reading < 0)
		return *reading;
	*writing = -1;
	if (grantpt(*reading) != 0 || unlockpt(*reading) != 0 ||
	    ptsname_r(*reading, name, sizeof name) != 0)
		*writing = -errno;
	else
		*writing = raised(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
	if (*writing < 0) {
		close_fd(reading);
		return *writing;
	}
	dress(*writing, like);
	return 0;
}

static int open_pipe(int *reading, int *writing)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -errno;
	*reading = raised(fds[0]);
	*writing = raised(fds[1]);
	if (*reading < 0 || *writing < 0) {
		int error = *reading < 0 ? *reading : *writing;
		close_fd(reading);
		close_fd(writing);
		return error;
	}
	fcntl(*writing, F_SETPIPE_SZ, PIPE_BYTES);
	return 0;
}

static int replace(int fd, int writing, int *saved)
{
	*saved = fcntl(fd, F_DUPFD_CLOEXEC, LEAST_FD);
	return *saved < 0 || dup2(writing, fd) < 0 ? -errno : 0;
}

int deep_open(struct deep *deep, bool replace_stderr, bool replace_stdout)
{
	int writing = -1;

	*deep = (struct deep){ .fd = -1, .saved_stdout = -1, .saved_stderr = -1 };
	replace_stderr = replace_stderr && fcntl(STDERR_FILENO, F_GETFD) >= 0;
	replace_stdout = replace_stdout && fcntl(STDOUT_FILENO, F_GETFD) >= 0;
	if (!replace_stderr && !replace_stdout)
		return 0;
	int first = replace_stderr ? STDERR_FILENO : STDOUT_FILENO;
	deep->terminal = isatty(first) && open_terminal(first, &deep->fd, &writing) == 0;
	int error = deep->terminal ? 0 : open_pipe(&deep->fd, &writing);
	if (!error && replace_stderr)
		error = replace(STDERR_FILENO, writing, &deep->saved_stderr);
	if (!error && replace_stdout)
		error = replace(STDOUT_FILENO, writing, &deep->saved_stdout);
	close_fd(&writing);
	if (error)
		deep_undo(deep);
	return error;
}

void deep_undo(struct deep *deep)
{
	if (deep->saved_stderr >= 0)
		dup2(deep->saved_stderr, STDERR_FILENO);
	if (deep->saved_stdout >= 0)
		dup2(deep->saved_stdout, STDOUT_FILENO);
	deep_close(deep);
}

void deep_close(struct deep *deep)
{
	close_fd(&deep->saved_stderr);
	close_fd(&deep->saved_stdout);
	close_fd(&deep->fd);
}
