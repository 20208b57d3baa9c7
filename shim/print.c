/*
 * print.c - see print.h.
 */
#include "shim/print.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "lib/base/sysio.h"
#include "shim/libc.h"
#include "shim/shim.h"

__attribute__((format(printf, 5, 0))) static int pass(char *to, size_t bytes, int flag, int error,
						      const char *format, va_list arguments)
{
	va_list again;

	va_copy(again, arguments);
	errno = error;
	int n = libc_is_gnu() ? __vsnprintf_chk(to, bytes, flag, bytes, format, again)
			      : vsnprintf(to, bytes, format, again);
	va_end(again);
	return n;
}

int print_format(struct print *p, int flag, const char *format, va_list arguments)
{
	int error = errno;

	int n = pass(p->some, sizeof p->some, flag, error, format, arguments);
	if (n < 0)
		return -EINVAL;
	p->text = p->some;
	p->bytes = (size_t)n;
	p->mapped = 0;
	errno = error;
	if (__builtin_expect(p->bytes < sizeof p->some, 1))
		return 0;
	size_t room = p->bytes + 1;
	char *mapped = shim.sandboxed ? NULL
				      : sysio_map(room, PROT_READ | PROT_WRITE,
						  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!mapped || sysio_is_error(mapped))
		return -ENOMEM;
	p->text = mapped;
	p->mapped = room;
	n = pass(mapped, room, flag, error, format, arguments);
	if (n < 0) {
		print_free(p);
		return -EINVAL;
	}
	if ((size_t)n < p->bytes) /* somebody changes what is being printed; longer is cut */
		p->bytes = (size_t)n;
	errno = error;
	return 0;
}

void print_free(struct print *p)
{
	if (p->mapped)
		sysio_unmap(p->text, p->mapped);
	p->mapped = 0;
}
