/*
 * symbols_read_names.c - .symtab and .dynsym. See symbols_read.h; called by symbols.c, of any file that
 * somebody calls a module.
 */
#include <errno.h>
#include <string.h>

#include "lib/image/symbols_read.h"

struct reading {
	struct symbols_table *table;
	const struct symbols_file *file;
	Elf_Data *symbols, *versions;
	const char *names;
	size_t names_bytes;
	uint64_t base;
};

static bool is_mapping_symbol(uint16_t machine, const char *name)
{
	const char *kinds = machine == EM_ARM ? "adt" : "xd";

	if (machine != EM_ARM && machine != EM_AARCH64 && machine != EM_RISCV)
		return false;
	/* RISC-V may say the instruction set after the x */
	return name[0] == '$' && name[1] && strchr(kinds, name[1]) &&
	       (!name[2] || name[2] == '.' || machine == EM_RISCV);
}

/* -1: nothing that is called */
static int rank_of(const GElf_Sym *symbol)
{
	unsigned binding = GELF_ST_BIND(symbol->st_info), rank = 0;

	if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx == SHN_ABS ||
	    symbol->st_shndx == SHN_COMMON)
		return -1;
	if (binding == STB_WEAK)
		rank = SYMBOLS_RANK_WEAK;
	else if (binding == STB_LOCAL)
		rank = SYMBOLS_RANK_LOCAL;
	switch (GELF_ST_TYPE(symbol->st_info)) {
	case STT_FUNC:
		return (int)rank;
	case STT_GNU_IFUNC:
		return (int)(rank | SYMBOLS_RANK_IFUNC);
	case STT_NOTYPE:
		/* functions in assembler, often; local ones are targets of jumps */
		return binding == STB_LOCAL ? -1 : (int)(rank | SYMBOLS_RANK_LABEL);
	default:
		return -1;
	}
}

/* 1, 0: of no interest, or -errno */
static int read_one(struct reading *r, int index)
{
	GElf_Sym symbol;

	if (!gelf_getsym(r->symbols, index, &symbol))
		return 0;
	int rank = rank_of(&symbol);
	if (rank < 0 || symbol.st_name >= r->names_bytes || symbol.st_value < r->base)
		return 0;
	const char *name = r->names + symbol.st_name;
	uint64_t start = symbol.st_value - r->base;
	if (r->file->machine == EM_ARM)
		start &= ~(uint64_t)1; /* Thumb */
	if (!*name || is_mapping_symbol(r->file->machine, name) ||
	    !symbols_file_is_code(r->file, start))
		return 0;
	int error = symbols_table_add(r->table, start, symbol.st_size, name, (unsigned)rank);
	return error ? error : 1;
}

static Elf_Data *names_of(const struct symbols_file *file, size_t section)
{
	GElf_Shdr header;
	Elf_Scn *scn = elf_getscn(file->elf, section);

	if (!scn || !gelf_getshdr(scn, &header) || header.sh_type != SHT_STRTAB)
		return NULL;
	Elf_Data *data = elf_rawdata(scn, NULL);
	return data && data->d_buf ? data : NULL;
}

int symbols_read_names(struct symbols_table *table, const struct symbols_file *file,
		       uint32_t type, uint64_t base)
{
	struct reading r = { .table = table, .file = file, .base = base };
	GElf_Shdr header;
	Elf_Scn *scn = symbols_file_section(file, NULL, type, &header);
	Elf_Data *names = scn ? names_of(file, header.sh_link) : NULL;
	int found = 0;

	r.symbols = names ? elf_getdata(scn, NULL) : NULL;
	if (!r.symbols || !r.symbols->d_buf || header.sh_entsize == 0)
		return 0;
	r.names = symbols_table_keep(table, names->d_buf, names->d_size);
	if (!r.names)
		return -ENOMEM;
	r.names_bytes = names->d_size;
	size_t count = r.symbols->d_size / header.sh_entsize;
	if (count > SYMBOLS_MOST)
		count = SYMBOLS_MOST;
	for (size_t i = 1; i < count; i++) {
		int one = read_one(&r, (int)i);
		if (one < 0)
			return one;
		found += one;
	}
	return found;
}
