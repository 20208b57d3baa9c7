/*
 * resume.c - see resume.h. Must never believe what stands in the queue's file: a position is taken only
 * where it lies in the queue, and bytes of a file count only where they are the queue's.
 */
#include "lib/sink/resume.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

void resume_intend(struct sink *s)
{
	struct queue_note *note = s->queue.note;
	struct stat st;

	/* None, until the new one is whole. */
	atomic_store_explicit(&note->position, UINT64_MAX, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	off_t offset = offset_of(s->fd, &st);
	if (offset < 0)
		return;
	note->device = st.st_dev;
	note->inode = st.st_ino;
	note->offset = (uint64_t)offset;
	atomic_store_explicit(&note->position, s->sent, memory_order_release);
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

bool resume_find(struct sink *s)
{
	const struct queue_note *note = s->queue.note;
	uint64_t tail = tail_of(s), head = s->queue.head;
	uint64_t sent = atomic_load_explicit(&note->sent, memory_order_acquire);
	uint64_t position = atomic_load_explicit(&note->position, memory_order_acquire);
	struct stat st;

	s->sent = sent - tail <= head - tail ? sent : tail;
	if (fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_dev != note->device ||
	    st.st_ino != note->inode)
		return false;
	off_t end = offset_of(s->fd, &st);
	if (end < 0 || (uint64_t)end < note->offset)
		return false;
	uint64_t gained = (uint64_t)end - note->offset, known = s->sent - position;
	if (known > gained || gained - known > head - s->sent ||
	    !same_bytes(s, note->offset + known, s->sent, gained - known))
		return false;
	s->sent += gained - known;
	resume_note(s);
	return true;
}
