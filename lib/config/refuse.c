/*
 * refuse.c - see refuse.h. Only builds text; must never print, and never interpret what it shows.
 */
#include "lib/config/refuse.h"

#include <string.h>

#include "lib/base/parse.h"

enum { WORDS_MOST = 24, WORD_BYTES = 32 };

static void show_byte(struct text *t, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	const char hex[] = { '\\', 'x', digits[c >> 4], digits[c & 15] };

	if (c == '\n')
		text_str(t, "\\n");
	else if (c == '\t')
		text_str(t, "\\t");
	else if (c == '\r')
		text_str(t, "\\r");
	else if (c < 0x20 || c == 0x7f)
		text_bytes(t, hex, sizeof hex);
	else
		text_char(t, (char)c);
}

void refuse_show(struct text *t, const char *value)
{
	size_t length = strlen(value);
	size_t shown = length;

	if (length > REFUSE_SHOWN) {
		shown = REFUSE_SHOWN - 3;
		while (shown && ((unsigned char)value[shown] & 0xc0) == 0x80)
			shown--; /* no half of a UTF-8 character */
	}
	for (size_t i = 0; i < shown; i++) {
		/* U+0080 to U+009F are control characters as well, to some terminals */
		if ((unsigned char)value[i] == 0xc2 && (unsigned char)value[i + 1] >= 0x80 &&
		    (unsigned char)value[i + 1] < 0xa0) {
			show_byte(t, '\\');
			text_str(t, "u00");
			text_hex(t, (unsigned char)value[++i]);
			continue;
		}
		show_byte(t, (unsigned char)value[i]);
	}
	if (shown < length)
		text_str(t, "...");
}

void refuse_nearest(struct text *t, const char *word, const char *const *among, size_t count)
{
	const char *nearest = parse_nearest(word, among, count);

	if (!nearest)
		return;
	text_str(t, " did you mean \"");
	text_str(t, nearest);
	text_str(t, "\"?");
}

static size_t words_in(const char *list, char words[WORDS_MOST][WORD_BYTES])
{
	size_t count = 0;

	while (*list && count < WORDS_MOST) {
		static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
		size_t length = strcspn(list, ",");
		if (length < WORD_BYTES && strspn(list, letters) == length) {
			memcpy(words[count], list, length);
			words[count++][length] = '\0';
		}
		list += length;
		list += strspn(list, ", ");
	}
	return count;
}

void refuse_value(struct text *t, const char *value, const char *wrong, const char *accepted)
{
	char words[WORDS_MOST][WORD_BYTES];
	const char *among[WORDS_MOST];
	size_t count = words_in(accepted, words);

	for (size_t i = 0; i < count; i++)
		among[i] = words[i];
	text_str(t, wrong);
	text_char(t, ';');
	refuse_nearest(t, value, among, count);
	text_str(t, " accepted: ");
	text_str(t, accepted);
}
