/*
 * pending.c - the lines that wait for their newline: a table by writer, and lists by time.
 *
 * Called by assemble.c only. Must never grow beyond the limit that its caller checks, nor trust keys
 * and times, which are what the ring says, nor a single byte of what it loads.
 */
#include "lib/message/pending.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/clock.h"

struct saved_head {
	uint32_t magic, lines;
	uint64_t bytes; /* of all */
};

struct saved_line {
	struct pending_key key;
	int64_t time_ns, when_ns;
	uint64_t ticks;
	uint64_t superseded;
	uint32_t length, shown;
	uint32_t held, cut; /* enum held */
	/* text */
};

enum held { REDRAWN = 1, MORE = 2 };

static const uint32_t saved_magic = 0x326d7361; /* its last digit is the version */

enum watch { IN_TEXT, AFTER_CR, AFTER_ESC, IN_CSI };

/* ---- lists ---- */

static enum pending_axis axis_of(enum pending_list which)
{
	return which <= PENDING_CALL ? PENDING_AGE : PENDING_ECHO;
}

static void list_remove(struct assembler *a, struct assemble_pending *p, enum pending_axis axis)
{
	struct assemble_pending *before = p->before[axis], *after = p->after[axis];

	if (p->in[axis] == PENDING_NOWHERE)
		return;
	if (before)
		before->after[axis] = after;
	else
		a->lists[p->in[axis]].first = after;
	if (after)
		after->before[axis] = before;
	else
		a->lists[p->in[axis]].last = before;
	p->in[axis] = PENDING_NOWHERE;
}

static void list_append(struct assembler *a, enum pending_list which, struct assemble_pending *p,
			int64_t when_ns)
{
	struct assemble_list *list = &a->lists[which];
	struct assemble_pending *last = list->last;
	enum pending_axis axis = axis_of(which);

	p->when_ns[axis] = last && when_ns < last->when_ns[axis] ? last->when_ns[axis] : when_ns;
	p->in[axis] = (uint8_t)which;
	p->before[axis] = last;
	p->after[axis] = NULL;
	if (last)
		last->after[axis] = p;
	else
		list->first = p;
	list->last = p;
}

void pending_not_after(struct assembler *a, enum pending_list which, int64_t now_ns)
{
	enum pending_axis axis = axis_of(which);
	struct assemble_pending *p = a->lists[which].last;

	for (; p && p->when_ns[axis] > now_ns; p = p->before[axis])
		p->when_ns[axis] = now_ns;
}

int64_t pending_due(const struct assembler *a, enum pending_list which, int64_t hold_ns)
{
	const struct assemble_pending *first = a->lists[which].first;

	return first ? pending_later(first->when_ns[axis_of(which)], hold_ns) : INT64_MAX;
}

void pending_shown(struct assembler *a, struct assemble_pending *p)
{
	p->shown = p->length;
	list_remove(a, p, PENDING_ECHO);
}

/* ---- the table ---- */

int pending_init(struct assembler *a, size_t limit, bool echoes)
{
	const size_t least = sizeof(struct saved_head) + sizeof(struct saved_line) +
			     ASSEMBLE_LINE_MOST;
	size_t buckets = 64;

	*a = (struct assembler){
		.limit = limit < least ? least : limit, .echoes = echoes, .echo_again_ns = INT64_MIN
	};
	while (buckets < a->limit / 256 && buckets < 1 << 16)
		buckets *= 2;
	a->hash_mask = buckets - 1;
	a->buckets = calloc(buckets, sizeof(struct assemble_pending *));
	if (!a->buckets)
		return -ENOMEM;
	if (getrandom(a->hash_key, sizeof(a->hash_key), GRND_NONBLOCK) != sizeof(a->hash_key)) {
		a->hash_key[0] = clock_monotonic_ns() * 0x9e3779b97f4a7c15;
		a->hash_key[1] = (uint64_t)clock_realtime_ns() * 0xd1b54a32d192ed03;
	}
	return 0;
}

static void dispose(struct assemble_pending *p)
{
	if (p->text != p->small)
		free(p->text);
	free(p);
}

void pending_clear(struct assembler *a)
{
	for (enum pending_list which = PENDING_PLAIN; which <= PENDING_CALL; which++) {
		struct assemble_pending *next;

		for (struct assemble_pending *p = a->lists[which].first; p; p = next) {
			next = p->after[PENDING_AGE];
			dispose(p);
		}
	}
	memset(a->lists, 0, sizeof(a->lists));
	memset(a->buckets, 0, (a->hash_mask + 1) * sizeof(struct assemble_pending *));
	a->pending_bytes = a->pending_lines = 0;
}

void pending_fini(struct assembler *a)
{
	pending_clear(a);
	free(a->buckets);
	a->buckets = NULL;
}

/* Keyed, because pids and tids are what the writer says they are. */
static struct assemble_pending **bucket(const struct assembler *a, struct pending_key key)
{
	unsigned __int128 product = (unsigned __int128)(key.thread ^ a->hash_key[0]) *
				    (key.stream ^ a->hash_key[1]);

