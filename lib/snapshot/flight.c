/*
 * flight.c - see flight.h.
 *
 * A recorder's segments are used again and again, so what is read may be overwritten meanwhile. Whether
 * it was, the header tells: it is worthless while the segment is cleared, and never the same again. Of a
 * thread's segments those are kept that follow each other without a gap, up to the newest.
 */
#include "lib/snapshot/flight.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/array.h"
#include "lib/session/process.h"
#include "lib/stamp/trace.h"

enum { TRIES = 5, LOOKS = 100, END_WORDS = 3 };

/* Where a segment is, and whose it was when we looked. */
struct place {
	uint64_t at;
	struct trace_segment head;
};

struct source {
	const uint8_t *map;
	uint64_t bytes;
	struct stat st;
	uint32_t image;
	struct place *places;
	size_t count;
};

struct target {
	int fd;
	uint64_t at;
	struct trace_segment *segment; /* a buffer */
};

/* ---- records that are being written ------------------------------------------------------------ */

static uint32_t load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE); /* pairs with the shim's stores */
}

/* Records are stored in one piece, or with their first word last. So, from the end to the beginning:
 * who has some of a record has its first word, too. */
static void take_backwards(const uint32_t *from, uint32_t *to, size_t count)
{
	for (size_t i = count; i-- > 0;) {
		to[i] = load(&from[i]);
		/* The pieces of a store over two cache lines may be seen one after the other. */
		for (int looks = 0; !to[i] && i + 1 < count && to[i + 1] && looks < LOOKS; looks++)
			to[i] = load(&from[i]);
	}
}

size_t flight_words(const uint32_t *from, uint32_t *to, size_t count)
{
	size_t at = 0, end = 0;

	take_backwards(from, to, count);
	while (at < count) {
		if (to[at] == TRACE_NOTHING) {
			at++;
			continue;
		}
		size_t words = trace_words(to[at]);
		if (!words || words > count - at)
			break;
		/* The rest was read before the first word was, perhaps before it was written. */
		for (size_t i = 1; i < words; i++)
			to[at + i] = load(&from[at + i]);
		end = at += words;
	}
	memset(to + end, 0, (count - end) * sizeof *to);
	return end;
}

/* ---- where segments are ------------------------------------------------------------------------ */

static bool sound(const struct source *s, const struct trace_segment *h, uint64_t at)
{
	return h->magic == TRACE_MAGIC && h->bytes % TRACE_PAGE == 0 &&
	       h->bytes >= TRACE_SEGMENT_LEAST && h->bytes <= TRACE_SEGMENT_MOST &&
	       h->bytes <= s->bytes - at && h->image == s->image && h->thread != 0;
}

/* The same header twice is one that nobody was writing. */
static bool read_head(const struct source *s, uint64_t at, struct trace_segment *head)
{
	const struct trace_segment *there = (const void *)(s->map + at);
	struct trace_segment again;

	__atomic_load_n(&there->magic, __ATOMIC_ACQUIRE);
	memcpy(head, there, sizeof *head);
	atomic_thread_fence(memory_order_acquire);
	memcpy(&again, there, sizeof again);
	return memcmp(head, &again, sizeof again) == 0 && sound(s, head, at);
}

static bool unchanged(const struct source *s, const struct place *place)
{
	const struct trace_segment *there = (const void *)(s->map + place->at);

	atomic_thread_fence(memory_order_acquire); /* what was copied was read before this */
	return memcmp(there, &place->head, sizeof place->head) == 0;
}

static int keep(struct source *s, uint64_t at, const struct trace_segment *head)
{
	struct place *places = array_grown(s->places, s->count, sizeof *places);

	if (!places)
		return -ENOMEM;
	s->places = places;
	places[s->count++] = (struct place){ .at = at, .head = *head };
	return 0;
}

static int by_thread(const void *left, const void *right)
{
	const struct place *a = left, *b = right;

	if (a->head.thread != b->head.thread)
		return a->head.thread < b->head.thread ? -1 : 1;
	return a->head.part < b->head.part ? -1 : a->head.part > b->head.part;
}

/* Those of all threads. Where none stands, a page is passed by: one that is just being cleared. */
static int look_for_places(struct source *s, int fd)
{
	struct trace_segment head;
	int rc = 0;

	for (uint64_t at = 0; rc == 0 && s->bytes - at >= TRACE_SEGMENT_LEAST;) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		if (data > (off_t)at)
			at = (uint64_t)data & ~(uint64_t)(TRACE_PAGE - 1);
		if (s->bytes - at < TRACE_SEGMENT_LEAST)
			break;
		bool found = read_head(s, at, &head);
		if (found && head.kind == TRACE_FLIGHT)
			rc = keep(s, at, &head);
		at += found ? head.bytes : TRACE_PAGE;
	}
	if (s->count)
		qsort(s->places, s->count, sizeof *s->places, by_thread);
	return rc;
}

/* What of a thread's segments there is now; fewer than before, where some are being cleared or have
 * been taken over by another thread. In order. */
static size_t look_again(const struct source *s, struct place *places, size_t count)
{
	const uint32_t thread = places->head.thread;
	struct place now;
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		now.at = places[i].at;
		if (read_head(s, now.at, &now.head) && now.head.thread == thread &&
		    now.head.kind == TRACE_FLIGHT)
			places[kept++] = now;
	}
	if (kept)
		qsort(places, kept, sizeof *places, by_thread);
	return kept;
}

/* ---- copying ----------------------------------------------------------------------------------- */

