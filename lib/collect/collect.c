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
#include <sys/eventfd.h>
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
#include "lib/collect/leftover.h"
#include "lib/collect/round.h"
#include "lib/collect/setup.h"
#include "lib/collect/stats.h"
#include "lib/session/place.h"

enum {
	BUSY_RECORDS = 64,         /* after so many, there is likely more */
	NAP_LEAST_NS = 50000,
	NAP_MOST_NS = 4000000,
	POLLED_NAP_NS = 5000000,   /* somebody behind a seccomp filter cannot wake us */
	AWAKE_NS = 20000000,       /* naps, before it sleeps until woken */
	POLL_NS = 5000000,         /* waits for descriptors look at the ring this often */
	UNTOLD_NS = 100000000,     /* losses that found no room to be announced are tried again */
	TEND_NS = 1000000000,      /* what the ring has set aside is looked at this often */
};

#define EXIT_MOST_NS UINT64_C(86400000000000) /* as settings.def has it */

static volatile sig_atomic_t reopen_wanted, end_wanted;
static int signal_fd = -1; /* that one came, for the thread that waits */
static struct collect_delivery last_delivery;
static struct collector collector; /* large, and one a process */

static void on_signal(int number)
{
	if (number == SIGHUP)
		reopen_wanted = 1;
	else
		end_wanted = 1;
	/* Not only a poke: the sleep that it should end may be about to begin. */
	uint64_t one = 1;
	sysio_write(signal_fd, &one, sizeof one);
}

/* Before anything is opened. */
static void ignore_signals(void)
{
	signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error number */
	signal(SIGXFSZ, SIG_IGN); /* so is a limit on file sizes */
	signal(SIGIO, SIG_IGN);   /* see alone.h */
}

static void set_signals(struct collector *c)
{
	struct sigaction caught = { .sa_handler = on_signal };

	reopen_wanted = end_wanted = 0;
	signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (signal_fd >= 0)
		watch_add_fd(&c->watch, signal_fd, WATCH_NONE, false);
	sigaction(SIGHUP, &caught, NULL);
	sigaction(SIGTERM, &caught, NULL);
	sigaction(SIGINT, &caught, NULL);
	prctl(PR_SET_TIMERSLACK, 1000);     /* naps are shorter than the default slack */
	prctl(PR_SET_NAME, "hark-collector");
}

