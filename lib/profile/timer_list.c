/*
 * timer_list.c - see timer_list.h.
 */
#include "lib/profile/timer_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/array.h"
#include "lib/base/parse.h"
#include "lib/stamp/timers.h"

static uint64_t ticks_ns(const struct trace_dir *dir, uint64_t ticks)
{
	double ns = (double)ticks * dir->ns_per_tick;

	return ns < 9e18 ? (uint64_t)ns : UINT64_C(9000000000000000000);
}

static void text_of(char *to, const char *from, size_t bytes)
{
	memcpy(to, from, bytes);
	to[strnlen(to, bytes)] = '\0';
}

/* ---- one timer --------------------------------------------------------------------------------- */

static int add_interval(struct timer_list *list, const struct timer_interval *interval)
{
	struct timer_interval *all =
		array_grown(list->intervals, list->interval_count, sizeof *all);

	if (!all)
		return -ENOMEM;
	list->intervals = all;
	all[list->interval_count++] = *interval;
	return 0;
}

/* The latest first. Numbers are 32 bits of the count, and go round. */
static int later_first(const void *left, const void *right)
{
	const struct timer_interval *a = left, *b = right;

	return a->number > b->number ? -1 : a->number < b->number;
}

static int add_intervals(struct timer_list *list, const struct trace_dir *dir,
			 const struct trace_timer *timer, struct timer_figures *figures)
{
	struct timer_interval found[TRACE_TIMER_LAST];
	uint64_t begin, took, count = figures->count;
	uint32_t tid, number;
	unsigned n = 0;
	int rc = 0;

	for (unsigned slot = 0; slot < TRACE_TIMER_LAST; slot++) {
		if (!timers_interval(timer, slot, &begin, &took, &tid, &number))
			continue;
		uint64_t back = (uint32_t)((uint32_t)count - number);
		if (back >= TRACE_TIMER_LAST || back >= count)
			continue;
		found[n++] = (struct timer_interval){
			.end_ns = trace_dir_ns(dir, begin + took),
			.took_ns = ticks_ns(dir, took),
			.number = count - back,
			.tid = tid <= INT32_MAX ? (int32_t)tid : 0,
			.timer = list->count,
		};
	}
	qsort(found, n, sizeof *found, later_first);
	for (unsigned i = 0; i < n && rc == 0; i++) {
		found[i].last = i == 0;
		figures->last_ns[i] = found[i].took_ns;
		rc = add_interval(list, &found[i]);
	}
	figures->last_count = n;
	figures->end_ns = n ? found[0].end_ns : INT64_MIN;
	return rc;
}

static int add_timer(struct timer_list *list, const struct trace_dir *dir,
		     const struct trace_timers *page, const struct trace_timer *timer)
{
	struct timer_figures *all = array_grown(list->timers, list->count, sizeof *all);

	if (!all)
		return -ENOMEM;
	list->timers = all;
	struct timer_figures *f = &all[list->count];
	*f = (struct timer_figures){ .count = timer->count };
	memcpy(f->name, timer->name, sizeof f->name - 1);
	text_of(f->comm, page->comm, sizeof page->comm);
	f->pid = page->pid <= INT32_MAX ? (int32_t)page->pid : 0;
	f->total_ns = ticks_ns(dir, timer->total);
	f->min_ns = timer->min == UINT64_MAX ? 0 : ticks_ns(dir, timer->min);
	f->max_ns = ticks_ns(dir, timer->max);
	f->avg_ns = f->count ? f->total_ns / f->count : 0;
	int rc = add_intervals(list, dir, timer, f);
	list->count++;
	return rc;
}

/* ---- all of them ------------------------------------------------------------------------------- */

static int read_page(struct trace_dir *dir, const char *name, struct trace_timers *page)
{
	struct stat st;
	int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	bool regular = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	ssize_t n = regular ? pread(fd, page, sizeof *page, 0) : -1;

	if (fd >= 0)
		close(fd);
	/* whose owner died before he filled it */
	if (n >= 0 && (n == 0 || (n == sizeof *page && page->magic == 0)))
		return -ENOENT;
	return n == sizeof *page && page->magic == TRACE_TIMERS_MAGIC ? 0 : -EINVAL;
}

static int take_page(struct timer_list *list, struct trace_dir *dir, const char *name)
{
	struct trace_timers page;
	int rc = read_page(dir, name, &page);

	if (rc == -EINVAL)
		trace_dir_torn(dir, "%.40s holds no timers", name);
	for (unsigned i = 0; rc == 0 && i < TRACE_TIMERS_MOST; i++)
		if (page.timers[i].name[0])
			rc = add_timer(list, dir, &page, &page.timers[i]);
	return rc == -ENOMEM ? rc : 0;
}

static int by_time(const void *left, const void *right)
{
	const struct timer_interval *a = left, *b = right;

	if (a->end_ns != b->end_ns)
		return a->end_ns < b->end_ns ? -1 : 1;
	if (a->timer != b->timer)
		return a->timer < b->timer ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

int timer_list_read(struct timer_list *list, struct trace_dir *dir)
{
	const size_t prefix = strlen(TRACE_TIMERS);
	int copy = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *files = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	uint64_t number;

	*list = (struct timer_list){ .count = 0 };
	if (!files) {
		if (copy >= 0)
			close(copy);
		return 0;
	}
	while (rc == 0 && (entry = readdir(files)) != NULL)
		if (strncmp(entry->d_name, TRACE_TIMERS, prefix) == 0 &&
		    parse_u64(entry->d_name + prefix, 1, UINT32_MAX, &number) == 0)
			rc = take_page(list, dir, entry->d_name);
	closedir(files);
	if (rc == 0 && list->interval_count)
		qsort(list->intervals, list->interval_count, sizeof *list->intervals, by_time);
	if (rc != 0)
		timer_list_fini(list);
	return rc;
}

void timer_list_fini(struct timer_list *list)
{
	free(list->timers);
	free(list->intervals);
	*list = (struct timer_list){ .count = 0 };
}
