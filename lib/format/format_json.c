/*
 * format_json.c - format=json: one object a line. Its keys and their order are a promise to users.
 */
#include "lib/format/escape.h"
#include "lib/format/format.h"
#include "lib/format/when.h"

/* all keys, numbers, the time, the level, the facility and the punctuation between them */
enum { FRAME_MOST = 320 };

#define LITERAL(out, s) text_bytes(out, s, sizeof(s) - 1)

static void string(struct text *out, const char *s)
{
	escape_json(out, s, strlen(s));
	text_char(out, '"');
}

static void origin(struct text *out, const struct message *m)
{
	if (m->source[0]) {
		LITERAL(out, ",\"source\":\"");
		string(out, m->source);
	}
	if (m->pid > 0) {
		LITERAL(out, ",\"pid\":");
		text_u64(out, (uint64_t)m->pid);
	}
	if (m->tid > 0) {
		LITERAL(out, ",\"tid\":");
		text_u64(out, (uint64_t)m->tid);
	}
	if (m->comm[0]) {
		LITERAL(out, ",\"comm\":\"");
		string(out, m->comm);
	}
	if (m->seq) {
		LITERAL(out, ",\"seq\":");
		text_u64(out, m->seq);
	}
}

static void stack(struct text *out, const struct message *m)
{
	const char *at = m->stack, *end = at + m->stack_bytes;

	LITERAL(out, ",\"stack\":[");
	for (; at < end; at += strlen(at) + 1) {
		if (at > m->stack)
			text_char(out, ',');
		text_char(out, '"');
		string(out, at);
	}
	text_char(out, ']');
}

static void render(struct format *f, const struct message *m, struct text *out)
{
	const char *facility = facility_name(m->facility);

	LITERAL(out, "{\"time\":\"");
	when_utc(f, out, m->time_ns, 9);
	LITERAL(out, "\",\"level\":\"");
	text_str(out, level_name(m->level));
	LITERAL(out, "\",\"msg\":\"");
	escape_json(out, m->text, m->length);
	text_char(out, '"');
	origin(out, m);
	if (m->ident[0]) {
		LITERAL(out, ",\"ident\":\"");
		string(out, m->ident);
	}
	if (facility) {
		LITERAL(out, ",\"facility\":\"");
		text_str(out, facility);
		text_char(out, '"');
	}
	if (m->partial)
		LITERAL(out, ",\"partial\":true");
	if (m->stamp_id) {
		LITERAL(out, ",\"fields\":{\"id\":");
		text_u64(out, m->stamp_id);
		LITERAL(out, ",\"step\":");
		text_u64(out, m->step);
		text_char(out, '}');
	}
	if (m->stack_bytes)
		stack(out, m);
	LITERAL(out, "}\n");
}

static size_t bound(const struct format *f, const struct message *m)
{
	size_t strings = strlen(m->source) + strlen(m->comm) + strlen(m->ident);

	(void)f;
	return FRAME_MOST + ESCAPE_JSON_MOST * (m->length + strings + m->stack_bytes);
}

const struct format_ops format_json = { .render = render, .bound = bound };
