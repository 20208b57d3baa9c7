/*
 * calls_merge.c - see calls.h. All threads in the order of time, with the session's messages.
 *
 * A thread has memory from its first record to its last: as many may be in a trace as ever lived.
 */
#include "lib/profile/calls_inside.h"
#include "lib/profile/messages.h"

#include <errno.h>
#include <stdlib.h>

enum { BUFFERS_TOGETHER = 32 << 20, BUFFER_MOST = 64 << 10 };

struct lane {
	const struct trace_thread *thread;
	struct walk *walk;         /* NULL: it has not begun, or is over */
	enum record_kind kind;     /* of the next record */
	int64_t due_ns;            /* when that happened */
	int64_t said_ns;           /* its last message, once that is known (heard_all) */
	bool lingers;              /* its records are over, its words were not */
};

struct merge {
	struct calls *calls;
	const struct calls_visitor *visitor;
	void *arg;
	struct lane *lanes;        /* in the order of dir->threads */
	struct lane **heap;        /* the earliest first */
	struct lane **by_tid;
	size_t count, waiting;     /* lanes; those in the heap */
	size_t buffer;
	uint64_t told;
	struct messages *messages;
	struct message message;    /* the next one */
	bool spoken;               /* there is none */
	bool heard_all;            /* what was said last by whom is known */
};

/* ---- the heap ---------------------------------------------------------------------------------- */

static bool earlier(const struct lane *a, const struct lane *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a < b;
}

static void sink(struct merge *m, size_t at)
{
	struct lane *lane = m->heap[at];

	for (size_t below; (below = at * 2 + 1) < m->waiting; at = below) {
		if (below + 1 < m->waiting && earlier(m->heap[below + 1], m->heap[below]))
			below++;
		if (!earlier(m->heap[below], lane))
			break;
		m->heap[at] = m->heap[below];
	}
	m->heap[at] = lane;
}

/* Whether the first one is still that, and no message comes before it: the usual case. */
static bool still_first(const struct merge *m, const struct lane *lane)
{
	return (m->waiting < 2 || earlier(lane, m->heap[1])) &&
	       (m->waiting < 3 || earlier(lane, m->heap[2])) &&
	       (m->spoken || m->message.time_ns >= lane->due_ns);
}

/* ---- messages ---------------------------------------------------------------------------------- */

static int by_tid(const void *left, const void *right)
{
	const struct lane *a = *(struct lane *const *)left, *b = *(struct lane *const *)right;

	if (a->thread->tid != b->thread->tid)
		return a->thread->tid < b->thread->tid ? -1 : 1;
	return a < b ? -1 : a > b;
}

/* Whoever said it: a number may have been used again, so the one that lives, else the one before. */
static struct lane *speaker(const struct merge *m, const struct message *message)
{
	struct lane *found = NULL;
	size_t low = 0, high = m->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (m->by_tid[middle]->thread->tid < message->tid)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < m->count && m->by_tid[low]->thread->tid == message->tid; low++) {
		struct lane *lane = m->by_tid[low];
		const struct trace_thread *t = lane->thread;
		if (t->image->pid != message->pid)
			continue;
		if (lane->walk && message == &m->message)
			return lane;
		if (trace_dir_ns(m->calls->dir, t->parts[0].head.ticks) <= message->time_ns)
			found = lane;
	}
	return found;
}

static void next_message(struct merge *m)
{
	m->spoken = !messages_next(m->messages, &m->message);
}

static void speak(struct merge *m)
{
	const struct calls_filter *f = &m->calls->filter;
	const struct message *message = &m->message;
	struct lane *lane = speaker(m, message);
	struct mark mark = {
		.kind = message->kind, .time_ns = message->time_ns,
		.id = message->id, .step = message->step,
		.took_ns = message->took_ns, .timer = message->timer,
		.text = message->text, .text_bytes = message->text_bytes,
		.level = message->level, .source = message->source,
		.stack = message->stack, .stack_bytes = message->stack_bytes,
		.pid = message->pid, .tid = message->tid,
	};

	if (m->visitor->mark && message->time_ns >= f->since_ns &&
	    (!f->tid || f->tid == message->tid) && (!f->thread || lane))
		m->visitor->mark(m->arg, lane ? lane->thread : NULL, &mark,
				 lane && lane->walk ? calls_told(lane->walk) : NULL);
	next_message(m);
}

/* Goes through all messages once more, where somebody may have spoken after his last record. */
static void hear_all(struct merge *m)
{
	struct trace_dir dir = *m->calls->dir; /* what is torn was counted once */
	struct messages *messages = NULL;
	struct message message;

	m->heard_all = true;
	if (messages_open(&messages, &dir) != 0)
		return;
	while (messages_next(messages, &message)) {
		struct lane *lane = speaker(m, &message);
		if (lane && lane->said_ns < message.time_ns)
			lane->said_ns = message.time_ns;
	}
	messages_close(messages);
}

