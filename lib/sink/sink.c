/*
 * sink.c - what all sinks have in common: the state machine, back-off, frames, policy, counters.
 *
 * Called by the collector alone, from one thread. Nothing here sleeps, waits for a peer or looks
 * at the clock: the caller says what time it is, which lets a test drive every step.
 *
 * `sent` is how far the kernel took the queue, `acked` how far the peer ever had it; the tail
 * follows, but only to a frame's end. After an error, a connection gets all from the tail on again:
 * no connection ever begins inside a frame.
 */
#include "lib/sink/sink.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/testpoint.h"
#include "lib/sink/resume.h"

#define MS UINT64_C(1000000)

static const uint64_t recheck_least_ns = 10 * MS;   /* first look for acknowledgements after … */
static const uint64_t recheck_most_ns = 200 * MS;
static const uint64_t soon_ns = 10 * MS;            /* where the kernel lacks memory for a moment */
static const uint64_t open_limit_ns = 10000 * MS;   /* of one try to connect, or to look up a name */
static const uint64_t backoff_least_ns = 100 * MS;  /* where the specification has none */
static const uint64_t backoff_most_ns = 30000 * MS;

#define SINK(kind, name, syntax, doc, ops) [SINK_##kind] = { name, syntax, doc, &ops },
const struct sink_row sink_rows[SINK_KIND_NR] = {
#include "lib/sink/sinks.def"
};

const char *sink_state_name(enum sink_state state)
{
	static const char *const names[SINK_STATE_NR] = {
		[SINK_CLOSED] = "closed", [SINK_OPENING] = "opening",
		[SINK_OPEN] = "open", [SINK_BACKOFF] = "backoff",
	};
	return (unsigned)state < SINK_STATE_NR ? names[state] : "?";
}

/* Positions wrap in theory: they are compared by their distance. */
static bool before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

static uint64_t tail_of(const struct sink *s)
{
	return s->queue.head - queue_used(&s->queue);
}

static const char *bytes_at(const struct sink *s, uint64_t position)
{
	return s->queue.bytes + (position & (s->queue.size - 1));
}

static uint64_t frames_in(const char *bytes, uint64_t count)
{
	uint64_t frames = 0;
	const char *end = bytes + count;
	while (bytes < end) {
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
		frames++;
		if (!newline)
			break; /* raw: what ends without a newline counts as one */
		bytes = newline + 1;
	}
	return frames;
}

static void fill_defaults(struct sink_spec *spec, const struct sink_ops *ops)
{
	if (!spec->queue_bytes)
		spec->queue_bytes = ops->default_queue;
	if (!spec->has_overflow) {
		spec->overflow = ops->default_overflow;
		spec->overflow_ns = ops->default_overflow_ns;
	}
	if (!spec->backoff_least_ns)
		spec->backoff_least_ns = backoff_least_ns;
	if (!spec->backoff_most_ns)
		spec->backoff_most_ns = backoff_most_ns;
	if (spec->backoff_most_ns < spec->backoff_least_ns)
		spec->backoff_most_ns = spec->backoff_least_ns;
}

static uint32_t random_seed(const struct sink *s)
{
	uint32_t seed = 0;
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (uint32_t)(uintptr_t)s;
	return seed ? seed : 1;
}

int sink_init(struct sink *s, const struct sink_spec *spec, const char *queue_path, int console_fd)
{
	memset(s, 0, sizeof(*s));
	if ((unsigned)spec->kind >= SINK_KIND_NR)
		return -EINVAL;
	s->ops = sink_rows[spec->kind].ops;
	s->spec = *spec;
	s->fd = -1;
	s->console_fd = spec->kind == SINK_CONSOLE ? console_fd : -1;
	fill_defaults(&s->spec, s->ops);
	s->random = random_seed(s);

	const char *name = s->spec.format;
	bool color = s->spec.color == COLOR_ALWAYS;
	if (!*name)
		name = s->ops->default_format;
	if (spec->kind == SINK_CONSOLE) {
		const char *natural = sink_console_format(console_fd);
		if (!name)
			name = natural;
		color = sink_console_color(s->spec.color, !strcmp(natural, "pretty"),
					   getenv("NO_COLOR"), getenv("CLICOLOR_FORCE"),
					   getenv("TERM"));
	}
	const char *pattern = s->spec.pattern[0] ? s->spec.pattern : NULL;
	int rc = format_init(&s->format, name ? name : "raw", pattern, color);
	if (rc)
		return rc;
	rc = queue_open(&s->queue, queue_path, s->spec.queue_bytes);
	if (rc)
		return rc;
	s->sent = s->acked = tail_of(s);
	return 0;
}

static void shut(struct sink *s, enum sink_state next)
{
	if (s->state == SINK_OPENING || s->state == SINK_OPEN)
		s->ops->close(s);
	s->fd = -1;
	/* A connection is over, and what was in it with it. Files keep what they were given, even
	 * the beginning of a frame: there the rest is still to come. */
	if (s->ops->unacked)
		s->sent = tail_of(s);
	s->state = next;
}

