/*
 * sanitizer.c - programs that were built with a sanitizer whose runtime is a shared library, and would
 * otherwise end because of us.
 *
 * AddressSanitizer refuses to start where another library stands before it. ThreadSanitizer watches
 * memcpy(), but not the atomics by which ours are ordered: what two threads copy into one stretch of
 * the ring, a lap apart, would be a race to it.
 */
#include <link.h>
#include <stdbool.h>

#include "shim/hook.h"
#include "shim/real.h"

/* ---- the list of libraries ----------------------------------------------------------------------- */

extern const char __ehdr_start[] __attribute__((visibility("hidden")));

static bool begun;

struct listing {
	int (*visit)(struct dl_phdr_info *info, size_t bytes, void *data);
	void *data;
};

static int all_but_us(struct dl_phdr_info *info, size_t bytes, void *data)
{
	struct listing *listing = data;

	if (info->dlpi_addr == (uintptr_t)__ehdr_start)
		return 0;
	return listing->visit(info, bytes, listing->data);
}

/* Whoever asks before any constructor has run asks who stands first; later all are shown. */
HOOKED int dl_iterate_phdr(int (*visit)(struct dl_phdr_info *info, size_t bytes, void *data),
			   void *data)
{
	struct listing listing = { visit, data };

	if (__builtin_expect(begun, 1))
		return REAL(dl_iterate_phdr)(visit, data);
	return REAL(dl_iterate_phdr)(all_but_us, &listing);
}

/* ---- copies -------------------------------------------------------------------------------------- */

/* The shim is linked with --wrap=memcpy: all of its copies come here. */
typedef void *(*copy_function)(void *to, const void *from, size_t bytes);
extern void *__real_memcpy(void *to, const void *from, size_t bytes)
	__attribute__((weak)); /* unit tests link without the option, and never come here */
extern void *__wrap_memcpy(void *to, const void *from, size_t bytes);

/* Weak: a dlsym() in vain would leave its complaint for the program's dlerror(). */
extern void __tsan_init(void) __attribute__((weak));

static copy_function copy = __real_memcpy;

void *__wrap_memcpy(void *to, const void *from, size_t bytes)
{
	return copy(to, from, bytes);
}

void sanitizer_begin(void)
{
	begun = true;
	if (!__tsan_init)
		return;
	copy_function original =
		(copy_function)real_of_libc("memcpy", SINCE("GLIBC_2.14"));
	if (original)
		copy = original;
}
