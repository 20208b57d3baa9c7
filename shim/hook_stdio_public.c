/*
 * hook_stdio_public.c - stdio by its public functions, where its write slot cannot be had (hook_stdio.c).
 *
 * With the slot in our hands each of these but dprintf is a load and a jump to the original. Without
 * it, they format what goes to an unbuffered stream on a captured descriptor, and append it as one
 * message.
 *
 * Not seen in that case: a stream that is buffered (the program called setvbuf, or it is stdout) fills
 * and flushes its buffer inside libc, and the bytes go where they always went, in their own order. The
 * same holds for reporters that print from inside libc (err, error, psignal, assert, getopt).
 */
#include <errno.h>
#include <pthread.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wchar.h>

#include "lib/base/sysio.h"
#include "shim/hook.h"
#include "shim/libc.h"
#include "shim/print.h"
#include "shim/real.h"
#include "shim/shim.h"

bool hook_stdio_public;

extern int __fprintf_chk(FILE *stream, int flag, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
extern int __vfprintf_chk(FILE *stream, int flag, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));
extern int __dprintf_chk(int fd, int flag, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
extern int __vdprintf_chk(int fd, int flag, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));
extern int __fwprintf_chk(FILE *stream, int flag, const wchar_t *format, ...);
extern int __vfwprintf_chk(FILE *stream, int flag, const wchar_t *format, va_list arguments);
extern int __overflow(FILE *stream, int c);
extern int _IO_putc(int c, FILE *stream);
/* libc's headers hold bodies of these two, so ours have other names inside. */
extern int hook_fputc_unlocked(int c, FILE *stream) __asm__("fputc_unlocked");
extern int hook_putc_unlocked(int c, FILE *stream) __asm__("putc_unlocked");

/* ---- whose bytes are taken ----------------------------------------------------------------------- */

enum {
	NARROW = -1,
	WIDE = 1,
	UNBUFFERED = 2, /* of _flags: _IO_UNBUFFERED */
};

static bool unbuffered(FILE *stream)
{
	if (!libc_is_gnu())
		return __fbufsize(stream) == 0;
	return stream->_flags & UNBUFFERED; /* a buffer that is not there yet has size 0, too */
}

/* The descriptor, or -1: the original prints, or refuses, as where a stream is used in both ways. */
__attribute__((noinline)) static int taken_fd(FILE *stream, int orientation)
{
	int saved = errno;
	int fd = fileno(stream);

	errno = saved;
	if (fd < 0 || !capture_is(capture_state(fd)))
		return -1;
	if (!unbuffered(stream) || __fpending(stream) != 0)
		return -1;
	return fwide(stream, orientation) * orientation > 0 ? fd : -1;
}

static inline bool taken(FILE *stream, int *fd)
{
	return __builtin_expect(hook_stdio_public, 0) && (*fd = taken_fd(stream, NARROW)) >= 0;
}

static inline bool taken_wide(FILE *stream, int *fd)
{
	return __builtin_expect(hook_stdio_public, 0) && (*fd = taken_fd(stream, WIDE)) >= 0;
}

/* Since glibc 2.37 dprintf does not come by the slot, so it is taken here always. */
static inline bool taken_descriptor(int fd)
{
	return capture_is(capture_state(fd));
}

static ssize_t put(int fd, const void *bytes, size_t count)
{
	struct iovec part = { (void *)bytes, count };

	if (count == 0)
		return 0;
	pthread_testcancel();
	return capture_write(fd, capture_state(fd), &part, 1);
}

static bool put_all(int fd, const void *bytes, size_t count)
{
	return put(fd, bytes, count) == (ssize_t)count;
}

/* -ENOMEM: the original shall try. Otherwise what the function returns. */
__attribute__((noinline, format(printf, 3, 0))) static int
print(int fd, int flag, const char *format, va_list arguments)
{
	struct print p;

	int error = print_format(&p, flag, format, arguments);
	if (error)
		return error == -ENOMEM ? -ENOMEM : -1;
	bool done = put_all(fd, p.text, p.bytes);
	print_free(&p);
	return done ? (int)p.bytes : -1;
}

