/*
 * collect.c - the collector's life: open everything, drain in rounds, end when nothing can come any more.
 *
 * A round: read records and turn them into frames in the sinks' queues; write down how far that is
 * (checkpoint); give the memory back to the ring; let the sinks write what the checkpoint covers;
 * tell who waits. Then sleep, unless there was so much that there is likely more.
 */
#include "lib/collect/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/sysio.h"
#include "lib/base/testpoint.h"
#include "lib/collect/collector.h"
#include "lib/collect/tap.h"
#include "lib/collect/guardian.h"
#include "lib/collect/setup.h"
#include "lib/collect/stats.h"
#include "lib/session/place.h"

enum {
	BATCH_RECORDS = 2048,
	BUSY_RECORDS = 64,         /* after so many, there is likely more */
	NAP_LEAST_NS = 50000,
	NAP_MOST_NS = 4000000,
	POLLED_NAP_NS = 5000000,   /* somebody behind a seccomp filter cannot wake us */
	AWAKE_NS = 20000000,       /* naps, before it sleeps until woken */
	POLL_NS = 5000000,         /* waits for descriptors look at the ring this often */
	RETRY_NS = 1000000,
	UNTOLD_NS = 100000000,     /* losses that found no room to be announced are tried again */
	TEND_NS = 1000000000,      /* what the ring has set aside is looked at this often */
};

static volatile sig_atomic_t reopen_wanted, end_wanted;
static struct ring *signal_ring;
static struct collect_delivery last_delivery;

static void on_signal(int number)
{
	if (number == SIGHUP)
		reopen_wanted = 1;
	else
		end_wanted = 1;
	if (signal_ring)
		ring_poke(signal_ring);
}

static void set_signals(struct ring *ring)
{
	struct sigaction caught = { .sa_handler = on_signal }, ignored = { .sa_handler = SIG_IGN };

	signal_ring = ring;
	sigaction(SIGHUP, &caught, NULL);
	sigaction(SIGTERM, &caught, NULL);
	sigaction(SIGINT, &caught, NULL);
	sigaction(SIGPIPE, &ignored, NULL); /* a peer that went away is an error number */
	sigaction(SIGXFSZ, &ignored, NULL); /* so is a limit on file sizes */
	prctl(PR_SET_TIMERSLACK, 1000);     /* naps are shorter than the default slack */
	prctl(PR_SET_NAME, "hark-collector");
}

/* ---- a round ------------------------------------------------------------------------------------ */

/* Reads until there is nothing, a sink is full, or the batch is. The number of records. */
static unsigned drain(struct collector *c, enum reader_found *found)
{
	unsigned records = 0;

	*found = READER_RECORD;
	while (records < BATCH_RECORDS) {
		if (!c->in_hand) {
			*found = reader_next(&c->reader, c->now_ns, &c->record);
			if (*found != READER_RECORD)
				break;
			c->in_hand = true;
		}
		c->retry_ns = 0;
		if (deliver_record(c) != 0) {
			c->retry_ns = c->now_ns + RETRY_NS;
			break;
		}
		c->in_hand = false;
		c->state.position = c->record.next;
		c->state.done = 0;
		c->state.streamed = 0;
		c->state.records++;
		c->dirty = true;
		records++;
	}
	if (!c->in_hand && c->state.position != c->reader.at) {
		c->state.position = c->reader.at; /* holes and fillers at the end */
		c->dirty = true;
	}
	return records;
}

static void say_last_words(struct collector *c)
{
	uint32_t pid;

	while (watch_next_ended(&c->watch, c->state.position, &pid) && !c->in_hand) {
		if (deliver_end(c, pid) != 0)
			return;
		watch_forget(&c->watch, pid);
		c->dirty = true;
	}
}

