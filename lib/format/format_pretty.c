/*
 * format_pretty.c - format=pretty: for somebody who reads along on a terminal.
 *
 *	12:00:00.123  INFO   nginx[812]  listening on port 80
 *
 * What a program says may be hostile. Nothing of it reaches the terminal as a control character,
 * but for tabs and the colours that the program chose (ESC [ … m), which end with the line. A
 * message marked `terminal` is the last state of a line that the program edited or drew itself: on
 * a terminal it passes undecorated, with the sequences that move within and erase what it drew;
 * those that set titles, fill clipboards or make the terminal answer are shown like any other.
 */
#include "lib/format/escape.h"
#include "lib/format/format.h"
#include "lib/format/when.h"

enum {
	SECOND = sizeof("12:00:00.") - 1,
	SGR_MOST = 64,     /* longer ones are no colours */
	WHO_MOST = 24,     /* the name column grows no wider */
	FRAME_MOST = 192,  /* time, badge, pid, padding and their colours */
	MARK_MOST = 10,    /* a mark that is dimmed on its own */
	COLOR_MOST = 7,    /* bytes written for one, at most: half of a mark and a replacement */
	PLAIN_MOST = 3,
	MARKS_MOST = 16    /* on one character; no script needs as many */
};

#define LITERAL(out, s) text_bytes(out, s, sizeof(s) - 1)

struct view {
	struct text *out;
	bool color;
	bool moves;  /* the program draws: sequences for that pass */
	bool dim;    /* a mark of ours is being shown */
	unsigned marks; /* that stand on one character */
	bool styled; /* a colour is in force that must not be lost: marks are not dimmed */
};

static const struct badge {
	char text[8];
	char color[12];
} badges[LEVEL_NR] = {
	{ " EMERG ", "\x1b[1;97;41m" }, { " ALERT ", "\x1b[1;97;41m" },
	{ " CRIT  ", "\x1b[1;97;41m" }, { " ERROR ", "\x1b[1;31m" },
	{ " WARN  ", "\x1b[1;33m" }, { " NOTE  ", "\x1b[1;36m" },
	{ " INFO  ", "\x1b[32m" }, { " DEBUG ", "\x1b[2m" },
};

static void undim(struct view *v)
{
	if (v->dim)
		LITERAL(v->out, "\x1b[m");
	v->dim = false;
}

static void mark(struct view *v, const char *s, size_t count)
{
	if (v->color && !v->styled && !v->dim) {
		LITERAL(v->out, "\x1b[2m");
		v->dim = true;
	}
	text_bytes(v->out, s, count);
}

/* The length of ESC [ parameters letter at s, 0 where there is none; *letter: its last byte. */
static size_t sequence(const char *s, size_t count, char *letter)
{
	size_t i = 2;

	if (count < 3 || s[1] != '[')
		return 0;
	while (i < count && i < SGR_MOST && s[i] >= 0x30 && s[i] <= 0x3f)
		i++;
	if (i == count || i == SGR_MOST)
		return 0;
	*letter = s[i];
	return i + 1;
}

static bool sets_color(const char *s, size_t length)
{
	return strspn(s + 2, "0123456789;:") == length - 3;
}

/* At an escape character. Returns the bytes used up: those of a sequence that passed, or 1. */
static size_t escape(struct view *v, const char *s, size_t count)
{
	char letter = 0;
	size_t length = sequence(s, count, &letter);

	if (length && letter == 'm' && sets_color(s, length)) {
		/* Without colours, they are left out: shown, they would bury the text. */
		if (!v->color)
			return length;
		undim(v);
		text_bytes(v->out, s, length);
		v->styled = !(length == 3 || (length == 4 && s[2] == '0'));
		return length;
	}
	if (length && v->moves && strchr("ABCDEFGJKPX@hl", letter)) {
		undim(v);
		text_bytes(v->out, s, length);
		return length;
	}
	mark(v, "^[", 2);
	return 1;
}

static void control(struct view *v, char c)
{
	char shown[2] = { '^', (char)(c ^ 0x40) };

	if (c == '\n')
		mark(v, v->color ? "\xe2\x8f\x8e" : "\\n", v->color ? 3 : 2);
	else if (v->moves && strchr("\a\b\r", c))
		text_char(v->out, c);
	else
		mark(v, shown, 2);
}

/* Marks that stand on the character before, as many as come: a heap of them covers other lines and
 * keeps a terminal busy. Names of the blocks are Unicode's. */
static bool is_mark(uint32_t point)
{
	return (point >= 0x300 && point < 0x370) ||   /* combining diacritical marks */
	       (point >= 0x483 && point < 0x48a) ||   /* Cyrillic */
	       (point >= 0x1ab0 && point < 0x1b00) || /* …, extended */
	       (point >= 0x1dc0 && point < 0x1e00) || /* …, supplement */
	       (point >= 0x200b && point < 0x2010) || /* of no width: spaces, joiners, directions */
	       (point >= 0x20d0 && point < 0x2100) || /* … for symbols */
	       (point >= 0xfe00 && point < 0xfe10) || /* variation selectors */
	       (point >= 0xfe20 && point < 0xfe30);   /* combining half marks */
}

