/*
 * thread.c - who we are: thread, process, forked child, or a vfork child in its parent's memory.
 *
 * Nothing is hooked for it. A page that the kernel empties in every forked child tells us of forks
 * however they were made; a vfork child is told by its pid.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lib/base/sysio.h"
#include "shim/sample.h"
#include "shim/shim.h"

_Thread_local struct shim_thread shim_thread __attribute__((tls_model("initial-exec")));

/* Who spoke last, in place of the emptied page where there is none. */
static _Atomic uint32_t last_pid;

/* This process, as it was seen last; a vfork child counts for nothing. */
static _Atomic uint32_t own_pid;

/* Whose name nobody else may know: it may be gone before the collector has read this. */
static void introduce(uint32_t as)
{
	struct record_join join = { 0 };
	struct record_info info = { .fd = 0xffff, .source = SOURCE_HARK, .kind = RECORD_JOIN,
				    .detail = as };
	struct iovec part = { &join, offsetof(struct record_join, path) };

	join.parent = (uint32_t)sysio_call(SYS_getppid, 0, 0, 0, 0, 0, 0);
	sysio_call(SYS_prctl, PR_GET_NAME, (long)join.comm, 0, 0, 0, 0);
	ring_append(&shim.session.ring, &shim_thread.author, &info, &part, 1, &shim.policy);
}

void thread_renamed(void)
{
	int saved = errno;

	if (shim_listening() && !shim.sandboxed && !thread_borrows()) {
		thread_know();
		if (shim_thread.author.tid == shim_thread.author.pid)
			introduce(0);
	}
	errno = saved;
}

/* Where nothing empties the page, at each call. (An emulator makes a fork of a vfork.) */
static void refresh_by_pid(struct shim_thread *thread)
{
	if (shim.sandboxed && thread->author.pid)
		return;
	uint32_t pid = (uint32_t)sysio_getpid();
	uint32_t before = atomic_exchange(&last_pid, pid);
	if (thread->author.pid == pid)
		return;
	thread->author.depth = 0;
	thread->author.pid = pid;
	thread->author.tid = (uint32_t)sysio_gettid();
	if (before && before != pid) {
		shim.first = false;
		introduce(JOIN_CHILD);
	}
}

/* Behind a filter nobody is asked who we are: a new thread speaks as the first one of its process, a
 * forked child as its parent. */
static void refresh_unasked(struct shim_thread *thread)
{
	if (thread->author.pid)
		return;
	thread->author.depth = 0;
	thread->author.pid = thread->author.tid = atomic_load(&own_pid);
}

void thread_refresh(void)
{
	struct shim_thread *thread = &shim_thread;
	uint32_t epoch = atomic_load(&shim.epoch->value);
	uint32_t pid;
	bool child = false;

	if (shim.unadvised) {
		refresh_by_pid(thread);
		return;
	}
	if (shim.sandboxed) {
		refresh_unasked(thread);
		return;
	}
	pid = (uint32_t)sysio_getpid();
	if (thread->borrower) {
		if (pid == thread->borrower && pid != epoch) {
			child = thread->author.pid != pid; /* seen for the first time */
			goto who;
		}
		/* The vfork child is gone and we are the parent again. */
		thread->borrower = 0;
		thread->borrowed_fds = 0;
		thread->epoch = 0;
	}
	if (epoch == 0) {
		atomic_store(&shim.epoch->value, pid);
		epoch = pid;
		shim.first = false;
		child = true;
	}
	if (thread->epoch == epoch)
		return;
	atomic_store(&own_pid, epoch);
	thread->author.depth = 0;
who:
	thread->epoch = epoch;
	thread->author.pid = pid;
	thread->author.tid = (uint32_t)sysio_gettid();
	if (child) {
		introduce(JOIN_CHILD);
		sample_child();
	}
}

bool thread_original(void)
{
	if (shim.unadvised)
		return (uint32_t)sysio_getpid() == atomic_load(&last_pid);
	return atomic_load(&shim.epoch->value) != 0;
}

bool thread_borrows(void)
{
	uint32_t epoch = atomic_load(&shim.epoch->value);
	if (shim.sandboxed || epoch == 0)
		return false;
	uint32_t pid = (uint32_t)sysio_getpid();
	if (pid == epoch) {
		if (shim_thread.borrower)
			thread_refresh();
		return false;
	}
	shim_thread.borrower = pid;
	return true;
}
