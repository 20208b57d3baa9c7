/*
 * messages.c - see messages.h.
 */
#include "lib/profile/messages.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A message has 64 KiB at most, each of which JSON may write as six bytes. */
enum { LINE_MOST = 1 << 20, SKIP = 4096, STACK_MOST = 16 << 10 };

static const uint64_t CLOCKS_APART = 1000000000; /* nanoseconds */

struct messages {
	struct trace_dir *dir;
	char *buffer;              /* LINE_MOST bytes; NULL: there is nothing to read */
	size_t at, end;
	uint64_t next;             /* in the file */
	json_t *object;            /* that the last message points into */
	int64_t latest_ns;
	char stacks[2][STACK_MOST]; /* of the last message, and of the one ahead */
	unsigned stack;
	struct message ahead;      /* the next line's … */
	bool read;                 /* … which has been read */
	struct timer_list timers;
	size_t interval;           /* the next one */
};

int messages_open(struct messages **messages, struct trace_dir *dir)
{
	struct messages *m = calloc(1, sizeof *m);
	char byte;

	if (!m)
		return -ENOMEM;
	*messages = m;
	m->dir = dir;
	m->latest_ns = INT64_MIN;
	if (timer_list_read(&m->timers, dir) != 0) {
		messages_close(m);
		*messages = NULL;
		return -ENOMEM;
	}
	ssize_t n = store_read(dir->store, TRACE_MESSAGES, &byte, 1, 0);
	if (n < 0 && n != -ENOENT)
		trace_dir_torn(dir, "cannot read " TRACE_MESSAGES ": %s",
			       n == -EINVAL ? "it is no file" : store_error(n));
	if (n <= 0 && n != -EBADMSG)
		return 0;
	if (store_cut(dir->store, TRACE_MESSAGES))
		trace_dir_torn(dir, TRACE_MESSAGES " is packed, and cut off at its end");
	m->buffer = malloc(LINE_MOST);
	if (m->buffer)
		return 0;
	messages_close(m);
	*messages = NULL;
	return -ENOMEM;
}

void messages_close(struct messages *m)
{
	if (!m)
		return;
	json_decref(m->object);
	timer_list_fini(&m->timers);
	free(m->buffer);
	free(m);
}

/* ---- lines ------------------------------------------------------------------------------------- */

