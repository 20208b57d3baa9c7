/*
 * candidates.c - where in a line a severity word may stand, found without looking at words.
 *
 * Called by infer.c for every line: no branches but for the length.
 */
#include "lib/message/candidates.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* A bit for each of the first INFER_SCAN bytes. */
struct masks {
	uint64_t upper, letter, word; /* word: letters, digits, _ */
	uint64_t open;                /* [ ( < */
	uint64_t colon, equals, escape;
};

#ifdef __SSE2__

static uint64_t bits(__m128i x)
{
	return (uint64_t)(unsigned)_mm_movemask_epi8(x);
}

/* The bytes from `least` on, `count` of them: moved to the lowest signed values, then compared. */
static __m128i in_range(__m128i x, char least, int count)
{
	x = _mm_add_epi8(x, _mm_set1_epi8((char)(-128 - least)));
	return _mm_cmplt_epi8(x, _mm_set1_epi8((char)(-128 + count)));
}

static void look(const char s[INFER_SCAN], struct masks *m)
{
	*m = (struct masks){ 0 };
	for (unsigned i = 0; i < INFER_SCAN; i += 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)(s + i));
		__m128i letter = in_range(_mm_or_si128(x, _mm_set1_epi8(0x20)), 'a', 26);
		__m128i digit = in_range(x, '0', 10);
		__m128i open = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('[')),
					    _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('(')),
							 _mm_cmpeq_epi8(x, _mm_set1_epi8('<'))));
		__m128i word = _mm_or_si128(_mm_or_si128(letter, digit),
					    _mm_cmpeq_epi8(x, _mm_set1_epi8('_')));

		m->upper |= bits(in_range(x, 'A', 26)) << i;
		m->letter |= bits(letter) << i;
		m->word |= bits(word) << i;
		m->open |= bits(open) << i;
		m->colon |= bits(_mm_cmpeq_epi8(x, _mm_set1_epi8(':'))) << i;
		m->equals |= bits(_mm_cmpeq_epi8(x, _mm_set1_epi8('='))) << i;
		m->escape |= bits(_mm_cmpeq_epi8(x, _mm_set1_epi8('\x1b'))) << i;
	}
}

#else

static void look(const char s[INFER_SCAN], struct masks *m)
{
	*m = (struct masks){ 0 };
	for (unsigned i = 0; i < INFER_SCAN; i++) {
		char c = s[i];

		bool upper = c >= 'A' && c <= 'Z';
		bool letter = upper || (c >= 'a' && c <= 'z');

		m->upper |= (uint64_t)upper << i;
		m->letter |= (uint64_t)letter << i;
		m->word |= (uint64_t)(letter || (c >= '0' && c <= '9') || c == '_') << i;
		m->open |= (uint64_t)(c == '[' || c == '(' || c == '<') << i;
		m->colon |= (uint64_t)(c == ':') << i;
		m->equals |= (uint64_t)(c == '=') << i;
		m->escape |= (uint64_t)(c == '\x1b') << i;
	}
}

#endif

uint64_t candidates_find(const char *s, size_t length, bool *colored)
{
	struct masks m;

	if (length >= INFER_SCAN) {
		look(s, &m);
	} else {
		char padded[INFER_SCAN] = { 0 };

		memcpy(padded, s, length);
		look(padded, &m);
	}
	*colored = m.escape != 0;
	return (m.upper & (m.upper >> 1) & ~(m.word << 1)) | m.open |
	       ((m.colon | m.equals) & (m.letter << 1));
}
