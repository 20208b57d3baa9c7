/*
 * escape.c - the notations in which formats write arbitrary bytes.
 *
 * Called by the format_*.c for whatever a program said; must never write beyond out, and never let
 * through what would end a frame.
 */
#include "lib/format/escape.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

#ifdef __SSE2__

/* Blocks of 16; the block that holds the first other byte is copied whole, since what lies behind
 * that byte is written over. *stopped: that byte was met. */
static size_t copy_blocks(char *to, const char *s, size_t count, bool *stopped)
{
	const __m128i space = _mm_set1_epi8(0x20), quote = _mm_set1_epi8('"');
	const __m128i backslash = _mm_set1_epi8('\\'), del = _mm_set1_epi8(0x7f);
	size_t i = 0;

	for (; count - i >= 16; i += 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)(s + i));
		/* The comparison is signed: bytes from 0x80 up count as below the space too. */
		__m128i low = _mm_or_si128(_mm_cmplt_epi8(x, space), _mm_cmpeq_epi8(x, del));
		__m128i marks = _mm_or_si128(_mm_cmpeq_epi8(x, quote),
					     _mm_cmpeq_epi8(x, backslash));
		unsigned stops = (unsigned)_mm_movemask_epi8(_mm_or_si128(low, marks));

		_mm_storeu_si128((__m128i *)(void *)(to + i), x);
		if (stops) {
			*stopped = true;
			return i + (size_t)__builtin_ctz(stops);
		}
	}
	return i;
}

#else

static size_t copy_blocks(char *to, const char *s, size_t count, bool *stopped)
{
	(void)to, (void)s, (void)count, (void)stopped;
	return 0;
}

#endif

/* The high bit of each byte of x that equals the byte c, which is below 0x80; bits above the first
 * such byte may be wrong. */
static uint64_t equals(uint64_t x, uint8_t c)
{
	const uint64_t ones = UINT64_MAX / 255;

	x ^= ones * c;
	return (x - ones) & ~x;
}

static bool eight_plain(uint64_t x)
{
	const uint64_t ones = UINT64_MAX / 255;
	uint64_t stops = x | (x - ones * 0x20) | equals(x, '"') | equals(x, '\\') | equals(x, 0x7f);

	return !(stops & ones * 0x80);
}

size_t escape_copy(char *to, const char *s, size_t count)
{
	bool stopped = false;
	size_t i = copy_blocks(to, s, count, &stopped);

	if (stopped)
		return i;
	for (; count - i >= 8; i += 8) {
		uint64_t x;

		memcpy(&x, s + i, 8);
		if (!eight_plain(x))
			break;
		memcpy(to + i, &x, 8);
	}
	for (; i < count && is_plain((unsigned char)s[i]); i++)
		to[i] = s[i];
	return i;
}

/* Unicode, table 3-7: what may follow the first byte. Only the second byte has narrower limits. */
size_t escape_utf8(const char *s, size_t count, uint32_t *point)
{
	const unsigned char *u = (const unsigned char *)s;
	unsigned char least = 0x80, most = 0xbf;
	size_t length;

	*point = u[0];
	if (u[0] < 0x80)
		return 1;
	if (u[0] >= 0xc2 && u[0] <= 0xdf)
		length = 2;
	else if (u[0] >= 0xe0 && u[0] <= 0xef)
		length = 3;
	else if (u[0] >= 0xf0 && u[0] <= 0xf4)
		length = 4;
	else
		length = 0;
	if (!length) {
		*point = ESCAPE_INVALID;
		return 1;
	}
	if (u[0] == 0xe0)
		least = 0xa0;
	else if (u[0] == 0xed)
		most = 0x9f;
	else if (u[0] == 0xf0)
		least = 0x90;
	else if (u[0] == 0xf4)
		most = 0x8f;
	uint32_t value = u[0] & (0x7fU >> length);
	for (size_t i = 1; i < length; i++) {
		if (i == count || u[i] < least || u[i] > most) {
			*point = ESCAPE_INVALID;
			return i;
		}
		value = value << 6 | (u[i] & 0x3f);
		least = 0x80;
		most = 0xbf;
	}
	*point = value;
	return length;
}

