/*
 * event.c - see event.h.
 */
#include "lib/stamp/event.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "lib/base/sysio.h"

enum { LINE = 2048 };

void event_begin(struct event *event, const char *word)
{
	event->line = sysio_map(LINE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sysio_is_error(event->line))
		event->line = event->spare;
	bool small = event->line == event->spare;
	event->text = text_in(event->line, small ? sizeof event->spare : LINE);
	text_str(&event->text, word);
}

static void key(struct event *event, const char *name)
{
	text_char(&event->text, ' ');
	text_str(&event->text, name);
	text_char(&event->text, '=');
}

void event_number(struct event *event, const char *name, uint64_t value)
{
	key(event, name);
	text_u64(&event->text, value);
}

void event_hex(struct event *event, const char *name, uint64_t value)
{
	key(event, name);
	text_hex(&event->text, value);
}

static void byte_hex(struct text *text, unsigned char byte)
{
	static const char digits[] = "0123456789abcdef";

	text_char(text, digits[byte >> 4]);
	text_char(text, digits[byte & 15]);
}

void event_bytes(struct event *event, const char *name, const void *bytes, size_t count)
{
	key(event, name);
	for (size_t i = 0; i < count; i++)
		byte_hex(&event->text, ((const unsigned char *)bytes)[i]);
}

void event_text(struct event *event, const char *name, const char *value)
{
	key(event, name);
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;
		if (c > ' ' && c < 127 && c != '%') {
			text_char(&event->text, (char)c);
			continue;
		}
		text_char(&event->text, '%');
		byte_hex(&event->text, c);
	}
}

static int append(const struct event *event, const char *path)
{
	const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;

	if (event->text.cut)
		return -EMSGSIZE;
	int fd = sysio_open(path, flags, 0600);
	if (fd < 0)
		return fd;
	ssize_t n = sysio_write(fd, event->line, event->text.len);
	sysio_close(fd);
	if (n < 0)
		return (int)n;
	return (size_t)n == event->text.len ? 0 : -ENOSPC;
}

int event_append(struct event *event, const char *path)
{
	text_char(&event->text, '\n');
	int result = append(event, path);
	if (event->line != event->spare)
		sysio_unmap(event->line, LINE);
	return result;
}
