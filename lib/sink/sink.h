/*
 * sink.h - where messages go. One file per kind, one row each in sinks.def.
 *
 * A sink is a queue, a format and a small state machine:
 *
 *	CLOSED --open--> OPENING --ready--> OPEN --error--> BACKOFF --deadline--> OPENING …
 *
 * sink_pump() drives it. It never sleeps and never waits for a peer; it makes as much progress as
 * it can and says what to wait for. Regular files are the exception: writing to them may take as
 * long as the kernel takes.
 *
 * The process that pumps sinks ignores SIGPIPE and SIGXFSZ.
 */
#ifndef HARK_SINK_SINK_H
#define HARK_SINK_SINK_H

#include "lib/config/spec.h"
#include "lib/format/format.h"
#include "lib/sink/queue.h"

enum sink_state { SINK_CLOSED, SINK_OPENING, SINK_OPEN, SINK_BACKOFF, SINK_STATE_NR };
enum sink_verdict { SINK_WAIT, SINK_LOSE };

struct sink;

struct sink_ops {
	const char *default_format;     /* NULL: console, which decides by what its descriptor is */
	uint64_t default_queue;         /* bytes */
	enum overflow default_overflow;
	uint64_t default_overflow_ns;   /* of OVERFLOW_TIMEOUT */
	bool datagrams;                 /* each frame is a write of its own, without its newline */
	int (*open)(struct sink *s);
		/* Begins to open. 0: open; -EINPROGRESS: wait for s->opens_on on s->fd, then ready();
		 * else -errno: back-off. close() is called after a failure, too. */
	int (*ready)(struct sink *s);
		/* OPENING, perhaps before anything happened. 0; -EAGAIN: not yet; -EINPROGRESS: this try
		 * failed and the next one began; else -errno: back-off. NULL where open() is never in
		 * progress. */
	ssize_t (*write)(struct sink *s, const char *bytes, size_t count);
		/* bytes: whole frames, unless continuing one (s->sent is not on a frame's end).
		 * The number accepted; 0 or -ENOBUFS: try again soon; -EAGAIN: wait until s->fd is
		 * writable; else -errno: back-off. Kinds with unacked() then get all that is still queued
		 * again, beginning at a frame's start; the others go on from s->sent, which their open()
		 * may move back. What is accepted only to be given up: sink_lose(). */
	void (*close)(struct sink *s);
	int (*reopen)(struct sink *s);
		/* SIGHUP. NULL: nothing to do. */
	size_t (*unacked)(struct sink *s);
		/* Bytes written that the peer has not acknowledged (SIOCOUTQ); kept in the queue until they
		 * are. SIZE_MAX: none that is not known yet. NULL: written is done. */
	int (*check)(struct sink *s);
		/* OPEN: 0, or -errno where the peer is gone. Asked before a write and while waiting for
		 * acknowledgement. NULL: a write finds out. */
};

