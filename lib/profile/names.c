/*
 * names.c - see names.h. Asks a module's symbols once for each function that a trace holds.
 */
#include "lib/profile/names.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/parse.h"
#include "lib/image/symbols.h"
#include "lib/image/symbols_name.h"
#include "lib/profile/samples.h"

enum { KEYS_AT_FIRST = 1024, NAME_MOST = 4096 };

/* A file that was mapped, by whatever images. */
struct names_file {
	struct names_file *next;
	const char *path, *build_id, *base_name; /* of the trace */
	struct symbols *symbols;   /* NULL: not without memory, or nothing to read */
	bool nameless;             /* a function has no name, and the symbols say why */
};

static int take_paths(struct names *names, const char *const *lists, bool never)
{
	const char *why;
	int rc = 0;

	for (; rc == 0 && lists && *lists; lists++)
		rc = filter_add(&names->paths, *lists, never, &why);
	return rc;
}

int names_init(struct names *names, struct trace_dir *dir, const struct calls_filter *filter)
{
	*names = (struct names){ .dir = dir, .filter = filter, .mask = KEYS_AT_FIRST - 1,
				 .chain_mask = KEYS_AT_FIRST - 1 };
	filter_init(&names->paths);
	int rc = filter ? take_paths(names, filter->only, false) : 0;
	if (rc == 0 && filter)
		rc = take_paths(names, filter->never, true);
	if (rc != 0)
		return rc;
	names->keys = calloc(KEYS_AT_FIRST, sizeof *names->keys);
	names->chains = calloc(KEYS_AT_FIRST, sizeof(struct named *));
	if (names->keys && names->chains)
		return 0;
	names_fini(names);
	return -ENOMEM;
}

void names_fini(struct names *names)
{
	for (uint32_t i = 0; i < names->count; i++) {
		free((char *)names->all[i]->function.name);
		free(names->all[i]);
	}
	for (struct names_file *file = names->files, *next; file; file = next) {
		next = file->next;
		if (file->symbols)
			symbols_close(file->symbols);
		free(file);
	}
	free(names->all);
	free(names->keys);
	free(names->chains);
	*names = (struct names){ .keys = NULL };
}

/* ---- files ------------------------------------------------------------------------------------- */

static const char of_calls[] = "-"; /* which is no build-id */

/* Of code that was made at run time, if the process said so; names: "perf-PID.map" in the trace. */
static struct symbols *open_made(const struct trace_dir *dir, const char *name)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	char wanted[32];
	int pid = 0;

	if (sscanf(name, TRACE_MADE, &pid) != 1)
		return NULL;
	snprintf(wanted, sizeof wanted, TRACE_MADE, pid);
	int fd = strcmp(wanted, name) == 0 ? openat(dir->fd, name, flags) : -1;
	if (fd < 0)
		return NULL;
	struct symbols *symbols = symbols_open_map(fd);
	close(fd);
	return symbols;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* Whether it was written after the trace last told of a file. Without a build-id, nothing else says that it is
 * another one than ran. */
