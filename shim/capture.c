/*
 * capture.c - which descriptor is which open file, and what happens to what is written to it.
 *
 * What is captured is the open file that descriptor 2 (or another chosen one) was when the session
 * started, known by device and inode, with its duplicates. What we know of a descriptor stands in one
 * byte; whoever closes, moves or makes descriptors (hook_fd.c) resets it, and the next write looks.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/level.h"
#include "lib/base/parse.h"
#include "lib/base/sysio.h"
#include "lib/base/testpoint.h"
#include "shim/hook.h"
#include "shim/real.h"
#include "shim/shim.h"

enum { PARTS = 16 };

struct shim shim;

static bool is_file(const struct chosen_file *f, const struct stat *st)
{
	return f->known && st->st_dev == f->device && st->st_ino == f->inode &&
	       st->st_rdev == f->special;
}

static bool is_console(const struct control *c, const struct stat *st)
{
	return c->console && st->st_dev == c->console_device && st->st_ino == c->console_inode &&
	       st->st_rdev == c->console_special;
}

static bool writable(int fd)
{
	long flags = sysio_call(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);
	return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH);
}

/* A pipe or socket without its other end: the real call says EPIPE, or raises SIGPIPE. */
static bool hung_up(int fd, const struct stat *st)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	struct timespec now = { 0 };

	return (S_ISFIFO(st->st_mode) || S_ISSOCK(st->st_mode)) &&
	       sysio_call(SYS_ppoll, (long)&p, 1, (long)&now, 0, 0, 0) == 1 &&
	       (p.revents & (POLLERR | POLLHUP));
}

static unsigned classify(int fd)
{
	const struct control *c = shim.session.control;
	struct stat st;

	if (sysio_fstat(fd, &st) != 0)
		return FD_UNKNOWN; /* closed: the real call says so */
	for (unsigned i = 0; i < shim.chosen_count; i++)
		if (shim.chosen[i].fd == fd &&
		    (c->follow_number || is_file(&shim.chosen[i], &st)))
			return !writable(fd) || hung_up(fd, &st) ? FD_PASS : FD_CAPTURED + i;
	return is_console(c, &st) ? FD_SAME : FD_PASS;
}

static bool ours(unsigned state)
{
	return capture_is(state) || state == FD_SAME;
}

/* Who reads the other end of a pipe waits until nobody holds it: the collector lets go of it when the
 * last process of the session has, so it is told when one may have. */
static void tell_closed(int fd)
{
	struct record_info info = { .fd = (uint16_t)fd,
				    .source = SOURCE_HARK,
				    .kind = RECORD_CLOSED };

	if (!shim.sandboxed)
		capture_message(&info, NULL, 0);
}

static void remember(int fd, unsigned state)
{
	if ((unsigned)fd >= SHIM_FDS)
		return;
	/* pairs with capture_state() */
	unsigned before = atomic_exchange(&shim.fds[fd], (uint8_t)state);
	if (ours(before) && !ours(state) && shim_listening() && shim.session.control->console)
		tell_closed(fd);
}

unsigned capture_classify(int fd)
{
	if (fd < 0 || !shim_listening() || shim.sandboxed)
		return FD_PASS;
	if (shim_thread.borrower && thread_borrows()) /* nothing may be noted: it is the parent's */
		return fd < 64 && shim_thread.borrowed_fds >> fd & 1 ? FD_CAPTURED : FD_PASS;
	unsigned state = classify(fd);
	remember(fd, state);
	return state == FD_UNKNOWN ? FD_PASS : state;
}

/* What exec has closed was closed without a call of ours. */
void capture_begin(void)
{
	bool held = false;

	for (int fd = 1; fd <= 2; fd++)
		held = ours(capture_state(fd)) || held;
	if (!held && shim_listening() && shim.session.control->console)
		tell_closed(STDERR_FILENO);
}

bool capture_still(int fd, unsigned state)
{
	struct stat st;

	if (state >= FD_CAPTURED_PATH)
		return true;
	return sysio_fstat(fd, &st) == 0 && is_file(&shim.chosen[state - FD_CAPTURED], &st);
}

/* ---- descriptors come, go and move -------------------------------------------------------------- */

