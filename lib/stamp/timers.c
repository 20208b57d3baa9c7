/*
 * timers.c - see timers.h.
 *
 * Figures stand in a page for itself, in a file of the trace: so they survive SIGKILL without anybody
 * having to send them, and a library that is unloaded takes none along. The page says whose it is; a
 * forked child finds another pid there and claims one of its own, so nobody has to be told of forks.
 */
#include "lib/stamp/timers.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lib/base/sysio.h"
#include "lib/base/text.h"
#include "lib/stamp/segment.h"

static struct trace_timers *page_of(const struct trace_timer *timer)
{
	return (struct trace_timers *)((uintptr_t)timer & ~(uintptr_t)(TRACE_PAGE - 1));
}

static struct trace_timers *map_page(const char *trace, _Atomic uint32_t *files)
{
	struct segment_file file = { .bytes = 0 };
	struct text path = text_in(file.path, sizeof file.path);
	void *at = NULL;

	if (*trace) {
		text_str(&path, trace);
		text_str(&path, "/" TRACE_TIMERS);
		text_u64(&path, atomic_fetch_add(files, 1) + 1);
		text_cstr(&path);
	}
	if (*trace && !path.cut)
		at = segment_map(&file, TRACE_PAGE);
	if (!at || sysio_is_error(at))
		at = sysio_map(TRACE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);
	return sysio_is_error(at) ? NULL : at;
}

static struct trace_timers *make_page(uint32_t pid, const char *trace, _Atomic uint32_t *files)
{
	struct trace_timers *page = map_page(trace, files);

	if (page) {
		page->pid = pid;
		sysio_call(SYS_prctl, PR_GET_NAME, (long)page->comm, 0, 0, 0, 0);
		page->magic = TRACE_TIMERS_MAGIC;
	}
	return page;
}

static struct trace_timer *take(struct trace_timers *page, const char *name)
{
	uint32_t place = atomic_fetch_add_explicit(&page->used, 1, memory_order_relaxed);

	if (place >= TRACE_TIMERS_MOST)
		return NULL;
	struct trace_timer *timer = &page->timers[place];
	atomic_store_explicit(&timer->min, UINT64_MAX, memory_order_relaxed);
	strncpy(timer->name, *name ? name : "?", sizeof timer->name - 1);
	return timer;
}

struct trace_timer *timers_claim(struct timers *timers, uint32_t pid, const char *name,
				 const char *trace, _Atomic uint32_t *files)
{
	struct trace_timer *timer = NULL;

	/* Several threads, or a handler, may make a page at once; the last one stays in use, and the
	 * others are half empty. */
	do {
		struct trace_timers *page =
			atomic_load_explicit(&timers->page, memory_order_acquire);
		if (!page || page->pid != pid || atomic_load(&page->used) >= TRACE_TIMERS_MOST) {
			page = make_page(pid, trace, files);
			if (!page)
				return NULL;
			timer = take(page, name);
			atomic_store_explicit(&timers->page, page, memory_order_release);
		} else {
			timer = take(page, name);
		}
	} while (!timer);
	return timer;
}

void timers_disclaim(struct trace_timer *timer)
{
	timer->name[0] = '\0';
}

bool timers_owned(const struct trace_timer *timer, uint32_t pid)
{
	return page_of(timer)->pid == pid;
}

static void at_least(_Atomic uint64_t *figure, uint64_t value)
{
	uint64_t now = atomic_load_explicit(figure, memory_order_relaxed);

	while (now < value && !atomic_compare_exchange_weak_explicit(
				      figure, &now, value, memory_order_relaxed,
				      memory_order_relaxed))
		;
}

static void at_most(_Atomic uint64_t *figure, uint64_t value)
{
	uint64_t now = atomic_load_explicit(figure, memory_order_relaxed);

	while (now > value && !atomic_compare_exchange_weak_explicit(
				      figure, &now, value, memory_order_relaxed,
				      memory_order_relaxed))
		;
}

void timers_add(struct trace_timer *timer, uint64_t begin, uint64_t end, uint32_t tid)
{
	uint64_t took = end > begin ? end - begin : 0;
	uint64_t before = atomic_fetch_add_explicit(&timer->count, 1, memory_order_relaxed);
	struct trace_interval *i = &timer->last[before % TRACE_TIMER_LAST];

	atomic_fetch_add_explicit(&timer->total, took, memory_order_relaxed);
	at_most(&timer->min, took);
	at_least(&timer->max, took);
	atomic_store_explicit(&i->number, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release); /* pairs with timers_interval() */
	atomic_store_explicit(&i->begin, begin, memory_order_relaxed);
	atomic_store_explicit(&i->took, took, memory_order_relaxed);
	atomic_store_explicit(&i->tid, tid, memory_order_relaxed);
	atomic_store_explicit(&i->number, (uint32_t)before + 1, memory_order_release);
}

bool timers_interval(const struct trace_timer *timer, unsigned slot, uint64_t *begin,
		     uint64_t *took, uint32_t *tid, uint32_t *number)
{
	const struct trace_interval *i = &timer->last[slot];

	*number = atomic_load_explicit(&i->number, memory_order_acquire);
	*begin = atomic_load_explicit(&i->begin, memory_order_relaxed);
	*took = atomic_load_explicit(&i->took, memory_order_relaxed);
	*tid = atomic_load_explicit(&i->tid, memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	return *number && (*number - 1) % TRACE_TIMER_LAST == slot &&
	       *number == atomic_load_explicit(&i->number, memory_order_relaxed);
}
