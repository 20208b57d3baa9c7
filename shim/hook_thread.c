/*
 * hook_thread.c - where threads begin: one that samples itself has a timer from its first instruction on.
 */
#include <threads.h>

#include "shim/real.h"
#include "shim/sample.h"

HOOKED int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*routine)(void *), void *argument)
{
	struct sample_start *start = sample_on() ? sample_prepare(routine, argument) : NULL;

	if (__builtin_expect(!start, 1))
		return REAL(pthread_create)(thread, attributes, routine, argument);
	int error = REAL(pthread_create)(thread, attributes, sample_thread, start);
	if (error)
		sample_forget(start);
	return error;
}

/* Its routine returns a number where the other one's returns a pointer: in the same register. */
HOOKED int thrd_create(thrd_t *thread, thrd_start_t routine, void *argument)
{
	struct sample_start *start = NULL;

	if (sample_on())
		start = sample_prepare((void *(*)(void *))(void *)routine, argument);
	if (__builtin_expect(!start, 1))
		return REAL(thrd_create)(thread, routine, argument);
	int result = REAL(thrd_create)(thread, (thrd_start_t)(void *)sample_thread, start);
	if (result != thrd_success)
		sample_forget(start);
	return result;
}