static int put(struct target *t, const void *bytes, size_t count, uint64_t at)
{
	while (count) {
		ssize_t n = pwrite(t->fd, bytes, count, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		bytes = (const char *)bytes + n;
		count -= (size_t)n;
		at += (size_t)n;
	}
	return 0;
}

/* *used: bytes of it that say something. False: it was overwritten meanwhile. */
static bool take(const struct source *s, const struct place *place, struct target *t, size_t *used)
{
	const struct trace_segment *there = (const void *)(s->map + place->at);
	size_t words = (place->head.bytes - sizeof *there) / sizeof(uint32_t);

	words = flight_words((const uint32_t *)(there + 1), (uint32_t *)(t->segment + 1), words);
	*t->segment = place->head;
	*used = sizeof *there + words * sizeof(uint32_t);
	return unchanged(s, place);
}

/* The innermost calls of who lives have not ended by that. *last: where that can be said. */
static void tell_on(struct flight_copy *copy, struct target *t, uint64_t last)
{
	uint64_t now = copy->now(copy->arg);
	uint32_t record[END_WORDS] = { TRACE_LONG_WORD(TRACE_END, END_WORDS, TRACE_END_SNAPSHOT),
				       (uint32_t)now, (uint32_t)(now >> 32) };

	put(t, record, sizeof record, last);
}

/* Oldest first. One that is gone takes those before it along: between them calls are missing. The bytes
 * that were written, or -errno. *last: where the newest one ends; 0: it has no room for an end. */
static int64_t take_thread(const struct source *s, const struct place *places, size_t count,
			   struct target *t, uint64_t *last)
{
	uint64_t at = t->at;
	uint32_t part = 0;

	*last = 0;
	for (size_t i = 0; i < count; i++) {
		const struct trace_segment *head = &places[i].head;
		size_t used;
		if (at > t->at && head->part != part + 1)
			at = t->at;
		if (!take(s, &places[i], t, &used)) {
			at = t->at;
			continue;
		}
		/* Over what an older one may have left there. */
		memset((char *)t->segment + used, 0, head->bytes - used);
		int rc = put(t, t->segment, head->bytes, at);
		if (rc != 0)
			return rc;
		bool room = head->bytes - used >= END_WORDS * sizeof(uint32_t);
		*last = room ? at + used : 0;
		at += head->bytes;
		part = head->part;
	}
	return (int64_t)(at - t->at);
}

/* Whether he goes on, in the process whose calls these are: one that maps its file. */
static bool goes_on(const struct source *s, uint32_t tid)
{
	return (kill((pid_t)tid, 0) == 0 || errno == EPERM) &&
	       process_maps((pid_t)tid, s->st.st_dev, s->st.st_ino);
}

static int copy_thread(struct flight_copy *copy, const struct source *s, struct place *places,
		       size_t count, struct target *t)
{
	uint64_t most = 0, last = 0;
	int64_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		most += places[i].head.bytes;
	if (most > copy->most - copy->bytes) {
		copy->left_out++;
		return 0;
	}
	/* Where it writes faster than we read, a few times. */
	for (int tries = 0; bytes == 0 && count && tries < TRIES; tries++) {
		if (tries)
			count = look_again(s, places, count);
		bytes = count ? take_thread(s, places, count, t, &last) : 0;
	}
	if (bytes <= 0) /* what a try has left behind is no part of the copy */
		return bytes < 0 || ftruncate(t->fd, (off_t)t->at) == 0 ? (int)bytes : -errno;
	if (last && goes_on(s, places[count - 1].head.tid))
		tell_on(copy, t, last);
	if (places->head.ticks < copy->first_ticks)
		copy->first_ticks = places->head.ticks;
	t->at += (uint64_t)bytes;
	copy->bytes += (uint64_t)bytes;
	copy->threads++;
	return ftruncate(t->fd, (off_t)t->at) == 0 ? 0 : -errno;
}

/* The newest threads first: where there is no room for all, the old ones are left out. */
static int copy_all(struct flight_copy *copy, struct source *s, int to, const char *name)
{
	struct target t = { .segment = malloc(TRACE_SEGMENT_MOST) };
	int rc = 0;

	if (!t.segment)
		return -ENOMEM;
	t.fd = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (t.fd < 0)
		rc = -errno;
	for (size_t end = s->count, first; rc == 0 && end > 0; end = first) {
		first = end - 1;
		while (first && s->places[first - 1].head.thread == s->places[first].head.thread)
			first--;
		rc = copy_thread(copy, s, &s->places[first], end - first, &t);
	}
	if (t.fd >= 0 && close(t.fd) != 0 && rc == 0)
		rc = -errno;
	free(t.segment);
	return rc;
}

/* Mapped rather than read: the order in which words are read is what makes it whole. */
static int map_source(struct source *s, int fd)
{
	if (fstat(fd, &s->st) != 0)
		return -errno;
	if (!S_ISREG(s->st.st_mode))
		return -EINVAL;
	s->bytes = (uint64_t)s->st.st_size;
	if (s->bytes < TRACE_SEGMENT_LEAST)
		return 0;
	void *map = mmap(NULL, s->bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	s->map = map;
	return look_for_places(s, fd);
}

int flight_copy(struct flight_copy *copy, int from, int to, uint32_t image)
{
	struct source s = { .image = image };
	char name[32];

	snprintf(name, sizeof name, TRACE_IMAGE "%u", image);
	int fd = openat(from, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	int rc = map_source(&s, fd);
	close(fd);
	if (rc == 0 && s.count)
		rc = copy_all(copy, &s, to, name);
	if (s.map)
		munmap((void *)(uintptr_t)s.map, s.bytes);
	free(s.places);
	return rc;
}
