/*
 * sink_file.c - a file that grows, rotates, and survives what administrators do to it.
 *
 * Driven by sink_pump() through sink_ops. The live name never changes; each batch of whole lines is
 * one append, so that several sessions may share a file. Must never split a line over two files,
 * lose or repeat one, and never wait long for another process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/testpoint.h"
#include "lib/sink/planted.h"
#include "lib/sink/resume.h"
#include "lib/sink/rotate.h"
#include "lib/sink/sink.h"

#define SECOND_NS UINT64_C(1000000000)

enum {
	OPEN_FLAGS = O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
	OPEN_TRIES = 4,
	LOCK_TRIES = 10,         /* a millisecond apart: a rotation takes less */
	SWITCH_TRIES = 3,        /* files that turn out to be full as well */
	RAW_GRACE = 64 << 10,    /* raw: by how much a line without an end may exceed size= */
};

static bool is_raw(const struct sink *s)
{
	return strcmp(s->spec.format, "raw") == 0;
}

/* Inside a frame: its rest must follow in the same file. Raw bytes have no frames. */
static bool in_frame(const struct sink *s)
{
	return s->u.file.mid_line && !is_raw(s);
}

/* The file of which this one takes over the live name is its model: who made a log private meant the
 * next one, too. */
static void take_after(int fd, const struct stat *model)
{
	mode_t mode = model->st_mode & 0777;

	if (fchown(fd, model->st_uid, model->st_gid) != 0)
		mode &= ~(mode_t)S_IRWXG; /* another group's */
	(void)fchmod(fd, mode);
}

/* model: NULL, or the file that had the name before. */
static int create_live(const struct sink_spec *spec, int flags, const struct stat *model)
{
	mode_t mode = model && !spec->has_mode ? model->st_mode & S_IRWXU : (mode_t)spec->mode;
	int fd = open(spec->target, flags, mode);
	if (fd < 0)
		return -errno;
	if (spec->has_mode)
		(void)fchmod(fd, (mode_t)spec->mode); /* what was asked for, whatever the umask */
	else if (model)
		take_after(fd, model);
	return fd;
}

static int accept_live(const char *path, int fd)
{
	int error = planted_file(path, fd);

	if (error)
		close(fd);
	return error ? error : fd;
}

/* Creating and opening are told apart, because only a file that is new gets the mode, and because
 * O_CREAT on somebody else's file in a sticky directory is refused by the kernel. */
static int open_live(const struct sink_spec *spec, const struct stat *model)
{
	const char *path = spec->target;

	for (int i = 0; i < OPEN_TRIES; i++) {
		int fd = open(path, OPEN_FLAGS | O_NOFOLLOW);
		if (fd >= 0)
			return accept_live(path, fd);
		if (errno == ELOOP) {
			if (planted_link(path))
				return -ELOOP;
			fd = open(path, OPEN_FLAGS);
			if (fd >= 0)
				return fd;
			if (errno == ENOENT) /* the link leads to a file that is not there yet */
				return create_live(spec, OPEN_FLAGS | O_CREAT, model);
		}
		if (errno != ENOENT)
			return -errno;
		fd = create_live(spec, OPEN_FLAGS | O_CREAT | O_EXCL, model);
		if (fd != -EEXIST)
			return fd;
	}
	return -EBUSY;
}

/* Whether somebody died in the middle of the last line. Another session that is just writing looks
 * the same for a moment. */
