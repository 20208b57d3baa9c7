/*
 * tag.c - the priority and the name of the speaker, as both syslog formats write them.
 *
 * Called by format_rfc5424.c and format_rfc3164.c only; must never let a blank or a control character
 * into a header.
 */
#include "lib/format/tag.h"

enum { FACILITY_USER = 1 };

void tag_priority(struct text *out, const struct message *m)
{
	int facility = facility_name(m->facility) ? m->facility : FACILITY_USER;
	unsigned level = (unsigned)m->level < LEVEL_NR ? (unsigned)m->level : LEVEL_DEBUG;

	text_char(out, '<');
	text_u64(out, (unsigned)facility * 8 + level);
	text_char(out, '>');
}

static bool is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

void tag_name(struct text *out, const struct message *m, const char *accepted, size_t most)
{
	const char *name = m->ident[0] ? m->ident : m->comm;

	if (!name[0])
		name = strcmp(m->source, "hark") ? "-" : "hark";
	for (; *name && most; name++, most--)
		text_char(out, is_alphanumeric(*name) || strchr(accepted, *name) ? *name : '_');
}
