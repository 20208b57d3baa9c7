/*
 * snapshot.c - see snapshot.h. Made under a name that nobody looks at, and renamed when it is whole.
 */
#include "lib/snapshot/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/parse.h"
#include "lib/snapshot/flight.h"
#include "lib/snapshot/messages_tail.h"
#include "lib/snapshot/snapshots.h"
#include "lib/stamp/trace.h"

enum { COPIED_MOST = 256 << 20, TEXT_MOST = 64 << 20, PIECE = 64 << 10, IMAGES_MOST = 65536 };

/* What is being made. */
struct making {
	const struct snapshot_plan *plan;
	int from, to;              /* directories */
	char hidden[64];           /* the name of `to`, for now */
	uint32_t number;
	bool counter;              /* the trace's ticks are the time-stamp counter */
	uint64_t now;              /* ticks: the moment */
	struct flight_copy copy;
	const char *step;          /* for people */
};

static uint64_t present(void *arg)
{
	const struct making *m = arg;

	return clock_ticks(m->counter);
}

/* ---- text -------------------------------------------------------------------------------------- */

static FILE *open_from(const struct making *m, const char *name)
{
	int fd = openat(m->from, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

	if (!file && fd >= 0)
		close(fd);
	return file;
}

static FILE *open_to(const struct making *m, const char *name)
{
	int fd = openat(m->to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (!file && fd >= 0)
		close(fd);
	return file;
}

static int done(FILE *file)
{
	bool failed = ferror(file);

	return fclose(file) != 0 || failed ? -EIO : 0;
}

/* It is nobody's who lives, and of what it is a snapshot is said behind. */
static bool is_left_out(const char *line)
{
	return strncmp(line, "session=", 8) == 0 || strncmp(line, "mode=", 5) == 0;
}

static int write_identity(struct making *m)
{
	char line[4096];
	FILE *from = open_from(m, TRACE_IDENTITY), *to = from ? open_to(m, TRACE_IDENTITY) : NULL;
	bool begun = true; /* of a line */

	if (!to) {
		int error = -errno;
		if (from)
			fclose(from);
		return error;
	}
	while (fgets(line, sizeof line, from)) {
		if (begun && strcmp(line, "counter=1\n") == 0)
			m->counter = true;
		if (!begun || !is_left_out(line))
			fputs(line, to);
		begun = strchr(line, '\n') != NULL;
	}
	fclose(from);
	m->now = clock_ticks(m->counter);
	fprintf(to, "mode=flight\nsnapshot=%u\nreason=%s\nsnapshot_ticks=%llu\n", m->number,
		m->plan->seq ? "message" : "asked", (unsigned long long)m->now);
	if (m->plan->seq)
		fprintf(to, "seq=%llu\nmessage_ticks=%llu\n", (unsigned long long)m->plan->seq,
			(unsigned long long)m->plan->ticks);
	return done(to);
}

/* All that was loaded so far, whoever's it is; and the clock, to know its rate. */
static int write_events(struct making *m)
{
	char piece[PIECE];
	FILE *from = open_from(m, TRACE_EVENTS), *to = open_to(m, TRACE_EVENTS);
	struct clock_base now;
	size_t n, all = 0;
	char last = '\n';

	while (from && to && all < TEXT_MOST && (n = fread(piece, 1, sizeof piece, from)) > 0) {
		fwrite(piece, 1, n, to);
		last = piece[n - 1];
		all += n;
	}
	if (from)
		fclose(from);
	if (!to)
		return -errno;
	clock_base_now(&now, m->counter);
	fprintf(to, "%sclock ticks=%llu monotonic_ns=%llu\n", last == '\n' ? "" : "\n",
		(unsigned long long)now.ticks, (unsigned long long)now.monotonic_ns);
	return done(to);
}

static int write_messages(struct making *m)
{
	FILE *from = open_from(m, TRACE_MESSAGES);

	if (!from && !m->plan->line)
		return 0;
	FILE *to = open_to(m, TRACE_MESSAGES);
	if (!to) {
		int error = -errno;
		if (from)
			fclose(from);
		return error;
	}
	messages_tail(from, to, m->copy.first_ticks, m->plan);
	if (from)
		fclose(from);
	return done(to);
}

/* ---- segments ---------------------------------------------------------------------------------- */

static int newest_first(const void *left, const void *right)
{
	const uint32_t *a = left, *b = right;

	return *a > *b ? -1 : *a < *b;
}

static int list_images(const struct making *m, uint32_t *images, size_t *count)
{
	const size_t prefix = strlen(TRACE_IMAGE);
	int copy = openat(m->from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	uint64_t number;

	*count = 0;
	if (!list) {
		int error = -errno;
		if (copy >= 0)
			close(copy);
		return error;
	}
	for (struct dirent *entry; (entry = readdir(list)) && *count < IMAGES_MOST;)
		if (strncmp(entry->d_name, TRACE_IMAGE, prefix) == 0 &&
		    parse_u64(entry->d_name + prefix, 1, UINT32_MAX, &number) == 0)
			images[(*count)++] = (uint32_t)number;
	closedir(list);
	if (*count)
		qsort(images, *count, sizeof *images, newest_first);
	return 0;
}

/* A disk that others need is not filled by this. */
static uint64_t room_for_it(const struct making *m)
{
	struct statvfs disk;
	uint64_t free_bytes = UINT64_MAX;

	if (fstatvfs(m->to, &disk) == 0)
		free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize / 4;
	return free_bytes < COPIED_MOST ? free_bytes : COPIED_MOST;
}

static int write_segments(struct making *m)
{
	uint32_t *images = malloc(IMAGES_MOST * sizeof *images);
	size_t count = 0;
	int rc = images ? list_images(m, images, &count) : -ENOMEM;

	m->copy = (struct flight_copy){ .most = room_for_it(m), .first_ticks = UINT64_MAX,
					.now = present, .arg = m };
	for (size_t i = 0; i < count && rc == 0; i++) {
		rc = flight_copy(&m->copy, m->from, m->to, images[i]);
		if (rc == -ENOENT || rc == -EACCES || rc == -EINVAL)
			rc = 0; /* that one is gone, or none of ours */
	}
	free(images);
	if (rc == 0 && m->copy.threads == 0)
		rc = m->copy.left_out ? -ENOSPC : -ENODATA;
	return rc;
}

/* ---- the whole --------------------------------------------------------------------------------- */

static int begin(struct making *m)
{
	snprintf(m->hidden, sizeof m->hidden, ".snapshot-%d", getpid());
	snapshots_remove(m->from, m->hidden); /* of one who died with our number */
	if (mkdirat(m->from, m->hidden, 0700) != 0)
		return -errno;
	m->to = openat(m->from, m->hidden, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return m->to < 0 ? -errno : 0;
}

/* Segments first: they are what does not wait. */
static int fill(struct making *m)
{
	static const struct {
		const char *what;
		int (*step)(struct making *m);
	} steps[] = {
		{ TRACE_IDENTITY, write_identity },
		{ "the recorders' segments", write_segments },
		{ TRACE_EVENTS, write_events },
		{ TRACE_MESSAGES, write_messages },
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof steps / sizeof *steps && rc == 0; i++) {
		m->step = steps[i].what;
		rc = steps[i].step(m);
	}
	return rc;
}

static int publish(struct making *m, char path[SNAPSHOT_PATH])
{
	char name[32];

	m->step = "its directory";
	snprintf(name, sizeof name, SNAPSHOT_NAME "%u", m->number);
	if (renameat2(m->from, m->hidden, m->from, name, RENAME_NOREPLACE) != 0)
		return -errno;
	snprintf(path, SNAPSHOT_PATH, "%s/%s", m->plan->trace, name);
	return 0;
}

static void explain(const struct making *m, int rc, char *why, size_t why_bytes)
{
	const char *trace = m->plan->trace;

	if (rc == -ENODATA)
		snprintf(why, why_bytes,
			 "no flight recorder in %s holds anything: `hark set PID stamp=flight` or "
			 "`hark run --stamp flight` makes them",
			 trace);
	else if (rc == -ENOSPC)
		snprintf(why, why_bytes, "a snapshot of %s has no room on that disk", trace);
	else
		snprintf(why, why_bytes, "a snapshot of %s: %s: %s", trace, m->step, strerror(-rc));
}

int snapshot_make(const struct snapshot_plan *plan, char path[SNAPSHOT_PATH], char *why,
		  size_t why_bytes)
{
	struct making m = { .plan = plan, .to = -1, .step = "its directory" };
	int rc;

	m.from = open(plan->trace, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = m.from < 0 ? -errno : snapshots_next(m.from, plan->seq, &m.number);
	if (rc == 0)
		rc = begin(&m);
	if (rc == 0)
		rc = fill(&m);
	/* Somebody else may have been faster. */
	while (rc == 0 && (rc = publish(&m, path)) == -EEXIST && m.number < UINT32_MAX) {
		m.number++;
		rc = 0;
	}
	if (rc != 0) {
		explain(&m, rc, why, why_bytes);
		if (m.from >= 0 && m.hidden[0])
			snapshots_remove(m.from, m.hidden);
	} else if (plan->seq) {
		snapshots_prune(m.from, plan->keep);
	}
	if (m.to >= 0)
		close(m.to);
	if (m.from >= 0)
		close(m.from);
	return rc;
}
