/*
 * hark.c - see hark.h. Linked into other people's programs, so it behaves like the shim: system calls
 * only, no malloc, no lock, no descriptor kept, errno left alone.
 */
#include "lib/hark.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/sysio.h"
#include "lib/session/session.h"
#include "lib/stamp/timers.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#define MADV_NONE_SUCH 0x7ffe

enum { PAGE = 4096 }; /* or more: what is asked for is rounded up */

/* Mapped at the first call, and for good. */
struct joined {
	struct session session;
	struct ring_policy policy;
	_Atomic uint32_t given_up; /* 1: the ring is full and nobody reads it */
	_Atomic uint32_t *epoch;   /* our pid; the kernel empties its page in a forked child */
	struct timers timers;
	bool unwiped;              /* it does not, so that the pid is asked for each time */
};

static struct joined absent; /* stands for: there is no session */
static _Atomic(struct joined *) the_session;

/* initial-exec: a dynamic TLS access may call malloc, and we may be in a signal handler. */
static _Thread_local struct {
	uint32_t epoch; /* of which author is true */
	struct ring_author author;
} thread __attribute__((tls_model("initial-exec")));

static const char *session_dir(void)
{
	static const char name[] = "HARK_SESSION=";

	for (char **entry = environ; entry && *entry; entry++)
		if (strncmp(*entry, name, sizeof name - 1) == 0)
			return *entry + sizeof name - 1;
	return "";
}

static bool collected(void)
{
	const struct control *c = atomic_load(&the_session)->session.control;
	return c->state == SESSION_LIVE && session_alive(c);
}