static bool is_later(const struct trace_dir *dir, const char *path)
{
	static const char *const parts[] = { TRACE_EVENTS, TRACE_SAMPLES };
	struct stat file, part;
	bool told = false;

	if (stat(path, &file) != 0)
		return false;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (fstatat(dir->fd, parts[i], &part, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (!is_before(&part.st_mtim, &file.st_mtim))
			return false;
		told = true;
	}
	return told;
}

static struct names_file *add_file(struct names *names, const char *path, const char *build_id)
{
	struct names_file *file = calloc(1, sizeof *file);
	const char *slash = strrchr(path, '/');

	if (!file)
		return NULL;
	file->path = path;
	file->build_id = build_id;
	file->base_name = slash && slash[1] ? slash + 1 : path;
	if (path[0] == '/' && build_id != of_calls)
		file->symbols = symbols_open(path,
					     !build_id[0] && is_later(names->dir, path)
						     ? SYMBOLS_CHANGED : build_id,
					     NULL);
	else if (strcmp(path, "[anonymous]") == 0)
		file->symbols = open_made(names->dir, build_id);
	if (file->symbols && path[0] == '[') /* of a function's module, people expect a name */
		file->base_name = "anonymous";
	file->next = names->files;
	names->files = file;
	return file;
}

static struct names_file *find_file(struct names *names, const char *path, const char *build_id)
{
	for (struct names_file *file = names->files; file; file = file->next)
		if (strcmp(file->path, path) == 0 && strcmp(file->build_id, build_id) == 0)
			return file;
	return add_file(names, path, build_id);
}

static int by_image(const void *key, const void *image)
{
	uint32_t number = *(const uint32_t *)key;
	const struct trace_image *i = image;

	return number < i->number ? -1 : number > i->number;
}

static const struct trace_image *image_of(const struct names *names, uint64_t where)
{
	const struct trace_dir *dir = names->dir;
	uint32_t number = (uint32_t)(where >> 32);

	if (!dir->image_count)
		return NULL;
	return bsearch(&number, dir->images, dir->image_count, sizeof *dir->images, by_image);
}

struct symbols *names_symbols(struct names *names, const char *path, const char *build_id)
{
	struct names_file *file = find_file(names, path, build_id);

	return file ? file->symbols : NULL;
}

const char *names_trouble(const struct names *names, unsigned *files)
{
	const char *why = NULL;

	*files = 0;
	for (const struct names_file *file = names->files; file; file = file->next) {
		if (!file->nameless)
			continue;
		why = symbols_trouble(file->symbols);
		++*files;
	}
	return why;
}

/* ---- functions --------------------------------------------------------------------------------- */

static unsigned judge(const struct calls_filter *filter, const struct function *f)
{
	bool hidden = filter && filter->module && !parse_glob(filter->module, f->module) &&
		      !parse_glob(filter->module, f->path);

	return hidden ? NAMES_HIDDEN : 0;
}

static int number_it(struct names *names, struct named *named)
{
	if ((names->count & (names->count - 1)) == 0) {
		size_t room = names->count ? names->count * 2UL : 1;
		struct named **all = reallocarray(names->all, room, sizeof(struct named *));
		if (!all)
			return -ENOMEM;
		names->all = all;
	}
	named->function.number = names->count;
	names->all[names->count++] = named;
	return 0;
}

static struct named *make(struct names *names, struct names_file *file, uint64_t start,
			  const struct symbol *symbol, enum method method)
{
	struct named *named = calloc(1, sizeof *named);
	struct source_line line = { .file = NULL };
	char plain[32];

	if (!named)
		return NULL;
	snprintf(plain, sizeof plain, "0x%" PRIx64, start);
	named->file = file;
	named->function = (struct function){
		.name = strndup(symbol ? symbol->name : plain, NAME_MOST),
		.module = file->base_name,
		.path = file->path,
		.start = start,
		.method = method,
	};
	if (names->filter && names->filter->lines && file->symbols &&
	    symbols_line(file->symbols, start, &line)) {
		named->function.file = line.file;
		named->function.line = line.line;
	}
	if (!named->function.name || number_it(names, named) != 0) {
		free((char *)named->function.name);
		free(named);
		return NULL;
	}
	named->flags = judge(names->filter, &named->function);
	named->fits = filter_fits(&names->paths, named->function.name,
				  symbol ? symbol->linkage : NULL, named->function.path);
	return named;
}

static void grow_chains(struct names *names)
{
	size_t mask = names->chain_mask * 2 + 1;
	struct named **chains = calloc(mask + 1, sizeof(struct named *));

	if (!chains)
		return; /* they grow longer, then */
	for (uint32_t i = 0; i < names->count; i++) {
		struct named *named = names->all[i];
		size_t slot = names_hash((uintptr_t)named->file, named->function.start) & mask;
		named->next = chains[slot];
		chains[slot] = named;
	}
	free(names->chains);
	names->chains = chains;
	names->chain_mask = mask;
}

static struct named *find_or_make(struct names *names, struct names_file *file, uint64_t start,
				  const struct symbol *symbol, enum method method)
{
	size_t slot = names_hash((uintptr_t)file, start) & names->chain_mask;

	for (struct named *named = names->chains[slot]; named; named = named->next)
		if (named->file == file && named->function.start == start &&
		    named->function.method == method)
			return named;
	struct named *named = make(names, file, start, symbol, method);
	if (!named)
		return NULL;
	named->next = names->chains[slot];
	names->chains[slot] = named;
	if (names->count > names->chain_mask)
		grow_chains(names);
	return named;
}

/* What a library's function was called by, hashed; a few of them with one number would be one. */
static uint64_t number_of(const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return h >> 16;
}

static struct named *intern_call(struct names *names, uint64_t where, uint64_t offset)
{
	const struct trace_call *call =
		trace_dir_call(names->dir, (uint32_t)(where >> 32), offset);
	struct names_file *file = find_file(names, call ? call->library : "", of_calls);
	char *plain = call ? symbols_name(call->name) : NULL;
	struct symbol symbol = { .linkage = call ? call->name : NULL };
	struct named *named = NULL;

	symbol.name = plain ? plain : symbol.linkage;
	if (file)
		named = find_or_make(names, file, call ? number_of(call->name) : offset,
				     call ? &symbol : NULL, METHOD_CALL);
	free(plain);
	return named;
}

static struct named *intern_inlined(struct names *names, struct names_file *file, uint64_t number)
{
	const struct samples *s = names->dir->samples;

	if (!s || number >= s->inlined_count)
		return NULL;
	const struct samples_inlined *in = &s->inlined[number];
	const struct symbol symbol = { .name = in->name, .linkage = in->linkage,
				       .start = in->start };
	struct named *named = find_or_make(names, file, in->start, &symbol, METHOD_SAMPLE);
	if (named && names->filter && names->filter->lines) {
		named->function.file = in->file;
		named->function.line = in->line;
	}
	return named;
}

static struct named *intern(struct names *names, uint64_t where, uint64_t offset)
{
	const struct trace_image *image = image_of(names, where);
	const struct trace_module *module = image ? trace_dir_module(image, (uint32_t)where) : NULL;
	struct symbol symbol = { .name = NULL };

	if (module && module->calls)
		return intern_call(names, where, offset);
	struct names_file *file = find_file(names, module ? module->path : "",
					    module ? module->build_id : "");
	if (!file)
		return NULL;
	if (image && image->sampled && (offset & SAMPLES_INLINED))
		return intern_inlined(names, file, offset & ~SAMPLES_INLINED);
	bool known = file->symbols && symbols_find(file->symbols, offset, &symbol);
	file->nameless |= !known && file->symbols && symbols_trouble(file->symbols);
	if (!known && file->path[0] == '[') { /* a name for what has no functions */
		known = true;
		symbol = (struct symbol){ .name = file->path, .linkage = file->path };
	}
	return find_or_make(names, file, known ? symbol.start : offset, known ? &symbol : NULL,
			    image && image->sampled ? METHOD_SAMPLE : METHOD_ENTRY);
}

/* ---- keys -------------------------------------------------------------------------------------- */

static void enter_key(struct names_key *keys, uint64_t mask, const struct names_key *key)
{
	uint64_t slot = names_hash(key->where, key->offset) & mask;

	while (keys[slot].named)
		slot = (slot + 1) & mask;
	keys[slot] = *key;
}

static int grow_keys(struct names *names)
{
	uint64_t mask = names->mask * 2 + 1;
	struct names_key *keys = calloc(mask + 1, sizeof *keys);

	if (!keys)
		return -ENOMEM;
	for (uint64_t i = 0; i <= names->mask; i++)
		if (names->keys[i].named)
			enter_key(keys, mask, &names->keys[i]);
	free(names->keys);
	names->keys = keys;
	names->mask = mask;
	return 0;
}

struct named *names_slow(struct names *names, uint64_t where, uint64_t offset)
{
	struct names_key key = { .where = where, .offset = offset };

	/* at most half full, so that what is looked for is near */
	if (names->used * 2 >= names->mask && grow_keys(names) != 0)
		return NULL;
	key.named = intern(names, where, offset);
	if (!key.named)
		return NULL;
	enter_key(names->keys, names->mask, &key);
	names->used++;
	return key.named;
}