static bool last_line_torn(const struct sink *s, off_t size)
{
	static const struct timespec moment = { .tv_nsec = 2000000 };
	struct stat st;
	char last = '\n';
	int fd = open(s->spec.target, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return false; /* we may write but not read it: nothing can be said */
	bool torn = fstat(fd, &st) == 0 && st.st_ino == s->u.file.ino &&
		    st.st_dev == s->u.file.dev && pread(fd, &last, 1, size - 1) == 1 &&
		    last != '\n';
	if (torn) {
		nanosleep(&moment, NULL);
		torn = fstat(fd, &st) == 0 && st.st_size == size;
	}
	close(fd);
	return torn;
}

static int64_t born_at(int fd, const struct stat *st)
{
	struct statx stx;

	if (st->st_size == 0)
		return 0; /* its first write is still to come */
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) == 0 && (stx.stx_mask & STATX_BTIME))
		return (int64_t)stx.stx_btime.tv_sec * (int64_t)SECOND_NS + stx.stx_btime.tv_nsec;
	return clock_realtime_ns();
}

static int adopt(struct sink *s, int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || S_ISBLK(st.st_mode)) {
		close(fd);
		return -EINVAL; /* appending to a whole disk is never what was meant */
	}
	bool same = st.st_dev == s->u.file.dev && st.st_ino == s->u.file.ino;
	s->fd = fd;
	s->u.file.dev = st.st_dev;
	s->u.file.ino = st.st_ino;
	s->u.file.regular = S_ISREG(st.st_mode);
	s->u.file.mid_line = s->u.file.mid_line && same && s->u.file.regular &&
			     (uint64_t)st.st_size == s->u.file.torn_end;
	s->u.file.born_ns = born_at(fd, &st);
	s->u.file.checked_ns = s->u.file.synced_ns = clock_monotonic_ns();
	s->u.file.reopen = false;
	s->u.file.owes_newline = s->u.file.regular && st.st_size > 0 && !s->u.file.mid_line &&
				 !is_raw(s) && last_line_torn(s, st.st_size);
	return 0;
}

/* The bytes up to the last newline. */
static size_t whole_lines(const char *bytes, size_t count)
{
	while (count && bytes[count - 1] != '\n')
		count--;
	return count;
}

static uint64_t tail_of(const struct sink *s)
{
	return s->queue.head - queue_used(&s->queue);
}

static bool inside_frame(const struct sink *s)
{
	uint64_t tail = tail_of(s);

	return s->sent != tail && queue_peek(&s->queue)[s->sent - tail - 1] != '\n';
}

static void send_frame_again(struct sink *s)
{
	s->sent = tail_of(s);
	resume_note(s);
}

/* Where `sent` is inside a frame, the file that has the frame's beginning gets its rest, even if it has
 * another name by now. Whether s->fd is that file. */
static bool back_to_moved(struct sink *s)
{
	int live = s->fd, moved = resume_moved(s);

	if (moved < 0)
		return false;
	s->fd = moved;
	if (resume_find(s) && inside_frame(s) && adopt(s, moved) == 0) {
		close(live);
		s->u.file.checked_ns = 0; /* then the live name's turn */
		return true;
	}
	s->fd = live;
	close(moved);
	return false;
}

/* Where the collector before us was killed, perhaps inside a frame. */
static void go_on(struct sink *s)
{
	bool same = resume_find(s);
	struct stat st;

	if (!inside_frame(s))
		return;
	if (same && fstat(s->fd, &st) == 0) {
		s->u.file.mid_line = true;
		s->u.file.torn_end = (uint64_t)st.st_size;
		s->u.file.owes_newline = false;
	} else if (!is_raw(s)) {
		uint64_t tail = tail_of(s);
		s->sent = tail + whole_lines(queue_peek(&s->queue), s->sent - tail);
		resume_note(s);
	}
}

static int file_open(struct sink *s)
{
	bool in_frame_before = in_frame(s);
	int fd = open_live(&s->spec, NULL);
	if (fd < 0)
		return fd;
	int rc = adopt(s, fd);
	if (rc || !s->queue.note)
		return rc;
	bool cut = in_frame_before && !in_frame(s);
	/* On a full disk the rest of a moved file's line waits for room, as any other file would. What
	 * can grow no more at all will never have it. */
	bool ends_here = s->error == -EFBIG;
	if (((!s->was_open || cut) && !ends_here && back_to_moved(s)) || !s->was_open)
		go_on(s);
	/* A frame was cut by an error. Where its beginning does not end a file any more, because that is
	 * gone or others have written on, the whole frame is sent again. */
	if (cut && !in_frame(s))
		send_frame_again(s);
	return 0;
}

