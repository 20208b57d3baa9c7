/*
 * binary_dynamic.c - what a file tells its dynamic loader: libraries, symbols, slots. See binary.h.
 *
 * By segments alone, for sections may have been cut off; only the number of symbols is taken from a
 * section where there is one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/image/binary.h"

enum {
	ENTRIES_MOST = 1 << 16,   /* of the dynamic section */
	NEEDED_MOST = 1024,
	STRING_MOST = 4096,
	SYMBOLS_BYTES = 1 << 28,
	SEGMENTS_MOST = 1024,
};

struct dynamic {
	struct binary *binary;
	const struct symbols_file *file;
	uint64_t strings, strings_bytes, symbols;
	uint64_t jump, jump_bytes, jump_kind;    /* DT_JMPREL, …; DT_REL or DT_RELA */
	uint64_t data[2], data_bytes[2];         /* DT_REL, DT_RELA */
	const char *text;
	size_t text_bytes;
	Elf_Data *table;
	int table_count;
};

Elf_Data *binary_at(const struct symbols_file *file, uint64_t address, uint64_t bytes,
		    Elf_Type type)
{
	GElf_Phdr load;
	size_t count;

	if (elf_getphdrnum(file->elf, &count) != 0)
		return NULL;
	size_t unit = gelf_fsize(file->elf, type, 1, EV_CURRENT);
	for (size_t i = 0; i < count && i < SEGMENTS_MOST; i++) {
		if (!gelf_getphdr(file->elf, (int)i, &load) || load.p_type != PT_LOAD ||
		    address < load.p_vaddr || address - load.p_vaddr >= load.p_filesz ||
		    load.p_offset > (uint64_t)INT64_MAX - load.p_filesz)
			continue;
		uint64_t skip = address - load.p_vaddr, rest = load.p_filesz - skip;
		uint64_t taken = rest < bytes ? rest : bytes;
		if (unit > 1)
			taken -= taken % unit;
		return taken ? elf_getdata_rawchunk(file->elf, (int64_t)(load.p_offset + skip),
						    taken, type)
			     : NULL;
	}
	return NULL;
}

/* ---- strings ----------------------------------------------------------------------------------- */

/* NULL: outside, or without an end */
static const char *string_at(const struct dynamic *d, uint64_t offset)
{
	if (!d->text || offset >= d->text_bytes)
		return NULL;
	size_t rest = d->text_bytes - offset;
	return memchr(d->text + offset, '\0', rest < STRING_MOST ? rest : STRING_MOST)
		       ? d->text + offset
		       : NULL;
}

static int keep(char **where, const char *text)
{
	if (*where || !text)
		return 0;
	*where = strdup(text);
	return *where ? 0 : -ENOMEM;
}

