/*
 * print.h - a formatted text, without malloc of ours: on the caller's stack, or in a mapping.
 *
 * For the hooks whose originals format as well (syslog, fprintf): libc's own vsnprintf does the work.
 */
#ifndef HARK_SHIM_PRINT_H
#define HARK_SHIM_PRINT_H

#include <stdarg.h>
#include <stddef.h>

enum { PRINT_STACK = 1024 };

struct print {
	char *text;
	size_t bytes;
	size_t mapped;          /* of the mapping that text is in; 0: it is in some */
	char some[PRINT_STACK]; /* not cleared: it lives in hot paths */
};

int print_format(struct print *p, int flag, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));
/* flag: as in __vsnprintf_chk(3). %m is errno on entry, which is kept. 0; -EINVAL: the original
	 * would print nothing either, errno is what it would be; -ENOMEM: too long for the stack, and
	 * no mapping to be had (or allowed, behind a seccomp filter). print_free() only after 0. */
void print_free(struct print *p);

#endif
