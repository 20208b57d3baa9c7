/*
 * copy.h - the bytes of records, written and read while others may look.
 *
 * append.c's, reader.c's and recycle.c's own. Someone who comes a lap late takes whatever is in a
 * recycled piece for a claim: he loads a word of it, or fails to swap it, and finds out. In the terms
 * of C these are races unless the owner's accesses are atomic as well. Relaxed ones of single fields
 * are what the compiler makes anyway. For stretches it would give up wide moves, for the sake of
 * values that nobody keeps; so these are atomic only where the thread sanitizer looks on.
 */
#ifndef HARK_RING_COPY_H
#define HARK_RING_COPY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define COPY_BY_WORDS
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define COPY_BY_WORDS
#endif

#define COPY_STORE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define COPY_LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

#ifdef COPY_BY_WORDS

static inline void copy_in(char *to, const char *from, size_t bytes)
{
	for (; bytes; bytes--)
		COPY_STORE(*to++, *from++);
}

static inline void copy_out(char *to, const char *from, size_t bytes)
{
	for (; bytes; bytes--)
		*to++ = COPY_LOAD(*from++);
}

static inline void copy_word_all_over(uint64_t *to, size_t words, uint64_t word)
{
	for (; words; words--)
		COPY_STORE(*to++, word);
}

#else

static inline void copy_in(char *to, const char *from, size_t bytes)
{
	memcpy(to, from, bytes);
}

static inline void copy_out(char *to, const char *from, size_t bytes)
{
	memcpy(to, from, bytes);
}

static inline void copy_word_all_over(uint64_t *to, size_t words, uint64_t word)
{
	for (size_t i = 0; i < words; i++)
		to[i] = word;
}

#endif
#endif