static void sync_now(struct sink *s, uint64_t now)
{
	if (fdatasync(s->fd) != 0 && errno != EINVAL) {
		s->error = -errno;
		s->errors++;
	}
	s->u.file.synced_ns = now;
	s->u.file.dirty = false;
}

static void sync_if_due(struct sink *s, uint64_t now)
{
	if (s->spec.sync_ns >= 0 && s->u.file.dirty &&
	    now >= s->u.file.synced_ns + (uint64_t)s->spec.sync_ns)
		sync_now(s, now);
}

static void file_close(struct sink *s)
{
	if (s->fd < 0)
		return;
	if (s->spec.sync_ns >= 0 && s->u.file.dirty)
		sync_now(s, s->u.file.synced_ns);
	close(s->fd);
	s->fd = -1;
}

static int open_again(struct sink *s, const struct stat *model)
{
	file_close(s);
	int fd = open_live(&s->spec, model);
	return fd < 0 ? fd : adopt(s, fd);
}

static int file_reopen(struct sink *s)
{
	if (s->fd < 0)
		return 0;
	if (in_frame(s)) {
		s->u.file.reopen = true;
		return 0;
	}
	return open_again(s, NULL);
}

/* Whether the name means another file by now, or none. */
static bool moved_away(const struct sink *s)
{
	struct stat st;

	return stat(s->spec.target, &st) != 0 || st.st_dev != s->u.file.dev ||
	       st.st_ino != s->u.file.ino;
}

/* 1: the live name is free or means another file; 0: not now; that is no reason to stop logging. */
static int rotate_files(struct sink *s, uint64_t now)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };
	struct rotate r;
	char live[PATH_MAX];
	int rc, tries = 0;

	if (!s->u.file.regular || now < s->u.file.rotate_after_ns)
		return 0;
	if (!realpath(s->spec.target, live))
		return errno == ENOENT;
	rc = rotate_begin(&r, live, s->spec.keep, s->fd, s->u.file.dev, s->u.file.ino);
	while (rc == 0 || rc == 1) {
		rc = rotate_step(&r);
		TESTPOINT(rotate_stepped);
		if (rc == 0)
			return 1;
		if (rc == -EWOULDBLOCK && tries++ < LOCK_TRIES) {
			nanosleep(&pause, NULL);
			rc = 1;
		}
	}
	rotate_abandon(&r);
	s->u.file.rotate_after_ns = now + SECOND_NS;
	if (rc != -EWOULDBLOCK) {
		s->error = rc;
		s->errors++;
	}
	return 0;
}

/* 1: another file is open, 0: still the same one, else -errno. */
static int next_file(struct sink *s, uint64_t now)
{
	struct stat model;

	if (!rotate_files(s, now))
		return 0;
	bool known = fstat(s->fd, &model) == 0;
	s->u.file.mid_line = false;
	s->u.file.owes_newline = false;
	int rc = open_again(s, known ? &model : NULL);
	return rc ? rc : 1;
}

static bool too_old(const struct sink *s)
{
	return s->spec.age_ns && s->u.file.born_ns &&
	       clock_realtime_ns() - s->u.file.born_ns >= (int64_t)s->spec.age_ns;
}

/* How many of the bytes belong into this file of `size` bytes: whole lines that fit, a line that
 * alone is too large for any file, or 0: the next file's turn. */
