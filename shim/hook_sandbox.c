/*
 * hook_sandbox.c - system calls made by number, and the two that forbid system calls.
 *
 * A seccomp filter may kill for a call that the program never made. Once one is in force we make none:
 * producers stop waking the collector, which polls from then on, and nothing is waited for.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/hook.h"
#include "shim/real.h"
#include "shim/sample.h"
#include "shim/shim.h"
#include "shim/stamp.h"

/* ---- sandboxes ----------------------------------------------------------------------------------- */

struct before {
	bool changed, no_calls, abort;
};

/* The collector polls until all who said so have ended. */
static void announce(bool wanted)
{
	struct record_info info = { .fd = 0xffff, .source = SOURCE_HARK, .kind = RECORD_SANDBOX,
				    .detail = wanted };
	int saved = errno;

	capture_message(&info, NULL, 0);
	errno = saved;
}

/* Before the real call: afterwards even this would be too much. */
static struct before enter_sandbox(void)
{
	struct before before = { .no_calls = shim.policy.no_calls };

	/* A vfork child has its filter to itself, but our memory is its parent's. */
	if (!shim_listening() || shim.sandboxed || thread_borrows())
		return before;
	struct control *c = shim.session.control;
	before.abort = hook_abort_stand_down();
	sample_stop("it installs a seccomp filter"); /* a signal's return is a system call, too */
	thread_know();
	for (unsigned i = 0; i < shim.chosen_count; i++)
		capture_state(shim.chosen[i].fd); /* nobody can look later */
	atomic_fetch_add(&c->polled, 1);          /* before the poke: who wakes up shall see it */
	announce(true);
	ring_poke(&shim.session.ring);
	shim.policy.no_calls = true;
	shim.sandboxed = true;
	before.changed = true;
	return before;
}

/* What takes the right to read the clock away, of which stamping a record would be the end. It is taken
 * from one thread only; the times of others stand still with it, but nobody dies. */
static bool stops_clock(int option, unsigned long a)
{
	return (option == PR_SET_SECCOMP && a == SECCOMP_MODE_STRICT) ||
	       (option == PR_SET_TSC && a == PR_TSC_SIGSEGV);
}

static bool stop_clock(bool wanted)
{
	if (!wanted || !shim_listening() || clock_frozen() || thread_borrows())
		return false;
	clock_freeze(clock_ticks(shim.session.ring.counter));
	shim.session.ring.counter = false;
	stamp_look_again();
	return true;
}

static void restart_clock(bool stopped)
{
	if (stopped) {
		shim.session.ring.counter = shim.session.control->clock.counter != 0;
		clock_freeze(0);
	}
}

static void leave_sandbox(struct before before)
{
	if (!before.changed)
		return;
	shim.sandboxed = false;
	shim.policy.no_calls = before.no_calls;
	if (before.abort)
		hook_abort();
	atomic_fetch_sub(&shim.session.control->polled, 1);
	if (!before.no_calls)
		announce(false);
}

HOOKED int prctl(int option, ...)
{
	va_list arguments;

	va_start(arguments, option);
	unsigned long a = va_arg(arguments, unsigned long), b = va_arg(arguments, unsigned long);
	unsigned long c = va_arg(arguments, unsigned long), d = va_arg(arguments, unsigned long);
	va_end(arguments);
	bool stopped = stop_clock(stops_clock(option, a));
	if (__builtin_expect(option != PR_SET_SECCOMP, 1)) {
		int result = REAL(prctl)(option, a, b, c, d);
		if (result != 0)
			restart_clock(stopped);
		if (option == PR_SET_NAME && result == 0)
			thread_renamed();
		return result;
	}
	struct before before = enter_sandbox();
	int result = REAL(prctl)(option, a, b, c, d);
	if (result != 0) {
		leave_sandbox(before);
		restart_clock(stopped);
	}
	return result;
}

#define HIDDEN __attribute__((visibility("hidden")))

/* ---- syscall(2) ---------------------------------------------------------------------------------- */

enum family {
	PLAIN, /* and whatever returns twice */
	WRITES,
	WRITES_VECTOR,
	WRITES_AT,
	WRITES_AT_PLACE,
	BY_NAME,
	LOOKS,
	RECEIVES,
	RECEIVES_MANY,
	CLOSES,
	CLOSES_RANGE,
	COPIES,
	COPIES_TO,
	CONTROLS,
	OPENS,
	OPENS_AT,
	OPENS_HOW,
	CREATES,
	MAKES_ONE,
	MAKES_TWO,
	MAKES_TWO_LAST,
	CHANGES_MEMORY,
	SANDBOXES,
	SANDBOXES_BY_PRCTL,
	EXITS,
	EXECUTES,
	EXECUTES_AT,
};

