/*
 * samples_unfold.c - see samples.h. The tree of stacks is one of addresses; this makes one of functions of
 * it, with those that the compiler put into others. Called once for a trace, by who names its functions.
 *
 * Each address is asked for once. So a million samples cost no more than their different places.
 */
#include "lib/profile/samples.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/array.h"
#include "lib/image/symbols.h"
#include "lib/profile/names.h"
#include "lib/profile/numbering.h"

enum { INLINED_MOST = 32 };

struct unfolding {
	struct samples *s;
	struct names *names;
	uint64_t image;            /* << 32: any of the sampled ones, since all have the same files */
	struct trace_module *files;
	struct symbols **symbols;  /* by file; NULL: not asked for, or none */
	bool *asked;
	struct samples_node *nodes; /* the new ones */
	uint32_t *map;             /* by old number: the new one */
	uint32_t count;
	struct numbering by_place; /* parent << 32 | function: new numbers less 1 */
	struct numbering by_start; /* of inlined functions: what stands for them */
};

static struct symbols *symbols_of(struct unfolding *u, uint32_t file)
{
	if (!u->asked[file - 1]) {
		const struct trace_module *m = &u->files[file - 1];
		u->asked[file - 1] = true;
		u->symbols[file - 1] = names_symbols(u->names, m->path, m->build_id);
	}
	return u->symbols[file - 1];
}

/* The function as an offset in its file; 0 is no number of a node. */
static int add(struct unfolding *u, uint32_t parent, uint32_t file, uint64_t offset, uint32_t *node)
{
	struct named *named = names_find(u->names, u->image | file, offset);
	bool first;

	if (!named)
		return -ENOMEM;
	uint64_t key = (uint64_t)parent << 32 | named->function.number;
	int64_t number = numbering_of(&u->by_place, key, &first);
	if (number < 0)
		return (int)number;
	*node = (uint32_t)number + 1;
	if (!first)
		return 0;
	struct samples_node *grown = array_grown(u->nodes, u->count, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	u->nodes = grown;
	if (!(offset & SAMPLES_INLINED))
		offset = named->function.start;
	u->nodes[u->count++] =
		(struct samples_node){ .offset = offset, .parent = parent, .file = file };
	return 0;
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

/* What stands for an inlined function in the place of an offset. */
static int number_inlined(struct unfolding *u, uint32_t file, const struct symbol_inlined *in,
			  uint64_t *offset)
{
	struct samples *s = u->s;
	bool first;

	if (!(in->symbol.start & SYMBOLS_NOWHERE)) { /* it is there by itself as well */
		*offset = in->symbol.start;
		return 0;
	}
	uint64_t key = in->symbol.start ^ (uint64_t)file * UINT64_C(0x9e3779b97f4a7c15);
	int64_t number = numbering_of(&u->by_start, key, &first);
	if (number < 0)
		return (int)number;
	*offset = SAMPLES_INLINED | (uint64_t)number;
	if (!first)
		return 0;
	struct samples_inlined *grown = array_grown(s->inlined, s->inlined_count, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	s->inlined = grown;
	struct samples_inlined *f = &s->inlined[s->inlined_count];
	*f = (struct samples_inlined){
		.start = in->symbol.start, .name = strdup(in->symbol.name),
		.linkage = strdup(in->symbol.linkage), .file = copy(in->at.file),
		.line = in->at.line,
	};
	s->inlined_count++;
	return f->name && f->linkage ? 0 : -ENOMEM;
}

static int unfold_node(struct unfolding *u, uint32_t old)
{
	struct symbol_inlined inlined[INLINED_MOST];
	const struct samples_node *n = &u->s->nodes[old - 1];
	struct symbols *symbols = symbols_of(u, n->file);
	uint32_t node = n->parent ? u->map[n->parent] : 0;
	int rc = add(u, node, n->file, n->offset, &node);

	unsigned count =
		rc || !symbols ? 0 : symbols_inlined(symbols, n->offset, inlined, INLINED_MOST);
	for (unsigned i = 0; i < count && rc == 0; i++) {
		uint64_t offset = 0;
		rc = number_inlined(u, n->file, &inlined[i], &offset);
		if (rc == 0)
			rc = add(u, node, n->file, offset, &node);
	}
	u->map[old] = node;
	return rc;
}

static void replace(struct unfolding *u, struct trace_dir *dir)
{
	for (size_t i = 0; i < dir->thread_count; i++) {
		struct samples_thread *t = dir->threads[i].sampled;
		for (size_t k = 0; t && k < t->count; k++)
			t->rows[k].node = u->map[t->rows[k].node];
	}
	free(u->s->nodes);
	u->s->nodes = u->nodes;
	u->s->node_count = u->count;
	u->nodes = NULL;
}

int samples_unfold(struct trace_dir *dir, struct names *names)
{
	struct samples *s = dir->samples;
	struct unfolding u = { .s = s, .names = names, .files = dir->sample_files };
	size_t i = 0;
	int rc = -ENOMEM;

	while (i < dir->image_count && !dir->images[i].sampled)
		i++;
	if (!s || s->unfolded || i == dir->image_count)
		return 0;
	u.image = (uint64_t)dir->images[i].number << 32;
	s->unfolded = true;
	u.symbols = calloc(dir->sample_file_count + 1, sizeof(struct symbols *));
	u.asked = calloc(dir->sample_file_count + 1, sizeof *u.asked);
	u.map = calloc((size_t)s->node_count + 1, sizeof *u.map);
	if (u.symbols && u.asked && u.map)
		rc = 0;
	for (uint32_t n = 1; n <= s->node_count && rc == 0; n++)
		rc = unfold_node(&u, n);
	if (rc == 0)
		replace(&u, dir);
	free(u.nodes);
	free(u.symbols);
	free(u.asked);
	free(u.map);
	numbering_fini(&u.by_place);
	numbering_fini(&u.by_start);
	return rc;
}