void sink_end(struct sink *s)
{
	shut(s, SINK_CLOSED);
	free(s->state_of_kind);
	s->state_of_kind = NULL;
}

void sink_fini(struct sink *s)
{
	sink_end(s);
	queue_close(&s->queue);
}

static uint64_t jittered(struct sink *s, uint64_t ns)
{
	/* xorshift32: a crowd of collectors must not come back in step; no more is asked of it */
	s->random ^= s->random << 13;
	s->random ^= s->random >> 17;
	s->random ^= s->random << 5;
	return ns - ns / 5 + (ns / 5 * 2 / 1024) * (s->random % 1025);
}

static void fail(struct sink *s, uint64_t now, int error)
{
	const struct sink_spec *spec = &s->spec;
	shut(s, SINK_BACKOFF);
	s->error = error;
	s->errors++;
	if (s->gone) /* seldom comes back: the long step at once */
		s->backoff_ns = spec->backoff_most_ns;
	else if (!s->backoff_ns)
		s->backoff_ns = spec->backoff_least_ns;
	else if (s->backoff_ns < spec->backoff_most_ns / 2)
		s->backoff_ns *= 2;
	else
		s->backoff_ns = spec->backoff_most_ns;
	s->retry_at_ns = now + jittered(s, s->backoff_ns);
}

static void opened(struct sink *s)
{
	s->state = SINK_OPEN;
	s->error = 0;
	s->gone = false;
	s->recheck_ns = 0;
	if (s->was_open)
		s->reconnects++;
	s->was_open = true;
}

static void begin(struct sink *s, uint64_t now)
{
	s->opens_on = POLLOUT;
	s->state = SINK_OPENING; /* so that a failure closes what open() left half done */
	s->retry_at_ns = now + open_limit_ns;
	int rc = s->ops->open(s);
	if (!rc)
		opened(s);
	else if (rc != -EINPROGRESS)
		fail(s, now, rc);
}

static void await_opening(struct sink *s, uint64_t now)
{
	int rc = s->ops->ready(s);
	if (!rc)
		opened(s);
	else if (rc == -EINPROGRESS)
		s->retry_at_ns = now + open_limit_ns;
	else if (rc != -EAGAIN)
		fail(s, now, rc);
	else if (now >= s->retry_at_ns)
		fail(s, now, -ETIMEDOUT);
}

static void progress(struct sink *s, uint64_t now, uint64_t position)
{
	s->acked = position;
	s->progress_ns = now;
	s->recheck_ns = 0;
	s->backoff_ns = 0;
	s->error = 0;
	s->stalled = false;
}

/* Where the last whole frame before `acked` ends. */
static uint64_t frame_end(const struct sink *s, uint64_t tail, uint64_t acked, uint64_t until)
{
	/* raw may end without a newline; with all of it acknowledged, its end is as good as one */
	if (acked == until)
		return acked;
	const char *first = bytes_at(s, tail);
	const char *newline = memrchr(first, '\n', (size_t)(acked - tail));
	return newline ? tail + (uint64_t)(newline + 1 - first) : tail;
}

struct losses {
	uint64_t messages, bytes;
};

static struct losses losses_of(const struct sink *s)
{
	return (struct losses){ .messages = s->lost_messages, .bytes = s->lost_bytes };
}

/* Moves the tail past what the peer has. had: the losses counted before what is released now. */
static void release(struct sink *s, uint64_t now, uint64_t until, struct losses had)
{
	uint64_t tail = tail_of(s), span = s->sent - tail;
	if (!span)
		return;
	size_t unacked = s->ops->unacked ? s->ops->unacked(s) : 0;
	uint64_t acked = unacked < span ? s->sent - unacked : tail;
	if (before(s->acked, acked))
		progress(s, now, acked);
	uint64_t end = frame_end(s, tail, acked, until);
	if (end == tail)
		return;
	s->written_bytes += end - tail - (s->lost_bytes - had.bytes);
	s->written_frames += frames_in(bytes_at(s, tail), end - tail) -
			     (s->lost_messages - had.messages);
	queue_taken(&s->queue, end - tail);
}

/* 0: all was accepted; -EAGAIN, -ENOBUFS: wait; else the error that ends this connection. */
static int push(struct sink *s, uint64_t until)
{
	while (s->sent != until) {
		ssize_t n = s->ops->write(s, bytes_at(s, s->sent), (size_t)(until - s->sent));
		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -ENOBUFS;
		TESTPOINT(sink_written);
		s->sent += (uint64_t)n;
		resume_note(s);
	}
	return 0;
}

/* What push() says. */
static int run(struct sink *s, uint64_t now, uint64_t until)
{
	uint64_t sent = s->sent;
	struct losses had = losses_of(s);
	release(s, now, until, had);
	int rc = 0;
	if (s->ops->check && tail_of(s) != until)
		rc = s->ops->check(s);
	if (!rc)
		rc = push(s, until);
	release(s, now, until, had);
	if (s->sent != sent)
		s->recheck_ns = 0;
	if (rc && rc != -EAGAIN && rc != -ENOBUFS)
		fail(s, now, rc);
	return rc;
}

