/*
 * format_text.c - format=text: a line made by a pattern. All that matters is in pattern.c.
 */
#include "lib/format/format.h"

static int init(struct format *f)
{
	const char *pattern = f->pattern && *f->pattern ? f->pattern : pattern_default;

	return pattern_compile(&f->program, pattern, f->color);
}

static void render(struct format *f, const struct message *m, struct text *out)
{
	pattern_render(&f->program, m, out);
	text_char(out, '\n');
}

static size_t bound(const struct format *f, const struct message *m)
{
	return pattern_bound(&f->program, m) + 1;
}

const struct format_ops format_text = { .init = init, .render = render, .bound = bound };
