/*
 * samples.c - see samples.h. Reads the file from its beginning to its end; what is kept of it is a few
 * bytes for each sample.
 */
#include "lib/profile/samples.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/profile/numbering.h"
#include "lib/profile/trace_text.h"
#include "lib/session/process.h"

enum {
	WAIT_MS = 1500, NAP_NS = 2000000,
	RECORD_MOST = 255,         /* words */
	PIECE_WORDS = 32 << 10,    /* read together */
};

/* While the file is read. */
struct reading {
	struct trace_dir *dir;
	struct samples *s;
	int fd;
	uint64_t at;               /* the byte of the file behind what was taken */
	uint64_t *words;           /* a piece of it, PIECE_WORDS */
	size_t next, count;        /* in the piece: what was taken, what there is */
	struct trace_module *files; /* by number, as every image gets them */
	uint32_t file_count, file_room;
	struct trace_thread *threads; /* by number */
	int32_t *pids;
	uint32_t thread_count, thread_room;
	uint32_t node_room;
	uint64_t *ticks, *ns;
};

/* ---- the file ---------------------------------------------------------------------------------- */

/* Who samples a program that has just ended is about to write its last. */
static void wait_for_the_last(int fd)
{
	const struct timespec nap = { 0, NAP_NS };
	struct trace_samples head;

	if (pread(fd, &head, sizeof head, 0) != sizeof head || head.magic != TRACE_SAMPLES_MAGIC ||
	    head.pid <= 0 || head.target <= 0)
		return;
	for (int i = 0; i < WAIT_MS * 1000000 / NAP_NS; i++) {
		if (process_start(head.pid) != head.pid_start || !process_is_zombie(head.target))
			return;
		nanosleep(&nap, NULL);
	}
}

/* -1: there are no samples */
static int open_file(const struct trace_dir *dir)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW;
	int fd = openat(dir->fd, TRACE_SAMPLES, flags);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		return -1;
	}
	if (fd >= 0)
		wait_for_the_last(fd);
	return fd;
}

static size_t read_all(int fd, void *to, size_t bytes, uint64_t at)
{
	size_t have = 0;
	ssize_t n = 1;

	while (have < bytes && n != 0) {
		n = pread(fd, (char *)to + have, bytes - have, (off_t)(at + have));
		if (n < 0 && errno != EINTR)
			break;
		have += n > 0 ? (size_t)n : 0;
	}
	return have;
}

/* The whole record that comes next is in the piece, unless the file ends before. */
static void fill(struct reading *r)
{
	size_t left = r->count - r->next;

	if (left >= RECORD_MOST)
		return;
	memmove(r->words, r->words + r->next, left * sizeof *r->words);
	size_t got = read_all(r->fd, r->words + left, (PIECE_WORDS - left) * sizeof *r->words,
			      r->at + left * sizeof *r->words);
	r->next = 0;
	r->count = left + got / sizeof *r->words;
}

/* ---- records ----------------------------------------------------------------------------------- */

static void *grown(void *rows, uint32_t *room, uint32_t wanted, size_t size)
{
	uint32_t next = *room ? *room : 64;

	while (next < wanted)
		next *= 2;
	char *more = reallocarray(rows, next, size);
	if (!more)
		return NULL;
	memset(more + *room * size, 0, (next - *room) * size);
	*room = next;
	return more;
}

static int take_file(struct reading *r, uint32_t number, uint32_t bytes, const uint64_t *body,
		     uint32_t words)
{
	const char *build = (const char *)body;
	const char *end = bytes <= words * sizeof *body ? memchr(build, 0, bytes) : NULL;

	if (!end || number == 0 || (number <= r->file_count && r->files[number - 1].number))
		return -EINVAL;
	if (number > r->file_room) {
		struct trace_module *files =
			grown(r->files, &r->file_room, number, sizeof *r->files);
		if (!files)
			return -ENOMEM;
		r->files = files;
	}
	char *path = strndup(end + 1, bytes - (size_t)(end - build) - 1);
	char *id = strdup(build);
	if (number > r->file_count)
		r->file_count = number;
	r->files[number - 1] = (struct trace_module){
		.number = number, .unloaded = UINT64_MAX, .path = path, .build_id = id };
	return path && id ? 0 : -ENOMEM;
}