static void *new_pages(size_t bytes)
{
	void *at = sysio_map(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return sysio_is_error(at) ? NULL : at;
}

static void discard(struct joined *j)
{
	session_leave(&j->session);
	if (j->epoch)
		sysio_unmap(j->epoch, PAGE);
	sysio_unmap(j, sizeof *j);
}

static struct joined *map(void)
{
	const char *dir = session_dir();
	/* A setuid program does not follow what its caller put into the environment. */
	if (*dir != '/' || getauxval(AT_SECURE))
		return &absent;
	struct joined *j = new_pages(sizeof *j);
	if (!j)
		return &absent;
	j->epoch = new_pages(PAGE);
	if (!j->epoch || session_join(&j->session, dir) != 0) {
		discard(j);
		return &absent;
	}
	/* As in shim/start.c: who takes any advice follows none. */
	long epoch = (long)j->epoch;
	j->unwiped = sysio_call(SYS_madvise, epoch, PAGE, MADV_NONE_SUCH, 0, 0, 0) == 0 ||
		     sysio_call(SYS_madvise, epoch, PAGE, MADV_WIPEONFORK, 0, 0, 0) != 0;
	const struct control *c = j->session.control;
	j->policy = (struct ring_policy){ .overflow = (enum ring_overflow)c->overflow,
					  .timeout_ns = c->overflow_ns,
					  .alive = collected };
	return j;
}

/* Several threads, or a signal handler in the middle of it, may map the session at once; the first to
 * say so wins. So nobody waits for anybody. NULL: no session. */
static struct joined *join(void)
{
	struct joined *j = atomic_load_explicit(&the_session, memory_order_acquire);

	if (!j) {
		struct joined *mine = map();
		if (atomic_compare_exchange_strong(&the_session, &j, mine)) {
			j = mine;
		} else if (mine != &absent) {
			discard(mine);
		}
	}
	return j == &absent ? NULL : j;
}

static bool live(const struct joined *j)
{
	return j && !atomic_load(&j->given_up) &&
	       atomic_load(&j->session.control->state) == SESSION_LIVE;
}

static void know_thread(struct joined *j)
{
	uint32_t epoch = atomic_load(j->epoch);

	if (thread.epoch == epoch && epoch)
		return;
	epoch = (uint32_t)sysio_getpid();
	if (j->unwiped && thread.epoch == epoch)
		return;
	thread.author = (struct ring_author){ .pid = epoch, .tid = (uint32_t)sysio_gettid() };
	atomic_signal_fence(memory_order_seq_cst); /* a handler sees all of it, or does it again */
	thread.epoch = epoch;
	if (!j->unwiped)
		atomic_store(j->epoch, epoch);
}

/* To the ring: 0, -ENOTCONN or -EAGAIN. */
static int append(struct joined *j, struct record_info *info, struct iovec *parts, unsigned count)
{
	struct control *c = j->session.control;

	know_thread(j);
	if (!atomic_load(&c->spoken))
		atomic_store(&c->spoken, 1); /* the shim waits for it at exit */
	int error = ring_append(&j->session.ring, &thread.author, info, parts, count, &j->policy);
	if (error == -EPIPE) {
		atomic_store(&j->given_up, 1);
		return -ENOTCONN;
	}
	if (error) {
		atomic_fetch_add(&c->lost[LOST_FULL].messages, 1);
		atomic_fetch_add(&c->lost[LOST_FULL].bytes, parts[count - 1].iov_len);
	}
	return error;
}

const char *hark_version(void)
{
	return HARK_VERSION;
}

int hark_active(void)
{
	return live(join());
}

int hark_log(int level, const char *text, size_t length)
{
	struct record_info info = { .fd = UINT16_MAX, .source = SOURCE_LOG, .kind = RECORD_LOG };
	struct joined *j = join();

	if (level < HARK_EMERG || level > HARK_DEBUG)
		return -EINVAL;
	if (!live(j))
		return -ENOTCONN;
	if (level > j->session.control->level)
		return 0;
	if (length && text[length - 1] == '\n')
		length--;
	info.detail = (uint32_t)level;
	struct iovec part = { (void *)text, length };
	return append(j, &info, &part, 1);
}

int hark_flush(uint64_t timeout_ns)
{
	struct joined *j = join();

	if (!live(j))
		return -ENOTCONN;
	uint64_t end = session_position(&j->session);
	int error = session_wait_for(&j->session, SESSION_DELIVERED, end, timeout_ns);
	return error == -EPIPE ? -ENOTCONN : error;
}

/* ---- stamps ------------------------------------------------------------------------------------ */

/* step 0: the next one. */
static int64_t stamp(uint64_t step, const char *text)
{
	struct record_info info = {
		.fd = UINT16_MAX, .source = SOURCE_STAMP, .kind = RECORD_STAMP
	};
	struct joined *j = join();

	if (!live(j))
		return -ENOTCONN;
	struct control *c = j->session.control;
	size_t length = text ? strnlen(text, HARK_STAMP_MOST + 1) : 0;
	if (!text || length > HARK_STAMP_MOST)
		return text ? -EMSGSIZE : -EINVAL;
	if (!c->stamps)
		return 0;
	struct record_stamp head = { .id = atomic_fetch_add(&c->stamp_ids, 1) + 1, .step = step };
	if (!step)
		head.step = atomic_fetch_add(&c->stamp_steps, 1) + 1;
	struct iovec parts[] = { { &head, sizeof head }, { (void *)text, length } };
	int error = append(j, &info, parts, 2);
	return error ? error : (int64_t)head.id;
}

int64_t hark_stamp(const char *text)
{
	return stamp(0, text);
}

uint64_t hark_step(void)
{
	struct joined *j = join();

	return live(j) ? atomic_fetch_add(&j->session.control->stamp_steps, 1) + 1 : 0;
}

int64_t hark_stamp_at(uint64_t step, const char *text)
{
	return step || !live(join()) ? stamp(step, text) : -EINVAL;
}

/* ---- timers ------------------------------------------------------------------------------------ */

static struct trace_timer *own_figures(const struct hark_timer *timer, uint32_t pid)
{
	struct trace_timer *figures = __atomic_load_n(&timer->figures, __ATOMIC_ACQUIRE);

	return figures && timers_owned(figures, pid) ? figures : NULL;
}

/* Where several threads are the first to use it, one claim wins; pairs with own_figures(). The member is
 * a plain pointer, since C++ knows no _Atomic. */
static struct trace_timer *claim_figures(struct joined *j, struct hark_timer *timer, uint32_t pid)
{
	const struct control *c = j->session.control;
	char trace[sizeof c->trace];

	void *seen = __atomic_load_n(&timer->figures, __ATOMIC_ACQUIRE);
	if (seen && timers_owned(seen, pid))
		return seen; /* somebody was quicker: what he has counted must stay */
	memcpy(trace, c->trace, sizeof trace);
	trace[sizeof trace - 1] = '\0';
	struct trace_timer *mine = timers_claim(&j->timers, pid, timer->name ? timer->name : "?",
						trace, &j->session.control->timer_files);
	if (!mine || __atomic_compare_exchange_n(&timer->figures, &seen, mine, false,
						 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return mine;
	timers_disclaim(mine);
	return own_figures(timer, pid);
}

static struct trace_timer *figures_of(struct joined *j, struct hark_timer *timer)
{
	know_thread(j);
	struct trace_timer *figures = own_figures(timer, thread.author.pid);

	return __builtin_expect(figures != NULL, 1) ? figures :
						      claim_figures(j, timer, thread.author.pid);
}

uint64_t hark_timer_begin(struct hark_timer *timer)
{
	struct joined *j = join();

	if (!j || !figures_of(j, timer))
		return 0;
	return clock_ticks(j->session.control->clock.counter != 0);
}

void hark_timer_end(struct hark_timer *timer, uint64_t begun)
{
	struct joined *j = begun ? join() : NULL;

	if (!j)
		return;
	uint64_t now = clock_ticks(j->session.control->clock.counter != 0);
	struct trace_timer *figures = figures_of(j, timer);
	if (figures)
		timers_add(figures, begun, now, thread.author.tid);
}

static void read_figures(const struct trace_timer *t, double ns_per_tick, struct hark_figures *f)
{
	uint64_t begin, took[TRACE_TIMER_LAST], of_one;
	uint32_t tid, numbers[TRACE_TIMER_LAST], number, latest = 0;

	f->count = atomic_load_explicit(&t->count, memory_order_relaxed);
	if (!f->count)
		return;
	f->total_ns = (uint64_t)((double)atomic_load(&t->total) * ns_per_tick);
	uint64_t min = atomic_load(&t->min);
	f->min_ns = min == UINT64_MAX ? 0 : (uint64_t)((double)min * ns_per_tick);
	f->max_ns = (uint64_t)((double)atomic_load(&t->max) * ns_per_tick);
	f->average_ns = f->total_ns / f->count;
	for (unsigned i = 0; i < TRACE_TIMER_LAST; i++) {
		numbers[i] = timers_interval(t, i, &begin, &of_one, &tid, &number) ? number : 0;
		took[i] = of_one;
		if ((int32_t)(numbers[i] - latest) > 0)
			latest = numbers[i];
	}
	for (uint32_t n = latest; n && latest - n < TRACE_TIMER_LAST; n--) {
		unsigned slot = (n - 1) % TRACE_TIMER_LAST;
		if (numbers[slot] == n)
			f->last_ns[f->last_count++] = (uint64_t)((double)took[slot] * ns_per_tick);
	}
}

int hark_timer_read(const struct hark_timer *timer, struct hark_figures *figures)
{
	struct joined *j = join();
	struct clock_base now;

	if (!timer || !figures)
		return -EINVAL;
	*figures = (struct hark_figures){ .count = 0 };
	if (!j)
		return -ENOTCONN;
	const struct clock_base *first = &j->session.control->clock;
	know_thread(j);
	const struct trace_timer *t = own_figures(timer, thread.author.pid);
	if (!t)
		return 0;
	clock_base_now(&now, first->counter != 0);
	double ticks = (double)(now.ticks - first->ticks);
	double ns = (double)(now.monotonic_ns - first->monotonic_ns);
	read_figures(t, ticks > 0 ? ns / ticks : 1, figures);
	return 0;
}
