/*
 * severity.c - the words that programs use for levels: the one list.
 *
 * Called by infer.c for what looks like such a word, mostly in vain.
 */
#include "lib/message/severity.h"

#include <string.h>

#include "lib/base/level.h"

enum {
	CAPITALS = SEVERITY_CAPITALS,
	CAPITALS_COLON = SEVERITY_CAPITALS_COLON,
	BRACKETS = SEVERITY_BRACKETS,
	COLON = SEVERITY_COLON,
	VALUE = SEVERITY_VALUE,
	ANY = CAPITALS | BRACKETS | COLON | VALUE,
	SET_OFF = CAPITALS | BRACKETS | VALUE
};

/* The words, in lower case. Where one stands twice, the first that fits counts. */
#define WORDS(X)                                                 \
	X("error", LEVEL_ERROR, ANY)                             \
	X("warn", LEVEL_WARNING, ANY)                            \
	X("warning", LEVEL_WARNING, ANY)                         \
	X("info", LEVEL_INFO, ANY)                               \
	X("debug", LEVEL_DEBUG, ANY)                             \
	X("trace", LEVEL_DEBUG, ANY)                             \
	X("notice", LEVEL_NOTICE, ANY)                           \
	X("fatal", LEVEL_CRIT, SET_OFF)                          \
	X("fatal", LEVEL_ERROR, COLON)                           \
	X("panic", LEVEL_CRIT, ANY)                              \
	X("critical", LEVEL_CRIT, ANY)                           \
	X("crit", LEVEL_CRIT, ANY)                               \
	X("alert", LEVEL_ALERT, SET_OFF)                         \
	X("emerg", LEVEL_EMERG, SET_OFF)                         \
	X("emergency", LEVEL_EMERG, SET_OFF)                     \
	X("severe", LEVEL_ERROR, ANY)                            \
	X("err", LEVEL_ERROR, SET_OFF)                           \
	X("eror", LEVEL_ERROR, VALUE)                            \
	X("wrn", LEVEL_WARNING, SET_OFF)                         \
	X("dbg", LEVEL_DEBUG, SET_OFF)                           \
	X("dbug", LEVEL_DEBUG, COLON | VALUE)                    \
	X("trc", LEVEL_DEBUG, SET_OFF)                           \
	X("ftl", LEVEL_CRIT, SET_OFF)                            \
	X("inf", LEVEL_INFO, BRACKETS | VALUE)                   \
	X("note", LEVEL_INFO, BRACKETS)                          \
	X("information", LEVEL_INFO, BRACKETS | VALUE)           \
	X("informational", LEVEL_INFO, BRACKETS | VALUE)         \
	X("verbose", LEVEL_DEBUG, SET_OFF)                       \
	X("dpanic", LEVEL_CRIT, VALUE)                           \
	X("log", LEVEL_INFO, CAPITALS_COLON)                     \
	X("config", LEVEL_INFO, CAPITALS_COLON)                  \
	X("fine", LEVEL_DEBUG, CAPITALS_COLON)                   \
	X("finer", LEVEL_DEBUG, CAPITALS_COLON)                  \
	X("finest", LEVEL_DEBUG, CAPITALS_COLON)

static const struct severity words[] = {
#define ROW(text, level, forms) { text, sizeof(text) - 1, level, forms },
	WORDS(ROW)
};

/* in lower case */
static const char keys[][12] = {
	"level", "lvl", "severity", "levelname", "loglevel", "log_level", "log.level", "@l"
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Most words are none of ours, and are known so by their first letter and length. */
#define WORD_BIT(first, length) (1ULL << (((first) * 5 + (length) * 9) & 63))

const struct severity *severity_find(const char *s, size_t length, unsigned forms)
{
#define BIT(text, level, forms) | WORD_BIT(text[0], sizeof(text) - 1)
	const uint64_t known = 0 WORDS(BIT);
	char lowered[SEVERITY_MOST];

	if (length < 2 || length > SEVERITY_MOST || !(known & WORD_BIT(lower(s[0]), length)))
		return NULL;
	for (size_t i = 0; i < length; i++)
		lowered[i] = lower(s[i]);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].length == length && words[i].forms & forms &&
		    !memcmp(words[i].text, lowered, length))
			return &words[i];
	return NULL;
}

bool severity_key(const char *s, size_t length)
{
	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
		size_t i = 0;

		while (i < length && keys[k][i] && lower(s[i]) == keys[k][i])
			i++;
		if (i == length && !keys[k][i])
			return true;
	}
	return false;
}