/* One byte a call; the stub below reads it, too. */
enum { NUMBERS = 512 };
extern const uint8_t hook_syscall_families[NUMBERS] HIDDEN;
const uint8_t hook_syscall_families[NUMBERS] = {
	[SYS_write] = WRITES,
	[SYS_writev] = WRITES_VECTOR,
	[SYS_pwritev2] = WRITES_AT,
	[SYS_pwrite64] = WRITES_AT_PLACE,
	[SYS_pwritev] = WRITES_AT_PLACE,
	[SYS_sendto] = BY_NAME,
	[SYS_sendmsg] = BY_NAME,
	[SYS_sendmmsg] = BY_NAME,
	[SYS_sendfile] = BY_NAME,
	[SYS_splice] = BY_NAME,
	[SYS_vmsplice] = BY_NAME,
	[SYS_tee] = BY_NAME,
	[SYS_copy_file_range] = BY_NAME,
	[SYS_lseek] = LOOKS, [SYS_fstat] = LOOKS, [SYS_statx] = LOOKS, [SYS_fsync] = LOOKS,
	[SYS_fdatasync] = LOOKS, [SYS_ftruncate] = LOOKS, [SYS_shutdown] = LOOKS,
	[SYS_recvmsg] = RECEIVES,
	[SYS_recvmmsg] = RECEIVES_MANY,
	[SYS_close] = CLOSES,
	[SYS_close_range] = CLOSES_RANGE,
	[SYS_dup] = COPIES,
	[SYS_dup3] = COPIES_TO,
	[SYS_fcntl] = CONTROLS,
	[SYS_openat] = OPENS_AT,
	[SYS_openat2] = OPENS_HOW,
	[SYS_pipe2] = MAKES_TWO,
	[SYS_socketpair] = MAKES_TWO_LAST,
	[SYS_socket] = MAKES_ONE,
	[SYS_accept] = MAKES_ONE,
	[SYS_accept4] = MAKES_ONE,
	[SYS_memfd_create] = MAKES_ONE,
	[SYS_eventfd2] = MAKES_ONE,
	[SYS_signalfd4] = MAKES_ONE,
	[SYS_timerfd_create] = MAKES_ONE,
	[SYS_epoll_create1] = MAKES_ONE,
	[SYS_inotify_init1] = MAKES_ONE,
	[SYS_fanotify_init] = MAKES_ONE,
	[SYS_perf_event_open] = MAKES_ONE,
	[SYS_pidfd_open] = MAKES_ONE,
	[SYS_pidfd_getfd] = MAKES_ONE,
	[SYS_userfaultfd] = MAKES_ONE,
	[SYS_io_uring_setup] = MAKES_ONE,
	[SYS_mq_open] = MAKES_ONE,
	[SYS_open_by_handle_at] = MAKES_ONE,
	[SYS_open_tree] = MAKES_ONE,
	[SYS_fsopen] = MAKES_ONE,
	[SYS_fspick] = MAKES_ONE,
	[SYS_fsmount] = MAKES_ONE,
	[SYS_landlock_create_ruleset] = MAKES_ONE,
	[SYS_munmap] = CHANGES_MEMORY,
	[SYS_mremap] = CHANGES_MEMORY,
	[SYS_mprotect] = CHANGES_MEMORY,
	[SYS_pkey_mprotect] = CHANGES_MEMORY,
	[SYS_shmdt] = CHANGES_MEMORY,
	[SYS_brk] = CHANGES_MEMORY,
	[SYS_seccomp] = SANDBOXES,
	[SYS_prctl] = SANDBOXES_BY_PRCTL,
	[SYS_exit_group] = EXITS,
	[SYS_execve] = EXECUTES,
	[SYS_execveat] = EXECUTES_AT,
#ifdef SYS_open /* the older half, which newer machines lack */
	[SYS_open] = OPENS,
	[SYS_creat] = CREATES,
	[SYS_dup2] = COPIES_TO,
	[SYS_pipe] = MAKES_TWO,
	[SYS_eventfd] = MAKES_ONE,
	[SYS_signalfd] = MAKES_ONE,
	[SYS_epoll_create] = MAKES_ONE,
	[SYS_inotify_init] = MAKES_ONE,
#endif
};

static long after_two(long result, const int *fds)
{
	if (result == 0) {
		capture_created(fds[0]);
		capture_created(fds[1]);
	}
	return result;
}

static long after_range(long result, unsigned first, unsigned last)
{
	for (unsigned fd = first; result == 0 && fd <= last && fd < SHIM_FDS; fd++)
		capture_closed((int)fd);
	return result;
}