static int keep_needed(struct binary *b, const char *text, size_t *count)
{
	if (!text || *count == NEEDED_MOST)
		return 0;
	char **grown = reallocarray(b->needed, *count + 2, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	b->needed = grown;
	grown[*count] = strdup(text);
	grown[*count + 1] = NULL;
	return grown[(*count)++] ? 0 : -ENOMEM;
}

/* ---- the dynamic section ----------------------------------------------------------------------- */

static Elf_Data *dynamic_section(const struct symbols_file *file)
{
	GElf_Phdr segment;
	size_t count;

	if (elf_getphdrnum(file->elf, &count) != 0)
		return NULL;
	for (size_t i = 0; i < count && i < SEGMENTS_MOST; i++) {
		if (gelf_getphdr(file->elf, (int)i, &segment) && segment.p_type == PT_DYNAMIC &&
		    segment.p_filesz && segment.p_offset <= INT64_MAX &&
		    segment.p_filesz <= ENTRIES_MOST * sizeof(Elf64_Dyn))
			return elf_getdata_rawchunk(file->elf, (int64_t)segment.p_offset,
						    segment.p_filesz, ELF_T_DYN);
	}
	return NULL;
}

static void take_address(struct dynamic *d, const GElf_Dyn *entry)
{
	uint64_t value = entry->d_un.d_val;

	switch (entry->d_tag) {
	case DT_STRTAB: d->strings = value; break;
	case DT_STRSZ: d->strings_bytes = value; break;
	case DT_SYMTAB: d->symbols = value; break;
	case DT_JMPREL: d->jump = value; break;
	case DT_PLTRELSZ: d->jump_bytes = value; break;
	case DT_PLTREL: d->jump_kind = value; break;
	case DT_REL: d->data[0] = value; break;
	case DT_RELSZ: d->data_bytes[0] = value; break;
	case DT_RELA: d->data[1] = value; break;
	case DT_RELASZ: d->data_bytes[1] = value; break;
	default: break;
	}
}

static int take_string(struct dynamic *d, const GElf_Dyn *entry, size_t *needed)
{
	const char *text = string_at(d, entry->d_un.d_val);

	switch (entry->d_tag) {
	case DT_NEEDED: return keep_needed(d->binary, text, needed);
	case DT_SONAME: return keep(&d->binary->soname, text);
	case DT_RPATH: return keep(&d->binary->rpath, text);
	case DT_RUNPATH: return keep(&d->binary->runpath, text);
	default: return 0;
	}
}

/* ---- symbols ----------------------------------------------------------------------------------- */

/* The section says how many; without one, the strings begin where the symbols end, as linkers lay them. */
static void find_symbols(struct dynamic *d)
{
	GElf_Shdr header;
	Elf_Scn *scn = symbols_file_section(d->file, NULL, SHT_DYNSYM, &header);
	uint64_t bytes = d->strings > d->symbols ? d->strings - d->symbols : 0;
	size_t unit = gelf_fsize(d->file->elf, ELF_T_SYM, 1, EV_CURRENT);

	if (scn && header.sh_addr == d->symbols && header.sh_size)
		bytes = header.sh_size;
	if (!d->symbols || !bytes || bytes > SYMBOLS_BYTES || !unit)
		return;
	d->table = binary_at(d->file, d->symbols, bytes, ELF_T_SYM);
	if (d->table && d->table->d_buf)
		d->table_count = (int)(d->table->d_size / unit);
}

static bool is_function(const GElf_Sym *symbol)
{
	unsigned type = GELF_ST_TYPE(symbol->st_info);

	return type == STT_FUNC || type == STT_GNU_IFUNC;
}

static void read_symbols(struct dynamic *d)
{
	GElf_Sym symbol;

	for (int i = 1; i < d->table_count; i++) {
		const char *name = gelf_getsym(d->table, i, &symbol)
					   ? string_at(d, symbol.st_name)
					   : NULL;
		/* a data symbol copied into the program is defined there */
		if (name && *name)
			binary_mark(d->binary, name, symbol.st_shndx != SHN_UNDEF);
	}
}

/* ---- slots ------------------------------------------------------------------------------------- */

static bool is_jump_slot(uint16_t machine, uint64_t type)
{
	switch (machine) {
	case EM_X86_64: return type == R_X86_64_JUMP_SLOT;
	case EM_AARCH64: return type == R_AARCH64_JUMP_SLOT;
	case EM_386: return type == R_386_JMP_SLOT;
	default: return true; /* whatever stands in DT_JMPREL */
	}
}

static bool is_data_slot(uint16_t machine, uint64_t type)
{
	switch (machine) {
	case EM_X86_64: return type == R_X86_64_GLOB_DAT;
	case EM_AARCH64: return type == R_AARCH64_GLOB_DAT;
	case EM_386: return type == R_386_GLOB_DAT;
	default: return false;
	}
}

/* What every program's start code calls through a slot, whatever the program was built with. */
static bool of_the_start(const char *name)
{
	return !name || strcmp(name, "__libc_start_main") == 0 ||
	       strcmp(name, "__cxa_finalize") == 0;
}

static unsigned count_slots(const struct dynamic *d, uint64_t address, uint64_t bytes, bool addends,
			    bool jumps)
{
	Elf_Data *data = address && bytes
				 ? binary_at(d->file, address, bytes,
					     addends ? ELF_T_RELA : ELF_T_REL)
				 : NULL;
	unsigned count = 0;

	for (int i = 0; data; i++) {
		GElf_Rela rela;
		GElf_Rel rel;
		GElf_Sym symbol;
		if (addends ? !gelf_getrela(data, i, &rela) : !gelf_getrel(data, i, &rel))
			break;
		uint64_t info = addends ? rela.r_info : rel.r_info;
		if (jumps ? !is_jump_slot(d->file->machine, GELF_R_TYPE(info))
			  : !is_data_slot(d->file->machine, GELF_R_TYPE(info)))
			continue;
		if (jumps)
			count++;
		else if (GELF_R_SYM(info) < (uint64_t)d->table_count &&
			 gelf_getsym(d->table, (int)GELF_R_SYM(info), &symbol) &&
			 is_function(&symbol) && !of_the_start(string_at(d, symbol.st_name)))
			count++;
	}
	return count;
}

int binary_dynamic(struct binary *binary, const struct symbols_file *file)
{
	struct dynamic d = { .binary = binary, .file = file };
	Elf_Data *section = dynamic_section(file);
	GElf_Dyn entry;
	size_t needed = 0;
	int error = 0;

	for (int i = 0; section && gelf_getdyn(section, i, &entry) && entry.d_tag != DT_NULL; i++)
		take_address(&d, &entry);
	if (!d.strings || !d.strings_bytes)
		return 0;
	Elf_Data *strings = binary_at(file, d.strings, d.strings_bytes, ELF_T_BYTE);
	if (strings && strings->d_buf) {
		d.text = strings->d_buf;
		d.text_bytes = strings->d_size;
	}
	for (int i = 0; !error && gelf_getdyn(section, i, &entry) && entry.d_tag != DT_NULL; i++)
		error = take_string(&d, &entry, &needed);
	find_symbols(&d);
	read_symbols(&d);
	binary->plt_slots = count_slots(&d, d.jump, d.jump_bytes, d.jump_kind == DT_RELA, true);
	for (unsigned i = 0; i < 2; i++)
		binary->got_slots += count_slots(&d, d.data[i], d.data_bytes[i], i == 1, false);
	return error;
}