static int take_thread(struct reading *r, uint32_t number, uint32_t pid, const uint64_t *body)
{
	if (number == 0 || number > r->thread_count + 1)
		return -EINVAL;
	if (number > r->thread_room) {
		uint32_t room = r->thread_room;
		struct trace_thread *threads = grown(r->threads, &room, number, sizeof *threads);
		if (!threads)
			return -ENOMEM;
		r->threads = threads;
		int32_t *pids = grown(r->pids, &r->thread_room, number, sizeof *pids);
		if (!pids)
			return -ENOMEM;
		r->pids = pids;
	}
	struct trace_thread *t = &r->threads[number - 1];
	if (number == r->thread_count + 1) {
		r->thread_count = number;
		*t = (struct trace_thread){ .number = number };
		t->sampled = calloc(1, sizeof *t->sampled);
		if (!t->sampled)
			return -ENOMEM;
		t->sampled->samples = r->s;
	}
	t->tid = (int32_t)body[0];
	r->pids[number - 1] = (int32_t)pid;
	memcpy(t->comm, &body[2], 16);
	return 0;
}

/* Who is a node's caller was met before it, so a path ends. */
static int take_node(struct reading *r, uint32_t file, uint32_t parent, uint64_t offset)
{
	struct samples *s = r->s;

	if (parent > s->node_count || file == 0 || file > r->file_count ||
	    !r->files[file - 1].number)
		return -EINVAL;
	if (s->node_count + 1 > r->node_room) {
		struct samples_node *nodes =
			grown(s->nodes, &r->node_room, s->node_count + 1, sizeof *nodes);
		if (!nodes)
			return -ENOMEM;
		s->nodes = nodes;
	}
	s->nodes[s->node_count++] = (struct samples_node){ .offset = offset & ~SAMPLES_INLINED,
							   .parent = parent,
							   .file = file };
	return 0;
}

static int take_sample(struct reading *r, uint32_t thread, uint32_t node, uint64_t ticks,
		       uint64_t ns)
{
	if (thread == 0 || thread > r->thread_count || node == 0 || node > r->s->node_count ||
	    ns == 0 || ns > INT64_MAX / 4)
		return -EINVAL;
	struct samples_thread *t = r->threads[thread - 1].sampled;
	if (t->count == t->room) {
		size_t room = t->room ? 2 * t->room : 64;
		struct sample *rows = reallocarray(t->rows, room, sizeof *rows);
		if (!rows)
			return -ENOMEM;
		t->rows = rows;
		t->room = room;
	}
	t->rows[t->count++] = (struct sample){ .ticks = ticks, .ns = ns, .node = node };
	r->s->count++;
	return 0;
}

static void take_gap(struct reading *r, uint32_t reason, uint32_t count, const uint64_t *record,
		     uint32_t words)
{
	r->s->gap_places[reason]++;
	r->s->gaps[reason] += count;
	if (reason != TRACE_SAMPLE_GAP_BLOCKED || words < 3 || record[2] == 0 ||
	    record[2] > r->thread_count)
		return;
	struct samples_thread *t = r->threads[record[2] - 1].sampled;
	t->blocked = true;
	t->unseen += count;
}

/* Who has samples and lacks none has unblocked it at once. */
static void count_blocked(struct reading *r)
{
	for (uint32_t i = 0; i < r->thread_count; i++) {
		const struct trace_thread *t = &r->threads[i];
		if (t->sampled->unseen || (t->sampled->blocked && !t->sampled->count))
			if (r->s->blocked++ == 0)
				memcpy(r->s->blocked_comm, t->comm, sizeof t->comm);
	}
}