void capture_created(int fd)
{
	if (fd >= 0 && (unsigned)fd < SHIM_FDS &&
	    atomic_load_explicit(&shim.fds[fd], memory_order_relaxed) != FD_UNKNOWN &&
	    !(shim_listening() && thread_borrows()))
		remember(fd, FD_UNKNOWN);
}

void capture_closed(int fd)
{
	capture_created(fd);
}

void capture_shut(int fd)
{
	if (fd >= 0 && (unsigned)fd < SHIM_FDS && ours(atomic_load(&shim.fds[fd])) &&
	    !(shim_listening() && thread_borrows()))
		remember(fd, FD_PASS);
}

void capture_copied(int from, int to)
{
	if (!shim_listening() || from < 0 || to < 0 || from == to)
		return;
	unsigned state = capture_state(from);
	if (thread_borrows()) {
		if (to < 64) {
			uint64_t bit = UINT64_C(1) << to;
			bool captured = capture_is(state) && capture_still(from, state);
			shim_thread.borrowed_fds = captured ? shim_thread.borrowed_fds | bit
							    : shim_thread.borrowed_fds & ~bit;
			/* Not known, so that our writes come to be looked at; so will the parent's. */
			if (captured && !capture_is(atomic_load(&shim.fds[to])))
				atomic_store(&shim.fds[to], FD_UNKNOWN);
		}
		return;
	}
	/* The copy of a merely like file is looked at under its own number. */
	remember(to, capture_is(state) ? state : FD_UNKNOWN);
}

/* /dev/stderr and its kin name a descriptor, so what comes is its duplicate in all but the number. */
static bool same_by_name(int fd, const char *path)
{
	static const char *const prefixes[] = { "/dev/fd/", "/proc/self/fd/" };
	int named = -1;

	if (strcmp(path, "/dev/stderr") == 0)
		named = STDERR_FILENO;
	else if (strcmp(path, "/dev/stdout") == 0)
		named = STDOUT_FILENO;
	for (unsigned i = 0; i < 2; i++) {
		size_t n = strlen(prefixes[i]);
		unsigned digit = strncmp(path, prefixes[i], n) == 0 ? (unsigned)path[n] - '0' : 10;
		if (digit < 10 && !path[n + 1])
			named = (int)digit;
	}
	if (named < 0)
		return false;
	unsigned state = capture_state(named);
	if (!capture_is(state) || !capture_still(fd, state))
		return false;
	capture_copied(named, fd);
	return true;
}

void capture_opened(int fd, const char *path, int flags)
{
	capture_created(fd);
	if (fd < 0 || (flags & O_ACCMODE) == O_RDONLY || !shim_listening())
		return;
	if (same_by_name(fd, path))
		return;
	unsigned which = 0;
	for (const char *glob = shim.paths; *glob; glob += strlen(glob) + 1, which++)
		if (FD_CAPTURED_PATH + which <= UINT8_MAX && parse_glob(glob, path) &&
		    !thread_borrows())
			remember(fd, FD_CAPTURED_PATH + which);
}

/* ---- what is said ------------------------------------------------------------------------------- */

/* Nobody collects any more. Said once for the whole session, by whoever notices first. */
static void abandon(void)
{
	static const char text[] =
		"hark: the collector is gone; from here on this program writes for itself."
		" What was not delivered: hark salvage\n";
	struct control *c = shim.session.control;
	uint32_t live = SESSION_LIVE;

	atomic_compare_exchange_strong(&c->state, &live, SESSION_ABANDONED);
	atomic_store(&shim.stage, SHIM_PASSING);
	if (!shim.sandboxed && capture_still(STDERR_FILENO, FD_CAPTURED) &&
	    atomic_exchange(&c->warned, 1) == 0)
		sysio_write(STDERR_FILENO, text, sizeof text - 1);
}

/* Whoever could collect may also have given up himself; and one that was asked to end is still at it. */
static bool nobody_collects(void)
{
	const struct control *c = shim.session.control;
	return atomic_load(&c->state) != SESSION_ENDED && !session_alive(c);
}

static void count_lost(size_t bytes)
{
	struct lost_count *lost = &shim.session.control->lost[LOST_FULL];
	atomic_fetch_add_explicit(&lost->messages, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&lost->bytes, bytes, memory_order_relaxed);
}