/* ---- narrow ------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 0))) static inline int say(FILE *stream, const char *format,
							    va_list arguments)
{
	int fd;

	if (taken(stream, &fd)) {
		int n = print(fd, 0, format, arguments);
		if (n != -ENOMEM)
			return n;
	}
	return REAL(vfprintf)(stream, format, arguments);
}

__attribute__((format(printf, 3, 0))) static inline int say_checked(FILE *stream, int flag,
								    const char *format,
								    va_list arguments)
{
	int fd;

	if (taken(stream, &fd)) {
		int n = print(fd, flag, format, arguments);
		if (n != -ENOMEM)
			return n;
	}
	return REAL(__vfprintf_chk)(stream, flag, format, arguments);
}

HOOKED int vfprintf(FILE *stream, const char *format, va_list arguments)
{
	return say(stream, format, arguments);
}

HOOKED int fprintf(FILE *stream, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int n = say(stream, format, arguments);
	va_end(arguments);
	return n;
}

HOOKED int __vfprintf_chk(FILE *stream, int flag, const char *format, va_list arguments)
{
	return say_checked(stream, flag, format, arguments);
}

HOOKED int __fprintf_chk(FILE *stream, int flag, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int n = say_checked(stream, flag, format, arguments);
	va_end(arguments);
	return n;
}

HOOKED int fputs(const char *s, FILE *stream)
{
	int fd;

	if (taken(stream, &fd))
		return put_all(fd, s, strlen(s)) ? 1 : EOF;
	return REAL(fputs)(s, stream);
}

HOOKED int fputs_unlocked(const char *s, FILE *stream)
{
	int fd;

	if (taken(stream, &fd))
		return put_all(fd, s, strlen(s)) ? 1 : EOF;
	return REAL(fputs_unlocked)(s, stream);
}

static int put_byte(int fd, int c)
{
	unsigned char byte = (unsigned char)c;

	return put_all(fd, &byte, 1) ? byte : EOF;
}

HOOKED int fputc(int c, FILE *stream)
{
	int fd;

	return taken(stream, &fd) ? put_byte(fd, c) : REAL(fputc)(c, stream);
}

HOOKED int hook_fputc_unlocked(int c, FILE *stream)
{
	int fd;

	return taken(stream, &fd) ? put_byte(fd, c) : REAL(fputc_unlocked)(c, stream);
}

HOOKED int putc(int c, FILE *stream)
{
	int fd;

	return taken(stream, &fd) ? put_byte(fd, c) : REAL(putc)(c, stream);
}

HOOKED int _IO_putc(int c, FILE *stream)
{
	int fd;

	return taken(stream, &fd) ? put_byte(fd, c) : REAL(_IO_putc)(c, stream);
}

HOOKED int hook_putc_unlocked(int c, FILE *stream)
{
	int fd;

	return taken(stream, &fd) ? put_byte(fd, c) : REAL(putc_unlocked)(c, stream);
}

/* What putc_unlocked() is inlined to calls, when there is no room in the buffer. EOF only flushes. */
HOOKED int __overflow(FILE *stream, int c)
{
	int fd;

	return c != EOF && taken(stream, &fd) ? put_byte(fd, c) : REAL(__overflow)(stream, c);
}

__attribute__((noinline)) static size_t put_items(int fd, const void *items, size_t size, size_t nr)
{
	size_t bytes;

	if (__builtin_mul_overflow(size, nr, &bytes) || bytes == 0)
		return 0;
	ssize_t n = put(fd, items, bytes);
	return n < 0 ? 0 : (size_t)n / size;
}

HOOKED size_t fwrite(const void *items, size_t size, size_t nr, FILE *stream)
{
	int fd;

	return taken(stream, &fd) ? put_items(fd, items, size, nr)
				  : REAL(fwrite)(items, size, nr, stream);
}

HOOKED size_t fwrite_unlocked(const void *items, size_t size, size_t nr, FILE *stream)
{
	int fd;

	return taken(stream, &fd) ? put_items(fd, items, size, nr)
				  : REAL(fwrite_unlocked)(items, size, nr, stream);
}

/* ---- straight to a descriptor -------------------------------------------------------------------- */

__attribute__((format(printf, 2, 0))) static inline int say_to(int fd, const char *format,
							       va_list arguments)
{
	if (taken_descriptor(fd)) {
		int n = print(fd, 0, format, arguments);
		if (n != -ENOMEM)
			return n;
	}
	return REAL(vdprintf)(fd, format, arguments);
}

__attribute__((format(printf, 3, 0))) static inline int
say_to_checked(int fd, int flag, const char *format, va_list arguments)
{
	if (taken_descriptor(fd)) {
		int n = print(fd, flag, format, arguments);
		if (n != -ENOMEM)
			return n;
	}
	return REAL(__vdprintf_chk)(fd, flag, format, arguments);
}

HOOKED int vdprintf(int fd, const char *format, va_list arguments)
{
	return say_to(fd, format, arguments);
}