static int take(struct reading *r, const uint64_t *record, uint32_t words)
{
	static const uint8_t least[TRACE_SAMPLE_RECORDS] = {
		[TRACE_SAMPLE_FILE] = 2,   [TRACE_SAMPLE_THREAD] = 5, [TRACE_SAMPLE_NODE] = 2,
		[TRACE_SAMPLE_SAMPLE] = 2, [TRACE_SAMPLE_WAIT] = 3,   [TRACE_SAMPLE_MAP] = 4,
		[TRACE_SAMPLE_GAP] = 2,    [TRACE_SAMPLE_CLOCK] = 3,  [TRACE_SAMPLE_END] = 2,
	};
	uint32_t type = record[0] & 15, value = (uint32_t)(record[0] >> 32);
	uint32_t number = record[0] >> 12 & ((1u << TRACE_SAMPLE_NUMBER_BITS) - 1);

	if (type >= TRACE_SAMPLE_RECORDS)
		return 0;
	if (words < least[type])
		return -EINVAL;
	switch ((enum trace_sample_record)type) {
	case TRACE_SAMPLE_FILE: return take_file(r, number, value, record + 1, words - 1);
	case TRACE_SAMPLE_THREAD: return take_thread(r, number, value, record + 1);
	case TRACE_SAMPLE_NODE: return take_node(r, number, value, record[1]);
	case TRACE_SAMPLE_SAMPLE:
		return take_sample(r, number, value, record[1], r->s->head.period_ns);
	case TRACE_SAMPLE_WAIT: return take_sample(r, number, value, record[1], record[2]);
	case TRACE_SAMPLE_GAP:
		take_gap(r, number < TRACE_SAMPLE_GAPS ? number : 0, value, record, words);
		return 0;
	case TRACE_SAMPLE_CLOCK:
		if (record[1] > *r->ticks) {
			*r->ticks = record[1];
			*r->ns = record[2];
		}
		return 0;
	case TRACE_SAMPLE_END: r->s->ended = true; return 0;
	default: return 0;
	}
}

static int take_all(struct reading *r)
{
	for (fill(r); r->next < r->count; fill(r)) {
		const uint64_t *record = &r->words[r->next];
		uint32_t words = *record >> 4 & 255;
		bool cut = words > r->count - r->next;
		int rc = words == 0 || cut ? -EINVAL : take(r, record, words);
		if (rc == -ENOMEM)
			return rc;
		if (rc != 0) {
			if (!cut) /* what is being written ends anywhere */
				trace_dir_torn(r->dir, TRACE_SAMPLES ": no record at byte %llu",
					       (unsigned long long)r->at);
			break;
		}
		r->next += words;
		r->at += words * sizeof *record;
	}
	return 0;
}

/* ---- images and threads ------------------------------------------------------------------------ */

/* Each process is an image; all have the same files. */
static int make_image(struct reading *r, uint32_t nth, int32_t pid, uint64_t ticks)
{
	struct trace_dir *dir = r->dir;
	size_t files = r->file_count;

	if (trace_text_image(dir, SAMPLES_IMAGE(nth)) != 0)
		return -ENOMEM;
	struct trace_image *image = &dir->images[dir->image_count - 1];
	image->pid = pid;
	image->ticks = ticks;
	image->sampled = true;
	image->modules = r->files; /* a build has thousands of processes: no copy for each */
	image->module_count = files;
	for (size_t i = 0; i < files && !*image->path; i++) /* what is mapped first */
		if (r->files[i].number && r->files[i].path[0] == '/')
			image->path = r->files[i].path;
	return 0;
}

/* For those who ask how a thread begins. */
static int make_part(struct trace_thread *t, uint32_t image)
{
	const struct sample *first = &t->sampled->rows[0];

	t->parts = calloc(1, sizeof *t->parts);
	if (!t->parts)
		return -ENOMEM;
	t->part_count = 1;
	t->parts[0].head = (struct trace_segment){ .kind = TRACE_RECORDS, .image = image,
						   .tid = (uint32_t)t->tid, .thread = t->number,
						   .ticks = first->ticks };
	return 0;
}

