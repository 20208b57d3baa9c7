/*
 * hook_signal.c - signals in which we have a handler ourselves: SIGABRT (hook_abort.c), and SIGPROF in a
 * program that samples itself (sample.c). The program sees the default disposition, and its first handler
 * replaces ours. Who blocks SIGPROF has no timer meanwhile.
 */
#include <signal.h>

#include "shim/hook.h"
#include "shim/real.h"
#include "shim/sample.h"
#include "shim/shim.h"

/* ---- handlers ---------------------------------------------------------------------------------- */

static bool is_hidden(int number)
{
	return (number == SIGABRT && hook_abort_is_hidden()) || (number == SIGPROF && sample_on());
}

/* Our timers go before somebody else gets their signals; in a vfork child there are none, and what we know is
 * its parent's. */
static void prepare(int number)
{
	if (number == SIGPROF && !thread_borrows())
		sample_stop("it uses SIGPROF itself");
}

static void yield(int number)
{
	if (number == SIGABRT && !thread_borrows())
		hook_abort_yield();
}

HOOKED int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	if (__builtin_expect((number != SIGABRT && number != SIGPROF) || !is_hidden(number), 1))
		return REAL(sigaction)(number, action, old);
	bool standard = action && !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_DFL;
	if (action && !standard) {
		prepare(number);
		int result = REAL(sigaction)(number, action, NULL);
		if (result != 0)
			return result;
		yield(number);
	}
	if (old)
		*old = (struct sigaction){ .sa_handler = SIG_DFL };
	return 0;
}
HOOKED_AS(__sigaction, sigaction);

static sighandler_t set(int number, sighandler_t handler,
			sighandler_t (*original)(int, sighandler_t))
{
	bool hidden = is_hidden(number);

	if (hidden && handler == SIG_DFL)
		return SIG_DFL;
	if (hidden)
		prepare(number);
	sighandler_t before = original(number, handler);
	if (!hidden || before == SIG_ERR)
		return before;
	yield(number);
	return SIG_DFL;
}

HOOKED sighandler_t signal(int number, sighandler_t handler)
{
	return set(number, handler, REAL(signal));
}
HOOKED_AS(bsd_signal, signal);
HOOKED_AS(ssignal, signal);

HOOKED sighandler_t __sysv_signal(int number, sighandler_t handler)
{
	return set(number, handler, REAL(__sysv_signal));
}
HOOKED_AS(sysv_signal, __sysv_signal);

/* Also puts the signal into the mask, or takes it out: not to be passed over. */
HOOKED sighandler_t sigset(int number, sighandler_t handler)
{
	bool hidden = is_hidden(number);

	if (hidden)
		prepare(number);
	sighandler_t before = REAL(sigset)(number, handler);
	if (!hidden || before == SIG_ERR || before == SIG_HOLD)
		return before;
	if (handler != SIG_HOLD)
		yield(number);
	return SIG_DFL;
}

/* What gcc -pg links in, and who does the same by hand: libc takes the signal below our hooks. */
HOOKED void __monstartup(unsigned long low, unsigned long high)
{
	prepare(SIGPROF);
	REAL(__monstartup)(low, high);
}

HOOKED int profil(unsigned short *counts, size_t bytes, size_t offset, unsigned int scale)
{
	prepare(SIGPROF);
	return REAL(profil)(counts, bytes, offset, scale);
}

/* ---- masks ------------------------------------------------------------------------------------- */

/* Whether SIGPROF is blocked from now on: 1, 0, or -1 where that does not change. */
static int blocks(int how, const sigset_t *set_of)
{
	bool named = memory_readable(set_of, sizeof(uint64_t)) >= sizeof(uint64_t) &&
		     sigismember(set_of, SIGPROF) == 1;

	if (how == SIG_SETMASK)
		return named;
	return !named ? -1 : how == SIG_BLOCK;
}

static int mask(int how, const sigset_t *set_of, sigset_t *old,
		int (*original)(int, const sigset_t *, sigset_t *))
{
	int changes = blocks(how, set_of);

	if (changes == 1)
		sample_rest();
	int result = original(how, set_of, old);
	if (changes == 0 || result != 0)
		sample_wake();
	return result;
}

HOOKED int pthread_sigmask(int how, const sigset_t *set_of, sigset_t *old)
{
	if (!sample_on() || !set_of)
		return REAL(pthread_sigmask)(how, set_of, old);
	return mask(how, set_of, old, REAL(pthread_sigmask));
}

HOOKED int sigprocmask(int how, const sigset_t *set_of, sigset_t *old)
{
	if (!sample_on() || !set_of)
		return REAL(sigprocmask)(how, set_of, old);
	return mask(how, set_of, old, REAL(sigprocmask));
}

/* By which dash, Debian's /bin/sh, ends what it began with sigprocmask(). */
static int mask_word(int how, int word, int (*original)(int))
{
	if (!sample_on())
		return original(word);
	bool named = word & 1 << (SIGPROF - 1);
	if (named)
		sample_rest();
	int old = original(word);
	if (!named && how == SIG_SETMASK)
		sample_wake();
	return old;
}

HOOKED int sigsetmask(int word)
{
	return mask_word(SIG_SETMASK, word, REAL(sigsetmask));
}

HOOKED int sigblock(int word)
{
	return mask_word(SIG_BLOCK, word, REAL(sigblock));
}
