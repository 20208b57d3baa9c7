/*
 * trace_dir.c - see trace_dir.h. What stands in the directory, and where each thread's segments are.
 */
#include "lib/profile/trace_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/base/array.h"
#include "lib/base/parse.h"
#include "lib/profile/packed.h"
#include "lib/profile/samples.h"
#include "lib/profile/trace_text.h"

/* Parts of all threads, before they are sorted. */
struct found {
	struct trace_part *parts;
	size_t count;
	uint64_t latest_ticks, latest_ns; /* the latest pair of clocks that a header has */
};

void trace_dir_torn(struct trace_dir *dir, const char *format, ...)
{
	va_list arguments;

	if (dir->torn++)
		return;
	va_start(arguments, format);
	vsnprintf(dir->trouble, sizeof dir->trouble, format, arguments);
	va_end(arguments);
}

static const char *image_name(char name[32], uint32_t image)
{
	snprintf(name, 32, TRACE_IMAGE "%u", image);
	return name;
}

ssize_t trace_dir_read(const struct trace_dir *dir, uint32_t image, void *to, size_t count,
		       uint64_t at)
{
	char name[32];

	return store_read(dir->store, image_name(name, image), to, count, at);
}

const struct trace_module *trace_dir_module(const struct trace_image *image, uint32_t number)
{
	if (number == 0 || number > image->module_count || !image->modules[number - 1].number)
		return NULL;
	return &image->modules[number - 1];
}

