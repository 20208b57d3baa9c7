/*
 * watch.c - see watch.h.
 */
#include "lib/collect/watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/sysio.h"
#include "lib/collect/alone.h"
#include "lib/session/process.h"

enum { FIRST_SIZE = 64, EVENTS = 64, NEWER_MOST = 4096 };
enum { DOUBT_NS = 1000000000 };
enum { PID_MOST = 1 << 22, SPARE_FDS = 64 /* sinks open files and connections */ };
enum { FOREIGN_MOST = 4096 /* nothing tells when they end, and anybody may claim to be one */ };

int watch_open(struct watch *w, struct ring *ring)
{
	struct stat st;
	struct rlimit limit = { .rlim_cur = 1024 };

	*w = (struct watch){ .ring = ring, .size = FIRST_SIZE, .ring_fd = -1 };
	getrlimit(RLIMIT_NOFILE, &limit);
	w->pidfd_most = limit.rlim_cur > 2 * SPARE_FDS && limit.rlim_cur < INT_MAX
				? (int)limit.rlim_cur - SPARE_FDS
			: limit.rlim_cur < INT_MAX ? (int)limit.rlim_cur / 2
						   : INT_MAX;
	if (stat("/proc/self/ns/pid", &st) == 0)
		w->own_namespace = st.st_ino;
	w->table = calloc(w->size, sizeof *w->table);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!w->table || w->epoll < 0) {
		free(w->table);
		return w->table ? -errno : -ENOMEM;
	}
	return 0;
}

void watch_close(struct watch *w)
{
	for (uint32_t i = 0; i < w->size; i++)
		if (w->table[i].pid && w->table[i].pidfd >= 0)
			close(w->table[i].pidfd);
	if (w->running)
		watch_stop(w);
	free(w->table);
	close(w->epoll);
	w->table = NULL;
}

static uint64_t tag(enum watch_event event, uint32_t value)
{
	return (uint64_t)event << 32 | value;
}

int watch_add_fd(struct watch *w, int fd, enum watch_event event, bool once)
{
	struct epoll_event e = { .events = EPOLLIN | (once ? EPOLLONESHOT : 0),
				 .data.u64 = tag(event, (uint32_t)fd) };
	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : -errno;
}

void watch_again(struct watch *w, int fd, enum watch_event event)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT,
				 .data.u64 = tag(event, (uint32_t)fd) };
	epoll_ctl(w->epoll, EPOLL_CTL_MOD, fd, &e);
}

void watch_remove_fd(struct watch *w, int fd)
{
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* ---- the table ---------------------------------------------------------------------------------- */

static struct watched *slot_of(const struct watch *w, uint32_t pid)
{
	uint32_t i = pid * 2654435761u & (w->size - 1);

	while (w->table[i].pid && w->table[i].pid != pid)
		i = (i + 1) & (w->size - 1);
	return &w->table[i];
}

static bool grow(struct watch *w)
{
	struct watch bigger = { .size = w->size * 2 };

	bigger.table = calloc(bigger.size, sizeof *bigger.table);
	if (!bigger.table)
		return false;
	for (uint32_t i = 0; i < w->size; i++)
		if (w->table[i].pid)
			*slot_of(&bigger, w->table[i].pid) = w->table[i];
	free(w->table);
	w->table = bigger.table;
	w->size = bigger.size;
	return true;
}

static void let_go(struct watch *w, struct watched *p)
{
	if (p->pidfd >= 0)
		close(p->pidfd);
	w->alive -= p->pidfd >= 0 || p->unwatched;
	w->doubtful -= (p->pidfd >= 0 || p->unwatched) && !p->believed;
	w->unwatched -= p->unwatched;
	p->pidfd = -1;
	p->unwatched = false;
}

static void mark_ended(struct watch *w, struct watched *p)
{
	if (p->ended)
		return;
	p->ended = true;
	p->ended_at = atomic_load(&w->ring->shared->head);
	w->ended_count++;
	let_go(w, p);
}

static void attach(struct watch *w, struct watched *p)
{
	p->start = process_start((pid_t)p->pid);
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->pidfd < 0 && (errno == ESRCH || errno == EINVAL)) {
		mark_ended(w, p);
		return;
	}
	w->alive++;
	w->doubtful++;
	p->believed = false;
	p->doubts = 0;
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = tag(WATCH_PROCESS, p->pid) };
	if (p->pidfd >= 0 && p->pidfd < w->pidfd_most &&
	    epoll_ctl(w->epoll, EPOLL_CTL_ADD, p->pidfd, &e) == 0)
		return;
	if (p->pidfd >= 0)
		close(p->pidfd);
	p->pidfd = -1;
	p->unwatched = true;
	w->unwatched++;
}

