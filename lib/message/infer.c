/*
 * infer.c - the level of a line, from what stands in it.
 *
 * Called for every line of every program, so the common case, nothing found, must cost next to
 * nothing: one pass makes bit masks of what could begin a severity word, and only at those places
 * is anything compared. Must never count a word of prose ("no error found").
 */
#include "lib/message/infer.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/message/candidates.h"
#include "lib/message/severity.h"

enum { STRIPPED_FROM = 4 * INFER_SCAN, OBJECT_SCAN = 512 };

struct view {
	const char *s;
	size_t length;
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_letter(char c)
{
	return is_upper((char)(c & ~0x20));
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return is_letter(c) || is_digit(c) || c == '_';
}

static bool is_one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

/* The byte at i, NUL beyond the end. */
static char at(const struct view *v, size_t i)
{
	return i < v->length ? v->s[i] : '\0';
}

static size_t skip_letters(const struct view *v, size_t i)
{
	while (i < v->length && is_letter(v->s[i]))
		i++;
	return i;
}

static size_t skip_blanks(const struct view *v, size_t i)
{
	while (i < v->length && v->s[i] == ' ')
		i++;
	return i;
}

static bool begins(const struct view *v, size_t i, const char *with)
{
	size_t count = strlen(with);

	return v->length >= i && v->length - i >= count && !memcmp(v->s + i, with, count);
}

/* ---- words ---- */

static bool is_key_byte(char c)
{
	return is_word(c) || c == '.' || c == '@';
}

/* "no error", "set to DEBUG": the word before says that it is only talked about. */
static bool is_talk(const struct view *v, size_t word)
{
	static const char *const before[] = { "no", "not", "without", "to" };
	size_t end = word;

	while (end && v->s[end - 1] == ' ')
		end--;
	if (end == word)
		return false;
	for (size_t k = 0; k < sizeof(before) / sizeof(before[0]); k++) {
		size_t count = strlen(before[k]), i = 0;

		if (end < count || (end > count && is_word(v->s[end - count - 1])))
			continue;
		while (i < count && lower(v->s[end - count + i]) == before[k][i])
			i++;
		if (i == count)
			return true;
	}
	return false;
}

/* ---- the forms; each returns a level, or LEVEL_NONE ---- */

/* At a capital that another follows and that begins a word. */
static enum level capitals(const struct view *v, size_t i)
{
	char before = i ? v->s[i - 1] : ' ';
	const struct severity *word;
	size_t end = i;
	char after;

	while (end < v->length && is_upper(v->s[end]))
		end++;
	after = at(v, end);
	word = severity_find(v->s + i, end - i,
			     SEVERITY_CAPITALS | (after == ':' ? SEVERITY_CAPITALS_COLON : 0));
	if (!word || is_word(after) || is_one_of(after, "=%@$"))
		return LEVEL_NONE;
	/* file names, and other names that are put together */
	if ((after == '.' || after == '-') && is_word(at(v, end + 1)))
		return LEVEL_NONE;
	/* app.ERROR: as Monolog writes it, [Server thread/INFO] as Log4j, =ERROR REPORT==== as Erlang */
	if ((before == '.' && after != ':') || (before == '/' && after != ']') ||
	    (before == '=' && i > 1) || is_one_of(before, "\"'`\\$%&@+~^?-") || is_talk(v, i))
		return LEVEL_NONE;
	return (enum level)word->level;
}

/* (WW) as X.Org writes it, [W 12:34:56 as Jupyter */
static enum level bracketed_letter(const struct view *v, size_t i)
{
	bool doubled = at(v, i) == '(' && at(v, i + 2) == at(v, i + 1) && at(v, i + 3) == ')';

	if (!doubled && !(at(v, i) == '[' && at(v, i + 2) == ' ' && is_digit(at(v, i + 3))))
		return LEVEL_NONE;
	switch (at(v, i + 1)) {
	case 'I': return LEVEL_INFO;
	case 'W': return LEVEL_WARNING;
	case 'E': return LEVEL_ERROR;
	case 'C': return doubled ? LEVEL_NONE : LEVEL_CRIT;
	case 'D': return doubled ? LEVEL_NONE : LEVEL_DEBUG;
	default: return LEVEL_NONE;
	}
}

/* At an opening bracket: [error] [ error ] [core:error] */
static enum level bracketed(const struct view *v, size_t i)
{
	size_t start = skip_blanks(v, i + 1), end = start, close;
	const struct severity *word;
	enum level level;

