/*
 * hook_file.c - calls that look at the open file itself, or change it: how long it is, where the next
 * byte goes, whether it is on the disk, whether it takes any more. What was said before must be there
 * before they are made. Where nothing was captured of the descriptor, they cost one load.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "shim/hook.h"
#include "shim/real.h"
#include "shim/shim.h"

/* Does not look what a descriptor is: if nothing has been written to it, there is nothing to wait for. */
void hook_file_settle(int fd)
{
	if ((unsigned)fd >= SHIM_FDS)
		return;
	unsigned state = atomic_load_explicit(&shim.fds[fd], memory_order_acquire);
	if (__builtin_expect(state != FD_UNKNOWN && state != FD_PASS, 0) && shim_listening())
		capture_pass(state);
}

HOOKED off_t lseek(int fd, off_t offset, int whence)
{
	hook_file_settle(fd);
	return REAL(lseek)(fd, offset, whence);
}
HOOKED_AS(lseek64, lseek);

HOOKED int fstat(int fd, struct stat *st)
{
	hook_file_settle(fd);
	return REAL(fstat)(fd, st);
}
HOOKED int fstat64(int fd, struct stat64 *st)
{
	hook_file_settle(fd);
	return REAL(fstat64)(fd, st);
}

/* Of the descriptor itself, where the name is empty. */
HOOKED int statx(int directory, const char *path, int flags, unsigned int mask, struct statx *stx)
{
	if (flags & AT_EMPTY_PATH)
		hook_file_settle(directory);
	return REAL(statx)(directory, path, flags, mask, stx);
}

HOOKED int fsync(int fd)
{
	hook_file_settle(fd);
	return REAL(fsync)(fd);
}

HOOKED int fdatasync(int fd)
{
	hook_file_settle(fd);
	return REAL(fdatasync)(fd);
}

HOOKED int ftruncate(int fd, off_t length)
{
	hook_file_settle(fd);
	int result = REAL(ftruncate)(fd, length);
	memory_changed();
	return result;
}
HOOKED_AS(ftruncate64, ftruncate);

HOOKED int tcdrain(int fd)
{
	hook_file_settle(fd);
	return REAL(tcdrain)(fd);
}

/* What is said afterwards is an error, which is the kernel's to say. */
HOOKED int shutdown(int fd, int how)
{
	hook_file_settle(fd);
	int result = REAL(shutdown)(fd, how);
	if (result == 0 && how != SHUT_RD)
		capture_shut(fd);
	return result;
}
