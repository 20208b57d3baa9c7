/*
 * values.h - arguments and results of recorded calls, as a VALUES record bears them.
 *
 * Each value is a word (VALUE_WORD) and so many bytes, to the next multiple of four. Numbers have eight
 * bytes, with their sign. Whoever does not know a kind shows its number.
 */
#ifndef HARK_STAMP_VALUES_H
#define HARK_STAMP_VALUES_H

#include <stdint.h>

enum value_kind {
	VALUE_SIGNED = 1,
	VALUE_UNSIGNED,
	VALUE_POINTER,
	VALUE_STRING,     /* its bytes, without the NUL */
	VALUE_CUT,        /* likewise: the first of them */
	VALUE_FD,         /* a descriptor; -100 is AT_FDCWD */
	VALUE_OPEN_FLAGS, /* O_RDONLY and so on, of the machine it was recorded on */
	VALUE_MODE,       /* permissions: octal */
	VALUE_SIGNAL,
	VALUE_ERRNO,      /* why the call failed; 0: it did not */
	VALUE_KINDS
};

/* The detail of a VALUES record. */
enum values_of { VALUES_ARGUMENTS, VALUES_RESULT };

#define VALUE_WORD(kind, bytes) ((uint32_t)(kind) | (uint32_t)(bytes) << 8)
#define VALUE_WORD_KIND(word) ((word) & 255u)
#define VALUE_WORD_BYTES(word) ((word) >> 8)

#endif
