/*
 * assemble.c - the bytes of records into lines.
 *
 * Called by the drain loop, for every record of text. Must never lose, double or reorder bytes of
 * one writer, whatever emit refuses and whatever pids, tids and times the ring claims.
 *
 * The rule that makes refusals harmless: a line is offered before anything is changed. The bytes that
 * complete a pending line are copied behind it, but do not count until emit has taken the line.
 */
#include "lib/message/assemble.h"

#include <errno.h>
#include <string.h>

#include "lib/message/pending.h"

/* What most functions below need. */
struct feed {
	struct assembler *a;
	const struct assemble_bytes *in;
	size_t *done;
	assemble_emit emit;
	void *arg;
};

static struct assemble_line line_of(const struct assemble_pending *p)
{
	return (struct assemble_line){
		.pid = (uint32_t)(p->key.thread >> 32),
		.tid = (uint32_t)p->key.thread,
		.detail = (uint32_t)(p->key.stream >> 32),
		.fd = (uint16_t)(p->key.stream >> 16),
		.source = (uint8_t)p->key.stream,
		.partial = true,
		.time_ns = p->time_ns,
		.ticks = p->ticks,
		.text = p->text,
		.length = p->length,
		.shown = p->shown,
		.superseded = p->superseded,
	};
}

static int send_on(struct assembler *a, struct assemble_pending *p, assemble_emit emit, void *arg)
{
	struct assemble_line line = line_of(p);
	int error = emit(arg, &line);

	if (!error)
		pending_release(a, p);
	return error;
}

bool assemble_is_redrawn(const char *text, size_t length)
{
	uint8_t state = 0;

	return pending_watch(&state, text, length);
}

size_t assemble_last_state(const char *text, size_t length, const char **state)
{
	const char *back;

	while (length && text[length - 1] == '\r')
		length--;
	back = length ? memrchr(text, '\r', length) : NULL;
	*state = back ? back + 1 : text;
	return back ? (size_t)(text + length - (back + 1)) : length;
}

/* Makes room in a redrawn line. Only of what the console shows already, since what is cut off might
 * be more to a terminal than text that was overwritten. */
static bool supersede(struct assembler *a, struct assemble_pending *p)
{
	const char *state;
	size_t length = assemble_last_state(p->text, p->length, &state);
	size_t gone = (size_t)(state - p->text);

	p->cut = p->cut || !p->redrawn || !length || !gone || (a->echoes && p->shown < gone);
	if (p->cut)
		return false;
	pending_supersede(a, p, gone);
	return true;
}

/* ---- feeding ---- */

/* How much of text ends with a whole character, so that UTF-8 is not torn by the size limit. */
static size_t whole_characters(const char *text, size_t length)
{
	for (size_t i = 1; i <= 3 && i <= length; i++) {
		unsigned char c = (unsigned char)text[length - i];
		size_t needed = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

		if (c >= 0x80 && c < 0xc0)
			continue;
		return c >= 0xc0 && needed > i ? length - i : length;
	}
	return length;
}

/* The rest of the input, which has no newline and no line pending, becomes one. */
static int keep(const struct feed *f, const char *at, size_t count, struct assemble_line *line)
{
	struct assemble_pending *p = pending_oldest(f->a);

	if (p && !pending_fits(f->a, 1, count))
		return send_on(f->a, p, f->emit, f->arg);
	p = pending_create(f->a, pending_key(f->in), f->in->time_ns, count);
	if (p) {
		p->ticks = f->in->ticks;
		p->more = f->in->more;
		memcpy(p->text, at, count);
		pending_grow(f->a, p, count, f->in->time_ns, f->in->mirrored);
	} else { /* no memory */
		int error;

		line->text = at;
		line->length = count;
		line->ended = false;
		line->partial = true;
		line->shown = f->in->mirrored ? count : 0;
		error = f->emit(f->arg, line);
		if (error)
			return error;
	}
	*f->done += count;
	return 0;
}

