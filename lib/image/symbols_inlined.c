/*
 * symbols_inlined.c - see symbols_inlined.h. Called by symbols.c, of files that may be hostile: whatever
 * debug information says, each loop has a bound.
 *
 * Not by dwarf_getscopes(): that goes through the whole unit for each address.
 */
#include "lib/image/symbols_inlined.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/array.h"
#include "lib/image/symbols_name.h"

enum { NESTED_MOST = 64, NAMESPACES_MOST = 16, RANGES_MOST = 64, DIES_MOST = 1 << 22 };

struct function {
	uint64_t start, end;
	Dwarf_Off die;
};

struct unit {
	Dwarf_Off die;
	struct function *functions; /* sorted */
	size_t count;
};

struct symbols_inlines {
	struct symbols_lines *lines;
	struct unit *units;        /* sorted */
	size_t unit_count;
	struct inlined_function **functions; /* sorted by origin */
	size_t function_count;
	uint32_t dies;             /* that may still be looked at, of the address at hand */
};

struct symbols_inlines *symbols_inlined_open(struct symbols_lines *lines)
{
	struct symbols_inlines *all = calloc(1, sizeof *all);

	if (all)
		all->lines = lines;
	return all;
}

void symbols_inlined_close(struct symbols_inlines *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->unit_count; i++)
		free(all->units[i].functions);
	for (size_t i = 0; i < all->function_count; i++) {
		struct inlined_function *f = all->functions[i];
		if (f->name != f->linkage)
			free(f->name);
		free(f->linkage);
		free(f);
	}
	free(all->units);
	free(all->functions);
	free(all);
}

/* ---- the functions of a unit ------------------------------------------------------------------- */

static void add_function(struct unit *unit, Dwarf_Die *die)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;

	for (int i = 0; i < RANGES_MOST && (at = dwarf_ranges(die, at, &base, &start, &end)) > 0;
	     i++) {
		struct function *grown =
			array_grown(unit->functions, unit->count, sizeof *unit->functions);
		if (!grown)
			return;
		unit->functions = grown;
		unit->functions[unit->count++] =
			(struct function){ start, end, dwarf_dieoffset(die) };
	}
}

static void add_functions(struct symbols_inlines *all, struct unit *unit, Dwarf_Die *parent,
			  unsigned depth)
{
	Dwarf_Die die;
	int rc = depth < NAMESPACES_MOST ? dwarf_child(parent, &die) : 1;

	for (; rc == 0 && all->dies; rc = dwarf_siblingof(&die, &die)) {
		all->dies--;
		int tag = dwarf_tag(&die);
		if (tag == DW_TAG_subprogram)
			add_function(unit, &die);
		else if (tag == DW_TAG_namespace || tag == DW_TAG_module)
			add_functions(all, unit, &die, depth + 1);
	}
}

static int by_start(const void *left, const void *right)
{
	const struct function *a = left, *b = right;

	return a->start < b->start ? -1 : a->start > b->start;
}