int capture_message(const struct record_info *info, const struct iovec *parts, unsigned count)
{
	if (__builtin_expect(atomic_load_explicit(&shim.session.control->state,
						  memory_order_relaxed) != SESSION_LIVE, 0)) {
		if (nobody_collects())
			abandon();
		atomic_store(&shim.stage, SHIM_PASSING);
		return -EPIPE;
	}
	if (__builtin_expect(!atomic_load_explicit(&shim.session.control->spoken,
						   memory_order_relaxed), 0) &&
	    info->kind <= RECORD_SYSLOG)
		atomic_store(&shim.session.control->spoken, 1);
	thread_know();
	int error = 1;
	if (__builtin_expect(atomic_load_explicit(&shim.session.control->stack,
						  memory_order_relaxed) != LEVEL_NONE, 0))
		error = stack_append(info, parts, count);
	if (__builtin_expect(error > 0, 1))
		error = ring_append(&shim.session.ring, &shim_thread.author, info, parts, count,
				    &shim.policy);
	if (__builtin_expect(error == 0, 1))
		return 0;
	if (error == -EPIPE) {
		/* Behind a filter we cannot wait for room: this message goes its own way, no more. */
		if (!shim.sandboxed)
			abandon();
		return -EPIPE;
	}
	size_t bytes = 0;
	for (unsigned i = 0; i < count; i++)
		bytes += parts[i].iov_len;
	count_lost(bytes);
	return 0;
}

static ssize_t write_really(int fd, const struct iovec *parts, unsigned count)
{
	if (count == 1)
		return REAL(write)(fd, parts->iov_base, parts->iov_len);
	return REAL(writev)(fd, parts, (int)count);
}

/* Parts that can be read, up to what one call may take; the bytes in them, or -EFAULT. */
static ssize_t sift(const struct iovec *parts, unsigned count, struct iovec *sound,
		    unsigned *sounds)
{
	const size_t most = 0x7ffff000; /* MAX_RW_COUNT of the kernel */
	size_t total = 0;

	*sounds = 0;
	for (unsigned i = 0; i < count && total < most; i++) {
		uintptr_t at = (uintptr_t)parts[i].iov_base;
		if ((intptr_t)(at + parts[i].iov_len) < 0 || at + parts[i].iov_len < at)
			return total ? (ssize_t)total : -EFAULT; /* as the kernel: not one byte of it */
		size_t want = parts[i].iov_len < most - total ? parts[i].iov_len : most - total;
		size_t have = memory_readable(parts[i].iov_base, want);
		if (have)
			sound[(*sounds)++] = (struct iovec){ parts[i].iov_base, have };
		total += have;
		if (have < want)
			return total ? (ssize_t)total : -EFAULT;
	}
	return (ssize_t)total;
}

static void describe(int fd, unsigned state, struct record_info *info)
{
	*info = (struct record_info){ .fd = (uint16_t)fd, .kind = RECORD_TEXT };
	if (state >= FD_CAPTURED_PATH) {
		info->source = SOURCE_PATH;
		info->detail = state - FD_CAPTURED_PATH;
		return;
	}
	const struct chosen_file *file = &shim.chosen[state - FD_CAPTURED];
	info->source = (uint8_t)file->source;
	info->detail = (uint32_t)file->fd;
}

/* Nobody reads the pipe that the console is: what the program's own write would do to it, EPIPE or
 * SIGPIPE, is done by its own write. */
static bool broken(unsigned state)
{
	const struct control *c = shim.session.control;

	if (__builtin_expect(!atomic_load_explicit(&c->console_broken, memory_order_relaxed), 1) ||
	    state >= FD_CAPTURED_PATH)
		return false;
	const struct chosen_file *file = &shim.chosen[state - FD_CAPTURED];
	return file->device == c->console_device && file->inode == c->console_inode;
}

static void note_end(const void *bytes, size_t count)
{
	bool unfinished = ((const char *)bytes)[count - 1] != '\n';
	if (unfinished != shim.unfinished) /* seldom written, so that threads do not fight for its line */
		shim.unfinished = unfinished;
}