/* False: nothing came. */
static bool read_more(struct messages *m)
{
	ssize_t n;

	memmove(m->buffer, m->buffer + m->at, m->end - m->at);
	m->end -= m->at;
	m->at = 0;
	n = store_read(m->dir->store, TRACE_MESSAGES, m->buffer + m->end, LINE_MOST - m->end,
		       m->next);
	if (n < 0)
		trace_dir_torn(m->dir, "cannot read " TRACE_MESSAGES " at byte %llu: %s",
			       (unsigned long long)m->next, store_error(n));
	/* what is damaged is passed by */
	while (n == -EBADMSG) {
		m->next += SKIP;
		n = store_read(m->dir->store, TRACE_MESSAGES, m->buffer + m->end,
			       LINE_MOST - m->end, m->next);
	}
	m->end += n > 0 ? (size_t)n : 0;
	m->next += n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* Without its newline. NULL: the end. What is longer than any message comes as a piece of LINE_MOST. */
static const char *next_line(struct messages *m, size_t *length)
{
	size_t looked = 0;
	char *line, *newline;

	for (;;) {
		line = m->buffer + m->at;
		newline = memchr(line + looked, '\n', m->end - m->at - looked);
		looked = m->end - m->at;
		if (newline) {
			*length = (size_t)(newline - line);
			m->at += *length + 1;
			return line;
		}
		if (looked == LINE_MOST || !read_more(m))
			break;
	}
	*length = looked;
	m->at = m->end;
	return looked ? m->buffer + m->at - looked : NULL;
}

/* ---- a message --------------------------------------------------------------------------------- */

static bool digits(const char **at, unsigned count, char behind, int *number)
{
	const char *s = *at;

	for (*number = 0; count--; s++) {
		if (*s < '0' || *s > '9')
			return false;
		*number = *number * 10 + (*s - '0');
	}
	if (behind && *s++ != behind)
		return false;
	*at = s;
	return true;
}

/* 2024-02-29T12:00:00.123456789Z, with as many digits of a second's fraction as there are */
static bool time_of(const char *s, int64_t *ns)
{
	struct tm tm = { 0 };
	int64_t unit = 1000000000;

	if (!digits(&s, 4, '-', &tm.tm_year) || !digits(&s, 2, '-', &tm.tm_mon) ||
	    !digits(&s, 2, 'T', &tm.tm_mday) || !digits(&s, 2, ':', &tm.tm_hour) ||
	    !digits(&s, 2, ':', &tm.tm_min) || !digits(&s, 2, 0, &tm.tm_sec))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	if (tm.tm_year < 70 || tm.tm_year > 300)
		return false;
	*ns = (int64_t)timegm(&tm) * unit;
	if (*s == '.')
		for (s++; *s >= '0' && *s <= '9'; s++)
			*ns += (*s - '0') * (unit /= 10);
	return strcmp(s, "Z") == 0;
}

static const char *string_of(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static int32_t number_of(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 && value <= INT32_MAX ? (int32_t)value : 0;
}

static uint64_t field_of(const json_t *object, const char *key)
{
	json_int_t value =
		json_integer_value(json_object_get(json_object_get(object, "fields"), key));

	return value > 0 ? (uint64_t)value : 0;
}

/* To the tick, as stamps are placed; but by its own time where the two have nothing to do with each
 * other. */
static int64_t moment(const struct messages *m, int64_t ns)
{
	json_int_t ticks = json_integer_value(json_object_get(m->object, "ticks"));
	int64_t exact = ticks > 0 ? trace_dir_ns(m->dir, (uint64_t)ticks) : ns;
	uint64_t ahead = (uint64_t)exact - (uint64_t)ns + CLOCKS_APART;

	return ahead < 2 * CLOCKS_APART ? exact : ns;
}

/* Strings that fit, as a list. */
static size_t take_stack(struct messages *m, const json_t *list)
{
	char *to = m->stacks[m->stack ^= 1];
	size_t used = 0, n;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *frame = json_string_value(json_array_get(list, i));
		if (!frame || (n = strlen(frame) + 1) > STACK_MOST - used)
			break;
		memcpy(to + used, frame, n);
		used += n;
	}
	return used;
}

static bool take(struct messages *m, const char *line, size_t length, struct message *message)
{
	const json_t *text;
	int64_t ns;

	json_decref(m->object);
	m->object = json_loadb(line, length, JSON_ALLOW_NUL, NULL);
	if (!json_is_object(m->object) || !time_of(string_of(m->object, "time"), &ns))
		return false;
	text = json_object_get(m->object, "msg");
	ns = moment(m, ns);
	if (ns > m->latest_ns)
		m->latest_ns = ns;
	*message = (struct message){
		.time_ns = m->latest_ns,
		.text = json_is_string(text) ? json_string_value(text) : "",
		.text_bytes = json_string_length(text),
		.level = string_of(m->object, "level"),
		.source = string_of(m->object, "source"),
		.pid = number_of(m->object, "pid"),
		.tid = number_of(m->object, "tid"),
		.comm = string_of(m->object, "comm"),
		.kind = MARK_MESSAGE,
	};
	message->stack_bytes = take_stack(m, json_object_get(m->object, "stack"));
	message->stack = m->stacks[m->stack];
	if (strcmp(message->source, "stamp") != 0)
		return true;
	message->kind = MARK_STAMP;
	message->id = field_of(m->object, "id");
	message->step = field_of(m->object, "step");
	return true;
}

static bool read_ahead(struct messages *m)
{
	const char *line;
	size_t length;

	while (!m->read && m->buffer && (line = next_line(m, &length)) != NULL) {
		m->read = take(m, line, length, &m->ahead);
		if (!m->read)
			trace_dir_torn(m->dir, TRACE_MESSAGES " has a line that is no message");
	}
	return m->read;
}

static void take_interval(const struct timer_list *list, const struct timer_interval *interval,
			  struct message *message)
{
	const struct timer_figures *timer = &list->timers[interval->timer];

	*message = (struct message){
		.kind = MARK_TIMER,
		.time_ns = interval->end_ns,
		.text = timer->name,
		.text_bytes = strlen(timer->name),
		.level = "",
		.source = "timer",
		.pid = timer->pid,
		.tid = interval->tid,
		.comm = timer->comm,
		.id = interval->number,
		.took_ns = interval->took_ns,
		.timer = interval->last ? timer : NULL,
	};
}

const struct timer_list *messages_timers(const struct messages *m)
{
	return &m->timers;
}

bool messages_next(struct messages *m, struct message *message)
{
	const struct timer_list *timers = &m->timers;
	bool more = read_ahead(m);

	if (m->interval < timers->interval_count &&
	    (!more || timers->intervals[m->interval].end_ns < m->ahead.time_ns)) {
		take_interval(timers, &timers->intervals[m->interval++], message);
		return true;
	}
	if (more)
		*message = m->ahead;
	m->read = false;
	return more;
}
