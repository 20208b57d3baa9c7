/*
 * words.h - the stack in a record of the ring (struct record_stack, lib/ring/record.h), as unwind() takes it.
 *
 * For messages' call paths and for samples that were taken from inside. The bytes may be anything.
 */
#ifndef HARK_SAMPLE_WORDS_H
#define HARK_SAMPLE_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/image/unwind.h"
#include "lib/ring/record.h"

struct words {
	uint64_t word[RECORD_STACK_PIECES][RECORD_STACK_WORDS];
};

/* Registers that keep their value over calls; of a message's stack the others are not known. */
#if defined(__aarch64__)
#define WORDS_KEPT (UINT64_C(0xfff80000) | UINT64_C(1) << UNWIND_SP)
#define WORDS_ALL UINT64_C(0xffffffff)
#else
#define WORDS_KEPT (UINT64_C(1) << 3 | 1 << 6 | 1 << 7 | 15 << 12)
#define WORDS_ALL UINT64_C(0xffff)
#endif

bool words_read(struct words *words, const void *bytes, size_t count, uint64_t known,
		struct unwind_stack *stack);
	/* The stack lies in `words`, until the next call. known: a bit for each register that the writer has
	 * put there. false: there is no stack of this machine. */

#endif