static struct watched *add(struct watch *w, uint32_t pid, bool foreign)
{
	if (foreign && w->foreign >= FOREIGN_MOST)
		return NULL;
	if (pid == 0 || pid > PID_MOST || (w->count * 2 >= w->size && !grow(w)))
		return NULL;
	struct watched *p = slot_of(w, pid);
	*p = (struct watched){ .pid = pid, .pidfd = -1, .foreign = foreign };
	w->count++;
	w->version++;
	w->foreign += foreign;
	if (!foreign) {
		process_comm((pid_t)pid, p->comm);
		attach(w, p);
	}
	return p;
}

struct watched *watch_process(struct watch *w, uint32_t pid)
{
	struct watched *p = slot_of(w, pid);

	/* It may be one of those abroad whom there was no room to note: no number of ours, then. */
	if (!p->pid && w->foreign >= FOREIGN_MOST)
		return NULL;
	return p->pid ? p : add(w, pid, false);
}

/* A forked child does not know its namespace, but its parent's number in it: 0 is one outside. */
static bool is_foreign(const struct watch *w, const struct record_join *join)
{
	if (join->pid_namespace)
		return w->own_namespace && join->pid_namespace != w->own_namespace;
	if (!join->parent)
		return true;
	const struct watched *parent = slot_of(w, join->parent);
	return parent->pid && parent->foreign;
}

bool watch_joined(struct watch *w, uint32_t pid, const struct record_join *join)
{
	bool foreign = is_foreign(w, join);
	struct watched *p = slot_of(w, pid);

	if (!p->pid && !(p = add(w, pid, foreign)))
		return foreign;
	if (p->ended && !foreign && process_start((pid_t)pid) != p->start && p->start) {
		/* The number has a new owner before the old one's last words were read. */
		p->ended = false;
		w->ended_count--;
		attach(w, p);
	}
	w->version++;
	snprintf(p->comm, sizeof p->comm, "%.15s", join->comm);
	if (*join->path)
		snprintf(p->path, sizeof p->path, "%.255s", join->path);
	return foreign;
}

static uint64_t save_those(const struct watch *w, bool foreign, struct checkpoint_person *to,
			   uint64_t most)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < w->size && n < most; i++) {
		const struct watched *p = &w->table[i];
		if (!p->pid || p->foreign != foreign)
			continue;
		to[n] = (struct checkpoint_person){ .start = p->start, .pid = p->pid,
						    .foreign = p->foreign,
						    .sandboxed = p->sandboxed };
		memcpy(to[n++].comm, p->comm, sizeof p->comm);
	}
	return n;
}

uint64_t watch_save(const struct watch *w, struct checkpoint_person *to, uint64_t most)
{
	uint64_t n = save_those(w, true, to, most);

	return n + save_those(w, false, to + n, most - n);
}

void watch_restore(struct watch *w, const struct checkpoint_person *given)
{
	const struct checkpoint_person person = *given; /* it may change meanwhile */

	if (person.pid == 0 || person.pid > PID_MOST || slot_of(w, person.pid)->pid)
		return;
	struct watched *p = add(w, person.pid, person.foreign);
	if (!p)
		return;
	p->sandboxed = person.sandboxed;
	memcpy(p->comm, person.comm, sizeof p->comm);
	p->comm[sizeof p->comm - 1] = 0;
	if (!p->foreign && p->start != person.start) {
		/* It is gone, and its number may be somebody else's. */
		mark_ended(w, p);
		p->start = person.start;
	}
}

void watch_sandboxed(struct watch *w, uint32_t pid, bool is)
{
	struct watched *p = watch_process(w, pid);
	if (!p)
		return;
	p->sandboxed = is;
	w->version++;
}

bool watch_any_sandboxed(const struct watch *w)
{
	for (uint32_t i = 0; i < w->size; i++) {
		const struct watched *p = &w->table[i];
		if (p->pid && !p->ended &&
		    (p->sandboxed || p->foreign || process_is_filtered((pid_t)p->pid)))
			return true;
	}
	return false;
}

static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return fd >= 0 && poll(&p, 1, 0) == 1;
}

bool watch_has_ended(const struct watch *w, uint32_t pid)
{
	const struct watched *p = slot_of(w, pid);
	return p->pid && (p->ended || is_readable(p->pidfd));
}

void watch_look(struct watch *w)
{
	for (uint32_t i = 0; w->unwatched && i < w->size; i++) {
		struct watched *p = &w->table[i];
		if (p->pid && p->unwatched &&
		    (process_is_zombie((pid_t)p->pid) || process_start((pid_t)p->pid) != p->start))
			mark_ended(w, p);
	}
}

bool watch_happened(struct watch *w)
{
	return atomic_load_explicit(&w->pending, memory_order_acquire) != 0;
}

unsigned watch_events(struct watch *w)
{
	struct epoll_event events[EVENTS];
	unsigned seen = 0;

	int n = epoll_wait(w->epoll, events, EVENTS, 0);
	for (int i = 0; i < n; i++) {
		enum watch_event event = (enum watch_event)(events[i].data.u64 >> 32);
		seen |= 1u << event;
		if (event != WATCH_PROCESS)
			continue;
		struct watched *p = slot_of(w, (uint32_t)events[i].data.u64);
		/* Unless it is of one who had the number before: a fork may keep his pidfd for a while. */
		if (p->pid && is_readable(p->pidfd))
			mark_ended(w, p);
	}
	atomic_store(&w->pending, 0);
	sysio_futex_wake(&w->pending, 1);
	return seen;
}

