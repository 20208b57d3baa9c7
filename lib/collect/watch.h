/*
 * watch.h - the processes of a session: who they are and when they end.
 *
 * A thread of the collector waits on their pidfds (and whatever else can be polled) and ends the
 * reader's sleep when something has happened; all else is done by the collector's own thread.
 */
#ifndef HARK_COLLECT_WATCH_H
#define HARK_COLLECT_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/collect/checkpoint.h"
#include "lib/ring/ring.h"

struct watched {
	uint32_t pid;         /* 0: free */
	int pidfd;            /* -1: ended, or not to be had */
	bool ended;
	bool foreign;         /* its pid is of another namespace: no telling when it ends */
	bool unwatched;       /* no pidfd was to be had: watch_look() finds out when it ends */
	bool believed;        /* it was seen to be of the session: records name any pid they like */
	uint8_t doubts;
	bool sandboxed;       /* it said that it cannot wake us */
	uint64_t ended_at;    /* the ring's head when it was seen to have ended */
	uint64_t start;
	char comm[16];
	char path[256];
};

struct watch {
	struct ring *ring;
	int epoll;
	pthread_t thread;
	bool running;
	_Atomic uint32_t pending;  /* a futex: the thread has seen something */
	struct watched *table;     /* open addressing, by pid */
	uint32_t size, count, ended_count;
	uint32_t alive;            /* those that we are told of when they end, or look after */
	uint32_t unwatched;
	uint64_t version;          /* grows when watch_save() would write something else */
	uint32_t doubtful;         /* of those alive, not believed (yet) */
	uint64_t doubted_ns;
	uint32_t foreign;          /* bounded, or a flood of them would be our memory's end */
	int pidfd_most;            /* descriptors above are for other things */
	_Atomic bool closing;
	uint64_t own_namespace;
	int ring_fd;               /* see alone.h; -1: not to be asked */
};

enum watch_event { WATCH_NONE, WATCH_PROCESS, WATCH_GUARDIAN, WATCH_DEEP };

int watch_open(struct watch *w, struct ring *ring);
	/* 0 or -errno */
int watch_start(struct watch *w);
	/* starts the thread */
void watch_stop(struct watch *w);
	/* ends it; only after watch_start() */
void watch_close(struct watch *w);
int watch_add_fd(struct watch *w, int fd, enum watch_event event, bool once);
	/* event is reported when fd becomes readable; once: watch_again() re-arms */
void watch_again(struct watch *w, int fd, enum watch_event event);
void watch_remove_fd(struct watch *w, int fd);

struct watched *watch_process(struct watch *w, uint32_t pid);
	/* Who that is; a process not yet known is looked up. NULL where memory is short, or for what is no
	 * pid. The pointer is good until the next call. */
bool watch_joined(struct watch *w, uint32_t pid, const struct record_join *join);
	/* comm and path are ended by NUL. Whether it is of another namespace: its ids mean nothing here. */
uint64_t watch_save(const struct watch *w, struct checkpoint_person *to, uint64_t most);
	/* Who there is, or was and may not have been read to the end; those of other namespaces first. How
	 * many were written; where there are more than `most`, the others' names are looked up again when
	 * they speak. */
void watch_restore(struct watch *w, const struct checkpoint_person *person);
	/* One of those, for another collector; of anybody who is known already, nothing changes. */
void watch_sandboxed(struct watch *w, uint32_t pid, bool is);
bool watch_any_sandboxed(const struct watch *w);
	/* whether a process of the session lives behind a filter, or is about to */
bool watch_has_ended(const struct watch *w, uint32_t pid);
void watch_look(struct watch *w);
	/* looks after those of which we are not told */
bool watch_happened(struct watch *w);
	/* whether watch_events() has something to do; one load */
unsigned watch_events(struct watch *w);
	/* Takes note of what happened; a set of 1 << enum watch_event. */
bool watch_next_ended(struct watch *w, uint64_t position, uint32_t *pid);
	/* One that has ended and of which everything before `position` has been read. */
void watch_forget(struct watch *w, uint32_t pid);
bool watch_find_more(struct watch *w, uint64_t device, uint64_t inode);
	/* Looks for processes that map the ring and have not said anything yet: at all that there are, unless
	 * the kernel knows of none. */
bool watch_quiet(const struct watch *w);
	/* Whether no process has ended that watch_events() has not told of. */
void watch_believe(struct watch *w, struct watched *p);
	/* it is of the session, whatever it maps */
void watch_doubt(struct watch *w, uint64_t device, uint64_t inode, uint64_t began, uint64_t now_ns);
	/* Once a second: who was named in the ring, lives, and does not map it at two looks, or is one of
	 * hark's own, counts as ended: or a record could have us wait for any process of the machine, even
	 * for ourselves. began: the start of the first process, as process_start() has it. */
bool watch_any_holds(struct watch *w, uint64_t device, uint64_t inode);
	/* Whether a process of the session has a descriptor of that file. */

#endif