HOOKED int dprintf(int fd, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int n = say_to(fd, format, arguments);
	va_end(arguments);
	return n;
}

HOOKED int __vdprintf_chk(int fd, int flag, const char *format, va_list arguments)
{
	return say_to_checked(fd, flag, format, arguments);
}

HOOKED int __dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int n = say_to_checked(fd, flag, format, arguments);
	va_end(arguments);
	return n;
}

/* ---- wide: in the multibyte encoding of the program's locale, as stdio would ---------------------- */

__attribute__((noinline)) static bool put_wide(int fd, const wchar_t *text)
{
	char bytes[PRINT_STACK];
	mbstate_t state = { 0 };

	while (text) {
		size_t n = wcsrtombs(bytes, &text, sizeof bytes, &state);
		if (n == (size_t)-1 || !put_all(fd, bytes, n))
			return false;
	}
	return true;
}

/* One wide character, NUL included. */
__attribute__((noinline)) static wint_t put_wide_char(int fd, wchar_t c)
{
	char bytes[32];
	mbstate_t state = { 0 };
	size_t n = wcrtomb(bytes, c, &state);

	return n != (size_t)-1 && put_all(fd, bytes, n) ? (wint_t)c : WEOF;
}

HOOKED wint_t fputwc(wchar_t c, FILE *stream)
{
	int fd;

	return taken_wide(stream, &fd) ? put_wide_char(fd, c) : REAL(fputwc)(c, stream);
}

HOOKED wint_t putwc(wchar_t c, FILE *stream)
{
	int fd;

	return taken_wide(stream, &fd) ? put_wide_char(fd, c) : REAL(putwc)(c, stream);
}

HOOKED int fputws(const wchar_t *s, FILE *stream)
{
	int fd;

	if (taken_wide(stream, &fd))
		return put_wide(fd, s) ? 1 : -1;
	return REAL(fputws)(s, stream);
}

/* vswprintf() does not tell how much room it wants. -ENOMEM: the original shall try. */
__attribute__((noinline)) static int print_wide(int fd, int flag, const wchar_t *format,
						va_list arguments)
{
	wchar_t some[PRINT_STACK / sizeof(wchar_t)], *text = some;
	const size_t most = 1 << 20;
	size_t room = sizeof some / sizeof *some, mapped = 0;
	int error = errno, n = -1;

	while (n < 0) {
		va_list again;
		va_copy(again, arguments);
		errno = error;
		n = libc_is_gnu() ? __vswprintf_chk(text, room, flag, room, format, again)
				  : vswprintf(text, room, format, again);
		va_end(again);
		if (n >= 0)
			break;
		if (mapped)
			sysio_unmap(text, mapped);
		room *= 8;
		if (room > most || shim.sandboxed) {
			errno = error;
			return -ENOMEM;
		}
		mapped = room * sizeof *text;
		text = sysio_map(mapped, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (sysio_is_error(text)) {
			errno = error;
			return -ENOMEM;
		}
	}
	errno = error;
	bool done = put_wide(fd, text);
	if (mapped)
		sysio_unmap(text, mapped);
	return done ? n : -1;
}

static inline int say_wide(FILE *stream, const wchar_t *format, va_list arguments)
{
	int fd;

	if (taken_wide(stream, &fd)) {
		int n = print_wide(fd, 0, format, arguments);
		if (n != -ENOMEM)
			return n;
	}
	return REAL(vfwprintf)(stream, format, arguments);
}

static inline int say_wide_checked(FILE *stream, int flag, const wchar_t *format,
				   va_list arguments)
{
	int fd;

	if (taken_wide(stream, &fd)) {
		int n = print_wide(fd, flag, format, arguments);
		if (n != -ENOMEM)
			return n;
	}
	return REAL(__vfwprintf_chk)(stream, flag, format, arguments);
}

HOOKED int vfwprintf(FILE *stream, const wchar_t *format, va_list arguments)
{
	return say_wide(stream, format, arguments);
}

HOOKED int fwprintf(FILE *stream, const wchar_t *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int n = say_wide(stream, format, arguments);
	va_end(arguments);
	return n;
}

HOOKED int __vfwprintf_chk(FILE *stream, int flag, const wchar_t *format, va_list arguments)
{
	return say_wide_checked(stream, flag, format, arguments);
}

HOOKED int __fwprintf_chk(FILE *stream, int flag, const wchar_t *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int n = say_wide_checked(stream, flag, format, arguments);
	va_end(arguments);
	return n;
}
