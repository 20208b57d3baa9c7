/*
 * candidates.h - where in a line a severity word may stand, found without looking at words.
 *
 * infer.c's own.
 */
#ifndef HARK_MESSAGE_CANDIDATES_H
#define HARK_MESSAGE_CANDIDATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/message/infer.h"

uint64_t candidates_find(const char *s, size_t length, bool *colored);
	/* A bit for each of the first INFER_SCAN bytes that is the first of two capitals at a word's
	 * beginning, an opening bracket, or a colon or equals sign after a letter.
	 * *colored: an escape character is among them. */

#endif
