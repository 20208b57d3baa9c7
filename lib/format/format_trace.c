/*
 * format_trace.c - format=trace: as json, with the moment by the session's own clock in front, which
 * function stamps bear, too. What a trace keeps of the session's messages (TRACE.md).
 */
#include "lib/format/format.h"

enum { TICKS_MOST = 32 };

static void render(struct format *f, const struct message *m, struct text *out)
{
	text_str(out, "{\"ticks\":");
	text_u64(out, m->ticks);
	size_t brace = out->len;
	format_json.render(f, m, out);
	if (brace < out->len)
		out->at[brace] = ',';
}

static size_t bound(const struct format *f, const struct message *m)
{
	return TICKS_MOST + format_json.bound(f, m);
}

const struct format_ops format_trace = { .render = render, .bound = bound };