bool trace_dir_runs(const struct trace_dir *dir, const struct trace_image *image, int32_t tid)
{
	char link[64], path[PATH_MAX];
	struct utsname machine;

	if (uname(&machine) != 0 || strcmp(machine.nodename, dir->host) != 0)
		return false;
	snprintf(link, sizeof link, "/proc/%d/task/%d/exe", image->pid, tid);
	ssize_t n = readlink(link, path, sizeof path - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	return strcmp(path, image->path) == 0;
}

/* ---- segments ---------------------------------------------------------------------------------- */

static bool sound(const struct trace_segment *s, uint32_t image)
{
	return s->bytes % TRACE_PAGE == 0 && s->bytes >= TRACE_SEGMENT_LEAST &&
	       s->bytes <= TRACE_SEGMENT_MOST && s->kind >= TRACE_RECORDS &&
	       s->kind <= TRACE_AGAIN && s->image == image && s->thread != 0;
}

static int keep(struct found *found, uint64_t at, const struct trace_segment *head)
{
	struct trace_part *parts = array_grown(found->parts, found->count, sizeof *parts);

	if (!parts)
		return -ENOMEM;
	found->parts = parts;
	parts[found->count++] = (struct trace_part){ .at = at, .head = *head };
	if (head->monotonic_ns && head->ticks > found->latest_ticks) {
		found->latest_ticks = head->ticks;
		found->latest_ns = head->monotonic_ns;
	}
	return 0;
}

/* Through an image's segments. */
struct scan {
	struct trace_dir *dir;
	char name[32];
	uint32_t image;
	uint64_t next;
	bool lost;                 /* looking for a header again */
	bool quiet;
};

static struct scan scan_from(struct trace_dir *dir, uint32_t image, uint64_t at)
{
	struct scan scan = { .dir = dir, .image = image, .next = at };

	image_name(scan.name, image);
	return scan;
}

static void scan_lost(struct scan *s, const char *what, uint64_t at, const char *why)
{
	if (!s->lost && !s->quiet)
		trace_dir_torn(s->dir, "%s %s at byte %llu%s%s", s->name, what,
			       (unsigned long long)at, *why ? ": " : "", why);
	s->lost = true;
}

/* The next one that holds something. False: there is none. */
static bool scan_next(struct scan *s, uint64_t *at, struct trace_segment *head)
{
	for (;; s->next = *at + TRACE_PAGE) {
		*at = store_data(s->dir->store, s->name, s->next);
		if (*at == UINT64_MAX)
			return false;
		ssize_t n = store_read(s->dir->store, s->name, head, sizeof *head, *at);
		if (n < 0)
			scan_lost(s, "cannot be read", *at, store_error(n));
		if (n != sizeof *head && n != -EBADMSG)
			return false;
		if (n < 0 || head->magic == 0)
			continue;
		if (head->magic != TRACE_MAGIC || !sound(head, s->image)) {
			scan_lost(s, "has no segment", *at, "");
			continue;
		}
		s->lost = false;
		s->next = *at + head->bytes;
		if (head->kind != TRACE_AGAIN)
			return true;
		*at = s->next - TRACE_PAGE;
	}
}

static int scan_image(struct trace_dir *dir, uint32_t image, struct found *found)
{
	struct scan scan = scan_from(dir, image, 0);
	struct trace_segment head;
	uint64_t at;
	int rc = 0;

	while (rc == 0 && scan_next(&scan, &at, &head)) {
		rc = keep(found, at, &head);
		dir->bytes += head.bytes;
	}
	if (store_cut(dir->store, scan.name))
		trace_dir_torn(dir, "%s is packed, and cut off at its end", scan.name);
	return rc;
}

bool trace_dir_stands(const struct trace_dir *dir, const struct trace_part *part)
{
	struct trace_segment head;

	return trace_dir_read(dir, part->head.image, &head, sizeof head, part->at) == sizeof head &&
	       memcmp(&head, &part->head, sizeof head) == 0;
}

bool trace_dir_moved(struct trace_dir *dir, struct trace_part *part)
{
	struct scan scan = scan_from(dir, part->head.image, part->at + part->head.bytes);
	struct trace_segment head;
	uint64_t at;

	scan.quiet = true;
	while (scan_next(&scan, &at, &head))
		if (memcmp(&head, &part->head, sizeof head) == 0) {
			part->at = at;
			return true;
		}
	return false;
}

/* The number in `image.N` or `image.N.zst`; false: another file. */
static bool image_of(char *name, uint32_t *image)
{
	const size_t prefix = strlen(TRACE_IMAGE);
	char *suffix = strstr(name, PACKED_SUFFIX);
	uint64_t number;

	if (suffix && strcmp(suffix, PACKED_SUFFIX) == 0)
		*suffix = '\0';
	if (strncmp(name, TRACE_IMAGE, prefix) != 0 ||
	    parse_u64(name + prefix, 1, UINT32_MAX, &number) != 0)
		return false;
	*image = (uint32_t)number;
	return true;
}

static int by_value(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

/* Numbers of the images that there are. One that is being packed may be there twice. */
static int list_images(const struct trace_dir *dir, uint32_t **images, size_t *count)
{
	int copy = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	uint32_t image;

	if (!list) {
		rc = -errno;
		if (copy >= 0)
			close(copy);
		return rc;
	}
	while (rc == 0 && (entry = readdir(list)) != NULL) {
		if (!image_of(entry->d_name, &image))
			continue;
		uint32_t *more = array_grown(*images, *count, sizeof *more);
		if (!more) {
			rc = -ENOMEM;
			continue;
		}
		*images = more;
		more[(*count)++] = image;
	}
	closedir(list);
	if (*count)
		qsort(*images, *count, sizeof **images, by_value);
	return rc;
}

static int scan_images(struct trace_dir *dir, struct found *found)
{
	uint32_t *images = NULL;
	size_t count = 0;
	int rc = list_images(dir, &images, &count);

	for (size_t i = 0; i < count && rc == 0; i++)
		if (i == 0 || images[i] != images[i - 1])
			rc = scan_image(dir, images[i], found);
	free(images);
	return rc;
}

/* ---- threads ----------------------------------------------------------------------------------- */

static int by_thread(const void *left, const void *right)
{
	const struct trace_part *a = left, *b = right;

	if (a->head.image != b->head.image)
		return a->head.image < b->head.image ? -1 : 1;
	if (a->head.thread != b->head.thread)
		return a->head.thread < b->head.thread ? -1 : 1;
	if (a->head.part != b->head.part)
		return a->head.part < b->head.part ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at;
}

static bool same_thread(const struct trace_part *a, const struct trace_part *b)
{
	return a->head.image == b->head.image && a->head.thread == b->head.thread;
}

static int add_thread(struct trace_dir *dir, const struct trace_part *parts, size_t count)
{
	struct trace_thread *t = &dir->threads[dir->thread_count];
	const struct trace_segment *last = &parts[count - 1].head;

	*t = (struct trace_thread){ .number = last->thread, .tid = (int32_t)last->tid };
	t->parts = reallocarray(NULL, count, sizeof *parts);
	if (!t->parts)
		return -ENOMEM;
	dir->thread_count++;
	for (size_t i = 0; i < count; i++) {
		if (i && parts[i].head.part == parts[i - 1].head.part) {
			/* Somebody was killed while the first one was copied; or just after that. */
			if (parts[i].head.kind != TRACE_RECORDS)
				trace_dir_torn(dir, "a part of thread %d is there twice", t->tid);
			dir->bytes -= parts[i].head.bytes;
			continue;
		}
		t->parts[t->part_count++] = parts[i];
		dir->flight |= parts[i].head.kind == TRACE_FLIGHT;
	}
	memcpy(t->comm, last->comm, sizeof last->comm);
	return 0;
}

static int make_threads(struct trace_dir *dir, struct found *found)
{
	size_t threads = 0, first = 0;
	int rc = 0;

	if (found->count == 0)
		return 0;
	qsort(found->parts, found->count, sizeof *found->parts, by_thread);
	for (size_t i = 0; i < found->count; i++)
		threads += i == 0 || !same_thread(&found->parts[i - 1], &found->parts[i]);
	dir->threads = calloc(threads, sizeof *dir->threads);
	if (!dir->threads)
		return -ENOMEM;
	for (size_t i = 1; i <= found->count && rc == 0; i++) {
		if (i < found->count && same_thread(&found->parts[first], &found->parts[i]))
			continue;
		rc = add_thread(dir, found->parts + first, i - first);
		first = i;
	}
	return rc;
}

static struct trace_image *find_image(struct trace_dir *dir, size_t count, uint32_t number)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (dir->images[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && dir->images[low].number == number ? &dir->images[low] : NULL;
}

/* Segments of an image that `events` does not tell of belong to one without modules. */
static int place_threads(struct trace_dir *dir, const struct found *found)
{
	const size_t known = dir->image_count;

	for (size_t i = 0; i < found->count; i++) {
		uint32_t image = found->parts[i].head.image;
		if ((i && image == found->parts[i - 1].head.image) || find_image(dir, known, image))
			continue;
		trace_dir_torn(dir, TRACE_EVENTS " says nothing of image %u", image);
		if (trace_text_image(dir, image) != 0)
			return -ENOMEM;
	}
	trace_text_sort(dir);
	for (size_t i = 0; i < dir->thread_count; i++)
		dir->threads[i].image =
			find_image(dir, dir->image_count, dir->threads[i].parts[0].head.image);
	return 0;
}

/* What a live thread wrote while we looked elsewhere in the file is for the next reader, if there is a part
 * before it that we did not see. */
static void cut_at_holes(struct trace_dir *dir)
{
	for (size_t i = 0; i < dir->thread_count; i++) {
		struct trace_thread *t = &dir->threads[i];
		size_t n = 1;
		while (n < t->part_count && t->parts[n].head.part == t->parts[n - 1].head.part + 1)
			n++;
		if (n == t->part_count || t->parts[n].head.kind != TRACE_RECORDS ||
		    !trace_dir_runs(dir, t->image, t->tid))
			continue;
		for (size_t k = n; k < t->part_count; k++)
			dir->bytes -= t->parts[k].head.bytes;
		t->part_count = n;
	}
}

/* ---- the clock --------------------------------------------------------------------------------- */

/* A counter runs at no less than 1 MHz and no more than 100 GHz; whoever says otherwise is torn. */
static void set_clock(struct trace_dir *dir, uint64_t ticks, uint64_t ns)
{
	dir->ns_per_tick = 1.0;
	if (!dir->counter)
		return;
	double rate = ticks > dir->first_ticks && ns > dir->first_ns ?
			      (double)(ns - dir->first_ns) / (double)(ticks - dir->first_ticks) :
			      0.0;
	if (rate >= 0.01 && rate <= 1000.0)
		dir->ns_per_tick = rate;
	else if (dir->thread_count)
		trace_dir_torn(dir, "the clock's rate is not known: times are in ticks");
}

int64_t trace_dir_ns(const struct trace_dir *dir, uint64_t ticks)
{
	double past = (double)(int64_t)(ticks - dir->first_ticks) * dir->ns_per_tick;

	/* far below what int64_t holds, whatever a hostile trace says */
	past = past > 4e18 ? 4e18 : past < -4e18 ? -4e18 : past;
	return dir->realtime_ns + (int64_t)past;
}

/* ---- the whole --------------------------------------------------------------------------------- */

static int open_directory(struct trace_dir *dir, const char *path, char *why, size_t why_bytes)
{
	int rc;

	*dir = (struct trace_dir){ .fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	if (dir->fd >= 0)
		return 0;
	rc = -errno;
	snprintf(why, why_bytes,
		 rc == -ENOENT ? "there is no trace %s: `hark run --stamp trace PROG` makes one" :
				 "cannot open the trace %s",
		 path);
	if (rc != -ENOENT)
		snprintf(why + strlen(why), why_bytes - strlen(why), ": %s", strerror(-rc));
	return rc;
}

int trace_dir_open(struct trace_dir *dir, const char *path, char *why, size_t why_bytes)
{
	struct found found = { .parts = NULL };
	int rc = open_directory(dir, path, why, why_bytes);

	if (rc != 0)
		return rc;
	dir->path = strdup(path);
	dir->store = store_open(dir->fd);
	rc = dir->path && dir->store ? trace_text_identity(dir, path, why, why_bytes) : -ENOMEM;
	if (rc != 0) {
		if (rc == -ENOMEM)
			snprintf(why, why_bytes, "there is no memory to read the trace %s", path);
		trace_dir_close(dir);
		return rc;
	}
	rc = trace_text_events(dir, &found.latest_ticks, &found.latest_ns);
	if (rc == 0)
		rc = scan_images(dir, &found);
	if (rc == 0)
		rc = make_threads(dir, &found);
	if (rc == 0)
		rc = samples_read(dir, &found.latest_ticks, &found.latest_ns);
	if (rc == 0)
		rc = place_threads(dir, &found);
	if (rc == 0) {
		cut_at_holes(dir);
		set_clock(dir, found.latest_ticks, found.latest_ns);
		samples_clock(dir);
	}
	free(found.parts);
	if (rc != 0) {
		snprintf(why, why_bytes, "cannot read the trace %s: %s", path, strerror(-rc));
		trace_dir_close(dir);
	}
	return rc;
}

void trace_dir_close(struct trace_dir *dir)
{
	samples_close(dir);
	for (size_t i = 0; i < dir->image_count; i++)
		free(dir->images[i].modules);
	for (size_t i = 0; i < dir->thread_count; i++)
		free(dir->threads[i].parts);
	free(dir->images);
	free(dir->threads);
	free(dir->notes);
	free(dir->calls);
	free(dir->identity);
	free(dir->events);
	free(dir->path);
	store_close(dir->store);
	if (dir->fd >= 0)
		close(dir->fd);
	*dir = (struct trace_dir){ .fd = -1 };
}
