/*
 * setup.c - see setup.h.
 */
#include "lib/collect/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/collect/tap.h"
#include "lib/stamp/event.h"
#include "lib/stamp/trace.h"

static int path_in(const struct collector *c, char *path, size_t bytes, const char *name)
{
	int n = snprintf(path, bytes, "%s/%s", c->plan->dir, name);
	return n > 0 && (size_t)n < bytes ? 0 : -ENAMETOOLONG;
}

static int join(struct collector *c)
{
	strcpy(c->step, "the session");
	/* A dead session is what salvage is for, so the state does not matter here. */
	int error = session_attach_with(&c->session, c->plan->dir, &c->ring_fd);
	/* A guardian has no use for the ring; and its mapping would keep a lease (alone.h) of one who dies
	 * in the midst of asking, for whose sake his successor could not open the ring. */
	if (!error)
		madvise(c->session.ring.shared, c->session.ring.mapped_bytes, MADV_DONTFORK);
	return error;
}

static bool interactive(const struct sink *s)
{
	return s->spec.kind == SINK_CONSOLE && s->format.ops == &format_pretty &&
	       s->console_fd >= 0 && isatty(s->console_fd);
}

static void route(struct collector *c, unsigned i)
{
	struct sink *s = &c->sinks[i];
	bool all_levels = s->spec.level == LEVEL_DEBUG && c->session.control->level == LEVEL_DEBUG;

	c->routes[i] = (struct route){
		.stream = s->format.ops == &format_raw && all_levels,
		.console = s->spec.kind == SINK_CONSOLE,
		.interactive = interactive(s),
	};
	c->any_lines = c->any_lines || !c->routes[i].stream;
}

/* Whoever else has mapped the control block may change it, now as well. */
static void take_text(char *to, const char *from, size_t bytes)
{
	memcpy(to, from, bytes);
	to[bytes - 1] = 0;
}

static int open_sinks(struct collector *c)
{
	static struct sink_spec specs[CONTROL_SINKS];
	const struct control *control = c->session.control;
	char why[512], path[512], name[32], sinks[sizeof control->sinks];
	char directory[sizeof control->directory];

	strcpy(c->step, "the list of sinks");
	if (c->plan->sinks)
		snprintf(sinks, sizeof sinks, "%s", c->plan->sinks);
	else
		take_text(sinks, control->sinks, sizeof sinks);
	take_text(directory, control->directory, sizeof directory);
	int count = spec_parse_list(sinks, specs, CONTROL_SINKS, why, sizeof why);
	if (count < 0)
		return count;
	for (int i = 0; i < count; i++) {
		int error = c->plan->sinks ? 0 : spec_absolute(&specs[i], directory);
		snprintf(c->step, sizeof c->step, "the queue of %.200s", specs[i].given);
		/* Salvage with sinks of its own leaves the dead session's queues alone. */
		snprintf(name, sizeof name, c->plan->sinks ? "salvage.%d" : "queue.%d", i);
		if (!error)
			error = path_in(c, path, sizeof path, name);
		/* … and begins anew each time: until all is delivered, nothing is taken. */
		if (!error && c->plan->sinks)
			unlink(path);
		if (!error)
			error = sink_init(&c->sinks[i], &specs[i], path, c->plan->console_fd);
		if (error)
			return error;
		c->sink_count++;
		route(c, (unsigned)i);
	}
	return 0;
}

static int resume(struct collector *c)
{
	const void *lines;
	char path[512];

	strcpy(c->step, "the checkpoints");
	int error = path_in(c, path, sizeof path, "state");
	if (!error)
		error = checkpoint_open(&c->file, path);
	if (error)
		return error;
	bool any_interactive = false;
	for (unsigned i = 0; i < c->sink_count; i++)
		any_interactive = any_interactive || c->routes[i].interactive;
	error = assemble_init(&c->lines, CHECKPOINT_LINES, any_interactive);
	if (error)
		return error;
	bool loaded = checkpoint_load(&c->file, &c->state, &lines);
	losses_resume(c);
	if (!loaded)
		return 0;
	if (c->state.lines_bytes)
		assemble_load(&c->lines, lines, c->state.lines_bytes);
	if (c->state.joins_bytes)
		join_load(&c->joins, checkpoint_loaded_joins(&c->file), c->state.joins_bytes,
			  c->now_ns);
	for (unsigned i = 0; i < c->sink_count && !c->plan->sinks; i++) {
		struct queue *q = &c->sinks[i].queue;
		uint64_t tail = atomic_load(q->tail);
		if (c->state.heads[i] >= tail && c->state.heads[i] - tail <= q->size)
			q->head = c->state.heads[i];
	}
	c->delivery =
		(struct collect_delivery){ .messages = c->state.messages, .bytes = c->state.bytes };
	return 0;
}