static ssize_t capture_parts(int fd, unsigned state, const struct iovec *parts, unsigned count)
{
	struct iovec sound[PARTS];
	unsigned sounds;
	struct record_info info;

	ssize_t bytes = sift(parts, count, sound, &sounds);
	if (__builtin_expect(bytes <= 0, 0)) {
		if (bytes < 0)
			errno = (int)-bytes;
		return bytes < 0 ? -1 : 0;
	}
	describe(fd, state, &info);
	if (__builtin_expect(shim.session.control->mirror || broken(state), 0)) {
		ssize_t written = write_really(fd, sound, sounds);
		if (written <= 0)
			return written;
		info.flags = RECORD_MIRRORED;
		for (unsigned i = 0, left = (unsigned)written; i < sounds; i++) {
			if (sound[i].iov_len > left)
				sound[i].iov_len = left;
			left -= (unsigned)sound[i].iov_len;
		}
		capture_message(&info, sound, sounds);
		return written;
	}
	if (capture_message(&info, sound, sounds) != 0)
		return write_really(fd, parts, count);
	note_end(sound[sounds - 1].iov_base, sound[sounds - 1].iov_len);
	if (__builtin_expect(shim.leaving, 0))
		hook_exit_settle();
	return bytes;
}

ssize_t capture_write(int fd, unsigned state, const struct iovec *parts, unsigned count)
{
	ssize_t done = 0;

	if (__builtin_expect(!shim_listening(), 0))
		return write_really(fd, parts, count);
	thread_know();
	if (__builtin_expect(shim_thread.borrower != 0, 0) && !capture_still(fd, state))
		return write_really(fd, parts, count);
	if (__builtin_expect(count <= PARTS, 1))
		return capture_parts(fd, state, parts, count);
	/* More parts than our stack should hold: they follow each other in the stream all the same. */
	for (unsigned at = 0; at < count; at += PARTS) {
		unsigned some = count - at < PARTS ? count - at : PARTS;
		ssize_t n = capture_parts(fd, state, parts + at, some);
		if (n < 0)
			return done ? done : n;
		done += n;
	}
	return done;
}

/* The common case, without what the others need: one readable part, in the process's own memory. */
ssize_t capture_bytes(int fd, unsigned state, const void *bytes, size_t count)
{
	const struct control *c = shim.session.control;
	struct iovec part = { (void *)bytes, count };
	struct record_info info;

	bool other = !shim_listening() || count - 1 >= ring_record_most(&shim.session.ring) ||
		     memory_readable(bytes, count) != count || c->mirror || shim.leaving ||
		     shim_thread.borrower ||
		     atomic_load_explicit(&c->console_broken, memory_order_relaxed);
	if (__builtin_expect(other, 0))
		return capture_write(fd, state, &part, 1);
	describe(fd, state, &info);
	if (capture_message(&info, &part, 1) != 0)
		return write_really(fd, &part, 1);
	note_end(bytes, count);
	return (ssize_t)count;
}

bool capture_syslog(void)
{
	return shim_listening() && shim.session.control->capture_syslog;
}

/* ---- order on a terminal ------------------------------------------------------------------------ */

void capture_settle(enum session_wait what, uint64_t timeout_ns)
{
	struct control *c = shim.session.control;

	if (shim.sandboxed)
		return;
	uint64_t shown = atomic_load(&c->shown);
	if (shown == shim.gave_up_at && shown != 0)
		return; /* nothing has moved since we waited in vain */
	uint64_t here = session_position(&shim.session);
	int error = session_wait_for(&shim.session, what, here, timeout_ns);
	if (error == -ETIMEDOUT)
		shim.gave_up_at = atomic_load(&c->shown);
	else if (error == -EPIPE && nobody_collects())
		abandon();
}

void capture_order(unsigned state)
{
	const uint64_t bound_ns = 500000000;

	if (__builtin_expect(state == FD_SAME, 0) && shim_listening())
		capture_settle(SESSION_SHOWN, bound_ns);
}

void capture_pass(unsigned state)
{
	bool captured = capture_is(state) && state < FD_CAPTURED_PATH;
	capture_order(captured ? FD_SAME : state);
}
