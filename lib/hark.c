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
	struct control *c = j->session.control;
	if (level > c->level)
		return 0;
	know_thread(j);
	if (!atomic_load(&c->spoken))
		atomic_store(&c->spoken, 1); /* the shim waits for it at exit */
	if (length && text[length - 1] == '\n')
		length--;
	info.detail = (uint32_t)level;
	struct iovec part = { (void *)text, length };
	int error = ring_append(&j->session.ring, &thread.author, &info, &part, 1, &j->policy);
	if (error == -EPIPE) {
		atomic_store(&j->given_up, 1);
		return -ENOTCONN;
	}
	if (error) {
		atomic_fetch_add(&c->lost[LOST_FULL].messages, 1);
		atomic_fetch_add(&c->lost[LOST_FULL].bytes, length);
	}
	return error;
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