static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max; /* a pidfd for each process of the session */
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* The first one may never say a word: a static program is heard, but does not introduce itself. */
static void watch_first(struct collector *c)
{
	const struct control *control = c->session.control;
	struct watched *p = watch_process(&c->watch, (uint32_t)control->first_pid);
	char command[sizeof control->command];

	take_text(command, control->command, sizeof command);
	size_t word = strcspn(command, " ");
	size_t base = word;
	while (base > 0 && command[base - 1] != '/')
		base--;
	if (p)
		watch_believe(&c->watch, p);
	if (p)
		snprintf(p->comm, sizeof p->comm, "%.*s", (int)(word - base), command + base);
	c->watch.version++;
}

void setup_tell_clock(const struct collector *c)
{
	const struct control *control = c->session.control;
	char path[sizeof control->trace + sizeof "/" TRACE_EVENTS];
	struct clock_base now;
	struct event event;

	if (!control->trace[0])
		return;
	snprintf(path, sizeof path, "%.*s/" TRACE_EVENTS, (int)sizeof control->trace,
		 control->trace);
	clock_base_now(&now, control->clock.counter != 0);
	event_begin(&event, "clock");
	event_number(&event, "ticks", now.ticks);
	event_number(&event, "monotonic_ns", now.monotonic_ns);
	event_append(&event, path);
}

int setup_open(struct collector *c, const struct collect_plan *plan)
{
	if (c->plan) /* it was in use; the pages of a new one are clean, and most stay untouched */
		memset(c, 0, sizeof *c);
	c->plan = plan;
	c->ring_fd = -1;
	raise_limits();
	int error = join(c);
	if (!error && chdir("/") != 0)
		error = -errno;
	c->now_ns = clock_monotonic_ns();
	if (!error)
		error = open_sinks(c);
	if (!error)
		error = resume(c);
	const struct control *control = c->session.control;
	if (!error)
		strcpy(c->step, "the ring");
	if (!error)
		error = reader_open(&c->reader, &c->session.ring, c->ring_fd, c->state.position,
				    control->overflow == RING_LOSE_OLDEST);
	/* Whoever was before us may have been killed between its checkpoint and the release of what that
	 * covers: writers may wait for it, and would for ever. */
	c->dirty = true;
	/* Where the record that was in hand is there no more, another one begins. */
	if (!error && c->reader.at != c->state.position) {
		c->state.position = c->reader.at;
		c->state.done = 0;
		c->state.streamed = 0;
	}
	if (!error)
		strcpy(c->step, "the watch over processes");
	if (!error)
		error = watch_open(&c->watch, &c->session.ring);
	c->watch.ring_fd = c->ring_fd;
	if (error) {
		setup_close(c);
		return error;
	}
	for (uint64_t i = 0; i < c->state.people; i++)
		watch_restore(&c->watch, &checkpoint_loaded_people(&c->file)[i]);
	if (c->watch.foreign) /* their thread ids mean nothing here, as our predecessor knew */
		c->reader.tids_known = false;
	clock_map_init(&c->clock, &control->clock);
	if (!plan->salvage) {
		watch_first(c);
		tap_attach(c);
		setup_tell_clock(c);
	}
	return 0;
}

void setup_close(struct collector *c)
{
	for (unsigned i = 0; i < c->sink_count; i++)
		sink_fini(&c->sinks[i]);
	if (c->watch.table)
		watch_close(&c->watch);
	if (c->lines.buckets)
		assemble_fini(&c->lines);
	join_fini(&c->joins);
	callpath_close(c);
	checkpoint_close(&c->file);
	reader_close(&c->reader);
	session_leave(&c->session);
	if (c->ring_fd >= 0)
		close(c->ring_fd);
}

void setup_end(struct collector *c)
{
	for (unsigned i = 0; i < c->sink_count; i++)
		sink_end(&c->sinks[i]);
	callpath_close(c);
}

int setup_console_fd(const struct collector *c)
{
	for (unsigned i = 0; i < c->sink_count; i++)
		if (c->routes[i].console && c->sinks[i].console_fd >= 0)
			return c->sinks[i].console_fd;
	return -1;
}

void setup_release_console(struct collector *c, unsigned i)
{
	struct sink *s = &c->sinks[i];

	s->ops->close(s);
	s->state = SINK_CLOSED;
	s->gone = true;
	int fd = s->console_fd;
	s->console_fd = -1;
	if (setup_console_fd(c) != fd)
		close(fd); /* no other console sink has it */
}