	return &a->buckets[((uint64_t)(product >> 64) ^ (uint64_t)product) & a->hash_mask];
}

struct assemble_pending *pending_find(const struct assembler *a, struct pending_key key)
{
	struct assemble_pending *p = *bucket(a, key);

	while (p && (p->key.thread != key.thread || p->key.stream != key.stream))
		p = p->chain;
	return p;
}

struct assemble_pending *pending_oldest(const struct assembler *a)
{
	struct assemble_pending *plain = a->lists[PENDING_PLAIN].first;
	struct assemble_pending *redrawn = a->lists[PENDING_REDRAWN].first;

	if (!plain && !redrawn)
		return a->lists[PENDING_CALL].first;
	if (!plain || !redrawn)
		return plain ? plain : redrawn;
	return plain->when_ns[PENDING_AGE] <= redrawn->when_ns[PENDING_AGE] ? plain : redrawn;
}

static size_t saved_bytes(const struct assembler *a)
{
	return sizeof(struct saved_head) + a->pending_lines * sizeof(struct saved_line) +
	       a->pending_bytes;
}

bool pending_fits(const struct assembler *a, size_t lines, size_t bytes)
{
	return saved_bytes(a) + lines * sizeof(struct saved_line) + bytes <= a->limit;
}

bool pending_reserve(struct assemble_pending *p, size_t bytes)
{
	size_t room = p->room;
	char *text;

	if (bytes <= room)
		return true;
	while (room < bytes)
		room *= 2;
	if (room > ASSEMBLE_LINE_MOST)
		room = ASSEMBLE_LINE_MOST;
	text = realloc(p->text == p->small ? NULL : p->text, room);
	if (!text)
		return false;
	if (p->text == p->small)
		memcpy(text, p->small, p->length);
	p->text = text;
	p->room = (uint32_t)room;
	return true;
}

struct assemble_pending *pending_create(struct assembler *a, struct pending_key key,
					int64_t time_ns, size_t bytes)
{
	struct assemble_pending *p = malloc(sizeof(*p));
	struct assemble_pending **head = bucket(a, key);

	if (!p)
		return NULL;
	memset(p, 0, offsetof(struct assemble_pending, small));
	p->text = p->small;
	p->room = sizeof(p->small);
	p->key = key;
	p->time_ns = time_ns;
	p->in[PENDING_AGE] = p->in[PENDING_ECHO] = PENDING_NOWHERE;
	if (!pending_reserve(p, bytes)) {
		free(p);
		return NULL;
	}
	p->chain = *head;
	*head = p;
	/* At once, so that whatever is in the table is in a list of age, too. */
	list_append(a, PENDING_PLAIN, p, time_ns);
	a->pending_lines++;
	return p;
}

void pending_release(struct assembler *a, struct assemble_pending *p)
{
	struct assemble_pending **link = bucket(a, p->key);

	while (*link != p)
		link = &(*link)->chain;
	*link = p->chain;
	list_remove(a, p, PENDING_AGE);
	list_remove(a, p, PENDING_ECHO);
	a->pending_lines--;
	a->pending_bytes -= p->length;
	dispose(p);
}

/* ---- a line's text ---- */

/* The first byte from `from` on that is below a space, or count. */
static size_t next_control(const char *s, size_t from, size_t count)
{
	const uint64_t ones = UINT64_MAX / 255;
	size_t i = from;

	for (; count - i >= 8; i += 8) {
		uint64_t x;

		memcpy(&x, s + i, 8);
		if ((x - ones * 0x20) & ~x & ones * 0x80)
			break;
	}
	while (i < count && (unsigned char)s[i] >= 0x20)
		i++;
	return i;
}

bool pending_watch(uint8_t *state, const char *s, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char c;

		if (*state == IN_TEXT && (i = next_control(s, i, count)) == count)
			break;
		c = s[i];
		switch (*state) {
		case IN_TEXT:
			if (c == '\b')
				return true;
			if (c == '\r' || c == '\x1b')
				*state = c == '\r' ? AFTER_CR : AFTER_ESC;
			break;
		case AFTER_CR: /* some programs end their lines with \r\r\n */
			if (c != '\r')
				return true;
			break;
		case AFTER_ESC:
			if (c != '[')
				return true;
			*state = IN_CSI;
			break;
		case IN_CSI:
			if (c == 'm')
				*state = IN_TEXT;
			else if (c < '0' || c > ';')
				return true;
			break;
		}
	}
	return false;
}

void pending_grow(struct assembler *a, struct assemble_pending *p, size_t count, int64_t time_ns,
		  bool mirrored)
{
	p->redrawn = p->redrawn || pending_watch(&p->watch, p->text + p->length, count);
	if (mirrored && p->shown == p->length)
		p->shown += (uint32_t)count;
	p->length += (uint32_t)count;
	a->pending_bytes += count;
	if (p->redrawn || p->more) {
		list_remove(a, p, PENDING_AGE);
		list_append(a, p->more ? PENDING_CALL : PENDING_REDRAWN, p, time_ns);
	} else if (p->in[PENDING_AGE] == PENDING_CALL) { /* it has ended */
		list_remove(a, p, PENDING_AGE);
		list_append(a, PENDING_PLAIN, p, p->time_ns);
	}
	if (a->echoes && p->shown < p->length && p->in[PENDING_ECHO] == PENDING_NOWHERE)
		list_append(a, p->shown ? PENDING_AT_ONCE : PENDING_SOON, p, time_ns);
}

