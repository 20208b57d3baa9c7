/*
 * symbols.c - see symbols.h. Called by readers of traces, of whatever a trace calls a module; must not
 * keep a descriptor, since traces have hundreds of modules.
 */
#include "lib/image/symbols.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/image/symbols_debug.h"
#include "lib/image/symbols_file.h"
#include "lib/image/symbols_inlined.h"
#include "lib/image/symbols_line.h"
#include "lib/image/symbols_name.h"
#include "lib/image/symbols_read.h"
#include "lib/image/symbols_table.h"

enum { UNNAMED_MOST = 32, INLINED_MOST = 64, SAME_NAME_MOST = 64 };

struct symbols {
	struct symbols_table table;
	enum symbols_origin origin;
	char *trouble;           /* NULL: none */
	char *path, *build_id, *dirs;
	uint64_t base;           /* of the module, as its file counts */
	struct symbols_range code[SYMBOLS_CODE_MOST];
	size_t codes;
	struct symbols_lines *lines;
	bool lines_wanted;       /* they have been looked for */
	bool by_name;            /* what has one name is one function, wherever it is */
	struct symbols_inlines *inlines;
};

/* The first trouble is the one that matters. What paths and ids hold is shown to people. */
__attribute__((format(printf, 2, 3)))
static void trouble(struct symbols *s, const char *format, ...)
{
	va_list values;

	if (s->trouble)
		return;
	va_start(values, format);
	if (vasprintf(&s->trouble, format, values) < 0)
		s->trouble = NULL;
	va_end(values);
	for (char *at = s->trouble; at && *at; at++) {
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	}
}

/* The file as it was mapped, or false and why not. */
static bool open_module(struct symbols *s, struct symbols_file *file)
{
	int error = symbols_file_open(file, s->path);

	if (error == -ENOEXEC)
		trouble(s, "%s is no ELF program or library", s->path);
	else if (error == -EINVAL)
		trouble(s, "%s is damaged", s->path);
	else if (error)
		trouble(s, "%s cannot be read: %s", s->path, strerror(-error));
	if (error)
		return false;
	if (!s->build_id[0] || strcmp(s->build_id, file->build_id) == 0)
		return true;
	if (strcmp(s->build_id, SYMBOLS_CHANGED) == 0)
		trouble(s, "%s was written again after it ran", s->path);
	else if (file->build_id[0])
		trouble(s, "%s is not the file that ran (its build-id is %s)", s->path,
			file->build_id);
	else
		trouble(s, "%s is not the file that ran (it has no build-id)", s->path);
	symbols_file_close(file);
	return false;
}

/* file: the module's, or NULL where it is not what ran */
static bool open_debug(struct symbols *s, const struct symbols_file *file,
		       struct symbols_file *debug)
{
	char where[PATH_MAX];
	const char *id = s->build_id[0] || !file ? s->build_id : file->build_id;

	if (symbols_debug_by_id(debug, id, s->dirs, where, sizeof where))
		return true;
	if (!file)
		return false;
	if (symbols_debug_by_link(debug, file, s->path, s->dirs, where, sizeof where))
		return true;
	if (where[0])
		trouble(s, "%s is not the debug file of %s (its CRC is another)", where, s->path);
	return false;
}

static void set_place(struct symbols *s, const struct symbols_file *file)
{
	s->base = file->base;
	s->codes = file->codes;
	memcpy(s->code, file->code, sizeof s->code);
}

/* Each of these returns how many names it found, or -ENOMEM. */

static int from_debug_file(struct symbols *s, const struct symbols_file *file)
{
	struct symbols_file debug;

	if (!open_debug(s, file, &debug))
		return 0;
	if (!file)
		set_place(s, &debug);
	int found = symbols_read_names(&s->table, &debug, SHT_SYMTAB, s->base);
	symbols_file_close(&debug);
	return found;
}

static int from_inside(struct symbols *s, const struct symbols_file *file)
{
	struct symbols_file debug;
	char *image = symbols_debug_inside(&debug, file);

	if (!image)
		return 0;
	int found = symbols_read_names(&s->table, &debug, SHT_SYMTAB, s->base);
	symbols_file_close(&debug);
	free(image);
	return found;
}

