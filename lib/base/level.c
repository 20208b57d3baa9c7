/*
 * level.c - severities and their names.
 *
 * Called on both sides of the ring; must never allocate, look at the locale or touch errno.
 */
#include "lib/base/level.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

static const char names[LEVEL_NR][8] = {
	"emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"
};

static const struct synonym {
	char word[12];
	signed char level;
} synonyms[] = {
	{ "err", LEVEL_ERROR },
	{ "warn", LEVEL_WARNING },
	{ "panic", LEVEL_EMERG },
	{ "critical", LEVEL_CRIT },
	{ "emergency", LEVEL_EMERG },
	{ "fatal", LEVEL_CRIT },
	{ "verbose", LEVEL_DEBUG },
	{ "regular", LEVEL_INFO },
	{ "quiet", LEVEL_WARNING },
	{ "none", LEVEL_NONE },
};

const char *level_name(enum level level)
{
	return (unsigned)level < LEVEL_NR ? names[level] : "none";
}

static bool same(const char *given, const char *lower)
{
	size_t i = 0;

	for (; given[i] && lower[i]; i++) {
		char c = given[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c != lower[i])
			return false;
	}
	return given[i] == lower[i];
}

int level_parse(const char *word, enum level *level)
{
	for (int i = 0; i < LEVEL_NR; i++)
		if (same(word, names[i])) {
			*level = (enum level)i;
			return 0;
		}
	for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++)
		if (same(word, synonyms[i].word)) {
			*level = (enum level)synonyms[i].level;
			return 0;
		}
	return -EINVAL;
}
