/*
 * clock.c - see clock.h.
 */
#include "lib/base/clock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>

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

bool clock_counter_usable(void)
{
	/* The kernel has tested it for steadiness across cores and sleep states: believe it. */
	static const char path[] =
		"/sys/devices/system/clocksource/clocksource0/current_clocksource";
	char name[32] = "";
	if (testpoint_no_counter())
		return false;
	int fd = sysio_open(path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	ssize_t n = sysio_read(fd, name, sizeof name - 1);
	sysio_close(fd);
	return n > 0 && (strncmp(name, "tsc", 3) == 0 ||
			 strncmp(name, "arch_sys_counter", 16) == 0);
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

void clock_map_init(struct clock_map *map, const struct clock_base *first)
{
	map->first = *first;
	/* Without overflow: what stands in shared memory may be anything. */
	map->offset_ns = (int64_t)((uint64_t)first->realtime_ns - first->monotonic_ns);
	clock_map_refresh(map);
}

void clock_map_refresh(struct clock_map *map)
{
	clock_base_now(&map->now, map->first.counter != 0);
	int64_t offset = map->now.realtime_ns - (int64_t)map->now.monotonic_ns;
	if (offset > map->offset_ns)
		map->offset_ns = offset;
}

int64_t clock_map_ns(const struct clock_map *map, uint64_t ticks)
{
	/* Counted back from the latest pair: the distance is short, so an error of the rate is, too. */
	double back = (double)(int64_t)(map->now.ticks - ticks);
	double ticks_passed = (double)(map->now.ticks - map->first.ticks);
	double ns_passed = (double)(map->now.monotonic_ns - map->first.monotonic_ns);
	double rate = map->first.counter && ticks_passed > 0 ? ns_passed / ticks_passed : 1.0;

	double ns_back = back * rate;

	if (!(ns_back > -1e18 && ns_back < 1e18))
		ns_back = 0;
	return (int64_t)(map->now.monotonic_ns + (uint64_t)map->offset_ns -
			 (uint64_t)(int64_t)ns_back);
}
