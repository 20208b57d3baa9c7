/*
 * words.c - see words.h.
 */
#include "lib/sample/words.h"

#include <elf.h>
#include <string.h>

enum { GROUP = 64 };

#if defined(__aarch64__)
enum { MACHINE = EM_AARCH64 };
#else
enum { MACHINE = EM_X86_64 };
#endif

/* Where there was no room for it, a piece is empty. */
static bool expand(uint64_t *words, const struct record_stack_piece *piece, const char *from,
		   size_t count, size_t *bytes)
{
	size_t masks = piece->words / GROUP, kept_words = piece->kept, used = 0;

	*bytes = (masks + kept_words) * sizeof(uint64_t);
	if (piece->words > RECORD_STACK_WORDS || piece->words % GROUP || *bytes > count)
		return false;
	const char *kept = from + masks * sizeof(uint64_t);
	for (size_t g = 0; g < masks; g++) {
		uint64_t mask;
		memcpy(&mask, from + g * sizeof mask, sizeof mask);
		for (unsigned i = 0; i < GROUP; i++) {
			uint64_t *word = &words[g * GROUP + i];
			*word = 0;
			if (mask >> i & 1 && used < kept_words)
				memcpy(word, kept + used++ * sizeof *word, sizeof *word);
		}
	}
	return true;
}

bool words_read(struct words *w, const void *bytes, size_t count, uint64_t known,
		struct unwind_stack *s)
{
	const char *from = bytes;
	struct record_stack head;

	if (count < sizeof head)
		return false;
	memcpy(&head, bytes, sizeof head);
	if (head.machine != MACHINE || head.pieces < 1 || head.pieces > RECORD_STACK_PIECES)
		return false;
	size_t at = sizeof head, n;
	for (unsigned i = 0; i < head.pieces; i++) {
		if (!expand(w->word[i], &head.piece[i], from + at, count - at, &n))
			return false;
		at += n;
	}
	*s = (struct unwind_stack){ .known = known, .pc = head.pc, .bytes = w->word[0],
				    .address = head.piece[0].address,
				    .count = head.piece[0].words * sizeof(uint64_t) };
	memcpy(s->reg, head.reg, sizeof head.reg);
	if (head.pieces > 1) {
		s->other.bytes = w->word[1];
		s->other.address = head.piece[1].address;
		s->other.count = head.piece[1].words * sizeof(uint64_t);
	}
	return true;
}
