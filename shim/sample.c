/*
 * sample.c - samples from inside, where the kernel shows stacks to nobody outside: each thread has a timer
 * on its own processor time, whose signal's handler copies registers and stack into a ring of its own.
 *
 * A timer of a thread's own, since one of the process's would pick the thread that it interrupts by other
 * rules than who used the time. They cannot be inherited: a thread gets its own where it begins
 * (hook_thread.c), a child behind fork. The handler allocates nothing, waits for nothing and looks at
 * nothing but what it copies. Whoever uses SIGPROF himself finds it as it would be without us.
 */
#include "shim/sample.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/level.h"
#include "lib/base/sysio.h"
#include "lib/base/text.h"
#include "shim/libc.h"
#include "shim/real.h"
#include "shim/shim.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

enum {
	TIMERS = 1 << 14,              /* threads that can have one at the same time */
	STARTS = 256,                  /* that are being created */
	LOOKS = 4,                     /* at other threads' timers, for each new thread */
	INTERVAL_LEAST_NS = 100000,
	MASK_BYTES = 8,
};
static void *const mark = (void *)0x6b726168; /* what our timers' signals bear */

struct timer {
	_Atomic uint32_t tid;          /* 0: free */
	_Atomic int32_t id;            /* the kernel's, and one; 0: there is none */
};

struct sample_start {
	void *(*routine)(void *);
	void *argument;
	_Atomic uint32_t taken;
};

/* Empty in a child of fork, as are its timers. */
struct process {
	_Atomic uint32_t pid;
	_Atomic uint32_t used, next;   /* timers[], as far as any was used; which is looked at next */
	struct sample_start starts[STARTS];
	struct timer timers[TIMERS];
};

struct thread {
	uint32_t pid;                  /* of the process in which it has a timer */
	int32_t id;                    /* the kernel's */
	bool rests;
	struct itimerspec left;        /* of a timer that rests */
};

_Atomic uint32_t sample_stage;
static struct process *process;
static struct ring ring;
static uint64_t interval_ns;
static _Thread_local struct thread thread __attribute__((tls_model("initial-exec")));

/* glibc's alone: what pthread_atfork(3) is made of there. */
extern int __register_atfork(void (*before)(void), void (*parent)(void), void (*child)(void),
			     void *object);
#pragma weak __register_atfork

/* ---- what is written --------------------------------------------------------------------------- */

/* In nobody's name but the thread's: claims of the message ring are another matter. */
static struct ring_author author(void)
{
	return (struct ring_author){ .pid = (uint32_t)sysio_getpid(),
				     .tid = (uint32_t)sysio_gettid() };
}

static void tell(uint8_t kind, uint32_t detail, const void *bytes, size_t count)
{
	static const struct ring_policy at_once = { .overflow = RING_LOSE_NEWEST };
	const struct record_info info = { .fd = 0xffff, .source = SOURCE_HARK, .kind = kind,
					  .detail = detail };
	const struct iovec part = { (void *)bytes, count };
	struct ring_author who = author();

	ring_append(&ring, &who, &info, &part, 1, &at_once);
}

static void tell_process(uint32_t as)
{
	static const char namespace[] = "/proc/self/ns/pid";
	struct record_join join = { 0 };
	struct stat st;

	join.parent = (uint32_t)sysio_call(SYS_getppid, 0, 0, 0, 0, 0, 0);
	if (sysio_call(SYS_newfstatat, AT_FDCWD, (long)namespace, (long)&st, 0, 0, 0) == 0)
		join.pid_namespace = st.st_ino;
	tell(RECORD_JOIN, as, &join, offsetof(struct record_join, comm));
}

void sample_unloaded(void)
{
	if (sample_on())
		tell(RECORD_MODULE, 0, NULL, 0);
}

/* In the session's messages: once for a program, its children say nothing. */
static void say(const char *why)
{
	char line[256], comm[16] = "";
	struct text t = text_in(line, sizeof line);
	struct record_info info = { .fd = 0xffff, .source = SOURCE_HARK, .kind = RECORD_NOTE,
				    .detail = LEVEL_WARNING };

	sysio_call(SYS_prctl, PR_GET_NAME, (long)comm, 0, 0, 0, 0);
	text_str(&t, comm);
	text_str(&t, " (process ");
	text_u64(&t, (uint64_t)sysio_getpid());
	text_str(&t, ") is not sampled: ");
	text_str(&t, why);
	struct iovec part = { line, t.len };
	capture_message(&info, &part, 1);
}

/* ---- the handler ------------------------------------------------------------------------------- */

/* How many intervals are over. While a thread was in a system call, its signals were one, and it stands for
 * all of that; elsewhere nothing but a signal mask of the program's can have kept it so long, and
 * what it did meanwhile nobody knows. */
