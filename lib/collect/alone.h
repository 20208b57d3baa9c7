/*
 * alone.h - whether anybody else has a file open, or mapped, by one question to the kernel.
 *
 * For the end of a session: who maps the ring is else found only by reading of each process of the machine
 * what it maps.
 */
#ifndef HARK_COLLECT_ALONE_H
#define HARK_COLLECT_ALONE_H

#include <stdbool.h>

bool alone_with(int fd);
	/* fd: open for writing, and what this process itself has mapped is mapped from it. True: nobody on the
	 * machine, in whatever namespace, has the file open or mapped through an open(2) of his own. False:
	 * somebody has, or that cannot be found out so. SIGIO must be ignored: it comes where somebody
	 * opens the file at that very moment (with O_NONBLOCK, he may be told EAGAIN). */

#endif
