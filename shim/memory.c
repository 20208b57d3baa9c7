/*
 * memory.c - whether a program's pointer may be followed.
 *
 * A write of a bad pointer is EFAULT; our copy of it must not crash. Asking the kernel each time
 * would cost as much as the call that we replace, so each thread remembers the pages that it was
 * told of. munmap and mprotect make every thread forget (the program's own; what free() gives back
 * below is not seen: then a dangling pointer is a crash, as in any other use of it).
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/base/sysio.h"
#include "shim/shim.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

enum { PAGE_SHIFT = 12 };

static _Atomic uint32_t changes;

static bool page_readable(uintptr_t page)
{
	long at = (long)(page << PAGE_SHIFT), result = -EINVAL;

	if (!shim.unadvised)
		result = sysio_call(SYS_madvise, at, 1L << PAGE_SHIFT, MADV_POPULATE_READ, 0, 0, 0);
	if (result != -EINVAL)
		return result == 0;
	/* An old kernel, larger pages, or no right to read: a call with an invalid `how` that reads
	 * its set first. (Within the page, since NULL means no set.) */
	at += _NSIG / 8;
	return sysio_call(SYS_rt_sigprocmask, -1, at, 0, _NSIG / 8, 0, 0) != -EFAULT;
}

size_t memory_readable(const void *at, size_t bytes)
{
	static _Thread_local uint32_t seen_changes __attribute__((tls_model("initial-exec")));
	uintptr_t page = (uintptr_t)at >> PAGE_SHIFT;
	uintptr_t last = ((uintptr_t)at + bytes - 1) >> PAGE_SHIFT;
	uint32_t now = atomic_load_explicit(&changes, memory_order_relaxed);

	if (__builtin_expect(bytes == 0 || shim.sandboxed, 0))
		return bytes;
	if (last < page || (intptr_t)((uintptr_t)at + bytes - 1) < 0)
		return 0; /* beyond what a program can have: the kernel refuses all of it */
	if (__builtin_expect(seen_changes != now, 0)) {
		for (unsigned i = 0; i < SHIM_PAGES; i++)
			shim_thread.pages[i] = 0;
		seen_changes = now;
	}
	for (; page <= last; page++) {
		uintptr_t *known = &shim_thread.pages[page % SHIM_PAGES];
		if (__builtin_expect(*known == page && page != 0, 1))
			continue;
		if (!page_readable(page)) {
			uintptr_t end = page << PAGE_SHIFT;
			return end > (uintptr_t)at ? end - (uintptr_t)at : 0;
		}
		*known = page;
	}
	return bytes;
}

void memory_changed(void)
{
	atomic_fetch_add_explicit(&changes, 1, memory_order_relaxed);
}
