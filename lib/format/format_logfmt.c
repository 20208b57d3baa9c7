/*
 * format_logfmt.c - format=logfmt: key=value pairs, in the order of format=json.
 *
 * A value that holds what would end it is quoted, with the escapes of JSON inside.
 */
#include "lib/format/escape.h"
#include "lib/format/format.h"
#include "lib/format/when.h"

/* all keys, numbers, the time, the level, the facility, quotes and blanks */
enum { FRAME_MOST = 320 };

#define LITERAL(out, s) text_bytes(out, s, sizeof(s) - 1)

static bool needs_quotes(const char *s, size_t count)
{
	for (size_t i = 0; i < count;) {
		unsigned char c = (unsigned char)s[i];
		uint32_t point;

		if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
			return true;
		if (c < 0x80) {
			i++;
			continue;
		}
		i += escape_utf8(s + i, count - i, &point);
		if (point < 0xa0 || point == ESCAPE_INVALID)
			return true;
	}
	return !count;
}

static void value(struct text *out, const char *s, size_t count)
{
	if (!needs_quotes(s, count)) {
		text_bytes(out, s, count);
		return;
	}
	text_char(out, '"');
	escape_json(out, s, count);
	text_char(out, '"');
}

static void origin(struct text *out, const struct message *m)
{
	if (m->source[0]) {
		LITERAL(out, " source=");
		value(out, m->source, strlen(m->source));
	}
	if (m->pid > 0) {
		LITERAL(out, " pid=");
		text_u64(out, (uint64_t)m->pid);
	}
	if (m->tid > 0) {
		LITERAL(out, " tid=");
		text_u64(out, (uint64_t)m->tid);
	}
	if (m->comm[0]) {
		LITERAL(out, " comm=");
		value(out, m->comm, strlen(m->comm));
	}
	if (m->seq) {
		LITERAL(out, " seq=");
		text_u64(out, m->seq);
	}
}

static void render(struct format *f, const struct message *m, struct text *out)
{
	const char *facility = facility_name(m->facility);

	LITERAL(out, "time=");
	when_utc(f, out, m->time_ns, 9);
	LITERAL(out, " level=");
	text_str(out, level_name(m->level));
	LITERAL(out, " msg=");
	value(out, m->text, m->length);
	origin(out, m);
	if (m->ident[0]) {
		LITERAL(out, " ident=");
		value(out, m->ident, strlen(m->ident));
	}
	if (facility) {
		LITERAL(out, " facility=");
		text_str(out, facility);
	}
	if (m->partial)
		LITERAL(out, " partial=true");
	if (m->stamp_id) {
		LITERAL(out, " id=");
		text_u64(out, m->stamp_id);
		LITERAL(out, " step=");
		text_u64(out, m->step);
	}
	text_char(out, '\n');
}

static size_t bound(const struct format *f, const struct message *m)
{
	size_t strings = strlen(m->source) + strlen(m->comm) + strlen(m->ident);

	(void)f;
	return FRAME_MOST + ESCAPE_JSON_MOST * (m->length + strings);
}

const struct format_ops format_logfmt = { .render = render, .bound = bound };
