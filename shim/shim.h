/*
 * shim.h - what the files of the shim share: the state of this process and of each of its threads.
 *
 * The shim lives inside other people's programs. It takes no lock, allocates with malloc nowhere,
 * keeps no descriptor, starts no thread, and says nothing but one line when it cannot work.
 */
#ifndef HARK_SHIM_SHIM_H
#define HARK_SHIM_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include "lib/session/session.h"

/* What a descriptor is to us. From CAPTURED on, the rest is an index into chosen[]; from
 * CAPTURED_PATH on, the file was opened under a name that path:GLOB matches. */
enum fd_state {
	FD_UNKNOWN, /* look when it is written to */
	FD_PASS,    /* none of our business */
	FD_SAME,    /* not captured, but the same open file as the console: order matters */
	FD_CAPTURED,
	FD_CAPTURED_PATH = FD_CAPTURED + CONTROL_CHOSEN,
};

enum { SHIM_FDS = 65536, SHIM_PAGES = 32 };

/* Zeroed by the kernel in the child of a fork (MADV_WIPEONFORK), however it was made. */
struct shim_epoch {
	_Atomic uint32_t value; /* the process's pid; 0: just forked, or nothing empties the page */
	_Atomic uint32_t stamp; /* see stamp_gate */
};

struct shim {
	_Atomic uint32_t stage;      /* enum shim_stage */
	struct session session;
	/* What the control block said when we joined. Anybody may change it there, to no good. */
	struct chosen_file chosen[CONTROL_CHOSEN];
	unsigned chosen_count;       /* CONTROL_CHOSEN at most */
	char paths[sizeof(((struct control *)0)->paths)]; /* globs, as there; the list is ended */
	struct ring_policy policy;
	struct shim_epoch *epoch;
	bool sandboxed;              /* a seccomp filter is in force: no system call of our own */
	bool unadvised;              /* madvise is an emulator's or an old kernel's: not believed */
	bool leaving;                /* exit is under way: whatever is said now is waited for */
	bool first;                  /* this process began the session */
	bool unfinished;             /* what was captured last did not end in a newline */
	uint64_t gave_up_at;         /* control->shown, when waiting for it was last in vain */
	char session_entry[512];     /* "HARK_SESSION=…", for the environment of other programs */
	char preload[512];           /* our own path */
	_Atomic uint8_t fds[SHIM_FDS];
};

enum shim_stage { SHIM_NEW, SHIM_STARTING, SHIM_LISTENING, SHIM_PASSING };

struct shim_thread {
	uint32_t epoch;              /* of which author is true */
	struct ring_author author;
	uint32_t borrower;           /* pid of a vfork child that runs on our memory; 0: none seen */
	uint64_t borrowed_fds;       /* descriptors 0 to 63 that it made duplicates of captured ones */
	uint32_t adopt;              /* inside a reporter that writes to a duplicate of descriptor 2 */
	uintptr_t pages[SHIM_PAGES]; /* known to be readable */
	uintptr_t stack_low;         /* from here up to our own end the stack is known to be whole */
	uint16_t line_fd;            /* the line that was begun there … */
	bool line_open;              /* … is not at its end … */
	bool line_stack;             /* … and has its stack */
};

extern struct shim shim;
/* initial-exec: a dynamic TLS access may call malloc, and we may be inside of it. */
extern _Thread_local struct shim_thread shim_thread __attribute__((tls_model("initial-exec")));

void shim_start(void);
	/* Joins or begins a session. Called by the constructor, or by the first hook that is called before. */

static inline bool shim_listening(void)
{
	uint32_t stage = atomic_load_explicit(&shim.stage, memory_order_acquire);
	if (__builtin_expect(stage == SHIM_NEW, 0)) {
		shim_start();
		stage = atomic_load_explicit(&shim.stage, memory_order_acquire);
	}
	return stage == SHIM_LISTENING;
}

/* thread.c */
void thread_refresh(void);
	/* Finds out who we are: after a fork, in a new thread, in a vfork child. */
static inline void thread_know(void)
{
	uint32_t epoch = atomic_load_explicit(&shim.epoch->value, memory_order_relaxed);
	if (__builtin_expect(shim_thread.epoch != epoch || epoch == 0 || shim_thread.borrower, 0))
		thread_refresh();
}
void thread_renamed(void);
	/* The calling thread has another name now; the first one's is the process's. */
bool thread_original(void);
	/* Whether no fork lies between us and the process that joined. For its end, not for each call. */
bool thread_borrows(void);
	/* Whether we are a vfork child, in our parent's memory: what is noted there is not ours. One
	 * system call. */

/* capture.c */
unsigned capture_classify(int fd);
static inline unsigned capture_state(int fd)
{
	unsigned state = FD_UNKNOWN;
	if (__builtin_expect((unsigned)fd < SHIM_FDS, 1))
		/* pairs with remember(): who sees a file as captured sees the session, too */
		state = atomic_load_explicit(&shim.fds[fd], memory_order_acquire);
	return __builtin_expect(state != FD_UNKNOWN, 1) ? state : capture_classify(fd);
}
static inline bool capture_is(unsigned state) { return state >= FD_CAPTURED; }
bool capture_still(int fd, unsigned state);
	/* For a vfork child: whether the descriptor is, now and for it, that captured file. */
ssize_t capture_write(int fd, unsigned state, const struct iovec *parts, unsigned count);
	/* As writev(2) would: a count, or -1 with errno. */
ssize_t capture_bytes(int fd, unsigned state, const void *bytes, size_t count);
	/* As write(2) would. */
void capture_order(unsigned state);
	/* Before a write to an uncaptured descriptor: waits until the console shows what was said before. */
void capture_pass(unsigned state);
	/* The same before the kernel itself is to write to the descriptor, captured or not. */
void capture_begin(void);
	/* The first look at descriptors 1 and 2, in a new image. */
void capture_created(int fd);
	/* A call has returned this descriptor as new. */
void capture_closed(int fd);
void capture_shut(int fd);
	/* It is a socket that takes no more. */
void capture_copied(int from, int to);
void capture_opened(int fd, const char *path, int flags);
	/* as capture_created(), and looks whether path:GLOB wants it */
bool capture_syslog(void);
	/* Whether syslog messages are ours. */
int capture_message(const struct record_info *info, const struct iovec *parts, unsigned count);
	/* Appends what is no write: 0, or -EPIPE where the program must speak for itself. */
void capture_settle(enum session_wait what, uint64_t timeout_ns);
	/* Waits until what was said so far is on the console, or delivered. */

/* stack.c: who says it */
void stack_begin(void);
	/* Where the first thread's stack ends. By the constructor. */
int stack_append(const struct record_info *info, const struct iovec *parts, unsigned count);
	/* A message together with its call path, where that is wanted and can be had without waiting: as
	 * ring_append(). 1: nothing was appended, and the caller does it. Async-signal-safe. */
int stack_interrupted(struct ring *ring, struct ring_author *author, const struct record_info *info,
		      const ucontext_t *at);
	/* The stack of who was interrupted by a signal, into a ring that is not waited for: as
	 * ring_append(). Async-signal-safe. */
void stack_unloaded(void);
	/* A module may have gone, and another come in its place. */

/* memory.c */
size_t memory_readable(const void *at, size_t bytes);
	/* How many of the bytes can be read, from the first one on, in whole pages. */
void memory_changed(void);

#endif
