/*
 * real.c - see real.h.
 */
#include "shim/real.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "shim/libc.h"

struct real real;

enum { EARLY, LATE };

#define HOOK(result, name, parameters, when) \
	{ #name, offsetof(struct real, name), (when) == EARLY },
#define HOOK_ALIAS(name, of)
static const struct {
	const char *name;
	size_t offset;
	bool early;
} rows[] = {
#include "shim/hooks.def"
};
#undef HOOK
#undef HOOK_ALIAS

static long nowhere(void)
{
	errno = ENOSYS;
	return -1;
}

void *real_resolve(enum real_index which)
{
	int saved = errno;
	void **slot = (void **)(void *)((char *)&real + rows[which].offset);
	void *found = dlsym(RTLD_NEXT, rows[which].name);

	if (!found)
		found = (void *)nowhere;
	__atomic_store_n(slot, found, __ATOMIC_RELAXED);
	errno = saved;
	return found;
}

void *real_of_libc(const char *name, const char *since)
{
	int saved = errno;
	void *found = libc_is_gnu() ? dlvsym(RTLD_NEXT, name, since) : NULL;

	errno = saved;
	return found;
}

void real_resolve_early(void)
{
	for (unsigned i = 0; i < REAL_NR; i++)
		if (rows[i].early)
			real_resolve(i);
}
