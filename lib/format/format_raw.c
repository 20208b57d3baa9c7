/*
 * format_raw.c - format=raw: the bytes of the message and its newline.
 *
 * For messages only: where a sink takes the program's bytes as they come, the collector does not
 * come here. The one format whose frames may hold newlines (of syslog's texts).
 */
#include "lib/format/format.h"

static void render(struct format *f, const struct message *m, struct text *out)
{
	(void)f;
	text_bytes(out, m->text, m->length);
	text_char(out, '\n');
}

static size_t bound(const struct format *f, const struct message *m)
{
	(void)f;
	return m->length + 1;
}

const struct format_ops format_raw = { .render = render, .bound = bound };