static void unset_signals(void)
{
	int fd = signal_fd;

	signal_fd = -1;
	if (fd >= 0)
		close(fd);
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

	trouble_announce(c);
	for (unsigned i = 0; i < c->sink_count; i++) {
		if (!c->routes[i].console || c->sinks[i].console_fd < 0)
			continue;
		/* Not yet: something has still to be shown there. Who let go of it may have spoken just
		 * before, after we had looked into the ring. */
		if (!sink_idle(&c->sinks[i]) || c->lines.pending_lines ||
		    !losses_announce(c, true) || !sink_idle(&c->sinks[i])) {
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

/* Nobody is left who cannot wake us: no need to look at the ring all the time any more. */
static void stop_polling(struct collector *c)
{
	_Atomic uint32_t *polled = &c->session.control->polled;
	uint32_t seen = atomic_load(polled);
	struct stat st;

	c->look_at_polled = false;
	/* Who is behind a filter, or about to, has said so in the ring, too; else he is not known yet. A child
	 * inherits the filter and says nothing. */
	if (!seen || seen != c->state.sandboxes || watch_any_sandboxed(&c->watch))
		return;
	if (fstat(c->ring_fd, &st) != 0 ||
	    (watch_find_more(&c->watch, st.st_dev, st.st_ino) && watch_any_sandboxed(&c->watch)) ||
	    !atomic_compare_exchange_strong(polled, &seen, 0))
		return;
	c->state.sandboxes = 0;
	c->dirty = true;
}

/* ---- waiting ------------------------------------------------------------------------------------ */

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* That which kills each collector anew does so before this: guardians count (guardian.c). */
static void achieved_something(struct collector *c)
{
	_Atomic uint32_t *fruitless = &c->session.control->fruitless;

	if (atomic_load_explicit(fruitless, memory_order_relaxed))
		atomic_store_explicit(fruitless, 0, memory_order_relaxed);
}

static void wait_for_more(struct collector *c, const struct round_wait *wait, uint64_t nap_ns,
			  bool sleep)
{
	struct control *control = c->session.control;
	uint64_t until = wait->deadline_ns;

	/* Lines that are due already, but find no room or the ring not read, are no reason to spin. */
	if (c->retry_ns)
		until = sooner(until, c->retry_ns);
	else if (c->caught_up)
		until = sooner(until, sooner(round_lines_due(c), stream_deadline(c)));
	if (c->untold)
		until = sooner(until, c->now_ns + UNTOLD_NS);
	if (c->reader.aside_count || c->reader.missing || c->reader.steals || c->watch.unwatched ||
	    c->watch.doubtful)
		until = sooner(until, c->now_ns + TEND_NS);
	if (c->watch.ended_count || alarm_goes_on(c)) /* since over() had doubts: the next round sees to it */
		until = sooner(until, c->now_ns + NAP_MOST_NS);
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
	if (sleep && !atomic_load(&control->polled) && !c->retry_ns) {
		TESTPOINT(collect_sleeping);
		reader_sleep(&c->reader, READER_ASLEEP, left);
	} else {
		reader_sleep(&c->reader, READER_NAPPING,
			     sooner(left, sleep ? POLLED_NAP_NS : nap_ns));
	}
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
	bool known = fstat(c->ring_fd, &st) == 0;
	if (known)
		watch_doubt(&c->watch, st.st_dev, st.st_ino, c->session.control->first_start,
			    c->now_ns);
	if (c->watch.alive || c->watch.ended_count || tap_open(&c->watch) || alarm_goes_on(c))
		return false;
	if (!known)
		return true;
	return !watch_find_more(&c->watch, st.st_dev, st.st_ino);
}

/* Who spoke and ended while we looked has left something in the ring. */
static bool over_and_read(struct collector *c, enum reader_found *found)
{
	return over(c) && round_drain(c, found) == 0 && *found == READER_NOTHING;
}

static uint64_t exit_timeout(const struct collector *c)
{
	return sooner(c->session.control->exit_timeout_ns, EXIT_MOST_NS);
}

/* What is left in a queue may take its time, within bounds. True: everything has arrived. Where
 * something is still in the ring, unfinished lines are not the end of it: the next one goes on. */
static bool finish(struct collector *c, bool all_read)
{
	struct round_wait wait;
	uint64_t until = clock_monotonic_ns() + exit_timeout(c);

	for (;;) {
		c->now_ns = clock_monotonic_ns();
		/* Where a queue is full, again when there is room. */
		bool said = !all_read || (deliver_end(c, 0) == 0 && losses_announce(c, true));
		round_write_down(c);
		round_pump(c, &wait);
		if (said && all_delivered(c))
			return all_read;
		if (c->now_ns >= until)
			return false;
		uint64_t left = sooner(sooner(wait.deadline_ns, until) - c->now_ns, POLL_NS);
		struct timespec ts = { 0, (long)(left > POLL_NS ? 0 : left) };
		ppoll(wait.fds, wait.fd_count, &ts, NULL);
	}
}

/* Where it cannot be started, another try is made later: without one, our end is the end of collecting. */
static void start_guardian(struct collector *c, int *guardian, int console_fd)
{
	c->guarded_ns = c->now_ns;
	*guardian = guardian_start(c->plan, c->session.control, console_fd);
	if (*guardian >= 0)
		watch_add_fd(&c->watch, *guardian, WATCH_GUARDIAN, true);
}

static void replace_guardian(struct collector *c, int *guardian, int console_fd)
{
	watch_remove_fd(&c->watch, *guardian);
	guardian_stop(c->session.control, *guardian);
	start_guardian(c, guardian, console_fd);
}

static void handle_events(struct collector *c, int *guardian)
{
	unsigned events = watch_events(&c->watch);

	if (events & 1u << WATCH_GUARDIAN)
		replace_guardian(c, guardian, setup_console_fd(c));
	if (events & 1u << WATCH_DEEP)
		tap_read(c);
	if (events & 1u << WATCH_PROCESS)
		c->look_at_console = c->look_at_polled = true;
	uint64_t signals;
	if (events & 1u << WATCH_NONE && signal_fd >= 0)
		sysio_read(signal_fd, &signals, sizeof signals);
}

static void release_console_if_last(struct collector *c, int *guardian)
{
	c->look_at_console = false;
	int before = setup_console_fd(c);
	let_go_of_console(c);
	/* It holds the descriptor, too: a new one without it. */
	if (before >= 0 && setup_console_fd(c) < 0 && *guardian >= 0)
		replace_guardian(c, guardian, -1);
}

/* SIGTERM: from now on programs write for themselves. What they had said before is read after this. */
static void begin_to_leave(struct collector *c)
{
	uint32_t live = SESSION_LIVE;

	if (!end_wanted || c->end_ns)
		return;
	atomic_compare_exchange_strong(&c->session.control->state, &live, SESSION_ABANDONED);
	c->end_ns = c->now_ns + exit_timeout(c);
}

static void look_around(struct collector *c, int *guardian)
{
	if (watch_happened(&c->watch))
		handle_events(c, guardian);
	if (*guardian < 0 && !c->plan->salvage && c->now_ns - c->guarded_ns >= TEND_NS)
		start_guardian(c, guardian, setup_console_fd(c));
	if (c->watch.unwatched && c->now_ns - c->looked_ns >= TEND_NS) {
		c->looked_ns = c->now_ns;
		watch_look(&c->watch);
		c->look_at_console = c->look_at_polled = true;
	}
	begin_to_leave(c);
}

static void collect(struct collector *c, int *guardian)
{
	uint64_t nap_ns = NAP_LEAST_NS, busy_ns = 0;
	struct round_wait wait;

	for (;;) {
		enum reader_found found;
		c->now_ns = clock_monotonic_ns();
		clock_map_refresh(&c->clock);
		look_around(c, guardian);
		unsigned records = round_drain(c, &found);
		if (!c->in_hand)
			round_again_if(c, deliver_expire(c));
		echo_pending(c, atomic_load(&c->session.control->progress_wanted) != 0);
		round_last_words(c);
		losses_announce(c, false);
		trouble_announce(c);
		image_announce(c);
		round_write_down(c);
		round_pump(c, &wait);
		alarm_answer(c);
		stats_publish(c, records == 0);
		if (reopen_wanted)
			reopen(c);
		if (c->end_ns && (c->caught_up || c->now_ns >= c->end_ns))
			return;
		/* Where nothing is left to be sent, the end lets go of the console, too: one look at all
		 * processes, and no other guardian. */
		if (found == READER_NOTHING && !c->in_hand && !records && all_delivered(c) &&
		    !c->lines.pending_lines && over_and_read(c, &found))
			return;
		if (c->look_at_console && !c->in_hand && found == READER_NOTHING &&
		    !tap_attached())
			release_console_if_last(c, guardian);
		if (c->look_at_polled && c->caught_up && !c->watch.ended_count)
			stop_polling(c);
		if (found == READER_NOTHING && !c->in_hand && !records && over_and_read(c, &found))
			return;
		if (records)
			busy_ns = c->now_ns;
		achieved_something(c); /* a whole round */
		if (records >= BUSY_RECORDS && !c->in_hand) {
			nap_ns = NAP_LEAST_NS;
			if (records == ROUND_RECORDS)
				continue;
		} else {
			nap_ns = sooner(nap_ns * 2, NAP_MOST_NS);
		}
		wait_for_more(c, &wait, found == READER_HOLE ? NAP_LEAST_NS : nap_ns,
			      found != READER_HOLE && c->now_ns - busy_ns > AWAKE_NS);
	}
}

/* What is opened later has to find a descriptor: each sink, the guardian's pidfd, a look at /proc. */
static int expect_descriptors(const struct collector *c)
{
	enum { OTHERS = 3 };
	int fds[CONTROL_SINKS + OTHERS], error = 0;
	unsigned n = 0;

	while (n < c->sink_count + OTHERS && !error)
		if ((fds[n] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)) < 0)
			error = -errno;
		else
			n++;
	while (n)
		close(fds[--n]);
	return error;
}

/* All that may fail before the program relies on us; whoever started us waits for it. */
static int begin(struct collector *c)
{
	struct control *control = c->session.control;

	set_signals(c);
	if (c->plan->salvage)
		return 0;
	strcpy(c->step, "sinks and processes to come");
	int error = signal_fd < 0 ? -EMFILE : expect_descriptors(c);
	if (!error) {
		strcpy(c->step, "the thread that watches processes");
		error = watch_start(&c->watch);
	}
	/* We took too long, and were given up. */
	if (!error && atomic_load(&control->state) == SESSION_ENDED)
		error = -ESTALE;
	if (error)
		return error;
	atomic_store(&control->collector_pid, getpid());
	life_hold(&control->collector_life);
	sysio_write(STDERR_FILENO, COLLECT_READY, sizeof COLLECT_READY - 1);
	dup2(STDIN_FILENO, STDERR_FILENO); /* the null device; before the guardian can inherit it */
	return 0;
}

int collect_run(const struct collect_plan *plan)
{
	struct collector *c = &collector;
	int guardian = -1;

	ignore_signals();
	int error = setup_open(c, plan);
	if (error)
		return error;
	error = begin(c);
	if (error) {
		unset_signals();
		setup_close(c);
		return error;
	}
	struct control *control = c->session.control;
	if (!plan->salvage)
		start_guardian(c, &guardian, plan->console_fd);
	/* The session began with a few chunks: the others come when they are needed, or after a while. */
	c->reader.tended_ns = clock_monotonic_ns();
	struct collect_delivery left = { 0 };
	bool all = !plan->sinks || leftover_deliver(c, &left);
	collect(c, &guardian);
	bool delivered = finish(c, c->caught_up) && all;
	if (!plan->salvage)
		setup_tell_clock(c);
	stats_publish(c, true);
	left.messages += c->state.messages - c->delivery.messages;
	left.bytes += c->state.bytes - c->delivery.bytes;
	last_delivery = left;
	for (unsigned i = 0; i < c->sink_count; i++)
		last_delivery.undelivered_bytes += queue_used(&c->sinks[i].queue);
	atomic_store(&control->state, delivered ? SESSION_ENDED : SESSION_ABANDONED);
	session_progress(control, UINT64_MAX, UINT64_MAX);
	TESTPOINT(collect_ended);
	/* The guardian sees to it that the directory goes even if we are killed here. */
	if (delivered)
		place_remove(plan->dir);
	guardian_stop(control, guardian);
	unset_signals();
	if (plan->ends)
		setup_end(c);
	else
		setup_close(c);
	return delivered ? 0 : 1;
}

const char *collect_failed_at(void)
{
	return collector.step;
}

void collect_last_delivery(struct collect_delivery *d)
{
	*d = last_delivery;
}