static int make_threads(struct reading *r)
{
	struct trace_dir *dir = r->dir;
	struct numbering by_pid = { .count = 0 };
	int rc = 0;
	struct trace_thread *threads = reallocarray(
		dir->threads, dir->thread_count + r->thread_count + 1, sizeof *threads);

	if (!threads)
		return -ENOMEM;
	dir->threads = threads;
	for (uint32_t i = 0; i < r->thread_count && rc == 0; i++) {
		struct trace_thread *t = &r->threads[i];
		bool first;
		if (!t->sampled->count)
			continue;
		int64_t image = numbering_of(&by_pid, (uint32_t)r->pids[i], &first);
		if (image < 0)
			rc = (int)image;
		else if (first)
			rc = make_image(r, (uint32_t)image, r->pids[i],
					t->sampled->rows[0].ticks);
		if (rc == 0)
			rc = make_part(t, SAMPLES_IMAGE(image));
		if (rc != 0)
			break;
		threads[dir->thread_count++] = *t;
		t->sampled = NULL; /* it is the directory's now */
	}
	numbering_fini(&by_pid);
	return rc;
}

static void release(struct reading *r)
{
	for (uint32_t i = 0; i < r->thread_count; i++) {
		if (!r->threads[i].sampled)
			continue;
		free(r->threads[i].sampled->rows);
		free(r->threads[i].sampled);
	}
	free(r->threads);
	free(r->pids);
	if (r->dir->samples) {
		r->dir->sample_files = r->files;
		r->dir->sample_file_count = r->file_count;
	}
}

static bool read_head(struct reading *r, struct trace_samples *head)
{
	if (read_all(r->fd, head, sizeof *head, 0) != sizeof *head ||
	    head->magic != TRACE_SAMPLES_MAGIC || head->bytes < sizeof *head ||
	    head->bytes % sizeof(uint64_t) || !head->period_ns || head->period_ns > INT32_MAX)
		return false;
	r->at = head->bytes;
	return true;
}

int samples_read(struct trace_dir *dir, uint64_t *ticks, uint64_t *monotonic_ns)
{
	struct reading r = { .dir = dir, .fd = open_file(dir), .ticks = ticks, .ns = monotonic_ns };
	int rc = -ENOMEM;

	if (r.fd < 0)
		return 0;
	r.s = calloc(1, sizeof *r.s);
	r.words = malloc(PIECE_WORDS * sizeof *r.words);
	if (r.s && r.words && !read_head(&r, &r.s->head)) {
		trace_dir_torn(dir, TRACE_SAMPLES " does not begin as samples do");
		rc = 0;
	} else if (r.s && r.words) {
		dir->samples = r.s;
		rc = take_all(&r);
		if (rc == 0) {
			count_blocked(&r);
			rc = make_threads(&r);
		}
		release(&r);
		dir->bytes += r.at;
	}
	if (dir->samples != r.s)
		free(r.s);
	free(r.words);
	close(r.fd);
	return rc;
}

void samples_clock(struct trace_dir *dir)
{
	for (size_t i = 0; i < dir->thread_count; i++) {
		const struct samples_thread *t = dir->threads[i].sampled;
		if (!t)
			continue;
		double ticks = (double)t->rows[0].ns / dir->ns_per_tick;
		uint64_t *first = &dir->threads[i].parts[0].head.ticks;
		*first -= ticks < (double)*first ? (uint64_t)ticks : *first;
	}
}

void samples_close(struct trace_dir *dir)
{
	for (size_t i = 0; i < dir->thread_count; i++) {
		if (!dir->threads[i].sampled)
			continue;
		free(dir->threads[i].sampled->rows);
		free(dir->threads[i].sampled);
	}
	for (size_t i = 0; i < dir->image_count; i++)
		if (dir->images[i].modules == dir->sample_files)
			dir->images[i].modules = NULL; /* shared by all of ours */
	for (size_t i = 0; i < dir->sample_file_count; i++) {
		free((char *)dir->sample_files[i].path);
		free((char *)dir->sample_files[i].build_id);
	}
	free(dir->sample_files);
	for (size_t i = 0; dir->samples && i < dir->samples->inlined_count; i++) {
		free(dir->samples->inlined[i].name);
		free(dir->samples->inlined[i].linkage);
		free(dir->samples->inlined[i].file);
	}
	if (dir->samples) {
		free(dir->samples->inlined);
		free(dir->samples->nodes);
	}
	free(dir->samples);
}
