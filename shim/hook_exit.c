/*
 * hook_exit.c - the ways out. Nothing has to be flushed, since records are in shared memory. But who
 * looks at the terminal, or at the file, when the program has ended, wants to see all of it there.
 */
#include <stdlib.h>
#include <unistd.h>

#include "shim/hook.h"
#include "shim/real.h"
#include "shim/shim.h"
#include "shim/stamp.h"

void hook_exit_settle(void)
{
	struct record_info leaving = { .fd = 0xffff,
				       .source = SOURCE_HARK,
				       .kind = RECORD_LEAVING };

	if (atomic_load(&shim.stage) != SHIM_LISTENING || thread_borrows())
		return;
	stamp_end(TRACE_END_EXIT);
	/* An unfinished line is all there will be, unless stdio holds the rest of it. */
	if (shim.unfinished && !hook_stdio_pending())
		capture_message(&leaving, NULL, 0);
	if (!atomic_load(&shim.session.control->spoken))
		return;
	/* A forked child that has said nothing is not the one that began the session. */
	bool first = shim.first && thread_original();
	capture_settle(first ? SESSION_DELIVERED : SESSION_SHOWN,
		       shim.session.control->exit_timeout_ns);
}

void hook_exec_settle(void)
{
	if (atomic_load(&shim.stage) == SHIM_LISTENING)
		stamp_end(TRACE_END_EXEC);
	if (atomic_load(&shim.stage) == SHIM_LISTENING && shim.session.control->console)
		capture_settle(SESSION_SHOWN, 500000000);
}

/* exit() flushes stdio after all destructors and then leaves without passing by any hook. So from
 * here on each message waits for itself to be shown. */
__attribute__((destructor)) static void leave(void)
{
	hook_exit_settle();
	shim.leaving = true;
}

HOOKED void _exit(int status)
{
	hook_exit_settle();
	REAL(_exit)(status);
	__builtin_unreachable();
}
HOOKED_AS(_Exit, _exit);

HOOKED void quick_exit(int status)
{
	hook_exit_settle();
	shim.leaving = true;
	REAL(quick_exit)(status);
	__builtin_unreachable();
}

HOOKED int tcsetattr(int fd, int when, const struct termios *settings)
{
	if (shim_listening() && shim.session.control->console)
		capture_settle(SESSION_SHOWN, 500000000);
	return REAL(tcsetattr)(fd, when, settings);
}