	if (!is_letter(at(v, start)))
		return LEVEL_NONE;
	level = bracketed_letter(v, i);
	if (level != LEVEL_NONE)
		return level;
	while (end < v->length && end < start + INFER_SCAN && is_word(v->s[end]))
		end++;
	if (at(v, end) == ':') {
		start = end + 1;
		end = skip_letters(v, start);
	}
	close = skip_blanks(v, end);
	if (!is_one_of(at(v, close), ")]>"))
		return LEVEL_NONE;
	word = severity_find(v->s + start, end - start, SEVERITY_BRACKETS);
	return word ? (enum level)word->level : LEVEL_NONE;
}

/* ValueError: java.lang.IllegalStateException: */
static bool is_exception(const char *s, size_t length)
{
	static const struct {
		char text[10];
		uint8_t length;
	} ends[] = { { "Error", 5 }, { "Exception", 9 } };

	for (size_t k = 0; k < 2; k++) {
		size_t n = ends[k].length;

		if (length >= n && is_upper(s[0]) && !memcmp(s + length - n, ends[k].text, n))
			return true;
	}
	return false;
}

/* At a colon after a letter. */
static enum level before_colon(const struct view *v, size_t i)
{
	size_t start = i;
	const struct severity *word;

	while (start && is_word(v->s[start - 1]))
		start--;
	word = severity_find(v->s + start, i - start, SEVERITY_COLON);
	if (!word)
		return is_exception(v->s + start, i - start) ? LEVEL_ERROR : LEVEL_NONE;
	if (is_talk(v, start) || (start && is_one_of(v->s[start - 1], "-./=$%@\"'")))
		return LEVEL_NONE;
	/* C++ and Rust paths */
	return at(v, i + 1) == ':' ? LEVEL_NONE : (enum level)word->level;
}

/* A value at i, perhaps quoted; 30 as Pino and Bunyan number their levels. */
static enum level value(const struct view *v, size_t i)
{
	const struct severity *word;
	size_t end;

	if (at(v, i) == '"' || at(v, i) == '\'')
		i++;
	if (at(v, i) >= '1' && at(v, i) <= '6' && at(v, i + 1) == '0' && !is_word(at(v, i + 2))) {
		static const uint8_t numbered[] = {
			LEVEL_DEBUG, LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARNING, LEVEL_ERROR, LEVEL_CRIT
		};

		return (enum level)numbered[v->s[i] - '1'];
	}
	end = skip_letters(v, i);
	if (end == i || is_word(at(v, end)))
		return LEVEL_NONE;
	word = severity_find(v->s + i, end - i, SEVERITY_VALUE);
	return word ? (enum level)word->level : LEVEL_NONE;
}

/* At an equals sign after a letter. */
static enum level assigned(const struct view *v, size_t i)
{
	size_t start = i;

	while (start && is_key_byte(v->s[start - 1]))
		start--;
	return severity_key(v->s + start, i - start) ? value(v, i + 1) : LEVEL_NONE;
}

/* The first key of that kind decides, wherever words stand in other values. */
static enum level object(const struct view *v)
{
	size_t most = v->length < OBJECT_SCAN ? v->length : OBJECT_SCAN;
	const char *colon = v->s;

	while ((colon = memchr(colon, ':', most - (size_t)(colon - v->s)))) {
		size_t i = (size_t)(colon++ - v->s), end, start;
		char quote;

		while (i && v->s[i - 1] == ' ')
			i--;
		quote = i ? v->s[i - 1] : '\0';
		if (quote != '"' && quote != '\'')
			continue;
		start = end = i - 1;
		while (start && is_key_byte(v->s[start - 1]))
			start--;
		if (start && v->s[start - 1] == quote && severity_key(v->s + start, end - start)) {
			enum level level = value(v, skip_blanks(v, (size_t)(colon - v->s)));

			if (level != LEVEL_NONE)
				return level;
		}
	}
	return LEVEL_NONE;
}

/* ---- beginnings of lines ---- */

static bool fits(char c, char pattern)
{
	switch (pattern) {
	case '9': return is_digit(c);
	case 'A': return is_letter(c);
	default: return c == pattern;
	}
}

/* Whether the bytes at i look like the pattern: 9 is any digit, A any letter. */
static bool looks_like(const struct view *v, size_t i, const char *pattern)
{
	while (*pattern && fits(at(v, i), *pattern)) {
		pattern++;
		i++;
	}
	return !*pattern;
}

/* 812:M 01 Jan 2024 12:00:00.123 * Ready to accept connections */
static enum level redis(const struct view *v)
{
	size_t i = 0;

	while (i < 10 && is_digit(at(v, i)))
		i++;
	if (!looks_like(v, i, ":A 99 AAA 9999 99:99:99.999 ") || at(v, i + 29) != ' ')
		return LEVEL_NONE;
	switch (at(v, i + 28)) {
	case '.': return LEVEL_DEBUG;
	case '-': return LEVEL_INFO;
	case '*': return LEVEL_NOTICE;
	case '#': return LEVEL_WARNING;
	default: return LEVEL_NONE;
	}
}

/* E1120 12:34:56.123456 7 file.cc:8] text, with a year in newer ones; E: text, as apt says it */
static enum level letter(const struct view *v)
{
	bool stamped = looks_like(v, 1, "9999 99:99:99") || looks_like(v, 1, "99999999 99:99:99");
	bool alone = looks_like(v, 1, ": ");