bool watch_next_ended(struct watch *w, uint64_t position, uint32_t *pid)
{
	for (uint32_t i = 0; w->ended_count && i < w->size; i++) {
		struct watched *p = &w->table[i];
		if (p->pid && p->ended && p->ended_at <= position) {
			*pid = p->pid;
			return true;
		}
	}
	return false;
}

void watch_forget(struct watch *w, uint32_t pid)
{
	struct watched *p = slot_of(w, pid);
	if (!p->pid)
		return;
	if (p->ended)
		w->ended_count--;
	let_go(w, p);
	w->foreign -= p->foreign;
	p->pid = 0;
	w->count--;
	w->version++;
	/* What stood behind it in the same run may have been pushed there by it. */
	uint32_t i = (uint32_t)(p - w->table);
	for (i = (i + 1) & (w->size - 1); w->table[i].pid; i = (i + 1) & (w->size - 1)) {
		struct watched moved = w->table[i];
		w->table[i].pid = 0;
		*slot_of(w, moved.pid) = moved;
	}
}

struct search {
	struct watch *watch;
	uint64_t device, inode;
	struct stat program;  /* of this command: guardians and tools map the ring, too */
	bool found;
};

static bool is_hark(pid_t pid, const struct stat *program)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof path, "/proc/%d/exe", pid);
	return stat(path, &st) == 0 && st.st_dev == program->st_dev && st.st_ino == program->st_ino;
}

static void adopt(struct search *s, pid_t pid)
{
	if (is_hark(pid, &s->program))
		return;
	struct watched *p = slot_of(s->watch, (uint32_t)pid);
	if (!p->pid)
		p = add(s->watch, (uint32_t)pid, false);
	if (p)
		watch_believe(s->watch, p);
	s->found = s->found || !p || !p->ended;
}

static int look_at(void *argument, int proc, pid_t pid)
{
	struct search *s = argument;

	if (process_maps_at(proc, pid, s->device, s->inode))
		adopt(s, pid);
	return 0;
}

/* /proc is listed in large pieces: of a process that forks meanwhile and ends before we look at it,
 * the child is in no list. It has one of the numbers that were given since. */
static void adopt_newer(struct search *s, pid_t known)
{
	for (pid_t newest; (newest = process_newest()) > known; known = newest) {
		if (newest - known > NEWER_MOST)
			known = newest - NEWER_MOST;
		for (pid_t pid = known + 1; pid <= newest; pid++)
			if (process_leads(pid) && process_maps(pid, s->device, s->inode))
				adopt(s, pid);
	}
}

bool watch_find_more(struct watch *w, uint64_t device, uint64_t inode)
{
	struct search s = { .watch = w, .device = device, .inode = inode };

	if ((w->ring_fd >= 0 && alone_with(w->ring_fd)) || stat("/proc/self/exe", &s.program) != 0)
		return false;
	pid_t known = process_newest();
	process_each(look_at, &s);
	if (known > 0)
		adopt_newer(&s, known);
	return s.found;
}

void watch_believe(struct watch *w, struct watched *p)
{
	w->doubtful -= (p->pidfd >= 0 || p->unwatched) && !p->believed;
	p->believed = true;
}

void watch_doubt(struct watch *w, uint64_t device, uint64_t inode, uint64_t began, uint64_t now_ns)
{
	struct stat program;

	if (!w->doubtful || now_ns - w->doubted_ns < DOUBT_NS ||
	    stat("/proc/self/exe", &program) != 0)
		return;
	w->doubted_ns = now_ns;
	for (uint32_t i = 0; i < w->size; i++) {
		struct watched *p = &w->table[i];
		if (!p->pid || p->ended || p->believed || p->foreign)
			continue;
		/* A leader that ended before its threads has no mappings; one that is not dumpable shows
		 * none, but is no older than the session; one in the middle of an exec will have some at
		 * the next look. We ourselves, and our guardian, map the ring, too, and would wait for each
		 * other. */
		pid_t pid = (pid_t)p->pid;
		if ((process_maps(pid, device, inode) && !is_hark(pid, &program)) ||
		    (p->start >= began && process_hides(pid)))
			watch_believe(w, p);
		else if (!process_is_zombie(pid) && p->doubts++)
			mark_ended(w, p);
	}
}

bool watch_quiet(const struct watch *w)
{
	return !is_readable(w->epoll);
}

bool watch_any_holds(struct watch *w, uint64_t device, uint64_t inode)
{
	for (uint32_t i = 0; i < w->size; i++) {
		struct watched *p = &w->table[i];
		if (p->pid && !p->ended &&
		    (p->foreign || process_holds((pid_t)p->pid, device, inode)))
			return true;
	}
	return false;
}
