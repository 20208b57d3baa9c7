/*
 * plt_loader.c - when modules may be looked at, and what the program's dlerror() says afterwards.
 *
 * While somebody looks, no module may come or go: not by another thread's dlclose(), not by a dlopen()
 * that fails. The loader has a lock for that, and no function that takes it and calls back, but
 * one: a function whose address is found by code of its own (an IFUNC) is found under the lock. So the shim
 * has such a symbol, asks dlsym() for it, and looks from there.
 *
 * Who asks for a lock may wait for ever where the program does not expect it: in a handler, or while
 * a constructor that dlopen() runs waits for something of ours. So it is asked for where the program is
 * about to ask for it itself (dlsym), or just did (dlclose, and dlopen in the same thread).
 */
#include "shim/plt.h"

#include <dlfcn.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/base/sysio.h"
#include "shim/real.h"
#include "shim/shim.h"
#include "shim/stamp.h"

enum { COMPLAINT = 4096, TRIES = 1000 };

#define OWN _Thread_local __attribute__((tls_model("initial-exec")))

/* volatile: libc's header promises that dlsym() calls nothing of this file */
static OWN void (*volatile work)(void);

/* What dlerror() would have said, had we not asked the loader for something meanwhile. Mapped when there is
 * something, and for the thread's life: room of its own in each thread would cost all of them a page. */
static OWN struct {
	char *text;
	bool pending;
} complaint;

/* The thread's last dlopen(), until modules were looked for afterwards. */
static OWN struct {
	uintptr_t slot; /* of its call; 0: none */
	uint64_t mask;  /* of signals */
	unsigned tries;
} opened;

/* ---- under the loader's lock -------------------------------------------------------------------- */

static void nothing(void) { }

void hark_shim_locked(void);

/* What dlsym() calls to find it; everybody else who may happen to finds nothing to do. */
__attribute__((used)) static void (*find_locked(void))(void)
{
	void (*wanted)(void) = work;

	work = NULL;
	if (wanted)
		wanted();
	return nothing;
}

__attribute__((visibility("default"), ifunc("find_locked"))) void hark_shim_locked(void);

static void keep_complaint(const char *said)
{
	if (!complaint.text) {
		char *page = sysio_map(COMPLAINT, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (sysio_is_error(page))
			return;
		complaint.text = page;
	}
	size_t bytes = strnlen(said, COMPLAINT - 1);
	memcpy(complaint.text, said, bytes);
	complaint.text[bytes] = '\0';
	complaint.pending = true;
}

void plt_locked(void (*function)(void))
{
	const char *said = REAL(dlerror)();

	if (said)
		keep_complaint(said);
	work = function;
	dlsym(RTLD_DEFAULT, "hark_shim_locked");
	work = NULL;
	REAL(dlerror)(); /* what could not be found is not the program's mistake */
}

HOOKED char *dlerror(void)
{
	bool pending = complaint.pending;

	complaint.pending = false;
	return pending ? complaint.text : REAL(dlerror)();
}

void plt_loader_called(void) { complaint.pending = false; }

/* ---- after a dlopen() --------------------------------------------------------------------------- */

static uint64_t signal_mask(void)
{
	uint64_t mask = 0;

	sysio_call(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&mask, sizeof mask, 0, 0);
	return mask;
}

void plt_opening(uintptr_t slot)
{
	if (shim.sandboxed)
		return;
	opened.mask = signal_mask();
	opened.tries = 0;
	opened.slot = slot;
}

/* A call from where dlopen() was called, or from further out, is made after it. Where other signals are held
 * back than were then, it may be a handler's. */
void plt_look_if_due(uintptr_t slot)
{
	if (!opened.slot || shim.sandboxed || slot < opened.slot)
		return;
	if (signal_mask() != opened.mask) {
		if (++opened.tries == TRIES)
			opened.slot = 0; /* it has changed for good: dlsym() will tell */
		return;
	}
	opened.slot = 0;
	plt_look();
}

bool plt_due(void) { return opened.slot != 0; }
