/*
 * names.h - the functions of a trace, each once: by image, module and offset, as records name them.
 *
 * For calls_*.c and edges.c. The same function of the same file is one, whatever image it ran in and
 * wherever it was loaded.
 */
#ifndef HARK_PROFILE_NAMES_H
#define HARK_PROFILE_NAMES_H

#include "lib/base/filter.h"
#include "lib/profile/calls.h"

/* What a filter says of a function. */
enum { NAMES_HIDDEN = 1 };

struct named {
	struct function function;
	unsigned flags;
	uint32_t fits;             /* elements of the filter's paths */
	const void *file;          /* for names.c */
	struct named *next;
};

struct names_key {
	uint64_t where;            /* image << 32 | module */
	uint64_t offset;
	struct named *named;       /* NULL: a free slot */
};

struct names {
	struct trace_dir *dir;
	const struct calls_filter *filter;
	struct filter paths;       /* its `only` and `never` */
	struct names_key *keys;
	uint64_t mask;
	size_t used;
	struct named **all;        /* by number */
	uint32_t count;
	struct named **chains;     /* by file and start */
	size_t chain_mask;
	struct names_file *files;
};

int names_init(struct names *names, struct trace_dir *dir, const struct calls_filter *filter);
	/* 0, -ENOMEM, or -EINVAL: the filter's lists are none. Must not be moved afterwards. */
void names_fini(struct names *names);
struct named *names_slow(struct names *names, uint64_t where, uint64_t offset);
	/* NULL: without memory */

struct symbols *names_symbols(struct names *names, const char *path, const char *build_id);
	/* Of a file; NULL: there are none. The names' own. */
const char *names_trouble(const struct names *names, unsigned *files);
	/* as calls_trouble() */

static inline uint64_t names_hash(uint64_t where, uint64_t offset)
{
	uint64_t h = (offset ^ where * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xd6e8feb86659fd93);

	return h ^ h >> 32;
}

static inline struct named *names_find(struct names *names, uint64_t where, uint64_t offset)
{
	uint64_t slot = names_hash(where, offset) & names->mask;

	for (;; slot = (slot + 1) & names->mask) {
		const struct names_key *key = &names->keys[slot];
		if (!key->named)
			return names_slow(names, where, offset);
		if (key->offset == offset && key->where == where)
			return key->named;
	}
}

#endif