static long after_open(long fd, const char *path, long flags)
{
	if (fd >= 0)
		capture_opened((int)fd, path, (int)flags);
	return fd;
}

/* Not a cancellation point, unlike write(). Bad vectors are the kernel's to refuse. */
static bool captured_vector(unsigned state, const struct iovec *iov, unsigned long count)
{
	size_t total = 0;

	if (!capture_is(state) || count > IOV_MAX ||
	    memory_readable(iov, count * sizeof *iov) < count * sizeof *iov)
		return false;
	for (unsigned long i = 0; i < count; i++)
		if (__builtin_add_overflow(total, iov[i].iov_len, &total) || total > SSIZE_MAX)
			return false;
	return true;
}

static long written(enum family family, long number, long a, long b, long c, long d, long e, long f)
{
	unsigned state = capture_state((int)a);
	struct iovec part = { (void *)b, (size_t)c };

	if (family == WRITES && capture_is(state))
		return capture_write((int)a, state, &part, 1);
	/* At -1, where the file is, and without flags it is like writev. */
	bool elsewhere = family == WRITES_AT && (d != -1 || (int)f != 0);
	if (family != WRITES && !elsewhere &&
	    captured_vector(state, (const struct iovec *)b, (unsigned long)c))
		return capture_write((int)a, state, (const struct iovec *)b, (unsigned)c);
	capture_pass(state);
	return REAL(syscall)(number, a, b, c, d, e, f);
}

static long hooked(long number, long a, long b, long c, long d, long e, long f)
{
	switch (number) {
	case SYS_sendto:
		return sendto((int)a, (const void *)b, (size_t)c, (int)d,
			      (const struct sockaddr *)e, (socklen_t)f);
	case SYS_sendmsg:
		return sendmsg((int)a, (const struct msghdr *)b, (int)c);
	case SYS_sendmmsg:
		return sendmmsg((int)a, (struct mmsghdr *)b, (unsigned)c, (int)d);
	case SYS_sendfile:
		return sendfile((int)a, (int)b, (off_t *)c, (size_t)d);
	case SYS_splice:
		return splice((int)a, (off64_t *)b, (int)c, (off64_t *)d, (size_t)e, (unsigned)f);
	case SYS_vmsplice:
		return vmsplice((int)a, (const struct iovec *)b, (size_t)c, (unsigned)d);
	case SYS_tee:
		return tee((int)a, (int)b, (size_t)c, (unsigned)d);
	default:
		return copy_file_range((int)a, (off64_t *)b, (int)c, (off64_t *)d, (size_t)e,
				       (unsigned)f);
	}
}

/* As the function of that name, but for being no cancellation point. */
static long by_name(long number, long a, long b, long c, long d, long e, long f)
{
	int before, unused;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	long result = hooked(number, a, b, c, d, e, f);
	pthread_setcancelstate(before, &unused);
	return result;
}

static long sandboxed(bool wanted, long number, long a, long b, long c, long d, long e, long f)
{
	struct before before = { 0 };
	bool stopped = stop_clock(number == SYS_prctl ? stops_clock((int)a, (unsigned long)b)
						      : a == SECCOMP_SET_MODE_STRICT);

	if (wanted)
		before = enter_sandbox();
	long result = REAL(syscall)(number, a, b, c, d, e, f);
	if (result != 0) { /* above 0: a thread that could not be taken along */
		leave_sandbox(before);
		restart_clock(stopped);
	}
	return result;
}

static long watched_result(enum family family, long result, long a, long b, long c, long d)
{
	switch (family) {
	case CLOSES:
		capture_closed((int)a);
		break;
	case CLOSES_RANGE:
		return after_range(result, (unsigned)a, (unsigned)b);
	case COPIES:
	case COPIES_TO:
		capture_copied((int)a, (int)result);
		break;
	case RECEIVES:
		if (result >= 0)
			hook_fd_received((const struct msghdr *)b);
		break;
	case RECEIVES_MANY:
		for (long i = 0; i < result; i++)
			hook_fd_received(&((const struct mmsghdr *)b)[i].msg_hdr);
		break;
	case CONTROLS:
		if ((int)b == F_DUPFD || (int)b == F_DUPFD_CLOEXEC)
			capture_copied((int)a, (int)result);
		break;
	case OPENS:
		return after_open(result, (const char *)a, b);
	case CREATES:
		return after_open(result, (const char *)a, O_WRONLY);
	case OPENS_AT:
		return after_open(result, (const char *)b, c);
	case OPENS_HOW: /* struct open_how begins with the flags */
		return after_open(result, (const char *)b, result < 0 ? 0 : *(const long *)c);
	case MAKES_TWO:
		return after_two(result, (const int *)a);
	case MAKES_TWO_LAST:
		return after_two(result, (const int *)d);
	case CHANGES_MEMORY:
		memory_changed();
		break;
	default:
		capture_created((int)result);
		break;
	}
	return result;
}