/* Nothing of this writer is pending: lines are handed out where they lie. */
static int feed_straight(const struct feed *f)
{
	const struct assemble_bytes *in = f->in;
	const char *end = in->bytes + in->count;
	struct assemble_line line = {
		.pid = in->pid,
		.tid = in->tid,
		.detail = in->detail,
		.fd = in->fd,
		.source = in->source,
		.time_ns = in->time_ns,
		.ticks = in->ticks,
	};

	while (*f->done < in->count) {
		const char *at = in->bytes + *f->done;
		size_t left = (size_t)(end - at);
		bool too_long = left > ASSEMBLE_LINE_MOST;
		const char *newline = memchr(at, '\n', too_long ? ASSEMBLE_LINE_MOST + 1 : left);
		int error;

		if (!newline && !too_long)
			return keep(f, at, left, &line);
		line.text = at;
		line.ended = newline != NULL;
		line.partial = !newline;
		line.length = newline ? (size_t)(newline - at)
				      : whole_characters(at, ASSEMBLE_LINE_MOST);
		line.shown = in->mirrored ? line.length + line.ended : 0;
		error = f->emit(f->arg, &line);
		if (error)
			return error;
		*f->done += line.length + line.ended;
	}
	return 0;
}

/* Sends on p with `count` more bytes of the input, and with the newline where it ends there. */
static int feed_out(const struct feed *f, struct assemble_pending *p, size_t count, bool ended)
{
	struct assemble_line line;
	int error;

	if (!pending_reserve(p, p->length + count))
		return send_on(f->a, p, f->emit, f->arg);
	memcpy(p->text + p->length, f->in->bytes + *f->done, count);
	line = line_of(p);
	line.ended = ended;
	line.partial = !ended;
	line.length += count;
	if (!ended)
		line.length = whole_characters(p->text, line.length);
	if (f->in->mirrored && p->shown == p->length)
		line.shown = line.length + ended;
	else if (line.shown > line.length)
		line.shown = line.length;
	error = f->emit(f->arg, &line);
	if (error)
		return error;
	if (line.length < p->length) {
		pending_restart(f->a, p, line.length, f->in->time_ns);
		p->ticks = f->in->ticks;
		return 0;
	}
	*f->done += line.length - p->length + ended;
	pending_release(f->a, p);
	return 0;
}

/* One step; assemble_feed() looks anew what is pending after it. */
static int feed_pending(const struct feed *f, struct assemble_pending *p)
{
	const char *at = f->in->bytes + *f->done;
	size_t left = f->in->count - *f->done, room = ASSEMBLE_LINE_MOST - p->length;
	bool too_long = left > room;
	const char *newline = memchr(at, '\n', too_long ? room + 1 : left);

	if (newline)
		return feed_out(f, p, (size_t)(newline - at), true);
	if (too_long)
		return supersede(f->a, p) ? 0 : feed_out(f, p, room, false);
	if (!pending_fits(f->a, 0, left))
		return send_on(f->a, pending_oldest(f->a), f->emit, f->arg);
	if (!pending_reserve(p, p->length + left))
		return send_on(f->a, p, f->emit, f->arg);
	memcpy(p->text + p->length, at, left);
	p->more = f->in->more;
	pending_grow(f->a, p, left, f->in->time_ns, f->in->mirrored);
	*f->done += left;
	return 0;
}

int assemble_feed(struct assembler *a, const struct assemble_bytes *in, size_t *done,
		  assemble_emit emit, void *arg)
{
	const struct feed f = { .a = a, .in = in, .done = done, .emit = emit, .arg = arg };
	int error = 0;

	while (!error && *done < in->count) {
		struct assemble_pending *p = NULL;

		if (a->pending_lines)
			p = pending_find(a, pending_key(in));
		error = p ? feed_pending(&f, p) : feed_straight(&f);
	}
	return error;
}

/* ---- time ---- */

static int expire(struct assembler *a, enum pending_list which, int64_t hold_ns, int64_t until_ns,
		  assemble_emit emit, void *arg)
{
	int error = 0;

	while (!error && a->lists[which].first && pending_due(a, which, hold_ns) <= until_ns)
		error = send_on(a, a->lists[which].first, emit, arg);
	return error;
}

