/*
 * made.c - see made.h. Called by the sampler when a process has ended, and at its own end.
 */
#include "lib/sample/made.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/sysio.h"
#include "lib/stamp/trace.h"

enum { PIECE = 64 << 10 };

static int open_map(const char *folder, const struct space_file *file)
{
	/* neither a link nor a FIFO leads us elsewhere or holds us up */
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof path, "%s/%s", folder, file->build_id);
	int fd = open(path, flags);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	    st.st_uid == file->owner && st.st_mtim.tv_sec >= file->since &&
	    st.st_size <= TRACE_MADE_MOST)
		return fd;
	close(fd);
	return -EPERM;
}

static int copy(int from, int to)
{
	static char piece[PIECE];
	ssize_t n;
	int error = 0;

	for (size_t done = 0; !error && done < TRACE_MADE_MOST; done += (size_t)n) {
		n = sysio_read(from, piece, sizeof piece);
		if (n <= 0)
			return (int)n;
		error = sysio_write_all(to, piece, (size_t)n);
	}
	return error;
}

int made_keep(const char *folder, const char *data, const struct space_file *file)
{
	char path[PATH_MAX];
	int from = open_map(folder, file);

	if (from < 0)
		return from;
	snprintf(path, sizeof path, "%s/%s", data, file->build_id);
	unlink(path);
	int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int error = to < 0 ? -errno : copy(from, to);
	if (to >= 0)
		close(to);
	close(from);
	return error;
}