static void forget(struct assembler *a, struct assemble_pending *p, size_t count)
{
	memmove(p->text, p->text + count, p->length - count);
	p->length -= (uint32_t)count;
	p->shown -= p->shown < count ? p->shown : (uint32_t)count;
	a->pending_bytes -= count;
}

void pending_supersede(struct assembler *a, struct assemble_pending *p, size_t count)
{
	forget(a, p, count);
	p->superseded += count;
}

void pending_restart(struct assembler *a, struct assemble_pending *p, size_t count,
		     int64_t time_ns)
{
	forget(a, p, count);
	p->superseded = 0;
	p->cut = false;
	p->time_ns = time_ns;
	p->watch = IN_TEXT;
	p->redrawn = pending_watch(&p->watch, p->text, p->length);
	list_remove(a, p, PENDING_AGE);
	list_append(a, p->more ? PENDING_CALL : p->redrawn ? PENDING_REDRAWN : PENDING_PLAIN, p,
		    time_ns);
}

/* ---- checkpoints ---- */

int64_t pending_save(const struct assembler *a, void *buffer, size_t bytes)
{
	struct saved_head head = {
		.magic = saved_magic, .lines = (uint32_t)a->pending_lines, .bytes = saved_bytes(a)
	};
	char *to = buffer;

	if (!head.lines)
		return 0;
	if (head.bytes > bytes)
		return -ENOSPC;
	memcpy(to, &head, sizeof(head));
	to += sizeof(head);
	for (enum pending_list which = PENDING_PLAIN; which <= PENDING_CALL; which++) {
		const struct assemble_pending *p = a->lists[which].first;

		for (; p; p = p->after[PENDING_AGE]) {
			struct saved_line line = {
				.key = p->key,
				.time_ns = p->time_ns,
				.ticks = p->ticks,
				.when_ns = p->when_ns[PENDING_AGE],
				.superseded = p->superseded,
				.length = p->length,
				.shown = p->shown,
				.held = (p->redrawn ? REDRAWN : 0u) | (p->more ? MORE : 0u),
				.cut = p->cut,
			};

			memcpy(to, &line, sizeof(line));
			memcpy(to + sizeof(line), p->text, p->length);
			to += sizeof(line) + p->length;
		}
	}
	return (int64_t)head.bytes;
}

/* One line of at most `bytes` bytes: how many it takes, or -errno. */
static int64_t load_line(struct assembler *a, const char *from, size_t bytes)
{
	struct saved_line line;
	struct assemble_pending *p;

	if (bytes < sizeof(line))
		return -EINVAL;
	memcpy(&line, from, sizeof(line));
	bytes -= sizeof(line);
	if (!line.length || line.length > ASSEMBLE_LINE_MOST || line.length > bytes ||
	    line.shown > line.length || pending_find(a, line.key))
		return -EINVAL;
	p = pending_create(a, line.key, line.time_ns, line.length);
	if (!p)
		return -ENOMEM;
	p->ticks = line.ticks;
	memcpy(p->text, from + sizeof(line), line.length);
	/* Looked at only now: the copy cannot change any more. */
	if (memchr(p->text, '\n', line.length))
		return -EINVAL;
	p->shown = line.shown;
	p->superseded = line.superseded;
	p->redrawn = line.held & REDRAWN;
	p->more = line.held & MORE;
	p->cut = line.cut != 0;
	/* Created with the time of the message, which may be another. */
	list_remove(a, p, PENDING_AGE);
	list_append(a, PENDING_PLAIN, p, line.when_ns);
	pending_grow(a, p, line.length, line.when_ns, false);
	return (int64_t)(sizeof(line) + line.length);
}

int pending_load(struct assembler *a, const void *buffer, size_t bytes)
{
	const char *from = buffer;
	struct saved_head head;
	int64_t n = 0;

	if (a->pending_lines)
		return -EBUSY;
	if (!bytes)
		return 0;
	if (bytes < sizeof(head) || bytes > a->limit)
		return -EINVAL;
	memcpy(&head, from, sizeof(head));
	if (head.magic != saved_magic || head.bytes != bytes || !head.lines)
		return -EINVAL;
	from += sizeof(head);
	bytes -= sizeof(head);
	for (uint32_t i = 0; i < head.lines && n >= 0; i++) {
		n = load_line(a, from, bytes);
		if (n >= 0) {
			from += n;
			bytes -= (size_t)n;
		}
	}
	if (n >= 0 && bytes)
		n = -EINVAL;
	if (n >= 0)
		return 0;
	pending_clear(a);
	return (int)n;
}
