/*
 * parse.c - the small languages of settings.
 *
 * Called where settings and sink specifications are read; must never allocate, look at the locale
 * or accept a value in part.
 */
#include "lib/base/parse.h"

#include <errno.h>
#include <string.h>

enum { LONGEST_WORD = 63 };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_word(const char *a, const char *b)
{
	while (*a && lower(*a) == lower(*b))
		a++, b++;
	return lower(*a) == lower(*b);
}

/* Reads the digits at *s and moves *s behind them. 0, -EINVAL (none), -ERANGE. All digits are read
 * even where they do not fit, so that what follows them can be judged first. */
static int take_digits(const char **s, uint64_t *value)
{
	uint64_t v = 0;
	int error = -EINVAL;

	for (; is_digit(**s); ++*s) {
		if (error == -EINVAL)
			error = 0;
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(**s - '0'), &v))
			error = -ERANGE;
	}
	*value = v;
	return error;
}

int parse_u64(const char *s, uint64_t least, uint64_t most, uint64_t *value)
{
	uint64_t v;
	int error = take_digits(&s, &v);

	if (error == -EINVAL || *s)
		return -EINVAL;
	if (error || v < least || v > most)
		return -ERANGE;
	*value = v;
	return 0;
}

int parse_size(const char *s, uint64_t *bytes)
{
	static const char letters[] = "kmgt";
	uint64_t v;
	unsigned shift = 0;
	int error = take_digits(&s, &v);

	if (error == -EINVAL)
		return error;
	if (*s) {
		const char *letter = strchr(letters, lower(*s));

		if (!letter)
			return -EINVAL;
		shift = (unsigned)(letter - letters + 1) * 10;
		s++;
		if (*s && !same_word(s, "b") && !same_word(s, "ib"))
			return -EINVAL;
	}
	if (error || v > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes = v << shift;
	return 0;
}

static uint64_t unit_ns(const char *unit)
{
	static const struct {
		char name[3];
		uint64_t ns;
	} units[] = {
		{ "ns", 1 },
		{ "us", 1000 },
		{ "ms", 1000000 },
		{ "s", 1000000000 },
		{ "m", 60 * UINT64_C(1000000000) },
		{ "h", 3600 * UINT64_C(1000000000) },
		{ "d", 86400 * UINT64_C(1000000000) },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(unit, units[i].name))
			return units[i].ns;
	return 0;
}

/* Reads ".5" as 5 of 10. Zeros at its end count for nothing; 18 other digits are the most. */
static int take_fraction(const char **s, uint64_t *part, uint64_t *whole)
{
	const char *end;

	*part = 0;
	*whole = 1;
	if (**s != '.')
		return 0;
	++*s;
	for (end = *s; is_digit(*end);)
		end++;
	if (end == *s)
		return -EINVAL;
	const char *last = end;
	while (last > *s && last[-1] == '0')
		last--;
	if (last - *s > 18)
		return -EINVAL;
	for (; *s < last; ++*s) {
		*part = *part * 10 + (uint64_t)(**s - '0');
		*whole *= 10;
	}
	*s = end;
	return 0;
}

int parse_duration(const char *s, uint64_t *ns)
{
	uint64_t v, part, whole, unit, total;
	int error = take_digits(&s, &v);

	if (error == -EINVAL || take_fraction(&s, &part, &whole))
		return -EINVAL;
	unit = unit_ns(s);
	if (!unit && (*s || error || v || part))
		return -EINVAL;
	unsigned __int128 beyond = (unsigned __int128)part * unit;
	/* A fraction of a nanosecond would pass as something else than what was asked for. */
	if (beyond % whole)
		return -EINVAL;
	if (error || __builtin_mul_overflow(v, unit, &total) ||
	    __builtin_add_overflow(total, (uint64_t)(beyond / whole), &total))
		return -ERANGE;
	*ns = total;
	return 0;
}

int parse_percent(const char *s, uint64_t *hundredths)
{
	uint64_t v, part, whole;
	int error = take_digits(&s, &v);

	if (error == -EINVAL || take_fraction(&s, &part, &whole) || strcmp(s, "%") != 0 ||
	    part * 100 % whole)
		return -EINVAL;
	if (error || v > UINT32_MAX)
		return -ERANGE;
	*hundredths = v * 100 + part * 100 / whole;
	return 0;
}

int parse_bool(const char *s, bool *value)
{
	static const char words[][2][6] = {
		{ "1", "0" }, { "yes", "no" }, { "true", "false" }, { "on", "off" }
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (int no = 0; no < 2; no++)
			if (same_word(s, words[i][no])) {
				*value = !no;
				return 0;
			}
	return -EINVAL;
}

/* Whether c is in the set that begins behind '[' at s. Returns the end of the set, or NULL where
 * it has none and '[' therefore stands for itself. */
static const char *match_set(const char *s, unsigned char c, bool *matches)
{
	bool invert = *s == '!', found = false;

	if (invert)
		s++;
	for (bool first = true; *s && (first || *s != ']'); first = false) {
		unsigned char from, to;

		if (*s == '\\' && s[1])
			s++;
		from = to = (unsigned char)*s++;
		if (*s == '-' && s[1] && s[1] != ']') {
			s++;
			if (*s == '\\' && s[1])
				s++;
			to = (unsigned char)*s++;
		}
		found |= c >= from && c <= to;
	}
	*matches = found != invert;
	return *s ? s + 1 : NULL;
}

/* Matches one element other than '*' against c; returns the pattern behind it, or NULL.
 * *unclosed is the first '[' known to have no end: those behind it have none either, and looking
 * for it again and again would cost the square of the pattern. */
static const char *match_one(const char *p, char c, const char **unclosed)
{
	if (*p == '?')
		return p + 1;
	if (*p == '[' && (!*unclosed || p < *unclosed)) {
		bool matches;
		const char *end = match_set(p + 1, (unsigned char)c, &matches);

		if (end)
			return matches ? end : NULL;
		*unclosed = p;
	}
	if (*p == '\\' && p[1])
		p++;
	return *p && *p == c ? p + 1 : NULL;
}

bool parse_glob(const char *pattern, const char *name)
{
	/* Only the last star needs to be tried again: what an earlier one could still take, the last
	 * one can take as well. */
	const char *star = NULL, *resume = NULL, *unclosed = NULL;

	while (*name) {
		const char *next;

		if (*pattern == '*') {
			star = ++pattern;
			resume = name;
		} else if ((next = match_one(pattern, *name, &unclosed))) {
			pattern = next;
			name++;
		} else if (star) {
			pattern = star;
			name = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

static unsigned least_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static unsigned distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	unsigned rows[3][LONGEST_WORD + 1];
	unsigned *before = rows[0], *above = rows[1], *row = rows[2];

	for (unsigned j = 0; j <= b_length; j++)
		above[j] = j;
	for (unsigned i = 1; i <= a_length; i++) {
		row[0] = i;
		for (unsigned j = 1; j <= b_length; j++) {
			char x = lower(a[i - 1]), y = lower(b[j - 1]);

			row[j] = least_of(above[j], row[j - 1]) + 1;
			row[j] = least_of(row[j], above[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
				row[j] = least_of(row[j], before[j - 2] + 1);
		}
		unsigned *oldest = before;
		before = above;
		above = row;
		row = oldest;
	}
	return above[b_length];
}

const char *parse_nearest(const char *word, const char *const *among, size_t count)
{
	size_t length = strnlen(word, LONGEST_WORD + 1);
	unsigned least = (unsigned)(length / 3 ? length / 3 : 1) + 1;
	const char *nearest = NULL;

	if (!length || length > LONGEST_WORD)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t other = strnlen(among[i], LONGEST_WORD + 1);

		if (other > LONGEST_WORD)
			continue;
		unsigned d = distance(word, length, among[i], other);
		if (d < least) {
			least = d;
			nearest = among[i];
		}
	}
	return nearest;
}
