/*
 * solo.h - what is atomic against the signal handlers of one's own thread, and against nothing else.
 *
 * One instruction cannot be interrupted in its midst, so it needs no lock prefix, which would cost
 * more than all the rest of a stamp.
 */
#ifndef HARK_BASE_SOLO_H
#define HARK_BASE_SOLO_H

#include <stdbool.h>
#include <stdint.h>

static inline uint8_t *solo_take(uint8_t **at, uintptr_t bytes)
	/* *at += bytes; what it was before */
{
#if defined(__x86_64__)
	__asm__ volatile("xaddq %0, %1" : "+r"(bytes), "+m"(*at) : : "cc");
	return (uint8_t *)bytes;
#else
	return __atomic_fetch_add(at, bytes, __ATOMIC_RELAXED);
#endif
}

static inline bool solo_give(uint8_t **at, uint8_t *from, uint8_t *to)
	/* *at = to, if it is `from` still. Whether it was. */
{
#if defined(__x86_64__)
	bool given;

	__asm__ volatile("cmpxchgq %3, %1"
			 : "+a"(from), "+m"(*at), "=@ccz"(given)
			 : "r"(to)
			 : "memory");
	return given;
#else
	return __atomic_compare_exchange_n(at, &from, to, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
#endif
}

#endif
