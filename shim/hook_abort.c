/*
 * hook_abort.c - libc's own last words: "free(): invalid pointer", "stack smashing detected".
 *
 * They are written by a system call deep inside libc, below every hook, and then the process dies of
 * SIGABRT. libc leaves them in __abort_msg for debuggers. While the program has not asked for
 * SIGABRT itself, a handler of ours reads them there, reports, and lets the signal do what it would
 * have done. The program sees the default disposition: sigaction() and signal() say so. Behind a seccomp
 * filter there is none, since its system calls may be the end of the process: another end.
 */
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/base/sysio.h"
#include "shim/hook.h"
#include "shim/libc.h"
#include "shim/real.h"
#include "shim/shim.h"

struct abort_message { /* as libc lays it out */
	unsigned size;
	char text[];
};

static struct abort_message **last_words;
static _Atomic uint32_t ours; /* our handler is in place */

_Thread_local bool hook_asserted __attribute__((tls_model("initial-exec")));

HOOKED void __assert_fail(const char *assertion, const char *file, unsigned int line,
			  const char *function)
{
	hook_asserted = true;
	REAL(__assert_fail)(assertion, file, line, function);
	__builtin_unreachable();
}

HOOKED void __assert(const char *assertion, const char *file, int line)
{
	hook_asserted = true;
	REAL(__assert)(assertion, file, line);
	__builtin_unreachable();
}

HOOKED void __assert_perror_fail(int number, const char *file, unsigned int line,
				 const char *function)
{
	hook_asserted = true;
	REAL(__assert_perror_fail)(number, file, line, function);
	__builtin_unreachable();
}

static void report(void)
{
	const struct abort_message *message = last_words ? *last_words : NULL;

	if (!message || hook_asserted ||
	    memory_readable(message, sizeof *message) < sizeof *message ||
	    atomic_load(&shim.stage) != SHIM_LISTENING)
		return;
	size_t length = memory_readable(message->text, 1024);
	length = strnlen(message->text, length < 1024 ? length : 1024);
	if (length == 0)
		return;
	/* libc has written them to descriptor 2 already: a console there need not repeat them. */
	struct record_info info = { .fd = STDERR_FILENO,
				    .source = SOURCE_STDERR,
				    .kind = RECORD_TEXT,
				    .flags = RECORD_MIRRORED,
				    .detail = STDERR_FILENO };
	struct iovec part = { (void *)message->text, length };
	capture_message(&info, &part, 1);
}

static void on_abort(int number)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	int saved = errno;

	report();
	/* Blocked until we return, so the process dies where it was when the signal came. */
	REAL(sigaction)(number, &standard, NULL);
	sysio_call(SYS_tgkill, sysio_getpid(), sysio_gettid(), number, 0, 0, 0);
	errno = saved;
}

void hook_abort(void)
{
	struct sigaction wanted = { .sa_handler = on_abort, .sa_flags = SA_ONSTACK | SA_RESTART };
	struct sigaction now = { 0 };

	if (!libc_is_gnu())
		return;
	last_words = dlvsym(RTLD_DEFAULT, "__abort_msg", "GLIBC_PRIVATE");
	if (!last_words || REAL(sigaction)(SIGABRT, NULL, &now) != 0 || now.sa_flags & SA_SIGINFO ||
	    now.sa_handler != SIG_DFL)
		return;
	if (REAL(sigaction)(SIGABRT, &wanted, NULL) == 0)
		atomic_store(&ours, 1);
}

/* Libc may have replaced it without a hook, and a vfork child has dispositions of its own: the kernel
 * knows. */
bool hook_abort_is_hidden(void)
{
	struct sigaction now = { .sa_handler = SIG_DFL };

	return atomic_load(&ours) && REAL(sigaction)(SIGABRT, NULL, &now) == 0 &&
	       now.sa_handler == on_abort;
}

bool hook_abort_stand_down(void)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };

	if (!hook_abort_is_hidden() || REAL(sigaction)(SIGABRT, &standard, NULL) != 0)
		return false;
	hook_abort_yield();
	return true;
}

void hook_abort_yield(void)
{
	atomic_store(&ours, 0);
}