static uint32_t intervals(const siginfo_t *info, const ucontext_t *at)
{
	const uint64_t most_ns = 1000000000;
	uint64_t count = info->si_overrun > 0 ? (uint64_t)info->si_overrun + 1 : 1;
	bool called = false;

#if defined(__x86_64__)
	/* the instruction leaves the address behind it there */
	called = at->uc_mcontext.gregs[REG_RCX] == at->uc_mcontext.gregs[REG_RIP];
#else
	(void)at;
#endif
	uint64_t most = most_ns / interval_ns + 1;
	return (uint32_t)(count > most && !called ? most : count);
}

/* Not from a timer of ours, so as if we were not here. */
static void strange(int number)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };

	/* Blocked until we return, so the process dies where it was when the signal came. */
	REAL(sigaction)(number, &standard, NULL);
	sysio_call(SYS_tgkill, sysio_getpid(), sysio_gettid(), number, 0, 0, 0);
}

static void on_time(int number, siginfo_t *info, void *context)
{
	const ucontext_t *at = context;

	if (info->si_code != SI_TIMER || info->si_value.sival_ptr != mark) {
		int saved = errno;
		strange(number);
		errno = saved;
		return;
	}
	if (!sample_on())
		return;
	const struct record_info what = { .fd = 0xffff, .source = SOURCE_HARK,
					  .kind = RECORD_SAMPLE, .detail = intervals(info, at) };
	struct ring_author who = author();
	if (stack_interrupted(&ring, &who, &what, at) != 0)
		atomic_fetch_add_explicit(&ring.shared->lost_messages, 1, memory_order_relaxed);
}

/* ---- timers ------------------------------------------------------------------------------------ */

static bool is_blocked(void)
{
	uint64_t mask = 0;

	sysio_call(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&mask, MASK_BYTES, 0, 0);
	return mask >> (SIGPROF - 1) & 1;
}

static void drop(struct timer *timer)
{
	int32_t id = atomic_exchange(&timer->id, 0);

	if (id)
		sysio_call(SYS_timer_delete, id - 1, 0, 0, 0, 0, 0);
}

/* A place for the calling thread's: a free one, or one whose thread has ended. Each new thread looks at a few,
 * so there are never many more than there are threads. */
static struct timer *claim(uint32_t tid)
{
	pid_t pid = sysio_getpid();
	uint32_t used = atomic_load(&process->used);

	for (unsigned i = 0; i < LOOKS && used; i++) {
		struct timer *t = &process->timers[atomic_fetch_add(&process->next, 1) % used];
		uint32_t seen = atomic_load(&t->tid);
		if (seen && sysio_call(SYS_tgkill, pid, seen, 0, 0, 0, 0) != -ESRCH)
			continue;
		if (atomic_compare_exchange_strong(&t->tid, &seen, tid)) {
			drop(t);
			return t;
		}
	}
	uint32_t mine = atomic_fetch_add(&process->used, 1);
	if (mine >= TIMERS) {
		atomic_fetch_sub(&process->used, 1);
		return NULL;
	}
	atomic_store(&process->timers[mine].tid, tid);
	return &process->timers[mine];
}

static long set(int32_t id, const struct itimerspec *to, struct itimerspec *was)
{
	return sysio_call(SYS_timer_settime, id, 0, (long)to, (long)was, 0, 0);
}

static struct itimerspec every(void)
{
	const uint64_t second = 1000000000;
	const struct timespec t = { (time_t)(interval_ns / second), (long)(interval_ns % second) };

	return (struct itimerspec){ t, t };
}

/* Gives the calling thread a timer, unless it has one. */
static int arm(void)
{
	uint32_t pid = atomic_load(&process->pid), tid = (uint32_t)sysio_gettid();
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF,
				  .sigev_value.sival_ptr = mark };
	const struct itimerspec often = every();
	int32_t id = 0;

	if (!sample_on() || thread.pid == pid || is_blocked())
		return 0;
	struct timer *mine = claim(tid);
	if (!mine)
		return -EAGAIN;
	event._sigev_un._tid = (pid_t)tid;
	long error = sysio_call(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, (long)&event, (long)&id,
				0, 0, 0);
	if (error) {
		atomic_store(&mine->tid, 0);
		return (int)error;
	}
	thread = (struct thread){ .pid = pid, .id = id };
	atomic_store(&mine->id, id + 1);
	set(id, &often, NULL);
	if (!sample_on()) /* somebody deletes all, and may have passed by before */
		drop(mine);
	return 0;
}

/* A vfork child has no timers, but its parent's memory: there the kernel says no, and nothing changes. */
void sample_rest(void)
{
	static const struct itimerspec never;
	struct itimerspec left;

	if (thread.rests || !thread.pid || thread.pid != atomic_load(&process->pid) ||
	    set(thread.id, &never, &left) != 0)
		return;
	thread.left = left;
	thread.rests = true;
}