static void write_down(struct collector *c)
{
	if (!c->dirty)
		return;
	for (unsigned i = 0; i < c->sink_count; i++) {
		if (sink_idle(&c->sinks[i]) && c->sinks[i].state == SINK_OPEN)
			queue_rewind(&c->sinks[i].queue);
		c->state.heads[i] = c->sinks[i].queue.head;
	}
	c->state.lines_bytes = 0;
	if (c->lines.pending_lines) {
		int64_t n = assemble_save(&c->lines, checkpoint_lines(&c->file), CHECKPOINT_LINES);
		c->state.lines_bytes = n > 0 ? (uint64_t)n : 0;
	}
	checkpoint_save(&c->file, &c->state);
	c->dirty = false;
	TESTPOINT(collect_checkpointed);
	reader_release(&c->reader, c->state.position, c->now_ns);
}

struct wait {
	struct pollfd fds[CONTROL_SINKS];
	unsigned fd_count;
	uint64_t deadline_ns;
};

static void pump(struct collector *c, struct wait *wait)
{
	bool shown = true, delivered = true;

	wait->fd_count = 0;
	wait->deadline_ns = UINT64_MAX;
	for (unsigned i = 0; i < c->sink_count; i++) {
		struct sink *s = &c->sinks[i];
		struct sink_wish wish = { 0, UINT64_MAX };
		sink_pump(s, c->now_ns, c->state.heads[i], &wish);
		if (wish.events && s->fd >= 0)
			wait->fds[wait->fd_count++] = (struct pollfd){ .fd = s->fd, .events = wish.events };
		if (wish.deadline_ns < wait->deadline_ns)
			wait->deadline_ns = wish.deadline_ns;
		if (c->routes[i].console && s->error == -EPIPE)
			atomic_store(&c->session.control->console_broken, 1);
		if (sink_idle(s))
			continue;
		if (c->routes[i].console && !s->gone)
			shown = false;
		if (s->state != SINK_BACKOFF && !s->stalled && !s->gone)
			delivered = false;
	}
	TESTPOINT(collect_pumped);
	struct control *control = c->session.control;
	uint64_t was_shown = atomic_load(&control->shown), was_delivered = atomic_load(&control->delivered);
	uint64_t now_shown = was_shown == UINT64_MAX || !shown ? was_shown : c->state.position;
	uint64_t now_delivered = delivered ? c->state.position : was_delivered;
	/* Who asked while all was done already is answered, too. */
	bool asked = shown && delivered && atomic_load(&control->progress_wanted);
	if (now_shown != was_shown || now_delivered != was_delivered || asked)
		session_progress(control, now_shown, now_delivered);
}

static void reopen(struct collector *c)
{
	reopen_wanted = 0;
	for (unsigned i = 0; i < c->sink_count; i++)
		sink_reopen(&c->sinks[i]);
}

/* Who was forked and has said nothing yet is in no table: before we believe that nobody holds the
 * descriptor, we look at all processes. */
static bool anybody_holds_console(struct collector *c)
{
	const struct control *control = c->session.control;
	struct stat st;

	if (watch_any_holds(&c->watch, control->console_device, control->console_inode))
		return true;
	return fstat(c->ring_fd, &st) == 0 && watch_find_more(&c->watch, st.st_dev, st.st_ino) &&
	       watch_any_holds(&c->watch, control->console_device, control->console_inode);
}

/* The caller's pipe is held no longer than the session's own processes hold it. */
static void let_go_of_console(struct collector *c)
{
	struct control *control = c->session.control;

	for (unsigned i = 0; i < c->sink_count; i++) {
		if (!c->routes[i].console || c->sinks[i].console_fd < 0)
			continue;
		/* Not yet: something has still to be shown there. Who let go of it may have spoken just
		 * before, after we had looked into the ring. */
		if (!sink_idle(&c->sinks[i]) || c->lines.pending_lines) {
			c->look_at_console = true;
		} else if (!anybody_holds_console(c)) {
			if (session_position(&c->session) != c->state.position ||
			    !watch_quiet(&c->watch)) {
				c->look_at_console = true;
				continue;
			}
			setup_release_console(c, i);
			atomic_store(&control->console_gone, 1);
			session_progress(control, UINT64_MAX, atomic_load(&control->delivered));
		}
	}
}