extern long hook_syscall_watched(long number, long a, long b, long c, long d, long e,
				 long f) HIDDEN;
long hook_syscall_watched(long number, long a, long b, long c, long d, long e, long f)
{
	enum family family = (enum family)hook_syscall_families[number];

	switch (family) {
	case WRITES:
	case WRITES_VECTOR:
	case WRITES_AT:
		return written(family, number, a, b, c, d, e, f);
	case WRITES_AT_PLACE:
		capture_pass(capture_state((int)a));
		return REAL(syscall)(number, a, b, c, d, e, f);
	case BY_NAME:
		return by_name(number, a, b, c, d, e, f);
	case LOOKS:
		hook_file_settle((int)a);
		return REAL(syscall)(number, a, b, c, d, e, f);
	case SANDBOXES:
		return sandboxed((unsigned)a == SECCOMP_SET_MODE_STRICT ||
					 (unsigned)a == SECCOMP_SET_MODE_FILTER,
				 number, a, b, c, d, e, f);
	case SANDBOXES_BY_PRCTL:
		return sandboxed((int)a == PR_SET_SECCOMP, number, a, b, c, d, e, f);
	case EXITS:
		_exit((int)a);
	case EXECUTES:
		return execve((const char *)a, (char *const *)b, (char *const *)c);
	case EXECUTES_AT:
		return execveat((int)a, (const char *)b, (char *const *)c, (char *const *)d,
				(int)e);
	default:
		return watched_result(family, REAL(syscall)(number, a, b, c, d, e, f), a, b, c, d);
	}
}

/* The exported function is a stub that jumps: with any other number, the original is entered with the
 * caller's registers and stack untouched and none of our frames below it. So clone and vfork, whose child
 * may return on a stack of its own, or on ours before the parent does, return to the caller alone.
 *
 * It cannot be C on x86_64, where the last argument is on the stack: a caller that passed fewer has
 * a variable of its own there, and compilers write to the slot (the same value, but over what
 * another thread may have put there meanwhile: think of a futex). Watched calls get a copy. */
#if defined(__x86_64__)
extern void *hook_syscall_original HIDDEN;
void *hook_syscall_original;

extern void *hook_syscall_resolve(void) HIDDEN;
void *hook_syscall_resolve(void)
{
	void *original = (void *)REAL(syscall);
	__atomic_store_n(&hook_syscall_original, original, __ATOMIC_RELAXED);
	return original;
}

_Static_assert(NUMBERS == 512, "as in the stub");
__asm__("	.text\n"
	"	.globl	syscall\n"
	"	.type	syscall, @function\n"
	"syscall:\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"	cmp	$512, %rdi\n"
	"	jae	1f\n"
	"	lea	hook_syscall_families(%rip), %rax\n"
	"	cmpb	$0, (%rax,%rdi)\n"
	"	jne	2f\n"
	"1:	mov	hook_syscall_original(%rip), %rax\n"
	"	test	%rax, %rax\n"
	"	jz	3f\n"
	"	jmp	*%rax\n"
	"2:	push	8(%rsp)\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	call	hook_syscall_watched\n"
	"	add	$8, %rsp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	ret\n"
	"3:	push	%rdi\n"
	"	push	%rsi\n"
	"	push	%rdx\n"
	"	push	%rcx\n"
	"	push	%r8\n"
	"	push	%r9\n"
	"	sub	$8, %rsp\n"
	"	.cfi_adjust_cfa_offset 56\n"
	"	call	hook_syscall_resolve\n"
	"	add	$8, %rsp\n"
	"	pop	%r9\n"
	"	pop	%r8\n"
	"	pop	%rcx\n"
	"	pop	%rdx\n"
	"	pop	%rsi\n"
	"	pop	%rdi\n"
	"	.cfi_adjust_cfa_offset -56\n"
	"	jmp	*%rax\n"
	"	.cfi_endproc\n"
	"	.size	syscall, . - syscall\n");
#else
extern long hook_syscall(long number, long a, long b, long c, long d, long e,
			 long f) __asm__("syscall");

/* Eight arguments in registers: the compiler's tail call is that jump. */
HOOKED long hook_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if ((unsigned long)number < NUMBERS && hook_syscall_families[number] != PLAIN)
		return hook_syscall_watched(number, a, b, c, d, e, f);
	return REAL(syscall)(number, a, b, c, d, e, f);
}
#endif
