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

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
