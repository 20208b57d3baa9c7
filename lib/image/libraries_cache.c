/*
 * libraries_cache.c - see libraries_cache.h. Called by libraries.c; every offset in the file is checked.
 */
#include "lib/image/libraries_cache.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CACHE_MOST = 64 << 20 };

#define MAGIC "glibc-ld.so.cache1.1"

/* as they stand in the file */
struct head {
	char magic[sizeof MAGIC - 1];
	uint32_t entries, strings_bytes;
	uint8_t flags, padding[3];
	uint32_t extension, unused[3];
};

struct entry {
	int32_t flags;
	uint32_t name, path;     /* from the head on */
	uint32_t os_version;
	uint64_t hwcap;          /* 0: for every processor */
};

_Static_assert(sizeof(struct head) == 48 && sizeof(struct entry) == 24, "the file's layout");

static bool find_head(struct libraries_cache *c, size_t bytes)
{
	struct head head;
	const char *at = memmem(c->bytes, bytes, MAGIC, sizeof MAGIC - 1);

	if (!at || bytes - (size_t)(at - c->bytes) < sizeof head)
		return false;
	memcpy(&head, at, sizeof head);
	c->start = (size_t)(at - c->bytes);
	c->count = bytes - c->start;
	c->entries = head.entries;
	return head.entries <= (c->count - sizeof head) / sizeof(struct entry);
}

void libraries_cache_open(struct libraries_cache *c, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t bytes = 0;
	struct stat st;
	ssize_t n = 0;

	*c = (struct libraries_cache){ .bytes = NULL };
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
	    st.st_size <= CACHE_MOST)
		c->bytes = malloc((size_t)st.st_size + 1);
	while (c->bytes && bytes < (size_t)st.st_size &&
	       (n = read(fd, c->bytes + bytes, (size_t)st.st_size - bytes)) > 0)
		bytes += (size_t)n;
	close(fd);
	if (!c->bytes)
		return;
	c->bytes[bytes] = '\0';
	if (!find_head(c, bytes))
		libraries_cache_close(c);
}

const char *libraries_cache_next(const struct libraries_cache *c, const char *name, size_t *at)
{
	const char *base = c->bytes ? c->bytes + c->start : NULL;
	struct entry entry;

	while (*at < c->entries) {
		memcpy(&entry, base + sizeof(struct head) + *at * sizeof entry, sizeof entry);
		++*at;
		if (entry.hwcap == 0 && entry.name < c->count && entry.path < c->count &&
		    strcmp(base + entry.name, name) == 0)
			return base + entry.path;
	}
	return NULL;
}

void libraries_cache_close(struct libraries_cache *c)
{
	free(c->bytes);
	*c = (struct libraries_cache){ .bytes = NULL };
}
