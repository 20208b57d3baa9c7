/*
 * fuzz_format.c - arbitrary messages through every format, with arbitrary patterns.
 *
 * What must hold: with format_bound() bytes of room no frame is cut; each ends in its only newline
 * (raw excepted); JSON is UTF-8 without control characters, and so is what reaches a terminal, but
 * for tabs and sequences that format_pretty.c lets pass. Built with -fsanitize=fuzzer,address.
 */
#include <stdlib.h>

#include "lib/format/escape.h"
#include "lib/format/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
	const uint8_t *at;
	size_t left;
};

static uint64_t take(struct source *s, size_t bytes)
{
	uint64_t value = 0;

	for (; bytes && s->left; bytes--, s->left--)
		value = value << 8 | *s->at++;
	return value;
}

/* A C string of at most `most` bytes, up to the next NUL of the input. */
static void take_string(struct source *s, char *to, size_t most)
{
	size_t length = strnlen((const char *)s->at, s->left < most ? s->left : most);

	memcpy(to, s->at, length);
	to[length] = '\0';
	s->at += length;
	s->left -= length;
	if (s->left && !*s->at)
		take(s, 1);
}

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_utf8(const char *frame, size_t length, bool json)
{
	for (size_t i = 0; i < length;) {
		uint32_t point;

		i += escape_utf8(frame + i, length - i, &point);
		require(point != ESCAPE_INVALID);
		require(point < 0x80 || point >= 0xa0);
		require(!json || (point >= 0x20 && point != 0x7f));
	}
}

/* Whoever reads JSON must find the string's end where the format put it. */
static void check_json(const char *frame, size_t length)
{
	bool inside = false;
	int depth = 0;

	check_utf8(frame, length, true);
	for (size_t i = 0; i < length; i++) {
		if (inside && frame[i] == '\\')
			i++;
		else if (frame[i] == '"')
			inside = !inside;
		else if (!inside && (frame[i] == '{' || frame[i] == '}'))
			depth += frame[i] == '{' ? 1 : -1;
		require(depth == 1 || (depth == 0 && i == length - 1));
	}
	require(!inside && depth == 0);
}

static void check_plain_terminal(const char *frame, size_t length)
{
	check_utf8(frame, length, false);
	for (size_t i = 0; i < length; i++)
		require((frame[i] >= 0x20 || frame[i] < 0 || frame[i] == '\t') && frame[i] != 0x7f);
}

/* Escape sequences are colours, or, in a line that the program drew, those that move and erase. */
static void check_color_terminal(const char *frame, size_t length, bool moves)
{
	check_utf8(frame, length, false);
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)frame[i];
		uint32_t point;

		if (c == 0x1b) {
			require(i + 2 < length && frame[++i] == '[');
			for (i++; i < length && frame[i] >= 0x30 && frame[i] <= 0x3f;)
				i++;
			require(i < length && strchr(moves ? "mABCDEFGJKPX@hl" : "m", frame[i]));
		} else if (c >= 0x80) {
			i += escape_utf8(frame + i, length - i, &point) - 1;
			require(!escape_deceives(point));
		} else {
			require((c >= 0x20 && c != 0x7f) || c == '\t' ||
				(moves && strchr("\a\b\r", c)));
		}
	}
}

static void render(struct format *f, const char *name, const struct message *m)
{
	size_t most = format_bound(f, m), end;
	char *room = malloc(most);
	struct text out = text_in(room, most);

	require(room);
	f->ops->render(f, m, &out);
	require(!out.cut && out.len);
	end = out.len - 1;
	require(room[end] == '\n');
	if (strcmp(name, "raw"))
		require(memchr(room, '\n', out.len) == room + end);
	if (!strcmp(name, "json"))
		check_json(room, end);
	else if (!strcmp(name, "rfc5424") || !strcmp(name, "rfc3164") || !strcmp(name, "logfmt"))
		check_utf8(room, end, true);
	else if (!strcmp(name, "pretty") && !f->color)
		check_plain_terminal(room, end);
	else if (!strcmp(name, "pretty"))
		check_color_terminal(room, end, m->terminal);
	/* too little room: never a byte outside; a pattern may need less than before */
	out = text_in(room, out.len / 2);
	f->ops->render(f, m, &out);
	require(out.len <= out.cap);
	free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source s = { data, size };
	char pattern[256], source[300], comm[40], ident[300];
	unsigned flags = (unsigned)take(&s, 1);
	struct message m = {
		.seq = take(&s, flags & 1 ? 8 : 1), .time_ns = (int64_t)take(&s, 8),
		.level = (enum level)((int)take(&s, 1) - 4), .pid = (pid_t)take(&s, 4),
		.tid = (pid_t)take(&s, 4), .facility = (int)take(&s, 1) - 4,
		.partial = flags & 2, .terminal = flags & 4,
	};

	take_string(&s, pattern, sizeof(pattern) - 1);
	take_string(&s, source, sizeof(source) - 1);
	take_string(&s, comm, sizeof(comm) - 1);
	take_string(&s, ident, sizeof(ident) - 1);
	m.source = flags & 8 ? "hark" : source;
	m.comm = comm;
	m.ident = ident;
	m.text = (const char *)s.at;
	m.length = s.left;
	for (size_t i = 0; i < format_count; i++) {
		struct format f;

		if (format_init(&f, format_rows[i].name, pattern, flags & 16))
			continue;
		render(&f, format_rows[i].name, &m);
		/* again: with what the format remembers, and for pretty, a second process */
		m.pid ^= 1;
		render(&f, format_rows[i].name, &m);
		m.time_ns ^= INT64_C(1) << 40;
		render(&f, format_rows[i].name, &m);
	}
	return 0;
}