/* ---- waiting ------------------------------------------------------------------------------------ */

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t lines_deadline(const struct collector *c)
{
	int64_t at = assemble_deadline(&c->lines);
	if (at == INT64_MAX)
		return UINT64_MAX;
	at -= c->clock.offset_ns;
	return at > 0 ? (uint64_t)at : 0;
}

static void wait_for_more(struct collector *c, const struct wait *wait, uint64_t nap_ns, bool sleep)
{
	struct control *control = c->session.control;
	uint64_t until = sooner(wait->deadline_ns, lines_deadline(c));

	if (c->retry_ns)
		until = sooner(until, c->retry_ns);
	if (c->untold)
		until = sooner(until, c->now_ns + UNTOLD_NS);
	if (c->reader.aside_count || c->reader.missing || c->reader.steals)
		until = sooner(until, c->now_ns + TEND_NS);
	uint64_t now = clock_monotonic_ns();
	uint64_t left = until > now ? until - now : 0;
	if (until == UINT64_MAX)
		left = UINT64_MAX;
	if (wait->fd_count) {
		struct pollfd fds[CONTROL_SINKS];
		memcpy(fds, wait->fds, sizeof fds);
		left = sooner(left, c->retry_ns || sleep ? POLL_NS : nap_ns);
		struct timespec ts = { 0, (long)left };
		ppoll(fds, wait->fd_count, &ts, NULL);
		return;
	}
	if (atomic_load(&control->progress_wanted) && !c->retry_ns)
		left = sooner(left, NAP_LEAST_NS); /* it came after we looked */
	if (sleep && !atomic_load(&control->polled) && !c->retry_ns)
		reader_sleep(&c->reader, READER_ASLEEP, left);
	else
		reader_sleep(&c->reader, READER_NAPPING, sooner(left, sleep ? POLLED_NAP_NS : nap_ns));
}

/* ---- the end ------------------------------------------------------------------------------------ */

static bool all_delivered(const struct collector *c)
{
	for (unsigned i = 0; i < c->sink_count; i++)
		if (!sink_idle(&c->sinks[i]))
			return false;
	return true;
}

static bool over(struct collector *c)
{
	struct stat st;

	if (c->plan->salvage)
		return true;
	if (c->watch.alive || c->watch.ended_count || tap_open(&c->watch))
		return false;
	if (fstat(c->ring_fd, &st) != 0)
		return true;
	return !watch_find_more(&c->watch, st.st_dev, st.st_ino);
}

/* What is left in a queue may take its time, within bounds. True: everything has arrived. */
static bool finish(struct collector *c)
{
	struct wait wait;
	uint64_t until = clock_monotonic_ns() + c->session.control->exit_timeout_ns;

	for (;;) {
		c->now_ns = clock_monotonic_ns();
		/* Where a queue is full, again when there is room. */
		bool said = deliver_end(c, 0) == 0 && losses_announce(c, true);
		write_down(c);
		pump(c, &wait);
		if (said && all_delivered(c))
			return true;
		if (c->now_ns >= until)
			return false;
		uint64_t left = sooner(sooner(wait.deadline_ns, until) - c->now_ns, POLL_NS);
		struct timespec ts = { 0, (long)(left > POLL_NS ? 0 : left) };
		ppoll(wait.fds, wait.fd_count, &ts, NULL);
	}
}

static void handle_events(struct collector *c, int *guardian)
{
	struct control *control = c->session.control;
	unsigned events = watch_events(&c->watch);

	if (events & 1u << WATCH_GUARDIAN) {
		watch_remove_fd(&c->watch, *guardian);
		guardian_stop(control, *guardian);
		*guardian = guardian_start(c->plan, control, setup_console_fd(c));
		if (*guardian >= 0)
			watch_add_fd(&c->watch, *guardian, WATCH_GUARDIAN, true);
	}
	if (events & 1u << WATCH_DEEP)
		tap_read(c);
	if (events & 1u << WATCH_PROCESS)
		c->look_at_console = true;
}