static size_t share(const struct sink *s, uint64_t size, const char *bytes, size_t count)
{
	uint64_t most = s->spec.size_bytes;
	uint64_t room = size < most ? most - size : 0;

	if (most == 0 || !s->u.file.regular || count <= room)
		return count;
	size_t fitting = whole_lines(bytes, room);
	if (fitting)
		return fitting;
	const char *end = memchr(bytes, '\n', count);
	if (s->u.file.mid_line) { /* raw: finish the line that stands there, within reason */
		if (end)
			return (size_t)(end - bytes) + 1;
		return size + count <= most + RAW_GRACE ? count : room;
	}
	if (size > 0)
		return 0;
	return end ? (size_t)(end - bytes) + 1 : count;
}

static ssize_t put(struct sink *s, const char *bytes, size_t count, uint64_t now)
{
	size_t done = 0;
	int error = 0;
	struct stat st;

	if (s->queue.note)
		resume_intend(s);
	while (done < count && !error) {
		ssize_t n = write(s->fd, bytes + done, count - done);
		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			error = n == 0 ? ENOSPC : errno;
	}
	if (done == 0)
		return -error;
	s->u.file.dirty = s->u.file.regular;
	s->u.file.mid_line = bytes[done - 1] != '\n';
	if (s->u.file.born_ns == 0)
		s->u.file.born_ns = clock_realtime_ns();
	if (s->u.file.mid_line && s->u.file.regular)
		s->u.file.torn_end = fstat(s->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	sync_if_due(s, now);
	return (ssize_t)done;
}

/* Neither rotates nor reopens: a line is not split over two files. */
static ssize_t finish_frame(struct sink *s, const char *bytes, size_t count, uint64_t now)
{
	const char *end = memchr(bytes, '\n', count);
	struct stat st;

	if (fstat(s->fd, &st) != 0)
		return -errno;
	if (st.st_nlink == 0 || (uint64_t)st.st_size != s->u.file.torn_end)
		return -ESTALE; /* open() finds out what to send instead */
	return put(s, bytes, end ? (size_t)(end - bytes) + 1 : count, now);
}

/* Makes sure that the open file is the one to go on with, and says its size. */
static int settle(struct sink *s, uint64_t now, uint64_t *size)
{
	struct stat st;
	int rc;

	if (fstat(s->fd, &st) != 0)
		return -errno;
	bool again = false;
	if (!in_frame(s)) {
		again = s->u.file.reopen || st.st_nlink == 0;
		if (!again && now >= s->u.file.checked_ns + SECOND_NS) {
			s->u.file.checked_ns = now;
			again = moved_away(s);
		}
	}
	if (again) {
		rc = open_again(s, NULL);
		if (rc)
			return rc;
	}
	if (s->u.file.owes_newline) {
		ssize_t n = put(s, "\n", 1, now);
		if (n < 0)
			return (int)n;
		s->u.file.owes_newline = false;
	}
	if (too_old(s)) {
		rc = next_file(s, now);
		if (rc < 0)
			return rc;
	}
	if (fstat(s->fd, &st) != 0)
		return -errno;
	*size = (uint64_t)st.st_size;
	return 0;
}

static ssize_t file_write(struct sink *s, const char *bytes, size_t count)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t size = 0;
	size_t n = 0;

	if (count == 0)
		return 0;
	if (in_frame(s) && s->u.file.regular)
		return finish_frame(s, bytes, count, now);
	for (int i = 0; i < SWITCH_TRIES; i++) {
		int rc = settle(s, now, &size);
		if (rc)
			return rc;
		n = share(s, size, bytes, count);
		if (n > 0)
			return put(s, bytes, n, now);
		rc = next_file(s, now);
		if (rc < 0)
			return rc;
		if (rc == 0)
			break;
	}
	/* The file cannot be rotated now. One that is too large beats lines that are lost. */
	return put(s, bytes, count, now);
}

const struct sink_ops sink_file = {
	.default_format = "text",
	.default_queue = 8 << 20,
	.default_overflow = OVERFLOW_TIMEOUT,
	.default_overflow_ns = 5 * SECOND_NS,
	.open = file_open,
	.write = file_write,
	.close = file_close,
	.reopen = file_reopen,
};
