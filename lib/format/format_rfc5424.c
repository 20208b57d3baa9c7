/*
 * format_rfc5424.c - format=rfc5424: <PRI>1 TIME HOST APP PROCID - [hark@32473 …] text.
 *
 * The text is UTF-8 without a byte order mark, control characters as #ooo, so that a newline ends
 * the frame and nothing else does. 32473 is the enterprise number that is reserved for examples.
 */
#include "lib/format/escape.h"
#include "lib/format/format.h"
#include "lib/format/tag.h"
#include "lib/format/when.h"

enum { APP_MOST = 48, HOST_MOST = 255, FRAME_MOST = 256 + APP_MOST + HOST_MOST };

#define LITERAL(out, s) text_bytes(out, s, sizeof(s) - 1)

static void data(struct text *out, const struct message *m)
{
	LITERAL(out, "[hark@32473");
	if (m->seq) {
		LITERAL(out, " seq=\"");
		text_u64(out, m->seq);
		text_char(out, '"');
	}
	if (m->source[0]) {
		LITERAL(out, " source=\"");
		escape_syslog(out, m->source, strlen(m->source), true);
		text_char(out, '"');
	}
	if (m->tid > 0) {
		LITERAL(out, " tid=\"");
		text_u64(out, (uint64_t)m->tid);
		text_char(out, '"');
	}
	if (m->partial)
		LITERAL(out, " partial=\"true\"");
	text_char(out, ']');
}

static void render(struct format *f, const struct message *m, struct text *out)
{
	tag_priority(out, m);
	LITERAL(out, "1 ");
	when_utc(f, out, m->time_ns, 6);
	text_char(out, ' ');
	text_bytes(out, f->hostname, strnlen(f->hostname, HOST_MOST));
	text_char(out, ' ');
	tag_name(out, m, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", APP_MOST);
	text_char(out, ' ');
	if (m->pid > 0)
		text_u64(out, (uint64_t)m->pid);
	else
		text_char(out, '-');
	LITERAL(out, " - ");
	data(out, m);
	if (m->length) {
		text_char(out, ' ');
		escape_syslog(out, m->text, m->length, false);
	}
	text_char(out, '\n');
}

static size_t bound(const struct format *f, const struct message *m)
{
	(void)f;
	return FRAME_MOST + ESCAPE_SYSLOG_MOST * (m->length + strlen(m->source));
}

const struct format_ops format_rfc5424 = { .render = render, .bound = bound };
