/*
 * samples.c - see samples.h. Reads the file at once; what is in it is a few bytes for each sample.
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

enum { WAIT_MS = 1500, NAP_NS = 2000000 };

#define FILE_MOST ((uint64_t)4 << 30)

/* While the file is read. */
struct reading {
	struct trace_dir *dir;
	struct samples *s;
	const uint64_t *words;
	size_t count;
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

static char *slurp(const struct trace_dir *dir, size_t *bytes)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW;
	int fd = openat(dir->fd, TRACE_SAMPLES, flags);
	struct stat st;
	char *text = NULL;

	if (fd < 0)
		return NULL;
	wait_for_the_last(fd);
	*bytes = 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size < FILE_MOST)
		text = malloc((size_t)st.st_size + sizeof(uint64_t));
	while (text && *bytes < (size_t)st.st_size) {
		ssize_t n = read(fd, text + *bytes, (size_t)st.st_size - *bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		*bytes += (size_t)n;
	}
	close(fd);
	return text;
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
	s->nodes[s->node_count++] =
		(struct samples_node){ .offset = offset, .parent = parent, .file = file };
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
		if (number > TRACE_SAMPLE_GAP_THROTTLE)
			number = 0;
		r->s->gap_places[number]++;
		r->s->gaps[number] += value;
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
	for (size_t at = 0; at < r->count;) {
		uint32_t words = r->words[at] >> 4 & 255;
		bool cut = words > r->count - at;
		int rc = words == 0 || cut ? -EINVAL : take(r, &r->words[at], words);
		if (rc == -ENOMEM)
			return rc;
		if (rc != 0) {
			if (!cut) /* what is being written ends anywhere */
				trace_dir_torn(r->dir, TRACE_SAMPLES ": no record at byte %zu",
					       r->s->head.bytes + at * sizeof *r->words);
			break;
		}
		at += words;
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
	image->modules = calloc(files + 1, sizeof *image->modules);
	if (!image->modules)
		return -ENOMEM;
	memcpy(image->modules, r->files, files * sizeof *image->modules);
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

int samples_read(struct trace_dir *dir, uint64_t *ticks, uint64_t *monotonic_ns)
{
	size_t bytes = 0;
	char *text = slurp(dir, &bytes);
	struct samples *s = text ? calloc(1, sizeof *s) : NULL;
	struct reading r = { .dir = dir, .s = s, .ticks = ticks, .ns = monotonic_ns };
	int rc = 0;

	if (!s) {
		free(text);
		return text ? -ENOMEM : 0;
	}
	if (bytes >= sizeof s->head)
		memcpy(&s->head, text, sizeof s->head);
	if (s->head.magic != TRACE_SAMPLES_MAGIC || s->head.bytes < sizeof s->head ||
	    s->head.bytes > bytes || s->head.bytes % sizeof(uint64_t) || !s->head.period_ns ||
	    s->head.period_ns > INT32_MAX) {
		trace_dir_torn(dir, TRACE_SAMPLES " does not begin as samples do");
		free(text);
		free(s);
		return 0;
	}
	dir->samples = s;
	r.words = (const uint64_t *)(const void *)(text + s->head.bytes);
	r.count = (bytes - s->head.bytes) / sizeof *r.words;
	rc = take_all(&r);
	if (rc == 0)
		rc = make_threads(&r);
	release(&r);
	free(text);
	dir->bytes += bytes;
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
	for (size_t i = 0; i < dir->sample_file_count; i++) {
		free((char *)dir->sample_files[i].path);
		free((char *)dir->sample_files[i].build_id);
	}
	free(dir->sample_files);
	if (dir->samples)
		free(dir->samples->nodes);
	free(dir->samples);
}