static size_t wide(struct view *v, const char *s, size_t count)
{
	uint32_t point;
	size_t length = escape_utf8(s, count, &point);

	v->marks = is_mark(point) ? v->marks + 1 : 0;
	if (point != ESCAPE_INVALID && (escape_deceives(point) || v->marks > MARKS_MOST)) {
		char digits[8];
		struct text t = text_in(digits, sizeof(digits));

		LITERAL(&t, "\\u");
		for (uint32_t least = 0x1000; point < least; least >>= 4)
			text_char(&t, '0');
		text_hex(&t, point);
		mark(v, digits, t.len);
		return length;
	}
	undim(v);
	if (point == ESCAPE_INVALID)
		escape_replacement(v->out);
	else
		text_bytes(v->out, s, length);
	return length;
}

static void show(struct view *v, const char *s, size_t count)
{
	struct text *out = v->out;
	size_t room = out->cap - out->len, most = v->color ? COLOR_MOST : PLAIN_MOST;

	if (room < MARK_MOST || (room - MARK_MOST) / most < count) {
		out->cut = true;
		return;
	}
	for (size_t i = 0; i < count;) {
		unsigned char c = (unsigned char)s[i];

		if (c == 0x1b) {
			i += escape(v, s + i, count - i);
		} else if (c >= 0x80) {
			i += wide(v, s + i, count - i);
		} else if ((c < 0x20 && c != '\t') || c == 0x7f) {
			control(v, s[i++]);
		} else {
			size_t run;

			v->marks = 0;
			undim(v);
			run = escape_copy(out->at + out->len, s + i, count - i);
			out->len += run;
			i += run;
			if (!run) /* a tab, quote or backslash */
				text_char(out, s[i++]);
		}
	}
	undim(v);
}

static void render_time(struct format *f, const struct message *m, struct text *out)
{
	uint32_t ns;
	int64_t second = when_split(m->time_ns, &ns);

	if (second != f->cached_second) {
		struct text t = text_in(f->cached_time, sizeof(f->cached_time));
		struct tm tm;

		when_local(second, &tm);
		text_padded(&t, (unsigned)tm.tm_hour, 2);
		text_char(&t, ':');
		text_padded(&t, (unsigned)tm.tm_min, 2);
		text_char(&t, ':');
		text_padded(&t, (unsigned)tm.tm_sec, 2);
		text_char(&t, '.');
		f->cached_second = second;
	}
	text_bytes(out, f->cached_time, SECOND);
	text_padded(out, ns / 1000000, 3);
}

static void notice_pid(struct format *f, pid_t pid)
{
	if (pid <= 0 || f->many_pids)
		return;
	f->many_pids = f->last_pid && f->last_pid != pid;
	f->last_pid = pid;
}

/* "nginx[812]  ", in the process's colour and as wide as the widest so far */
static void render_who(struct format *f, const struct message *m, struct text *out)
{
	static const char palette[6][6] = {
		"\x1b[36m", "\x1b[35m", "\x1b[34m", "\x1b[33m", "\x1b[32m", "\x1b[96m"
	};
	const char *name = m->ident[0] ? m->ident : m->comm;
	char digits[24];
	struct text pid = text_in(digits, sizeof(digits));
	struct view v = { .out = out, .color = f->color, .styled = true };
	size_t width = strlen(name);

	if (m->pid > 0) {
		text_char(&pid, '[');
		text_u64(&pid, (uint64_t)m->pid);
		text_char(&pid, ']');
	}
	width += pid.len;
	if (width > f->who_width)
		f->who_width = width < WHO_MOST ? (unsigned)width : WHO_MOST;
	if (f->color)
		text_bytes(out, palette[(unsigned)m->pid % 6], 5);
	show(&v, name, strlen(name));
	text_bytes(out, digits, pid.len);
	if (f->color)
		LITERAL(out, "\x1b[m");
	for (; width < f->who_width; width++)
		text_char(out, ' ');
	LITERAL(out, "  ");
}

static void render_head(struct format *f, const struct message *m, struct text *out)
{
	const struct badge *badge = &badges[(unsigned)m->level < LEVEL_NR ? m->level : LEVEL_DEBUG];

	if (f->color)
		LITERAL(out, "\x1b[2m");
	render_time(f, m, out);
	if (f->color)
		LITERAL(out, "\x1b[m");
	text_char(out, ' ');
	if (f->color)
		text_str(out, badge->color);
	text_str(out, badge->text);
	if (f->color)
		LITERAL(out, "\x1b[m");
	text_char(out, ' ');
}

static void render(struct format *f, const struct message *m, struct text *out)
{
	struct view v = { .out = out, .color = f->color, .moves = m->terminal && f->color };
	bool own = !strcmp(m->source, "hark");
	size_t length = m->length;

	if (!v.moves) {
		render_head(f, m, out);
		if (!own)
			notice_pid(f, m->pid);
		/* a line that ended in CR LF */
		length -= length && m->text[length - 1] == '\r';
	}
	if (own) {
		if (f->color)
			LITERAL(out, "\x1b[35m");
		LITERAL(out, "hark: ");
		v.styled = f->color;
	} else if (!v.moves && f->many_pids) {
		render_who(f, m, out);
	}
	show(&v, m->text, length);
	if (v.styled)
		LITERAL(out, "\x1b[m");
	if (m->partial && f->color && !v.moves)
		LITERAL(out, "\x1b[2m…\x1b[m");
	text_char(out, '\n');
}

static size_t bound(const struct format *f, const struct message *m)
{
	size_t most = f->color ? COLOR_MOST : PLAIN_MOST;

	return FRAME_MOST + most * (m->length + strlen(m->comm) + strlen(m->ident));
}

const struct format_ops format_pretty = { .render = render, .bound = bound };
