/*
 * array.h - arrays that grow by one element at a time.
 */
#ifndef HARK_BASE_ARRAY_H
#define HARK_BASE_ARRAY_H

#include <stddef.h>
#include <stdlib.h>

/* The array with room for one more than its count elements of size bytes each, perhaps elsewhere; to be
 * freed by the caller. It grows in steps that double, so that nobody has to keep how long it is: count
 * must be what it was grown to, one by one. NULL: no memory, and the array is as it was. */
static inline void *array_grown(void *array, size_t count, size_t size)
{
	return count & (count - 1) ? array : reallocarray(array, count ? count * 2 : 1, size);
}

#endif
