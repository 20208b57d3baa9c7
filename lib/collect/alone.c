/*
 * alone.c - see alone.h.
 *
 * The kernel grants a lease for writing only where its own count of who has the file open for writing
 * says that the asker is the only one; a mapping keeps the open file that it was made of. Who was
 * forked shares it with his parent: of ours, nobody may.
 */
#include "lib/collect/alone.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

bool alone_with(int fd)
{
	struct statfs fs;

	/* On a file system made of others (overlay), a mapping is of the file below, and does not count. */
	if (fstatfs(fd, &fs) != 0 || fs.f_type != TMPFS_MAGIC)
		return false;
	if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
		return false;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return true;
}
