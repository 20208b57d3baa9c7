/*
 * histogram.h - how many of each duration: 32 buckets for each power of two, so within 3 %.
 *
 * For table.c. A power of two takes memory when something falls into it.
 */
#ifndef HARK_PROFILE_HISTOGRAM_H
#define HARK_PROFILE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BITS = 5, HISTOGRAM_BUCKETS = 1 << HISTOGRAM_BITS, HISTOGRAM_POWERS = 60 };

struct histogram {
	uint64_t *power[HISTOGRAM_POWERS]; /* of HISTOGRAM_BUCKETS each, or NULL */
};

int histogram_grow(struct histogram *histogram, unsigned power);
	/* 0 or -ENOMEM */
void histogram_fini(struct histogram *histogram);
uint64_t histogram_quantile(const struct histogram *histogram, uint64_t count, double share);
	/* A value that `share` of all `count` are not above: the middle of a bucket. 0: there are none. */

static inline int histogram_add(struct histogram *histogram, uint64_t value, uint64_t count)
	/* 0 or -ENOMEM */
{
	/* power 0 holds the values below 32, each in a bucket; power p those from 32 << (p - 1) on */
	unsigned power = value < HISTOGRAM_BUCKETS ?
				 0 :
				 (unsigned)(63 - __builtin_clzll(value)) - (HISTOGRAM_BITS - 1);
	unsigned bucket =
		(unsigned)(value >> (power ? power - 1 : 0)) & (HISTOGRAM_BUCKETS - 1);

	if (__builtin_expect(!histogram->power[power], 0) && histogram_grow(histogram, power) != 0)
		return -1;
	histogram->power[power][bucket] += count;
	return 0;
}

#endif
