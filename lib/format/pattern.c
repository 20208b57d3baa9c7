/*
 * pattern.c - the patterns of format=text: compiling and running them.
 *
 * Called by format_text.c; the letters that make a time are in pattern_time.c. Running a pattern
 * must not parse, allocate or ask the C library for the time zone, but once a second.
 */
#include "lib/format/pattern.h"

#include <errno.h>

#include "lib/format/escape.h"
#include "lib/format/pattern_time.h"
#include "lib/format/when.h"

const char pattern_default[] = "[%Y-%m-%d %H:%M:%S.%e] [%^%l%$] %N: %v";

enum { NUMBER_MOST = 24, TIME_MOST = 40, COLOR_MOST = 16 };

static const char color_of[LEVEL_NR][COLOR_MOST] = {
	"\x1b[1;97;41m", "\x1b[1;97;41m", "\x1b[1;97;41m", "\x1b[1;31m",
	"\x1b[33m", "\x1b[36m", "\x1b[32m", "\x1b[2m"
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static struct pattern_step *new_step(struct pattern *p)
{
	struct pattern_step *step;

	if (p->steps == PATTERN_STEPS)
		return NULL;
	step = &p->step[p->steps++];
	*step = (struct pattern_step){ 0 };
	return step;
}

static int add_literal(struct pattern *p, const char *s, size_t length)
{
	struct pattern_step *step = new_step(p);

	if (!step || length > PATTERN_LITERAL - p->literals || memchr(s, '\n', length))
		return -EINVAL;
	memcpy(p->literal + p->literals, s, length);
	step->at = (uint16_t)p->literals;
	step->length = (uint16_t)length;
	p->literals += (unsigned)length;
	p->fixed_most += length;
	return 0;
}

/* Reads "-8!" in front of a letter. Returns what follows it, or NULL. */
static const char *take_width(const char *s, struct pattern_step *step)
{
	unsigned width = 0;

	if (*s == '-' || *s == '=')
		step->align = *s++;
	if (!is_digit(*s))
		return step->align ? NULL : s;
	for (; is_digit(*s) && width <= PATTERN_WIDTH; s++)
		width = width * 10 + (unsigned)(*s - '0');
	if (!width || width > PATTERN_WIDTH)
		return NULL;
	step->width = (uint8_t)width;
	if (*s == '!') {
		step->cut = true;
		s++;
	}
	return s;
}

/* Whether hark knows the letter; counts what its output may take. */
static bool account(struct pattern *p, const struct pattern_step *step)
{
	size_t width = step->width;

	if (pattern_time_is(step->letter) || strchr("@sg#!", step->letter)) {
		p->fixed_most += TIME_MOST + width;
		return true;
	}
	switch (step->letter) {
	case 'v':
		p->texts++;
		break;
	case 'n':
		p->names++;
		break;
	case 'q':
		p->sources++;
		break;
	case 'N': /* also a name, a source, a pid and their punctuation */
		p->names++;
		p->sources += 2;
		break;
	case 'l': case 'L': case 't': case 'P': case 'e': case 'f': case 'F':
	case 'o': case 'i': case 'u': case 'O': case '^': case '$':
		break;
	default:
		return false;
	}
	p->other_most += NUMBER_MOST + width;
	return p->texts <= PATTERN_TEXTS;
}

static int compile(struct pattern *p, const char *s, bool color);

/* s is behind the percent sign. Returns what follows the flag, or NULL. */
static const char *add_flag(struct pattern *p, const char *s, bool color)
{
	struct pattern_step *step, read = { 0 };

	s = take_width(s, &read);
	if (!s || !*s)
		return NULL;
	read.letter = *s++;
	if (read.width && strchr("%+^$", read.letter))
		return NULL;
	if (read.letter == '%')
		return add_literal(p, "%", 1) ? NULL : s;
	if (read.letter == '+')
		return compile(p, pattern_default, color) ? NULL : s;
	if (!account(p, &read))
		return NULL;
	if (!color && (read.letter == '^' || read.letter == '$'))
		return s;
	step = new_step(p);
	if (!step)
		return NULL;
	*step = read;
	return s;
}

static int compile(struct pattern *p, const char *s, bool color)
{
	while (s && *s) {
		size_t literal = strcspn(s, "%");

		if (literal) {
			if (add_literal(p, s, literal))
				return -EINVAL;
			s += literal;
		} else {
			s = add_flag(p, s + 1, color);
		}
	}
	return s ? 0 : -EINVAL;
}

static bool is_fixed(const struct pattern_step *step)
{
	return !step->letter || pattern_time_is(step->letter) || strchr("@sg#!", step->letter);
}

int pattern_compile(struct pattern *p, const char *pattern, bool color)
{
	memset(p, 0, sizeof(*p));
	p->second = INT64_MIN;
	if (compile(p, pattern, color) || p->fixed_most > PATTERN_FIXED)
		return -EINVAL;
	for (unsigned i = 0; i < p->steps; i++) {
		unsigned end = i;

		while (end < p->steps && is_fixed(&p->step[end]))
			end++;
		p->step[i].end = end > i ? (uint16_t)end : 0;
		i = end > i ? end - 1 : i;
	}
	return 0;
}

/* Where `count` characters of s end, or `length`; *seen: how many there are up to there. */
static size_t characters(const char *s, size_t length, size_t count, size_t *seen)
{
	size_t at = 0;

	for (*seen = 0; at < length && *seen < count; ++*seen) {
		uint32_t point;

		at += escape_utf8(s + at, length - at, &point);
	}
	return at;
}

/* Brings what was written since `start` to the width of its step. */
static void align(struct text *out, size_t start, const struct pattern_step *step)
{
	char *field = out->at + start;
	size_t length = out->len - start, seen;
	size_t end = characters(field, length, step->width, &seen);
	size_t blanks = step->width - seen, before;

	if (!blanks) {
		if (step->cut)
			out->len = start + end;
		return;
	}
	if (blanks > out->cap - out->len) {
		out->cut = true;
		return;
	}
	before = step->align == '-' ? 0 : step->align == '=' ? blanks / 2 : blanks;
	memmove(field + before, field, length);
	memset(field, ' ', before);
	memset(field + before + length, ' ', blanks - before);
	out->len += blanks;
}

static void render_fixed(struct pattern *p, int64_t second)
{
	struct text t = text_in(p->fixed, sizeof(p->fixed));
	struct tm tm;

	when_local(second, &tm);
	for (unsigned i = 0; i < p->steps; i++) {
		struct pattern_step *run = &p->step[i];

		if (!run->end)
			continue;
		run->fixed_at = (uint16_t)t.len;
		for (; i < run->end; i++) {
			const struct pattern_step *step = &p->step[i];
			size_t start = t.len;

			if (!step->letter)
				text_bytes(&t, p->literal + step->at, step->length);
			else if (pattern_time_is(step->letter))
				pattern_time(&t, step->letter, &tm, second);
			if (step->width)
				align(&t, start, step);
		}
		run->fixed_length = (uint16_t)(t.len - run->fixed_at);
		i--;
	}
	p->second = second;
}

static void string(struct text *out, const char *s)
{
	escape_line(out, s, strlen(s));
}

static void who(struct text *out, const struct message *m)
{
	const char *name = m->ident[0] ? m->ident : m->comm;

	string(out, name[0] ? name : m->source);
	if (m->pid > 0) {
		text_char(out, '[');
		text_u64(out, (uint64_t)m->pid);
		text_char(out, ']');
	}
	if (name[0] && strcmp(m->source, "stderr")) {
		text_char(out, ' ');
		string(out, m->source);
	}
}

static uint64_t elapsed(const struct pattern *p, const struct message *m)
{
	if (!p->has_previous || m->time_ns <= p->previous_ns)
		return 0;
	return (uint64_t)m->time_ns - (uint64_t)p->previous_ns;
}

static void render_step(struct pattern *p, char letter, const struct message *m, uint32_t ns,
			struct text *out)
{
	unsigned level = (unsigned)m->level < LEVEL_NR ? (unsigned)m->level : LEVEL_DEBUG;

	switch (letter) {
	case 'v': escape_line(out, m->text, m->length); break;
	case 'l': text_str(out, level_name((enum level)level)); break;
	case 'L': text_char(out, "PACEWNID"[level]); break;
	case 'n': string(out, m->comm); break;
	case 'q': string(out, m->source); break;
	case 'N': who(out, m); break;
	case 'P': text_i64(out, m->pid); break;
	case 't': text_i64(out, m->tid); break;
	case 'e': text_padded(out, ns / 1000000, 3); break;
	case 'f': text_padded(out, ns / 1000, 6); break;
	case 'F': text_padded(out, ns, 9); break;
	case 'O': text_u64(out, elapsed(p, m) / 1000000000); break;
	case 'o': text_u64(out, elapsed(p, m) / 1000000); break;
	case 'i': text_u64(out, elapsed(p, m) / 1000); break;
	case 'u': text_u64(out, elapsed(p, m)); break;
	case '^': text_str(out, color_of[level]); break;
	case '$': text_bytes(out, "\x1b[m", 3); break;
	default: break;
	}
}

void pattern_render(struct pattern *p, const struct message *m, struct text *out)
{
	uint32_t ns;
	int64_t second = when_split(m->time_ns, &ns);

	if (second != p->second)
		render_fixed(p, second);
	for (unsigned i = 0; i < p->steps; i++) {
		const struct pattern_step *step = &p->step[i];
		size_t start = out->len;

		if (step->end) {
			text_bytes(out, p->fixed + step->fixed_at, step->fixed_length);
			i = step->end - 1U;
			continue;
		}
		render_step(p, step->letter, m, ns, out);
		if (step->width)
			align(out, start, step);
	}
	p->previous_ns = m->time_ns;
	p->has_previous = true;
}

size_t pattern_bound(const struct pattern *p, const struct message *m)
{
	size_t name = strlen(m->comm) + strlen(m->ident), source = strlen(m->source);

	return p->fixed_most + p->other_most +
	       ESCAPE_LINE_MOST * (p->texts * m->length + p->names * name + p->sources * source);
}
