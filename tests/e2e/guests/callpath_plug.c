/* callpath_plug.c - a library that callpath.c loads later, and that complains. */
#include <stdio.h>

void plugged_in(void);

void plugged_in(void)
{
	fprintf(stderr, "error: said by a plugin\n");
	__asm__ volatile("" ::: "memory");
}
