/*
 * session.h - being part of a session: mapping its control block and ring.
 *
 * Used by the shim in every process, so: system calls only, no malloc, no descriptor kept.
 */
#ifndef HARK_SESSION_SESSION_H
#define HARK_SESSION_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/ring/ring.h"
#include "lib/session/control.h"

struct session {
	struct control *control;
	struct ring ring;
};

#define SESSION_HANDOVER_NS UINT64_C(3000000000) /* for a collector to start */

enum session_wait { SESSION_SHOWN, SESSION_DELIVERED };

int session_join(struct session *s, const char *dir);
	/* Maps the session in that directory, its settings for reading only. 0; -ESTALE: it has ended or
	 * is abandoned; -EINVAL: what is there is no session of this version; -EPERM: it belongs to
	 * somebody else, or others may write to it; or open(2)'s and mmap(2)'s. Never blocks. */
int session_attach(struct session *s, const char *dir);
	/* The same, whatever its state. */
int session_attach_with(struct session *s, const char *dir, int *ring_fd);
	/* Likewise, and leaves the descriptor that the ring was mapped from; -1 on failure. */
int session_attach_control(struct session *s, const char *dir);
	/* Maps the control block alone: there is no ring to append to. */
void session_leave(struct session *s);
int session_owns(const char *dir, int fd);
	/* Whether that descriptor is a file that the session captures: for who could not join, so without
	 * mapping anything. 1, 0, or -errno: nobody can tell. */
int session_open(const char *dir, const char *name, int access, size_t least, struct stat *st);
	/* A descriptor of a file of the session's that is ours alone and as long as `least`. -EPERM: it is
	 * somebody else's, or others may use it; -EINVAL: no such file; -ENAMETOOLONG; or open(2)'s. */
bool session_alive(const struct control *control);
	/* Whether a collector, or the guardian that will become one, is there. No system call. */
int session_wait_for(struct session *s, enum session_wait what, uint64_t position,
		     uint64_t timeout_ns);
	/* Until everything before `position` is on the console, or with all sinks that are not in trouble.
	 * 0, -ETIMEDOUT, -EPIPE (nobody collects). When it is so already: one load. */
void session_progress(struct control *control, uint64_t shown, uint64_t delivered);
	/* The collector's: publishes and wakes who waits. */

static inline uint64_t session_position(const struct session *s)
{
	return atomic_load_explicit(&s->ring.shared->head, memory_order_acquire);
}

#endif
