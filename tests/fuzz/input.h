/*
 * input.h - what a fuzz target was given, taken piece by piece: numbers from its beginning on, and zeros
 * behind its end.
 */
#ifndef HARK_TESTS_FUZZ_INPUT_H
#define HARK_TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static struct input {
	const uint8_t *at, *end;
} input;

static inline uint64_t take(size_t bytes)
	/* of up to 8 bytes */
{
	uint64_t value = 0;
	size_t left = (size_t)(input.end - input.at), taken = bytes < left ? bytes : left;

	memcpy(&value, input.at, taken);
	input.at += taken;
	return value;
}

#endif
