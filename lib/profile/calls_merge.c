/*
 * calls_merge.c - see calls.h. All threads in the order of time.
 */
#include "lib/profile/calls_inside.h"

int calls_merge(struct calls *calls, const struct calls_visitor *visitor, void *arg)
{
	return calls_walk(calls, visitor, arg);
}
