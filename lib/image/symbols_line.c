/*
 * symbols_line.c - see symbols_line.h. Called by symbols.c when somebody asks for a line at all: debug
 * information is large and read only then. Units are found by their own ranges, since not every
 * compiler writes .debug_aranges.
 */
#include "lib/image/symbols_line.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { UNITS_MOST = 1 << 20, RANGES_MOST = 1 << 22 };

struct unit_range {
	uint64_t start, end;
	Dwarf_Off unit; /* its DIE */
};

struct symbols_lines {
	struct symbols_file file;
	Dwarf *dwarf;
	uint64_t base;
	struct unit_range *ranges;
	size_t count, room;
};

static bool add_range(struct symbols_lines *lines, uint64_t start, uint64_t end, Dwarf_Off unit)
{
	if (lines->count == lines->room) {
		size_t room = lines->room ? 2 * lines->room : 64;
		struct unit_range *grown = reallocarray(lines->ranges, room, sizeof *grown);
		if (!grown)
			return false;
		lines->ranges = grown;
		lines->room = room;
	}
	lines->ranges[lines->count++] = (struct unit_range){ start, end, unit };
	return lines->count < RANGES_MOST;
}

/* What the linker left out has addresses near 0, where no code is. */
static bool add_unit(struct symbols_lines *lines, Dwarf_Die *unit)
{
	ptrdiff_t at = 0;
	Dwarf_Addr base, start, end;

	while ((at = dwarf_ranges(unit, at, &base, &start, &end)) > 0) {
		if (start < end && start >= lines->base &&
		    symbols_file_is_code(&lines->file, start - lines->file.base) &&
		    !add_range(lines, start, end, dwarf_dieoffset(unit)))
			return false;
	}
	return true;
}

static int by_start(const void *left, const void *right)
{
	const struct unit_range *a = left, *b = right;

	return a->start < b->start ? -1 : a->start > b->start;
}

static void add_units(struct symbols_lines *lines)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die unit;

	for (int i = 0; i < UNITS_MOST; i++) {
		if (dwarf_get_units(lines->dwarf, cu, &cu, NULL, NULL, &unit, NULL) != 0)
			break;
		if (dwarf_tag(&unit) == DW_TAG_compile_unit && !add_unit(lines, &unit))
			break;
	}
	if (lines->count)
		qsort(lines->ranges, lines->count, sizeof *lines->ranges, by_start);
}

/* libdw 0.188 reads on where the last string has no end. */
static bool strings_end(const struct symbols_file *file)
{
	static const char *const names[] = { ".debug_str", ".debug_line_str" };
	GElf_Shdr header;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		Elf_Scn *scn = symbols_file_section(file, names[i], SHT_NULL, &header);
		if (!scn)
			continue;
		if ((header.sh_flags & SHF_COMPRESSED) && elf_compress(scn, 0, 0) < 0)
			return false;
		Elf_Data *data = elf_rawdata(scn, NULL);
		if (!data || !data->d_buf || !data->d_size ||
		    ((const char *)data->d_buf)[data->d_size - 1] != '\0')
			return false;
	}
	return true;
}

struct symbols_lines *symbols_line_open(struct symbols_file *file, uint64_t base)
{
	GElf_Shdr header;

	if (!symbols_file_section(file, ".debug_line", SHT_NULL, &header) || !strings_end(file))
		return NULL;
	struct symbols_lines *lines = calloc(1, sizeof *lines);
	if (!lines)
		return NULL;
	lines->file = *file;
	lines->base = base;
	lines->dwarf = dwarf_begin_elf(file->elf, DWARF_C_READ, NULL);
	if (lines->dwarf)
		add_units(lines);
	if (!lines->count) {
		if (lines->dwarf)
			dwarf_end(lines->dwarf);
		free(lines);
		return NULL;
	}
	/* it has all that it needs: a reader of many modules must not run out of descriptors */
	if (elf_cntl(lines->file.elf, ELF_C_FDDONE) == 0) {
		close(lines->file.fd);
		lines->file.fd = -1;
	}
	*file = (struct symbols_file){ .fd = -1 };
	return lines;
}

void symbols_line_close(struct symbols_lines *lines)
{
	if (!lines)
		return;
	dwarf_end(lines->dwarf);
	symbols_file_close(&lines->file);
	free(lines->ranges);
	free(lines);
}

static const struct unit_range *range_at(const struct symbols_lines *lines, uint64_t address)
{
	size_t low = 0, high = lines->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (lines->ranges[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low && address < lines->ranges[low - 1].end ? &lines->ranges[low - 1] : NULL;
}

bool symbols_line_shown(const char *file)
{
	for (; *file; file++) {
		if ((unsigned char)*file < ' ' || *file == 0x7f)
			return false;
	}
	return true;
}

Dwarf *symbols_line_unit(struct symbols_lines *lines, uint64_t offset, uint64_t *address,
			 Dwarf_Die *unit)
{
	*address = offset + lines->base;
	const struct unit_range *range = range_at(lines, *address);
	return range && dwarf_offdie(lines->dwarf, range->unit, unit) ? lines->dwarf : NULL;
}

bool symbols_line_find(struct symbols_lines *lines, uint64_t offset, struct source_line *found)
{
	uint64_t address;
	Dwarf_Die unit;
	int number;

	if (!symbols_line_unit(lines, offset, &address, &unit))
		return false;
	Dwarf_Line *line = dwarf_getsrc_die(&unit, address);
	const char *file = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
	if (!file || !symbols_line_shown(file) || dwarf_lineno(line, &number) != 0)
		return false;
	*found = (struct source_line){ .file = file, .line = number };
	return true;
}
