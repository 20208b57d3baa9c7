/*
 * histogram.c - see histogram.h.
 */
#include "lib/profile/histogram.h"

#include <errno.h>
#include <stdlib.h>

int histogram_grow(struct histogram *histogram, unsigned power)
{
	histogram->power[power] = calloc(HISTOGRAM_BUCKETS, sizeof(uint64_t));
	return histogram->power[power] ? 0 : -ENOMEM;
}

void histogram_fini(struct histogram *histogram)
{
	for (unsigned i = 0; i < HISTOGRAM_POWERS; i++)
		free(histogram->power[i]);
	*histogram = (struct histogram){ .power = { NULL } };
}

static uint64_t middle(unsigned power, unsigned bucket)
{
	if (power == 0)
		return bucket;
	uint64_t width = UINT64_C(1) << (power - 1);
	return (HISTOGRAM_BUCKETS + bucket) * width + width / 2;
}

uint64_t histogram_quantile(const struct histogram *histogram, uint64_t count, double share)
{
	double exact = (double)count * share;
	uint64_t want = (uint64_t)exact, seen = 0;

	want += (double)want < exact || want == 0;
	for (unsigned p = 0; count && p < HISTOGRAM_POWERS; p++)
		for (unsigned b = 0; histogram->power[p] && b < HISTOGRAM_BUCKETS; b++) {
			seen += histogram->power[p][b];
			if (seen >= want)
				return middle(p, b);
		}
	return 0;
}
