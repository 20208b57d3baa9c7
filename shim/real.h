/*
 * real.h - the functions behind our hooks, as the next object in the search order has them.
 */
#ifndef HARK_SHIM_REAL_H
#define HARK_SHIM_REAL_H

#include <aio.h>
#include <assert.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <execinfo.h>
#include <link.h>
#include <netdb.h>
#include <signal.h>
#include <spawn.h>
#include <pthread.h>
#include <pty.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syslog.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <termios.h>
#include <threads.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <utmp.h>
#include <wchar.h>

#undef fwrite_unlocked /* macros in some libc headers, names of hooks here */
#undef putc
#undef putc_unlocked

/* what the compiler calls, and no header declares */
void __monstartup(unsigned long low, unsigned long high);
void __cyg_profile_func_enter(void *function, void *call_site);
void __cyg_profile_func_exit(void *function, void *call_site);

#define HOOK(result, name, parameters, when) result(*name) parameters;
#define HOOK_ALIAS(name, of)
struct real {
#include "shim/hooks.def"
};
#undef HOOK
#undef HOOK_ALIAS

#if defined(__GNUC__) && !defined(__clang__)
/* Aliases promise less than libc's headers do for their targets: no harm in that. */
#pragma GCC diagnostic ignored "-Wmissing-attributes"
#endif

extern struct real real;

/* A check of the table: where libc's headers declare the function otherwise, this does not compile. */
#define HOOK(result, name, parameters, when) result name parameters;
#define HOOK_ALIAS(name, of)
#include "shim/hooks.def"
#undef HOOK
#undef HOOK_ALIAS

#define HOOK(result, name, parameters, when) REAL_##name,
#define HOOK_ALIAS(name, of)
enum real_index {
#include "shim/hooks.def"
	REAL_NR
};
#undef HOOK
#undef HOOK_ALIAS

void real_resolve_early(void);
void *real_resolve(enum real_index which);
	/* dlsym(RTLD_NEXT). Never NULL: a function that is nowhere fails with ENOSYS. errno is kept. */

void *real_of_libc(const char *name, const char *since);
	/* libc's own function, whoever else has one of that name and stands before it: only libc's has a
	 * version. NULL: it has none. */

/* Since when libc has the function as it is now, for real_of_libc(). */
#if defined(__x86_64__)
#define SINCE(x86_64) (x86_64)
#else
#define SINCE(x86_64) "GLIBC_2.17" /* its first */
#endif

/* The original of a hook. One load, once it has been resolved. */
#define REAL(name)                                                                                \
	(__builtin_expect(real.name != NULL, 1)                                                   \
		 ? real.name                                                                      \
		 : (__typeof__(real.name))real_resolve(REAL_##name))

/* libc's headers promise that some arguments are never NULL; programs break the promise. */
static inline void *maybe_null(const void *argument)
{
	__asm__("" : "+r"(argument));
	return (void *)argument;
}

/* A hook's definition is visible, everything else is not. */
#define HOOKED __attribute__((visibility("default")))
#define HOOKED_AS(name, of) \
	extern __typeof__(of) name __attribute__((alias(#of), visibility("default")))

#endif
