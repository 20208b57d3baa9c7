/*
 * clock.c - see clock.h.
 */
#include "lib/base/clock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "lib/base/sysio.h"
#include "lib/base/testpoint.h"

static clock_function read_clock = clock_gettime;

void clock_use(clock_function function)
{
	if (function)
		read_clock = function;
}

enum { FROZEN_STEP_NS = 100000 };

static _Atomic uint64_t frozen_ticks, frozen_ns;

void clock_freeze(uint64_t ticks)
{
	if (ticks)
		frozen_ns = clock_monotonic_ns();
	frozen_ticks = ticks;
}

bool clock_frozen(void) { return frozen_ticks != 0; }

uint64_t clock_slow_ticks(void)
{
	uint64_t ticks = frozen_ticks;
	return ticks ? ticks : clock_monotonic_ns();
}

uint64_t clock_monotonic_ns(void)
{
	struct timespec ts;

	if (__builtin_expect(frozen_ticks != 0, 0))
		return atomic_fetch_add(&frozen_ns, FROZEN_STEP_NS);
	read_clock(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int64_t clock_realtime_ns(void)
{
	struct timespec ts;

	read_clock(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec + testpoint_clock_offset_ns();
}

/* The counter's rate neither changes nor stops. */
static bool invariant(void)
{
#if defined(__x86_64__)
	enum { LEAF = 0x80000007, INVARIANT = 1 << 8 };
	unsigned a, b, c, d;

	return __get_cpuid(LEAF, &a, &b, &c, &d) && (d & INVARIANT);
#else
	return false;
#endif
}

static uint64_t took(bool system_call)
{
	struct timespec ts;
	uint64_t before = clock_ticks(true);

	if (system_call)
		sysio_call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&ts, 0, 0, 0, 0);
	else
		read_clock(CLOCK_MONOTONIC, &ts);
	return clock_ticks(true) - before;
}

/* Whoever gets the time without entering the kernel gets it from the counter: then the host vouches for
 * its being the same on all processors. */
static bool read_in_place(void)
{
	uint64_t called = UINT64_MAX, read = UINT64_MAX;

	for (int i = 0; i < 50; i++) {
		uint64_t a = took(true), b = took(false);
		called = a < called ? a : called;
		read = b < read ? b : read;
	}
	return read < called / 2;
}

bool clock_counter_usable(void)
{
	/* The kernel has tested it for steadiness across cores and sleep states: believe it. */
	static const char path[] =
		"/sys/devices/system/clocksource/clocksource0/current_clocksource";
	char name[32] = "";
	if (testpoint_no_counter())
		return false;
	if (testpoint_counter())
		return true;
	int fd = sysio_open(path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	ssize_t n = sysio_read(fd, name, sizeof name - 1);
	sysio_close(fd);
	if (n <= 0)
		return false;
	if (strncmp(name, "tsc", 3) == 0 || strncmp(name, "arch_sys_counter", 16) == 0)
		return true;
	/* In a virtual machine, the host's clock may be made of the counter. */
	bool of_host = strncmp(name, "kvm-clock", 9) == 0 || strncmp(name, "hyperv_clock", 12) == 0;
	return of_host && invariant() && read_in_place();
}

void clock_base_now(struct clock_base *base, bool counter)
{
	/* The counter is read between two readings of the clock; the narrowest of a few tries is taken,
	 * since an interrupt in between would shift the pair. */
	uint64_t narrowest = UINT64_MAX;

	base->counter = counter;
	for (int i = 0; i < 4; i++) {
		uint64_t before = clock_monotonic_ns();
		uint64_t ticks = clock_ticks(counter);
		uint64_t after = clock_monotonic_ns();
		if (after - before >= narrowest)
			continue;
		narrowest = after - before;
		base->ticks = ticks;
		base->monotonic_ns = before + narrowest / 2;
	}
	if (!counter)
		base->ticks = base->monotonic_ns;
	base->realtime_ns = clock_realtime_ns();
}

enum { JUMP_NS = 1000000 };

/* A virtual machine that was moved, or goes on after a pause, may have another counter: then what was
 * counted before says nothing of what comes, but the rate. */
static bool jumped(const struct clock_map *map, const struct clock_base *now)
{
	double ns = (double)(int64_t)(now->monotonic_ns - map->now.monotonic_ns);
	double error = (double)(int64_t)(now->ticks - map->now.ticks) * map->rate - ns;
	double allowed = JUMP_NS + ns / 100;

	return map->rate > 0 && (error > allowed || error < -allowed);
}

void clock_map_take(struct clock_map *map, const struct clock_base *now)
{
	bool again = jumped(map, now);

	map->now = *now;
	if (again)
		map->first = *now;
	double ticks_passed = (double)(int64_t)(now->ticks - map->first.ticks);
	double ns_passed = (double)(int64_t)(now->monotonic_ns - map->first.monotonic_ns);
	if (map->first.counter && ticks_passed > 0)
		map->rate = ns_passed / ticks_passed;
	int64_t offset = (int64_t)((uint64_t)now->realtime_ns - now->monotonic_ns);
	if (offset > map->offset_ns)
		map->offset_ns = offset;
}

void clock_map_init(struct clock_map *map, const struct clock_base *first)
{
	*map = (struct clock_map){ .first = *first, .now = *first };
	/* Without overflow: what stands in shared memory may be anything. */
	map->offset_ns = (int64_t)((uint64_t)first->realtime_ns - first->monotonic_ns);
	clock_map_refresh(map);
}

void clock_map_refresh(struct clock_map *map)
{
	struct clock_base now;

	clock_base_now(&now, map->first.counter != 0);
	clock_map_take(map, &now);
}

int64_t clock_map_ns(const struct clock_map *map, uint64_t ticks)
{
	/* Counted back from the latest pair: the distance is short, so an error of the rate is, too. */
	double back = (double)(int64_t)(map->now.ticks - ticks);
	double ns_back = back * (map->rate > 0 ? map->rate : 1.0);

	if (!(ns_back > -1e18 && ns_back < 1e18))
		ns_back = 0;
	return (int64_t)(map->now.monotonic_ns + (uint64_t)map->offset_ns -
			 (uint64_t)(int64_t)ns_back);
}