int assemble_expire(struct assembler *a, int64_t until_ns, int64_t now_ns, assemble_emit emit,
		    void *arg)
{
	pending_not_after(a, PENDING_PLAIN, now_ns);
	pending_not_after(a, PENDING_REDRAWN, now_ns);
	int error = expire(a, PENDING_PLAIN, ASSEMBLE_HOLD_NS, until_ns, emit, arg);
	return error ? error : expire(a, PENDING_REDRAWN, ASSEMBLE_REDRAWN_NS, until_ns, emit, arg);
}

int assemble_expire_calls(struct assembler *a, int64_t now_ns, assemble_emit emit, void *arg)
{
	pending_not_after(a, PENDING_CALL, now_ns);
	return expire(a, PENDING_CALL, ASSEMBLE_CALL_NS, now_ns, emit, arg);
}

int assemble_end(struct assembler *a, uint32_t pid, assemble_emit emit, void *arg)
{
	for (enum pending_list which = PENDING_PLAIN; which <= PENDING_CALL; which++) {
		struct assemble_pending *next;

		for (struct assemble_pending *p = a->lists[which].first; p; p = next) {
			int error;

			next = p->after[PENDING_AGE];
			if (pid && p->key.thread >> 32 != pid)
				continue;
			error = send_on(a, p, emit, arg);
			if (error)
				return error;
		}
	}
	return 0;
}

/* False: the console has no room. */
static bool echo_list(struct assembler *a, enum pending_list which, int64_t hold_ns,
		      int64_t now_ns, assemble_emit echo, void *arg)
{
	struct assemble_pending *p;

	pending_not_after(a, which, now_ns);
	while ((p = a->lists[which].first) && pending_due(a, which, hold_ns) <= now_ns) {
		struct assemble_line line = line_of(p);

		line.text += p->shown;
		line.length -= p->shown;
		if (echo(arg, &line))
			return false;
		pending_shown(a, p);
	}
	return true;
}

void assemble_echo(struct assembler *a, int64_t now_ns, assemble_emit echo, void *arg)
{
	/* Not if the clock was set back meanwhile. */
	if (now_ns < a->echo_again_ns &&
	    a->echo_again_ns <= pending_later(now_ns, ASSEMBLE_ECHO_NS))
		return;
	a->echo_again_ns = INT64_MIN;
	if (!echo_list(a, PENDING_AT_ONCE, 0, now_ns, echo, arg) ||
	    !echo_list(a, PENDING_SOON, ASSEMBLE_ECHO_NS, now_ns, echo, arg))
		a->echo_again_ns = pending_later(now_ns, ASSEMBLE_ECHO_NS);
}

int64_t assemble_deadline(const struct assembler *a)
{
	int64_t plain = pending_due(a, PENDING_PLAIN, ASSEMBLE_HOLD_NS);
	int64_t redrawn = pending_due(a, PENDING_REDRAWN, ASSEMBLE_REDRAWN_NS);
	int64_t age = plain < redrawn ? plain : redrawn;
	int64_t at_once = pending_due(a, PENDING_AT_ONCE, 0);
	int64_t soon = pending_due(a, PENDING_SOON, ASSEMBLE_ECHO_NS);
	int64_t echo = at_once < soon ? at_once : soon;

	if (echo < a->echo_again_ns)
		echo = a->echo_again_ns;
	return age < echo ? age : echo;
}

int64_t assemble_calls_deadline(const struct assembler *a)
{
	return pending_due(a, PENDING_CALL, ASSEMBLE_CALL_NS);
}

/* ---- the rest is pending.c's ---- */

int assemble_init(struct assembler *a, size_t limit, bool echoes)
{
	return pending_init(a, limit, echoes);
}

void assemble_fini(struct assembler *a)
{
	pending_fini(a);
}

int64_t assemble_save(const struct assembler *a, void *buffer, size_t bytes)
{
	return pending_save(a, buffer, bytes);
}

int assemble_load(struct assembler *a, const void *buffer, size_t bytes)
{
	return pending_load(a, buffer, bytes);
}
