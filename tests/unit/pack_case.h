/*
 * pack_case.h - a directory with files that are packed, for tests of what packs and what reads them.
 */
#ifndef HARK_TESTS_UNIT_PACK_CASE_H
#define HARK_TESTS_UNIT_PACK_CASE_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/profile/pack.h"

struct pack_case {
	char top[64];
	int dir;
};

static inline int pack_case_open(struct pack_case *c)
{
	strcpy(c->top, "/tmp/hark-pack-XXXXXX");
	if (!mkdtemp(c->top))
		return -1;
	c->dir = open(c->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return c->dir < 0 ? -1 : 0;
}

static inline int pack_case_close(struct pack_case *c)
{
	char command[128];

	close(c->dir);
	snprintf(command, sizeof command, "rm -rf %s", c->top);
	return system(command);
}

static inline void pack_case_write(const struct pack_case *c, const char *name, const void *bytes,
				   size_t count)
{
	int fd = openat(c->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, count) != (ssize_t)count || close(fd) != 0)
		abort();
}

/* The caller's, a NUL behind it; NULL: it is not there. */
static inline uint8_t *pack_case_read(const struct pack_case *c, const char *name, size_t *count)
{
	struct stat st;
	int fd = openat(c->dir, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0)
		return NULL;
	*count = (size_t)st.st_size;
	uint8_t *bytes = calloc(1, *count + 1);
	if (!bytes || read(fd, bytes, *count) != (ssize_t)*count)
		abort();
	close(fd);
	return bytes;
}

static inline bool pack_case_there(const struct pack_case *c, const char *name)
{
	return faccessat(c->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Something that looks like records and does not repeat itself, with zeros in between. */
static inline uint8_t *pack_case_bytes(size_t count)
{
	uint8_t *bytes = calloc(1, count);
	uint64_t seed = 88172645463325252;

	for (size_t i = 0; bytes && i < count; i++) {
		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		if (i / 50000 % 3 != 2)
			bytes[i] = (uint8_t)(i % 8 < 2 ? seed : i % 8);
	}
	return bytes;
}

/* From its first step to its last: what the last one said. */
static inline int pack_case_pack(const struct pack_case *c, const char *name, bool unpack)
{
	struct pack pack;
	int rc = pack_begin(&pack, c->dir, name, unpack);

	for (rc = rc ? rc : 1; rc > 0;)
		rc = pack_step(&pack);
	pack_end(&pack);
	return rc;
}

#endif
