/*
 * hook_stdio.c - all of stdio at one place: the slot through which glibc's files write.
 *
 * Inside libc, printf reaches write(2) without going through any table that the loader knows. But
 * every FILE writes through its jump table, and the two tables of ordinary files are exported with
 * libc's data. Their layout is private, so it is checked first: the slot must hold the exported
 * function that we expect there. Where it does not, hook_stdio_public.c stands in.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "lib/base/sysio.h"
#include "lib/base/testpoint.h"
#include "shim/hook.h"
#include "shim/real.h"
#include "shim/shim.h"

enum {
	WRITE_SLOT = 15,      /* of a jump table: byte offset 120 */
	ERROR_SEEN = 0x20,    /* _IO_ERR_SEEN */
	PAGE = 4096,
};

typedef ssize_t (*write_slot)(FILE *stream, const void *bytes, ssize_t count);

static write_slot write_below;

/* What is being flushed just now, up to where. */
static _Thread_local struct {
	FILE *stream;
	const char *end;
} flushing __attribute__((tls_model("initial-exec")));

static unsigned state_of_stream(int fd)
{
	unsigned state = capture_state(fd);

	/* A reporter writes to a duplicate of descriptor 2 that libc has made inside. */
	if (__builtin_expect(shim_thread.adopt, 0) && !capture_is(state)) {
		unsigned original = capture_state(STDERR_FILENO);
		if (capture_is(original) && capture_still(fd, original))
			return original;
	}
	return state;
}

static ssize_t stream_write(FILE *stream, const void *bytes, ssize_t count)
{
	/* pairs with replace(): who was led here by the slot sees what was made ready before it */
	atomic_thread_fence(memory_order_acquire);
	unsigned state = state_of_stream(stream->_fileno);
	if (__builtin_expect(!capture_is(state), 1)) {
		capture_order(state);
		return write_below(stream, bytes, count);
	}
	pthread_testcancel();
	flushing.stream = stream;
	flushing.end = (const char *)bytes + count;
	ssize_t n = capture_bytes(stream->_fileno, state, bytes, (size_t)count);
	flushing.stream = NULL;
	if (n < count)
		stream->_flags |= ERROR_SEEN;
	if (n < 0)
		return 0;
	if (stream->_offset >= 0)
		stream->_offset += n;
	return n;
}

static bool holds(const FILE *stream)
{
	enum { WRITE_BASE = 3, WRITE_POINTER = 4 }; /* of struct _IO_wide_data */
	const char *written = stream->_IO_write_base;
	wchar_t *const *wide = (wchar_t *const *)(const void *)stream->_wide_data;

	if (flushing.stream == stream)
		written = flushing.end;
	return stream->_IO_write_ptr > written ||
	       (stream->_mode > 0 && wide && wide[WRITE_POINTER] > wide[WRITE_BASE]);
}

bool hook_stdio_pending(void)
{
	enum { MOST = 1000 };
	FILE **all = dlsym(RTLD_DEFAULT, "_IO_list_all");
	FILE *stream = all ? *all : NULL;

	/* Without its locks, as exit() itself walks it. */
	for (int i = 0; stream && i < MOST; i++, stream = stream->_chain)
		if (holds(stream) && capture_is(capture_state(stream->_fileno)))
			return true;
	return false;
}

static bool replace(void **table, void *expected)
{
	void **slot = &table[WRITE_SLOT];
	size_t bytes = getauxval(AT_PAGESZ);
	uintptr_t page = (uintptr_t)slot & ~(uintptr_t)(bytes - 1);

	if (*slot != expected)
		return *slot == (void *)stream_write;
	if (sysio_protect((void *)page, bytes, PROT_READ | PROT_WRITE) != 0)
		return false;
	__atomic_store_n(slot, (void *)stream_write, __ATOMIC_RELEASE);
	/* A larger one than the linker counted with may hold libc's variables as well. */
	if (bytes == PAGE)
		sysio_protect((void *)page, bytes, PROT_READ);
	return true;
}

bool hook_stdio(void)
{
	void **narrow = dlsym(RTLD_DEFAULT, "_IO_file_jumps");
	void **wide = dlsym(RTLD_DEFAULT, "_IO_wfile_jumps");
	void *expected = dlsym(RTLD_DEFAULT, "_IO_file_write");

	if (TESTPOINT_ON(stdio_public))
		return false;
	if (!narrow || !wide || !expected || narrow[WRITE_SLOT] != expected ||
	    wide[WRITE_SLOT] != expected)
		return false;
	write_below = (write_slot)expected;
	return replace(narrow, expected) && replace(wide, expected);
}