void sink_lose(struct sink *s, uint64_t messages, uint64_t bytes)
{
	s->lost_messages += messages;
	s->lost_bytes += bytes;
}

void sink_lose_long(struct sink *s, uint64_t messages, uint64_t bytes)
{
	s->long_messages += messages;
	s->long_bytes += bytes;
	sink_lose(s, messages, bytes);
}

/* Nobody will ever read it, and a program must not wait for that. */
static void lose_queued(struct sink *s, uint64_t until)
{
	uint64_t tail = tail_of(s);
	if (tail == until)
		return;
	sink_lose(s, frames_in(bytes_at(s, tail), until - tail), until - tail);
	queue_taken(&s->queue, until - tail);
	s->sent = s->acked = until;
}

static uint64_t recheck_at(struct sink *s, uint64_t now)
{
	if (!s->recheck_ns)
		s->recheck_ns = recheck_least_ns;
	else if (now < s->recheck_at_ns)
		return s->recheck_at_ns;
	else if (s->recheck_ns < recheck_most_ns / 2)
		s->recheck_ns *= 2;
	else
		s->recheck_ns = recheck_most_ns;
	return s->recheck_at_ns = now + s->recheck_ns;
}

static void wish_for(struct sink *s, uint64_t now, uint64_t until, int rc, struct sink_wish *wish)
{
	bool waiting = tail_of(s) != until;
	if (s->state == SINK_OPENING) {
		wish->events = s->opens_on;
		wish->deadline_ns = s->retry_at_ns;
	} else if (s->state == SINK_BACKOFF && waiting) {
		wish->deadline_ns = s->retry_at_ns;
	} else if (s->state == SINK_OPEN && waiting) {
		if (rc == -EAGAIN)
			wish->events = POLLOUT;
		/* unacked() and check() tell nobody when their answers change */
		if (s->ops->unacked && s->sent != tail_of(s))
			wish->deadline_ns = recheck_at(s, now);
		if (rc == -ENOBUFS && now + soon_ns < wish->deadline_ns)
			wish->deadline_ns = now + soon_ns;
	}
}

/* Brings the positions into order after the queue was rewound, and returns a possible `until`. */
static uint64_t align(struct sink *s, uint64_t until)
{
	uint64_t tail = tail_of(s);
	if (before(s->sent, tail))
		s->sent = tail;
	if (before(s->acked, tail))
		s->acked = tail;
	if (before(until, s->sent))
		until = s->sent;
	return before(s->queue.head, until) ? s->queue.head : until;
}

void sink_pump(struct sink *s, uint64_t now_ns, uint64_t until, struct sink_wish *wish)
{
	int rc = 0;
	*wish = (struct sink_wish){ .events = 0, .deadline_ns = UINT64_MAX };
	until = align(s, until);
	bool waiting = tail_of(s) != until;
	if (waiting && !s->progress_ns)
		s->progress_ns = now_ns;
	if (s->state == SINK_CLOSED ||
	    (s->state == SINK_BACKOFF && waiting && now_ns >= s->retry_at_ns))
		begin(s, now_ns);
	else if (s->state == SINK_OPENING)
		await_opening(s, now_ns);
	if (s->state == SINK_OPEN)
		rc = run(s, now_ns, until);
	if (s->state == SINK_BACKOFF && s->gone)
		lose_queued(s, until);
	if (tail_of(s) == until)
		s->progress_ns = 0;
	wish_for(s, now_ns, until, rc, wish);
}

enum sink_verdict sink_full(struct sink *s, uint64_t now_ns)
{
	const struct sink_spec *spec = &s->spec;
	if (s->gone)
		return SINK_LOSE;
	/* What the program's own descriptor refuses (a full disk, a limit), it would have been told, and gone
	 * on: it must not stand still for that. */
	if (s->state == SINK_BACKOFF && s->console_fd >= 0)
		return SINK_LOSE;
	if (spec->overflow == OVERFLOW_BLOCK)
		return SINK_WAIT;
	if (spec->overflow != OVERFLOW_TIMEOUT || s->stalled)
		return SINK_LOSE;
	if (!s->progress_ns)
		s->progress_ns = now_ns;
	if (now_ns < s->progress_ns || now_ns - s->progress_ns < spec->overflow_ns)
		return SINK_WAIT;
	s->stalled = true;
	return SINK_LOSE;
}

int sink_reopen(struct sink *s)
{
	if (s->state == SINK_BACKOFF)
		s->retry_at_ns = 0;
	if (s->state != SINK_OPEN || !s->ops->reopen)
		return 0;
	int rc = s->ops->reopen(s);
	if (rc < 0) {
		shut(s, SINK_CLOSED);
		s->error = rc;
		s->errors++;
	}
	return rc < 0 ? rc : 0;
}

const char *sink_error_text(int error)
{
	if (error < 0)
		error = -error;
	return error == EDESTADDRREQ ? "the host's name has no address" : strerror(error);
}

bool sink_idle(const struct sink *s)
{
	return !queue_used(&s->queue);
}