/* What .gnu_debugdata has and .dynsym has are two halves; each of the others is the whole. */
static int read_names(struct symbols *s, const struct symbols_file *file)
{
	int found = file ? symbols_read_names(&s->table, file, SHT_SYMTAB, s->base) : 0;

	if (found != 0) {
		s->origin = SYMBOLS_SYMTAB;
		return found;
	}
	found = from_debug_file(s, file);
	if (found != 0 || !file) {
		s->origin = found > 0 ? SYMBOLS_DEBUG_FILE : SYMBOLS_NONE;
		return found;
	}
	found = from_inside(s, file);
	if (found < 0)
		return found;
	int more = symbols_read_names(&s->table, file, SHT_DYNSYM, s->base);
	if (found > 0)
		s->origin = SYMBOLS_SYMTAB;
	else if (more > 0)
		s->origin = SYMBOLS_DYNSYM;
	return more;
}

/* Names that no table of symbols has. */
static int read_more_names(struct symbols *s, const struct symbols_file *file)
{
	int found = 0;

	if (s->origin != SYMBOLS_SYMTAB)
		found = symbols_read_go(&s->table, file);
	if (found > 0)
		s->origin = SYMBOLS_SYMTAB;
	if (found >= 0)
		found = symbols_read_start(&s->table, file);
	if (found > 0 && s->origin == SYMBOLS_NONE)
		s->origin = SYMBOLS_UNWIND;
	return found;
}

static int read_module(struct symbols *s, const struct symbols_file *file)
{
	int found;

	if (file)
		set_place(s, file);
	found = read_names(s, file);
	if (found >= 0 && file)
		found = read_more_names(s, file);
	if (found >= 0 && file)
		found = symbols_read_unwind(&s->table, file);
	if (found > 0 && s->origin == SYMBOLS_NONE)
		s->origin = SYMBOLS_UNWIND;
	symbols_table_order(&s->table, s->code, s->codes);
	if (found >= 0 && file)
		found = symbols_read_plt(&s->table, file);
	if (found > 0)
		symbols_table_order(&s->table, s->code, s->codes);
	if (found > 0 && s->origin == SYMBOLS_NONE)
		s->origin = SYMBOLS_DYNSYM;
	return found;
}

struct symbols *symbols_open(const char *path, const char *build_id, const char *debug_dirs)
{
	struct symbols *s = calloc(1, sizeof *s);
	struct symbols_file file;

	if (!s)
		return NULL;
	s->path = strdup(path);
	s->build_id = strdup(build_id);
	s->dirs = strdup(debug_dirs ? debug_dirs : SYMBOLS_DEBUG_DIRS);
	if (!s->path || !s->build_id || !s->dirs) {
		symbols_close(s);
		return NULL;
	}
	bool is_there = open_module(s, &file);
	int result = read_module(s, is_there ? &file : NULL);
	if (is_there)
		symbols_file_close(&file);
	if (result < 0) {
		symbols_close(s);
		return NULL;
	}
	if (!s->table.count)
		trouble(s, "%s has neither symbols nor unwind tables", s->path);
	return s;
}

struct symbols *symbols_open_map(int fd)
{
	struct symbols *s = calloc(1, sizeof *s);
	int found = s ? symbols_read_map(&s->table, fd) : -ENOMEM;

	if (found < 0) {
		symbols_close(s);
		return NULL;
	}
	s->origin = found ? SYMBOLS_SYMTAB : SYMBOLS_NONE;
	s->lines_wanted = true; /* and there are none */
	s->by_name = true;
	symbols_table_order(&s->table, NULL, 0);
	return s;
}

void symbols_close(struct symbols *s)
{
	if (!s)
		return;
	symbols_inlined_close(s->inlines);
	symbols_line_close(s->lines);
	symbols_table_fini(&s->table);
	free(s->trouble);
	free(s->path);
	free(s->build_id);
	free(s->dirs);
	free(s);
}

enum symbols_origin symbols_origin(const struct symbols *s)
{
	return s->origin;
}

const char *symbols_trouble(const struct symbols *s)
{
	return s->trouble;
}