void sample_wake(void)
{
	struct itimerspec left = thread.left;

	if (!thread.pid || thread.pid != atomic_load(&process->pid)) {
		if (!thread_borrows()) {
			sample_child();
			arm();
		}
		return;
	}
	if (!thread.rests)
		return;
	if (!left.it_value.tv_sec && !left.it_value.tv_nsec)
		left = every();
	if (set(thread.id, &left, NULL) == 0)
		thread.rests = false;
}

void sample_stop(const char *why)
{
	uint32_t on = 1;

	if (!atomic_compare_exchange_strong(&sample_stage, &on, 0))
		return;
	uint32_t used = atomic_load(&process->used);
	for (uint32_t i = 0; i < used && i < TIMERS; i++)
		drop(&process->timers[i]);
	if (why)
		say(why);
}

/* ---- processes and threads --------------------------------------------------------------------- */

void sample_child(void)
{
	uint32_t none = 0;

	if (!sample_on() || shim.sandboxed ||
	    !atomic_compare_exchange_strong(&process->pid, &none, (uint32_t)sysio_getpid()))
		return;
	tell_process(JOIN_CHILD);
	arm();
}

struct sample_start *sample_prepare(void *(*routine)(void *), void *argument)
{
	for (unsigned i = 0; i < STARTS; i++) {
		struct sample_start *s = &process->starts[i];
		if (atomic_load_explicit(&s->taken, memory_order_relaxed) ||
		    atomic_exchange(&s->taken, 1))
			continue;
		s->routine = routine;
		s->argument = argument;
		return s;
	}
	return NULL;
}

void sample_forget(struct sample_start *start)
{
	atomic_store(&start->taken, 0);
}

__attribute__((noinline)) static void begin_thread(void)
{
	if (!sample_on() || shim.sandboxed)
		return;
	tell(RECORD_JOIN, is_blocked() ? JOIN_BLOCKED : JOIN_THREAD, NULL, 0);
	arm();
}

void *sample_thread(void *start)
{
	struct sample_start *s = start;
	void *(*routine)(void *) = s->routine;
	void *argument = s->argument;

	sample_forget(s);
	begin_thread();
	return routine(argument);
}

/* ---- the beginning ----------------------------------------------------------------------------- */

static int map_ring(void)
{
	const char *dir = shim.session_entry + strlen("HARK_SESSION=");
	struct stat st;

	int fd = session_open(dir, CONTROL_SAMPLES, O_RDWR, sizeof(struct ring_shared), &st);
	int error = fd < 0 ? fd : ring_map(&ring, fd);
	if (fd >= 0)
		sysio_close(fd);
	ring.counter = shim.session.ring.counter;
	return error;
}

static int map_process(void)
{
	struct process *p = sysio_map(sizeof *p, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sysio_is_error(p))
		return (int)(intptr_t)p;
	int error = (int)sysio_call(SYS_madvise, (long)p, sizeof *p, MADV_WIPEONFORK, 0, 0, 0);
	if (error) {
		sysio_unmap(p, sizeof *p);
		return error;
	}
	atomic_store(&p->pid, (uint32_t)sysio_getpid());
	process = p;
	return 0;
}

/* Why the program is left alone; NULL: there is no reason. */
static const char *whose(void)
{
	struct sigaction now = { 0 };
	struct itimerval timer = { 0 };

	if (REAL(sigaction)(SIGPROF, NULL, &now) != 0 || now.sa_flags & SA_SIGINFO ||
	    now.sa_handler != SIG_DFL)
		return "it has a handler for SIGPROF, or ignores it";
	sysio_call(SYS_getitimer, ITIMER_PROF, (long)&timer, 0, 0, 0, 0);
	if (timer.it_value.tv_sec || timer.it_value.tv_usec)
		return "it has a timer of its own for SIGPROF";
	return NULL;
}

static int start(void)
{
	struct sigaction action = { .sa_sigaction = on_time,
				    .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };

	int error = map_ring();
	if (!error)
		error = map_process();
	sigfillset(&action.sa_mask);
	if (!error && REAL(sigaction)(SIGPROF, &action, NULL) != 0)
		error = -errno;
	if (error)
		return error;
	atomic_store(&sample_stage, 1);
	tell_process(0);
	ring_poke(&ring); /* what is mapped here shall be looked at while we are there */
	error = arm();
	if (!error && libc_is_gnu() && __register_atfork)
		__register_atfork(NULL, NULL, sample_child, NULL);
	return error;
}

void sample_begin(void)
{
	uint32_t wanted = atomic_load(&shim.session.control->sample_ns);

	if (!wanted || shim.unadvised || shim.sandboxed)
		return;
	interval_ns = wanted < INTERVAL_LEAST_NS ? INTERVAL_LEAST_NS : wanted;
	const char *why = whose();
	if (!why && start() != 0)
		why = "it can have no timers";
	if (!why)
		return;
	sample_stop(NULL);
	say(why);
}
