/*
 * libc.h - what glibc alone has. The references are weak, so that the shim loads into a program of
 * another libc (musl), too, instead of keeping it from starting: there it hears what comes by public
 * functions, and leaves alone what is made differently.
 */
#ifndef HARK_SHIM_LIBC_H
#define HARK_SHIM_LIBC_H

#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <wchar.h>

extern const char *gnu_get_libc_version(void);
#pragma weak gnu_get_libc_version

/* As the program's libc is, not the one that the shim was built with. */
static inline bool libc_is_gnu(void)
{
	const char *(*version)(void) = gnu_get_libc_version;
	__asm__("" : "+r"(version)); /* compilers believe that a function has an address */
	return version != NULL;
}

/* Called only where libc_is_gnu(). The checked variants refuse %n in writable memory, flag above 0. */
extern int __vsnprintf_chk(char *to, size_t bytes, int flag, size_t room, const char *format,
			   va_list arguments) __attribute__((format(printf, 5, 0)));
extern int __vswprintf_chk(wchar_t *to, size_t chars, int flag, size_t room, const wchar_t *format,
			   va_list arguments);
#pragma weak __vsnprintf_chk
#pragma weak __vswprintf_chk
#pragma weak dladdr1
#pragma weak dlvsym
#pragma weak sigdescr_np
#pragma weak __libc_single_threaded

/* False: there are threads, or nobody knows. */
static inline bool libc_single_threaded(void)
{
	return libc_is_gnu() && __libc_single_threaded;
}

#endif
