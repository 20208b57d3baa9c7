/*
 * libraries_cache.h - /etc/ld.so.cache, which ldconfig(8) makes: where a library of this machine is.
 *
 * The layout is that of glibc since 2.2 ("glibc-ld.so.cache1.1"), alone or behind the older one.
 */
#ifndef HARK_IMAGE_LIBRARIES_CACHE_H
#define HARK_IMAGE_LIBRARIES_CACHE_H

#include <stddef.h>
#include <stdint.h>

#define LIBRARIES_CACHE "/etc/ld.so.cache"

struct libraries_cache {
	char *bytes;             /* all of it, and a NUL behind; NULL: none */
	size_t start, count;     /* of the new part: where it begins, its bytes */
	uint32_t entries;
};

void libraries_cache_open(struct libraries_cache *cache, const char *path);
	/* What cannot be read or makes no sense is an empty one. */
const char *libraries_cache_next(const struct libraries_cache *cache, const char *name, size_t *at);
	/* The next path under this name from entry *at on, which moves past it; NULL: there is none.
	 * Without those for some processors alone (glibc-hwcaps). Of the cache. */
void libraries_cache_close(struct libraries_cache *cache);

#endif