/* ---- lanes ------------------------------------------------------------------------------------- */

static void read_next(struct lane *lane)
{
	lane->kind = calls_read(lane->walk);
	lane->due_ns = lane->walk->now_ns;
}

static int begin(struct merge *m, struct lane *lane)
{
	lane->walk = malloc(sizeof *lane->walk);
	if (!lane->walk)
		return -ENOMEM;
	int rc = calls_begin(lane->walk, m->calls, m->visitor, m->arg, lane->thread, m->buffer);
	if (rc != 0) {
		free(lane->walk);
		lane->walk = NULL;
		return rc;
	}
	read_next(lane);
	return 0;
}

static void end(struct lane *lane)
{
	calls_done(lane->walk);
	free(lane->walk);
	lane->walk = NULL;
}

/* Who was killed in the midst of calls lived at least until he said his last word. */
static bool lingers(struct merge *m, struct lane *lane)
{
	if (lane->kind != RECORD_END || lane->lingers || m->spoken || !calls_told(lane->walk))
		return false;
	if (!m->heard_all)
		hear_all(m);
	if (lane->said_ns < lane->due_ns)
		return false;
	lane->lingers = true;
	lane->walk->now_ns = lane->said_ns;
	lane->due_ns = lane->said_ns + 1;
	return true;
}

/* The first lane's turn, for as long as it is the first. */
static int turn(struct merge *m)
{
	const int64_t until_ns = m->calls->filter.until_ns;
	struct lane *lane = m->heap[0];
	int rc = 0;

	if (!lane->walk) {
		rc = begin(m, lane);
		sink(m, 0);
		return rc;
	}
	do {
		if (lingers(m, lane))
			break;
		if (lane->kind == RECORD_END || (until_ns && lane->due_ns > until_ns)) {
			end(lane);
			m->heap[0] = m->heap[--m->waiting];
			break;
		}
		calls_step(lane->walk, lane->kind);
		rc = lane->walk->rc;
		read_next(lane);
	} while (rc == 0 && still_first(m, lane));
	if (m->waiting)
		sink(m, 0);
	return rc;
}

static void tell_progress(struct merge *m)
{
	const struct trace_dir *dir = m->calls->dir;

	if (!m->visitor->progress || m->calls->done - m->told < 1 << 20)
		return;
	m->told = m->calls->done;
	m->visitor->progress(m->arg, m->calls->done, dir->bytes);
}

/* ---- all of them ------------------------------------------------------------------------------- */

static int set_up(struct merge *m)
{
	const struct trace_dir *dir = m->calls->dir;

	m->lanes = calloc(dir->thread_count + 1, sizeof *m->lanes);
	m->heap = calloc(dir->thread_count + 1, sizeof(struct lane *));
	m->by_tid = calloc(dir->thread_count + 1, sizeof(struct lane *));
	if (!m->lanes || !m->heap || !m->by_tid)
		return -ENOMEM;
	for (size_t i = 0; i < dir->thread_count; i++) {
		const struct trace_thread *t = &dir->threads[i];
		if (!calls_wanted(m->calls, t))
			continue;
		struct lane *lane = &m->lanes[m->count];
		lane->thread = t;
		lane->due_ns = trace_dir_ns(dir, t->parts[0].head.ticks);
		m->heap[m->count] = m->by_tid[m->count] = lane;
		m->count++;
	}
	m->waiting = m->count;
	m->buffer = BUFFERS_TOGETHER / (m->count + 1);
	m->buffer = m->buffer < BUFFER_MOST ? m->buffer : BUFFER_MOST;
	for (size_t i = m->waiting / 2; i-- > 0;)
		sink(m, i);
	if (m->count)
		qsort(m->by_tid, m->count, sizeof(struct lane *), by_tid);
	return messages_open(&m->messages, m->calls->dir);
}

static void tear_down(struct merge *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->lanes[i].walk)
			end(&m->lanes[i]);
	free(m->lanes);
	free(m->heap);
	free(m->by_tid);
	messages_close(m->messages);
}

int calls_merge(struct calls *calls, const struct calls_visitor *visitor, void *arg)
{
	struct merge m = { .calls = calls, .visitor = visitor, .arg = arg };
	const int64_t until_ns = calls->filter.until_ns;
	int rc = set_up(&m);

	calls->done = 0;
	if (calls->dir->samples)
		calls->dir->samples->together = true;
	if (rc == 0) {
		calls_notes(calls, visitor, arg);
		next_message(&m);
	}
	while (rc == 0 && (m.waiting || !m.spoken)) {
		if (m.spoken || (m.waiting && m.heap[0]->due_ns <= m.message.time_ns))
			rc = turn(&m);
		else if (until_ns && m.message.time_ns > until_ns)
			m.spoken = true;
		else
			speak(&m);
		tell_progress(&m);
	}
	tear_down(&m);
	return rc;
}
