/*
 * resume.c - see resume.h. Must never believe what stands in the queue's file: a position is taken only
 * where it lies in the queue, and bytes of a file count only where they are the queue's.
 */
#include "lib/sink/resume.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/testpoint.h"

static uint64_t tail_of(const struct sink *s)
{
	return s->queue.head - queue_used(&s->queue);
}

/* Where the next byte goes. */
static off_t offset_of(int fd, const struct stat *st)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags >= 0 && flags & O_APPEND)
		return st->st_size;
	return lseek(fd, 0, SEEK_CUR);
}

static const struct queue_intent *latest(const struct queue_note *note)
{
	return &note->intents[atomic_load_explicit(&note->latest, memory_order_acquire) & 1];
}

void resume_intend(struct sink *s)
{
	struct queue_note *note = s->queue.note;
	uint64_t other = ~atomic_load_explicit(&note->latest, memory_order_relaxed) & 1;
	struct queue_intent *intent = &note->intents[other];
	struct stat st;

	if (fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	off_t offset = offset_of(s->fd, &st);
	if (offset < 0)
		return;
	*intent = (struct queue_intent){ s->sent, st.st_dev, st.st_ino, (uint64_t)offset };
	TESTPOINT(resume_intended);
	atomic_store_explicit(&note->latest, other, memory_order_release);
}

void resume_note(struct sink *s)
{
	atomic_store_explicit(&s->queue.note->sent, s->sent, memory_order_release);
}

/* Whether the file holds, from the offset on, the queue's bytes from `position` on. */
static bool same_bytes(const struct sink *s, uint64_t offset, uint64_t position, uint64_t count)
{
	char name[32], piece[16384];

	if (count == 0)
		return true;
	snprintf(name, sizeof name, "/proc/self/fd/%d", s->fd);
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return false; /* we may write but not read it */
	bool same = true;
	while (same && count) {
		size_t want = count < sizeof piece ? (size_t)count : sizeof piece;
		const char *queued = s->queue.bytes + (position & (s->queue.size - 1));
		same = pread(fd, piece, want, (off_t)offset) == (ssize_t)want &&
		       memcmp(piece, queued, want) == 0;
		offset += want;
		position += want;
		count -= want;
	}
	close(fd);
	return same;
}

static bool is_intended(int fd, const struct queue_intent *intent)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_dev == intent->device &&
	       st.st_ino == intent->inode;
}

static int open_by_inode(const char *path, const struct queue_intent *intent)
{
	const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	const struct dirent *entry;
	int fd = -1;

	DIR *dir = opendir(path);
	while (dir && fd < 0 && (entry = readdir(dir))) {
		if (entry->d_ino != intent->inode)
			continue;
		fd = openat(dirfd(dir), entry->d_name, flags);
		if (fd >= 0 && !is_intended(fd, intent)) {
			close(fd);
			fd = -1;
		}
	}
	if (dir)
		closedir(dir);
	return fd;
}

int resume_moved(const struct sink *s)
{
	const struct queue_intent intent = *latest(s->queue.note);
	char path[PATH_MAX];

	if (!intent.inode || is_intended(s->fd, &intent) || !realpath(s->spec.target, path))
		return -1;
	*strrchr(path, '/') = 0;
	return open_by_inode(*path ? path : "/", &intent);
}

bool resume_find(struct sink *s)
{
	const struct queue_intent intent = *latest(s->queue.note);
	uint64_t tail = tail_of(s), head = s->queue.head;
	uint64_t sent = atomic_load_explicit(&s->queue.note->sent, memory_order_acquire);
	struct stat st;

	s->sent = sent - tail <= head - tail ? sent : tail;
	if (!is_intended(s->fd, &intent) || fstat(s->fd, &st) != 0)
		return false;
	off_t end = offset_of(s->fd, &st);
	if (end < 0 || (uint64_t)end < intent.offset)
		return false;
	uint64_t gained = (uint64_t)end - intent.offset, known = s->sent - intent.position;
	if (known > gained || gained - known > head - s->sent ||
	    !same_bytes(s, intent.offset + known, s->sent, gained - known))
		return false;
	s->sent += gained - known;
	resume_note(s);
	return true;
}
