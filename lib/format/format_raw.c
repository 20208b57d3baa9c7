/*
 * format_raw.c - format=raw: the bytes of the message and its newline; hark's own ones say so.
 *
 * For messages only: where a sink takes the program's bytes as they come, the collector does not
 * come here. The one format whose frames may hold newlines (of syslog's texts).
 */
#include <string.h>

#include "lib/format/format.h"

#define OWN "hark: "

/* Between the program's bytes, nothing else tells whose a line is. */
static bool is_own(const struct message *m)
{
	return strcmp(m->source, "hark") == 0;
}

static void render(struct format *f, const struct message *m, struct text *out)
{
	(void)f;
	if (is_own(m))
		text_str(out, OWN);
	text_bytes(out, m->text, m->length);
	text_char(out, '\n');
}

static size_t bound(const struct format *f, const struct message *m)
{
	(void)f;
	return m->length + 1 + (is_own(m) ? strlen(OWN) : 0);
}

const struct format_ops format_raw = { .render = render, .bound = bound };