struct sink {
	const struct sink_ops *ops;
	struct sink_spec spec;       /* defaults filled in */
	struct format format;
	struct queue queue;
	enum sink_state state;
	int fd;                      /* what to poll; -1 where there is none */
	int console_fd;              /* console: the session's original descriptor, not owned; else -1 */
	uint64_t sent;               /* position in the queue up to which ops->write has accepted */
	uint64_t acked;              /* the furthest position ever acknowledged, perhaps inside a frame */
	uint64_t retry_at_ns;        /* BACKOFF: when to try; OPENING: when to give up. CLOCK_MONOTONIC */
	uint64_t backoff_ns;         /* the present step, before jitter; 0: none yet */
	uint64_t recheck_ns;         /* the present step of looking for acknowledgements */
	uint64_t recheck_at_ns;
	uint64_t progress_ns;        /* CLOCK_MONOTONIC of the last acknowledged byte, or of the first
	                              * one waiting; 0: none is waiting */
	int error;                   /* the last -errno, 0 = none since the last success.
	                              * -EDESTADDRREQ: the host's name has no address */
	uint64_t written_bytes, written_frames, reconnects, errors; /* for `hark stats` */
	uint64_t lost_messages, lost_bytes;     /* by the queue's policy or the kind's limits */
	uint64_t long_messages, long_bytes;     /* of them: by the limits, see sink_lose_long() */
	uint32_t random;             /* of the jitter; never 0 */
	short opens_on;              /* OPENING: POLLOUT, or POLLIN while a name is looked up */
	bool was_open;               /* has been OPEN before */
	bool stalled;                /* timed out once: loses at once until it makes progress */
	bool gone;                   /* console: hung up, or nobody reads it any more. What comes is
	                              * lost at once, whatever the policy, until a late try succeeds */
	void *state_of_kind;         /* the kind's own, malloc'ed in open, freed in fini */
	union {                      /* small state of the kinds */
		struct {
			uint64_t dev, ino;       /* of the open file; kept over a back-off */
			uint64_t torn_end;       /* size of the file whose last byte is no newline */
			uint64_t checked_ns;     /* when the name was last compared with the file */
			uint64_t synced_ns;
			uint64_t rotate_after_ns; /* no rotation before: the last one failed */
			int64_t born_ns;         /* CLOCK_REALTIME of the first write; 0: none yet */
			bool regular;            /* neither FIFO nor device: can be rotated */
			bool mid_line;           /* the last byte written was no newline */
			bool owes_newline;       /* a dead collector left the last line torn */
			bool reopen;             /* SIGHUP came in the middle of a frame */
			bool dirty;              /* written since the last fdatasync */
		} file;
		struct { unsigned address; } socket;
		struct { bool is_tty, reopened; int way; } console;
	} u;
};

struct sink_wish {
	short events;          /* as for poll(2), on s->fd: POLLOUT, POLLIN or 0 */
	uint64_t deadline_ns;  /* CLOCK_MONOTONIC; UINT64_MAX: none */
};

int sink_init(struct sink *s, const struct sink_spec *spec, const char *queue_path, int console_fd);
	/* Opens the queue and the format, not the sink itself. The sink must not be moved afterwards.
	 * 0; -ENOENT (no such format); -EINVAL; or queue_open()'s. After an error there is nothing to
	 * undo. */
void sink_end(struct sink *s);
	/* Closes, for a process that ends: the queue stays mapped. */
void sink_fini(struct sink *s);
	/* Closes; the queue's file stays. */
void sink_pump(struct sink *s, uint64_t now_ns, uint64_t until, struct sink_wish *wish);
	/* Opens, writes what is queued up to position `until` (the checkpointed head), releases what is
	 * acknowledged, backs off on errors. Sets what to wait for: nothing, where nothing is queued. May
	 * be called at any time, whether or not the wish came true. The first call opens the sink even
	 * if nothing is queued; later tries are made only for something that waits. */
enum sink_verdict sink_full(struct sink *s, uint64_t now_ns);
	/* A message finds no room in the queue: may the session wait for this sink, or is the message
	 * lost? Applies the sink's policy; counts nothing. */
void sink_lose(struct sink *s, uint64_t messages, uint64_t bytes);
	/* counts */
void sink_lose_long(struct sink *s, uint64_t messages, uint64_t bytes);
	/* The same, of what is larger than a datagram or the whole queue: it will never fit. */
int sink_reopen(struct sink *s);
	/* SIGHUP: reopens a file, and lets a sink that backs off try at once. 0 or -errno; after an error
	 * the next sink_pump() tries again. */
const char *sink_error_text(int error);
	/* strerror(3) of s->error or its opposite, and what that says of a name without an address */
bool sink_idle(const struct sink *s);
	/* nothing queued */
const char *sink_state_name(enum sink_state state);
	/* "closed" "opening" "open" "backoff" */

const char *sink_console_format(int fd);
	/* the default format on this descriptor: "pretty" or "raw" */
bool sink_console_color(enum color_when when, bool is_tty, const char *no_color,
			const char *clicolor_force, const char *term);
	/* The last three: the variables NO_COLOR, CLICOLOR_FORCE and TERM, NULL where unset. */

extern const struct sink_row {
	const char *name;      /* the KIND of a specification */
	const char *syntax;    /* "tcp://HOST:PORT" */
	const char *doc;
	const struct sink_ops *ops;
} sink_rows[SINK_KIND_NR];

#define SINK(kind, name, syntax, doc, ops) extern const struct sink_ops ops;
#include "lib/sink/sinks.def"

#endif