static const char *name_unnamed(struct symbols *s, uint64_t start)
{
	char room[UNNAMED_MOST];
	struct text name = text_in(room, sizeof room);

	text_str(&name, "func_");
	text_hex(&name, start);
	return symbols_table_keep(&s->table, room, name.len);
}

/* Names are made for those that are asked for: few of a library's functions are ever called. */
static void describe(struct symbols *s, struct symbols_entry *entry, struct symbol *found)
{
	if (!entry->name) {
		if (!entry->linkage)
			entry->linkage = name_unnamed(s, entry->start);
		else
			entry->name = symbols_name(entry->linkage);
		if (!entry->name)
			entry->name = (char *)entry->linkage;
	}
	*found = (struct symbol){ .name = entry->name ? entry->name : "",
				  .linkage = entry->linkage ? entry->linkage : "",
				  .start = entry->start, .bytes = entry->bytes };
}

bool symbols_find(struct symbols *s, uint64_t offset, struct symbol *found)
{
	struct symbols_entry *entry = symbols_table_find(&s->table, offset);

	if (!entry)
		return false;
	describe(s, entry, found);
	const struct symbols_entry *first =
		s->by_name ? symbols_table_named(&s->table, entry->linkage, 0) : NULL;
	if (first)
		found->start = first->start;
	return true;
}

int symbols_each(struct symbols *s, int (*visit)(void *arg, const struct symbol *), void *arg)
{
	for (size_t i = 0; i < s->table.count; i++) {
		struct symbol symbol;
		describe(s, &s->table.entries[i], &symbol);
		int result = visit(arg, &symbol);
		if (result)
			return result;
	}
	return 0;
}

static void open_lines(struct symbols *s)
{
	struct symbols_file file = { .fd = -1 }, debug = { .fd = -1 };
	bool is_there = open_module(s, &file);

	if (is_there)
		s->lines = symbols_line_open(&file, s->base);
	if (!s->lines && open_debug(s, is_there ? &file : NULL, &debug))
		s->lines = symbols_line_open(&debug, s->base);
	symbols_file_close(&debug);
	symbols_file_close(&file);
}

static bool want_lines(struct symbols *s)
{
	if (!s->lines_wanted) {
		s->lines_wanted = true;
		open_lines(s);
	}
	return s->lines != NULL;
}

bool symbols_line(struct symbols *s, uint64_t offset, struct source_line *found)
{
	*found = (struct source_line){ 0 };
	return want_lines(s) && symbols_line_find(s->lines, offset, found);
}

/* ---- inlined functions ------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return h;
}

/* One that is there by itself as well is the same function, wherever it runs. Of static ones several may
 * have the same name: it is that of the same unit, or else of the same place in the source. */
static uint64_t start_of(struct symbols *s, const struct inlined_function *f)
{
	uint64_t address, number = mix(UINT64_C(0xcbf29ce484222325), f->linkage);
	struct symbols_entry *entry;
	Dwarf_Die unit;

	for (size_t i = 0; i < SAME_NAME_MOST &&
			   (entry = symbols_table_named(&s->table, f->linkage, i)) != NULL; i++)
		if (f->external || (symbols_line_unit(s->lines, entry->start, &address, &unit) &&
				    dwarf_dieoffset(&unit) == f->unit))
			return entry->start;
	if (!f->external && f->file)
		number = mix(number + (uint64_t)f->line, f->file);
	return number | SYMBOLS_NOWHERE;
}

unsigned symbols_inlined(struct symbols *s, uint64_t offset, struct symbol_inlined *found,
			 unsigned most)
{
	struct inlined_call calls[INLINED_MOST];

	if (!want_lines(s) || (!s->inlines && !(s->inlines = symbols_inlined_open(s->lines))))
		return 0;
	unsigned count = symbols_inlined_find(s->inlines, offset, calls,
					      most < INLINED_MOST ? most : INLINED_MOST);
	for (unsigned i = 0; i < count; i++) {
		struct inlined_function *f = calls[i].function;
		if (!f->start)
			f->start = start_of(s, f);
		found[i] = (struct symbol_inlined){
			.symbol = { .name = f->name, .linkage = f->linkage, .start = f->start },
			.at = { f->file, f->line },
			.call = calls[i].from,
		};
	}
	return count;
}