	switch (v->s[0]) {
	case 'I': return stamped ? LEVEL_INFO : LEVEL_NONE;
	case 'W': return stamped || alone ? LEVEL_WARNING : LEVEL_NONE;
	case 'E': return stamped || alone ? LEVEL_ERROR : LEVEL_NONE;
	case 'F': return stamped ? LEVEL_CRIT : LEVEL_NONE;
	default: return LEVEL_NONE;
	}
}

static enum level beginning(const struct view *v)
{
	char c = v->s[0];

	if (is_digit(c))
		return redis(v);
	switch (c) {
	case 'E':
		if (begins(v, 0, "Exception in thread "))
			return LEVEL_ERROR;
		return letter(v);
	case 'F':
	case 'I':
	case 'W':
		return letter(v);
	case 'T':
		return begins(v, 0, "Traceback (most recent call last)") ? LEVEL_ERROR : LEVEL_NONE;
	case 'd': /* sshd -d */
		return looks_like(v, 0, "debug9: ") ? LEVEL_DEBUG : LEVEL_NONE;
	case 'm':
		if (!begins(v, 0, "make: *** ") && !begins(v, 0, "make["))
			return LEVEL_NONE;
		return memmem(v->s, v->length, ": *** ", 6) ? LEVEL_ERROR : LEVEL_NONE;
	case 't': /* Rust */
		return begins(v, 0, "thread '") && memmem(v->s, v->length, "' panicked at ", 14)
			       ? LEVEL_CRIT
			       : LEVEL_NONE;
	default:
		return LEVEL_NONE;
	}
}

/* ---- where to look ---- */

/* Colours, and the erasing sequence that gcc puts behind each, may stand between a word and what
 * makes it count. */
static size_t strip(const char *s, size_t length, char *to)
{
	size_t count = 0;

	if (length > STRIPPED_FROM)
		length = STRIPPED_FROM;
	for (size_t i = 0; i < length; i++) {
		size_t end = i + 2;

		if (s[i] == '\x1b' && end < length && s[i + 1] == '[') {
			while (end < length && s[end] >= '0' && s[end] <= ';')
				end++;
			if (end < length && (s[end] == 'm' || s[end] == 'K')) {
				i = end;
				continue;
			}
		}
		to[count++] = s[i];
	}
	return count;
}

/* <N> up to <191>, as syslog(3) and printk write it: its length, or 0. */
static size_t priority(const char *s, size_t length, enum level *level)
{
	unsigned number = 0;
	size_t i = 1;

	if (length < 3 || s[0] != '<' || (s[1] == '0' && s[2] != '>'))
		return 0;
	while (i < length && i <= 3 && is_digit(s[i]))
		number = number * 10 + (unsigned)(s[i++] - '0');
	if (i == 1 || i == length || s[i] != '>' || number > 191)
		return 0;
	*level = (enum level)(number & 7);
	return i + 1;
}

static bool is_object(const struct view *v)
{
	size_t i = skip_blanks(v, 1);

	return v->s[0] == '{' && (at(v, i) == '"' || at(v, i) == '\'');
}

static enum level search(const struct view *v, uint64_t places)
{
	enum level level = LEVEL_NONE;

	for (; places && level == LEVEL_NONE; places &= places - 1) {
		size_t i = (size_t)__builtin_ctzll(places);

		switch (v->s[i]) {
		case ':': level = before_colon(v, i); break;
		case '=': level = assigned(v, i); break;
		case '[':
		case '(':
		case '<': level = bracketed(v, i); break;
		default: level = capitals(v, i); break;
		}
	}
	return level;
}

enum level infer_level(const char *text, size_t length, enum level preset, size_t *skip)
{
	char stripped[STRIPPED_FROM];
	struct view v = { .s = text, .length = length };
	enum level level = LEVEL_NONE;
	uint64_t places;
	bool colored;

	*skip = priority(text, length, &level);
	if (*skip || !length)
		return *skip ? level : preset;
	places = candidates_find(text, length, &colored);
	if (colored) {
		v.s = stripped;
		v.length = strip(text, length, stripped);
		places = candidates_find(v.s, v.length, &colored);
	}
	if (is_object(&v)) {
		level = object(&v);
	} else {
		level = beginning(&v);
		if (level == LEVEL_NONE)
			level = search(&v, places);
	}
	return level == LEVEL_NONE ? preset : level;
}
