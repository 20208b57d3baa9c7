/*
 * hark.h - the public interface: for programs that can be rebuilt and want to say things to hark
 * directly. C and C++; link with -lhark.
 *
 * Outside of a session (started by `hark run`) all of this does nothing, at the cost of one load. The
 * session is found by the variable HARK_SESSION, at the first call; with or without the preloaded
 * shim, so in static programs, too. No thread, descriptor or lock is kept. A program that forbids
 * itself system calls (seccomp) calls hark_active() before, and leaves futex and kill allowed.
 *
 *	if (hark_log(HARK_WARNING, text, length) == -ENOTCONN)
 *		fwrite(text, 1, length, stderr);
 *
 * Stamps and timers are for the trace (`hark run --stamp trace`): `hark stamps` lists them, and readers
 * such as `hark replay` show them among the calls and messages of the same moment.
 *
 *	static struct hark_timer parsing = HARK_TIMER_INIT("parsing");
 *
 *	HARK_SCOPE(&parsing);
 *	hark_stamp("chunking complete");
 */
#ifndef HARK_H
#define HARK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The numbers are those of syslog(3). */
enum hark_level {
	HARK_EMERG, HARK_ALERT, HARK_CRIT, HARK_ERROR,
	HARK_WARNING, HARK_NOTICE, HARK_INFO, HARK_DEBUG
};

const char *hark_version(void);
	/* of the library, such as "0.1.0". Static; async-signal-safe. */

int hark_active(void);
	/* 1: this process is part of a live session; 0: it is not, or nobody collects any more.
	 * Async-signal-safe. */

int hark_log(int level, const char *text, size_t length);
	/* Appends one message, of source "log" in what sinks write. level: enum hark_level. text: any
	 * bytes, length of them, with or without a newline at the end, copied before it returns. NULL is
	 * good where length is 0. What is longer than the ring takes at once (a 256th of HARK_RING, but
	 * no less than 1K and no more than 16K) becomes several messages, all but the last `partial`.
	 *
	 * 0: the message survives the death of this process, or HARK_LEVEL does not want it.
	 * -ENOTCONN: no session, or nobody collects any more; the caller's to say elsewhere.
	 * -EAGAIN: lost, since the ring is full and HARK_OVERFLOW says so; counted and announced.
	 * -EINVAL: no such level. With HARK_OVERFLOW=block it waits for room.
	 * Async-signal-safe, from any thread; errno is untouched. In a child of fork it speaks as that
	 * child. Not for children of vfork. */

int hark_flush(uint64_t timeout_ns);
	/* Waits until all that this session was told so far is with those sinks that are not in trouble.
	 * 0: it is; -ETIMEDOUT; -ENOTCONN. When it is so already: no system call. Async-signal-safe;
	 * errno is untouched. */

/* ---- stamps ------------------------------------------------------------------------------------ */

enum { HARK_STAMP_MOST = 512 };

int64_t hark_stamp(const char *text);
	/* Says that this moment has come, in one step of its own. Steps count from 1 on through the whole
	 * session, all threads and processes; so do the stamps' numbers (id). text: any bytes up to its NUL,
	 * HARK_STAMP_MOST at most, copied before it returns; in UTF-8 where people shall read it.
	 *
	 * The stamp's id: it survives the death of this process. 0: this session has no trace, nor a sink
	 * with source=stamp, so nobody wants it. -ENOTCONN: no session, or nobody collects any more.
	 * -EAGAIN: lost, since the ring is full and HARK_OVERFLOW says so; counted and announced.
	 * -EINVAL: text is NULL. -EMSGSIZE: it is too long. With HARK_OVERFLOW=block it waits for room.
	 * Async-signal-safe, from any thread; errno is untouched. Not for children of vfork. */

uint64_t hark_step(void);
	/* A new step for a group of stamps, which any threads and processes of the session may make: the
	 * number is all there is of it. 0: no session. Async-signal-safe; errno is untouched. */

int64_t hark_stamp_at(uint64_t step, const char *text);
	/* As hark_stamp(), in a step that hark_step() gave. -EINVAL: step is 0. */

/* ---- timers ------------------------------------------------------------------------------------ */

enum { HARK_TIMER_LAST = 10 };

/* A timer adds up how long something takes, in all threads. In static memory, or wherever it outlives its
 * last use; what it has measured is not in here, and stays in the trace. */
struct hark_timer {
	const char *name; /* valid as long as the timer; of a longer one, 47 bytes are kept */
	void *figures;    /* hark's own */
};
#define HARK_TIMER_INIT(timer_name) { (timer_name), NULL }

struct hark_figures {
	uint64_t count;                    /* intervals that have ended */
	uint64_t total_ns;
	uint64_t average_ns, min_ns, max_ns; /* 0 where count is 0 */
	uint64_t last_ns[HARK_TIMER_LAST]; /* the last ones, the latest first … */
	unsigned last_count;               /* … and how many they are */
};

uint64_t hark_timer_begin(struct hark_timer *timer);
	/* The moment, for hark_timer_end() of the same timer, in whatever thread; 0: no session, so nothing is
	 * measured. Any number of intervals may be open. The first use of a timer in a process takes some
	 * system calls; of a later one, begin and end cost as much as reading the clock twice and two locked
	 * additions. Async-signal-safe; errno is untouched. Not for children of vfork, nor after
	 * prctl(PR_SET_TSC). */

void hark_timer_end(struct hark_timer *timer, uint64_t begun);
	/* Adds the interval to this process's figures, which survive its death. In a child of fork they begin
	 * with 0; an interval that was open then ends in parent and child. */

int hark_timer_read(const struct hark_timer *timer, struct hark_figures *figures);
	/* The figures of this process. 0; -ENOTCONN: no session, figures is zeroed; -EINVAL: a NULL. An
	 * interval that another thread ends meanwhile may be in some of them and not yet in others.
	 * Async-signal-safe; errno is untouched. */

/* HARK_SCOPE(&timer): measures from here to wherever the block is left, by return or exception, but not
 * by longjmp (nor by an exception through C that was compiled without -fexceptions). */
struct hark_scope {
	struct hark_timer *timer;
	uint64_t begun;
};

__attribute__((no_instrument_function)) static inline struct hark_scope
hark_scope_enter(struct hark_timer *timer)
{
	struct hark_scope scope = { timer, hark_timer_begin(timer) };
	return scope;
}

__attribute__((no_instrument_function)) static inline void
hark_scope_leave(struct hark_scope *scope)
{
	hark_timer_end(scope->timer, scope->begun);
}

#define HARK_SCOPE_NAMED(timer, line) HARK_SCOPE_CALLED(timer, line)
#define HARK_SCOPE_CALLED(timer, line)                                                             \
	struct hark_scope hark_scope_##line __attribute__((cleanup(hark_scope_leave), unused)) =   \
		hark_scope_enter(timer)
#define HARK_SCOPE(timer) HARK_SCOPE_NAMED(timer, __LINE__)

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