static size_t unit_place(const struct symbols_inlines *all, Dwarf_Off die)
{
	size_t low = 0, high = all->unit_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (all->units[middle].die < die)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct unit *unit_of(struct symbols_inlines *all, Dwarf_Die *die)
{
	Dwarf_Off offset = dwarf_dieoffset(die);
	size_t at = unit_place(all, offset);

	if (at < all->unit_count && all->units[at].die == offset)
		return &all->units[at];
	struct unit *grown = array_grown(all->units, all->unit_count, sizeof *all->units);
	if (!grown)
		return NULL;
	all->units = grown;
	struct unit *unit = &all->units[at];
	memmove(unit + 1, unit, (all->unit_count++ - at) * sizeof *unit);
	*unit = (struct unit){ .die = offset };
	all->dies = DIES_MOST;
	add_functions(all, unit, die, 0);
	if (unit->count)
		qsort(unit->functions, unit->count, sizeof *unit->functions, by_start);
	return unit;
}

static const struct function *function_at(const struct unit *unit, uint64_t address)
{
	size_t low = 0, high = unit->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (unit->functions[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low && address < unit->functions[low - 1].end ? &unit->functions[low - 1] : NULL;
}

/* ---- what is inlined ---------------------------------------------------------------------------- */

static const char *linkage_of(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;
	const char *name = dwarf_formstring(
		dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute));

	if (!name)
		name = dwarf_formstring(
			dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute));
	return name ? name : dwarf_diename(die);
}

/* File and line that two attributes of the entry tell. Not by dwarf_decl_file(), to which the first file is
 * none. */
static struct source_line place_of(Dwarf_Die *die, unsigned file_is, unsigned line_is)
{
	struct source_line place = { NULL, 0 };
	Dwarf_Attribute attribute;
	Dwarf_Word file, line;
	Dwarf_Files *files;
	Dwarf_Die unit;
	size_t count;

	if (dwarf_formudata(dwarf_attr_integrate(die, file_is, &attribute), &file) != 0 ||
	    dwarf_formudata(dwarf_attr_integrate(die, line_is, &attribute), &line) != 0 ||
	    line > INT32_MAX || !dwarf_diecu(die, &unit, NULL, NULL) ||
	    dwarf_getsrcfiles(&unit, &files, &count) != 0 || file >= count)
		return place;
	const char *path = dwarf_filesrc(files, file, NULL, NULL);
	if (path && symbols_line_shown(path))
		place = (struct source_line){ path, (int)line };
	return place;
}

static struct inlined_function *make_function(Dwarf_Die *die, uint64_t origin, uint64_t unit)
{
	const struct source_line place = place_of(die, DW_AT_decl_file, DW_AT_decl_line);
	const char *linkage = linkage_of(die);
	struct inlined_function *f = linkage ? calloc(1, sizeof *f) : NULL;

	if (!f)
		return NULL;
	*f = (struct inlined_function){ .origin = origin, .unit = unit };
	f->linkage = strdup(linkage);
	f->name = f->linkage ? symbols_name(f->linkage) : NULL;
	if (!f->name)
		f->name = f->linkage;
	if (!f->linkage || !f->linkage[0] || !symbols_line_shown(f->name)) {
		if (f->name != f->linkage)
			free(f->name);
		free(f->linkage);
		free(f);
		return NULL;
	}
	f->external = dwarf_hasattr_integrate(die, DW_AT_external);
	f->file = place.file;
	f->line = place.line;
	return f;
}

static struct inlined_function *function_of(struct symbols_inlines *all, Dwarf_Die *die,
					    uint64_t unit)
{
	Dwarf_Attribute attribute;
	Dwarf_Die abstract;
	size_t low = 0, high = all->function_count;

	if (!dwarf_formref_die(dwarf_attr(die, DW_AT_abstract_origin, &attribute), &abstract))
		return NULL;
	uint64_t origin = dwarf_dieoffset(&abstract);
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (all->functions[middle]->origin < origin)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < all->function_count && all->functions[low]->origin == origin)
		return all->functions[low];
	struct inlined_function **grown = array_grown(all->functions, all->function_count,
						      sizeof(struct inlined_function *));
	if (!grown)
		return NULL;
	all->functions = grown;
	struct inlined_function *f = make_function(&abstract, origin, unit);
	if (!f)
		return NULL;
	memmove(&grown[low + 1], &grown[low],
		(all->function_count++ - low) * sizeof(struct inlined_function *));
	return grown[low] = f;
}

static bool is_scope(int tag)
{
	return tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine ||
	       tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
}

/* The part of a function's part that the address is in. */
static bool step_in(struct symbols_inlines *all, Dwarf_Die *die, uint64_t address)
{
	Dwarf_Die child;
	int rc = dwarf_child(die, &child);

	for (; rc == 0 && all->dies; rc = dwarf_siblingof(&child, &child)) {
		all->dies--;
		if (is_scope(dwarf_tag(&child)) && dwarf_haspc(&child, address) == 1) {
			*die = child;
			return true;
		}
	}
	return false;
}

/* What stands for the function, in whatever is a copy of it. */
static uint64_t origin_of(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;
	Dwarf_Die abstract;

	if (dwarf_formref_die(dwarf_attr(die, DW_AT_abstract_origin, &attribute), &abstract))
		return dwarf_dieoffset(&abstract);
	return dwarf_dieoffset(die);
}

/* A function that was split, and a part of which was put back into it, is "called" where it begins. */
static bool is_itself(const struct inlined_call *call, uint64_t function)
{
	return call->function && call->function->origin == function && call->from.line &&
	       call->from.line == call->function->line;
}

unsigned symbols_inlined_find(struct symbols_inlines *all, uint64_t offset,
			      struct inlined_call *found, unsigned most)
{
	Dwarf_Die unit, die;
	uint64_t address;
	Dwarf *dwarf = symbols_line_unit(all->lines, offset, &address, &unit);
	const struct unit *known = dwarf ? unit_of(all, &unit) : NULL;
	const struct function *function = known ? function_at(known, address) : NULL;
	unsigned count = 0;

	if (!function || !dwarf_offdie(dwarf, function->die, &die))
		return 0;
	uint64_t own = origin_of(&die);
	all->dies = DIES_MOST;
	for (int i = 0; i < NESTED_MOST && count < most && step_in(all, &die, address); i++) {
		if (dwarf_tag(&die) != DW_TAG_inlined_subroutine)
			continue;
		found[count].function = function_of(all, &die, known->die);
		found[count].from = place_of(&die, DW_AT_call_file, DW_AT_call_line);
		if (found[count].function && !is_itself(&found[count], own))
			count++;
	}
	return count;
}