static void release_console_if_last(struct collector *c, int *guardian)
{
	c->look_at_console = false;
	int before = setup_console_fd(c);
	let_go_of_console(c);
	if (before >= 0 && setup_console_fd(c) < 0 && *guardian >= 0) {
		/* It holds the descriptor, too: a new one without it. */
		watch_remove_fd(&c->watch, *guardian);
		guardian_stop(c->session.control, *guardian);
		*guardian = guardian_start(c->plan, c->session.control, -1);
		if (*guardian >= 0)
			watch_add_fd(&c->watch, *guardian, WATCH_GUARDIAN, true);
	}
}

/* SIGTERM: from now on programs write for themselves. True when all that they had said before is read. */
static bool leave(struct collector *c, enum reader_found found)
{
	uint32_t live = SESSION_LIVE;

	atomic_compare_exchange_strong(&c->session.control->state, &live, SESSION_ABANDONED);
	return found == READER_NOTHING && !c->in_hand;
}

static void collect(struct collector *c, int *guardian)
{
	uint64_t nap_ns = NAP_LEAST_NS, busy_ns = 0;
	struct wait wait;

	for (;;) {
		enum reader_found found;
		c->now_ns = clock_monotonic_ns();
		clock_map_refresh(&c->clock);
		if (watch_happened(&c->watch))
			handle_events(c, guardian);
		unsigned records = drain(c, &found);
		deliver_expire(c);
		deliver_echo(c, atomic_load(&c->session.control->progress_wanted) != 0);
		say_last_words(c);
		losses_announce(c, false);
		write_down(c);
		pump(c, &wait);
		stats_publish(c, records == 0);
		if (reopen_wanted)
			reopen(c);
		if (end_wanted && leave(c, found))
			return;
		if (c->look_at_console && !c->in_hand && found == READER_NOTHING && !tap_open(&c->watch))
			release_console_if_last(c, guardian);
		/* Who spoke and ended while we looked has left something in the ring. */
		if (found == READER_NOTHING && !c->in_hand && !records && over(c) &&
		    drain(c, &found) == 0 && found == READER_NOTHING)
			return;
		if (records)
			busy_ns = c->now_ns;
		if (records >= BUSY_RECORDS && !c->in_hand) {
			nap_ns = NAP_LEAST_NS;
			if (records == BATCH_RECORDS)
				continue;
		} else {
			nap_ns = sooner(nap_ns * 2, NAP_MOST_NS);
		}
		wait_for_more(c, &wait, found == READER_HOLE ? NAP_LEAST_NS : nap_ns,
			      found != READER_HOLE && c->now_ns - busy_ns > AWAKE_NS);
	}
}

int collect_run(const struct collect_plan *plan)
{
	static struct collector c; /* large, and one a process */
	int guardian = -1;

	int error = setup_open(&c, plan);
	if (error)
		return error;
	set_signals(&c.session.ring);
	struct control *control = c.session.control;
	if (!plan->salvage) {
		life_hold(&control->collector_life);
		atomic_store(&control->collector_pid, getpid());
		guardian = guardian_start(plan, control, plan->console_fd);
		if (guardian >= 0)
			watch_add_fd(&c.watch, guardian, WATCH_GUARDIAN, true);
		watch_start(&c.watch);
	}
	collect(&c, &guardian);
	bool delivered = finish(&c);
	stats_publish(&c, true);
	last_delivery = (struct collect_delivery){ .messages = c.state.messages - c.delivery.messages,
						   .bytes = c.state.bytes - c.delivery.bytes };
	for (unsigned i = 0; i < c.sink_count; i++)
		last_delivery.undelivered_bytes += queue_used(&c.sinks[i].queue);
	atomic_store(&control->state, delivered ? SESSION_ENDED : SESSION_ABANDONED);
	session_progress(control, UINT64_MAX, UINT64_MAX);
	TESTPOINT(collect_ended);
	/* The guardian sees to it that the directory goes even if we are killed here. */
	if (delivered)
		place_remove(plan->dir);
	guardian_stop(control, guardian);
	setup_close(&c);
	return delivered ? 0 : 1;
}

void collect_last_delivery(struct collect_delivery *d)
{
	*d = last_delivery;
}