void escape_replacement(struct text *out)
{
	text_bytes(out, "\xef\xbf\xbd", 3);
}

bool escape_deceives(uint32_t point)
{
	return (point >= 0x80 && point < 0xa0) || (point >= 0x2028 && point <= 0x202e) ||
	       (point >= 0x2066 && point <= 0x2069);
}

void escape_tame(char *text)
{
	size_t left = strlen(text);

	while (left) {
		uint32_t point;
		size_t length = escape_utf8(text, left, &point);

		if (point < 0x20 || point == 0x7f || point == ESCAPE_INVALID ||
		    escape_deceives(point))
			memset(text, '?', length);
		text += length;
		left -= length;
	}
}

static bool has_room(struct text *out, size_t count, size_t most)
{
	if ((out->cap - out->len) / most >= count)
		return true;
	out->cut = true;
	return false;
}

static size_t copy_run(struct text *out, const char *s, size_t count)
{
	size_t run = escape_copy(out->at + out->len, s, count);

	out->len += run;
	return run;
}

static void json_control(struct text *out, unsigned c)
{
	static const char letters[] = "btn\0fr"; /* of 8 to 13; 11 has none */

	text_char(out, '\\');
	if (c >= 8 && c <= 13 && letters[c - 8]) {
		text_char(out, letters[c - 8]);
		return;
	}
	text_bytes(out, "u00", 3);
	text_char(out, "0123456789abcdef"[c >> 4 & 15]);
	text_char(out, "0123456789abcdef"[c & 15]);
}

void escape_json(struct text *out, const char *s, size_t count)
{
	if (!has_room(out, count, ESCAPE_JSON_MOST))
		return;
	for (size_t i = 0; (i += copy_run(out, s + i, count - i)) < count;) {
		uint32_t point;
		size_t length = escape_utf8(s + i, count - i, &point);

		if (point == ESCAPE_INVALID) {
			text_bytes(out, "\\ufffd", 6);
		} else if (point < 0x20 || (point >= 0x7f && point < 0xa0)) {
			json_control(out, point);
		} else {
			if (length == 1)
				text_char(out, '\\');
			text_bytes(out, s + i, length);
		}
		i += length;
	}
}

static void octal(struct text *out, const char *s, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		unsigned char c = (unsigned char)s[i];

		text_char(out, '#');
		text_char(out, (char)('0' + (c >> 6)));
		text_char(out, (char)('0' + (c >> 3 & 7)));
		text_char(out, (char)('0' + (c & 7)));
	}
}

static size_t next_bracket(const char *s, size_t from, size_t count)
{
	const char *bracket = from < count ? memchr(s + from, ']', count - from) : NULL;

	return bracket ? (size_t)(bracket - s) : count;
}

void escape_syslog(struct text *out, const char *s, size_t count, bool parameter)
{
	/* Where the plain copy must stop although a bracket is plain to it. */
	size_t stop = parameter ? next_bracket(s, 0, count) : count;

	if (!has_room(out, count, ESCAPE_SYSLOG_MOST))
		return;
	for (size_t i = 0; (i += copy_run(out, s + i, stop - i)) < count;) {
		uint32_t point;
		size_t length = escape_utf8(s + i, count - i, &point);

		if (point == ESCAPE_INVALID) {
			escape_replacement(out);
		} else if (point < 0x20 || (point >= 0x7f && point < 0xa0)) {
			octal(out, s + i, length);
		} else {
			if (parameter && length == 1)
				text_char(out, '\\');
			text_bytes(out, s + i, length);
		}
		i += length;
		if (i > stop)
			stop = next_bracket(s, i, count);
	}
}

void escape_line(struct text *out, const char *s, size_t count)
{
	const char *newline;

	while (count && (newline = memchr(s, '\n', count))) {
		size_t run = (size_t)(newline - s);

		text_bytes(out, s, run);
		text_bytes(out, "\\n", 2);
		s += run + 1;
		count -= run + 1;
	}
	text_bytes(out, s, count);
}
