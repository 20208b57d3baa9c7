/*
 * namespace.c - see namespace.h. For the shim, too: no libc but by system call.
 */
#include "lib/base/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/sysio.h"

static long link_length(const char *path)
{
	char to[64];
	return sysio_call(SYS_readlinkat, AT_FDCWD, (long)path, (long)to, sizeof to, 0, 0);
}

/* The link is there, but leads nowhere as long as nobody is in the namespace. Kernels before 4.12
 * have none. */
bool namespace_awaits_first(void)
{
	static const char link[] = "/proc/self/ns/pid_for_children";

	return link_length(link) == -ENOENT && link_length("/proc/self/ns/pid") > 0 &&
	       sysio_call(SYS_faccessat2, AT_FDCWD, (long)link, F_OK, AT_SYMLINK_NOFOLLOW, 0,
			  0) == 0;
}
