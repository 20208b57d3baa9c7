/*
 * echo.c - unfinished lines on an interactive console.
 *
 * Called by deliver.c for what is finished, by the collector's loop for what is not. The user sees a
 * prompt at once, and the rest of that line as it is; who else speaks begins on a new line.
 */
#include <errno.h>
#include <string.h>

#include "lib/collect/collector.h"

static uint64_t writer_of(const struct assemble_line *line)
{
	return (uint64_t)line->tid << 16 | line->fd;
}

static void append(struct queue *q, const char *bytes, size_t count)
{
	memcpy(queue_fill(q), bytes, count);
	queue_filled(q, count);
}

/* Whether something visible stands on the terminal's present line after these bytes. Escape sequences
 * are no text; where the cursor went by them is not followed. */
static bool line_stands(bool stands, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		unsigned char b = (unsigned char)bytes[i];
		if (b == '\n' || b == '\r') {
			stands = false;
		} else if (b == 0x1b && i + 1 < count && bytes[i + 1] == '[') {
			for (i += 2; i < count && (bytes[i] < 0x40 || bytes[i] > 0x7e); i++)
				;
		} else if (b >= 0x20) {
			stands = true;
		}
	}
	return stands;
}

static void show(struct collector *c, struct queue *q, uint64_t writer, const char *bytes,
		 size_t count)
{
	append(q, bytes, count);
	c->state.console_open = line_stands(c->state.console_open, bytes, count);
	c->state.console_writer = writer;
}

/* An interactive console has shown the beginning of this line already, or that of the one that it
 * goes on with: the rest follows as it is. */
bool echo_goes_on(struct collector *c, const struct assemble_line *line, struct queue *q)
{
	bool same = line && c->state.console_writer == writer_of(line);

	if (!line || (!line->shown && !same)) {
		if (c->state.console_open)
			append(q, "\n", 1); /* somebody else's unfinished line stands there */
		c->state.console_open = 0;
		c->state.console_writer = 0;
		return false;
	}
	if (line->shown < line->length)
		show(c, q, writer_of(line), line->text + line->shown, line->length - line->shown);
	if (line->ended && line->shown <= line->length)
		show(c, q, 0, "\n", 1);
	return true;
}

static int echo(void *argument, const struct assemble_line *line)
{
	struct collector *c = argument;

	for (unsigned i = 0; i < c->sink_count; i++) {
		if (!c->routes[i].interactive)
			continue;
		struct queue *q = &c->sinks[i].queue;
		bool same = c->state.console_writer == writer_of(line);
		if (queue_room(q) < line->length + 1)
			return -EAGAIN;
		if (c->state.console_open && !same)
			append(q, "\n", 1);
		show(c, q, writer_of(line), line->text, line->length);
		c->dirty = true;
	}
	return 0;
}

void echo_pending(struct collector *c, bool at_once)
{
	int64_t now = deliver_time(c);
	assemble_echo(&c->lines, at_once ? now + ASSEMBLE_ECHO_NS : now, echo, c);
}
