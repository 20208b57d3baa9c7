/*
 * symbols_read_plt.c - stubs that jump to other modules have no symbols; the relocation of the slot
 * they jump through says their names. See symbols_read.h; called by symbols.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/image/symbols_read.h"

enum {
	SLOTS_MOST = 1 << 16,
	RELOCATIONS_MOST = 1 << 22,
	TABLES_MOST = 8,         /* of each kind; a linker makes two or three */
	STUB_BYTES = 16,         /* where the section does not say */
	STUB_NAME_MOST = 4096,
};

struct slot {
	uint64_t address;
	const char *name;
};

struct slots {
	struct slot *all;
	size_t count;
};

static int by_slot(const void *left, const void *right)
{
	const struct slot *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

static const char *symbol_name(const struct symbols_file *file, const GElf_Shdr *relocations,
			       size_t index)
{
	Elf_Scn *scn = elf_getscn(file->elf, relocations->sh_link);
	GElf_Shdr header;
	GElf_Sym symbol;
	Elf_Data *data;

	if (!scn || !gelf_getshdr(scn, &header) || header.sh_type != SHT_DYNSYM ||
	    index > INT32_MAX || !(data = elf_getdata(scn, NULL)) || !data->d_buf ||
	    !gelf_getsym(data, (int)index, &symbol))
		return NULL;
	const char *name = elf_strptr(file->elf, header.sh_link, symbol.st_name);
	return name && *name ? name : NULL;
}

/* A function of the module itself that is chosen at load time: the slot has its resolver's address. */
static const char *chosen_name(const struct symbols_table *table, const struct symbols_file *file,
			       uint64_t resolver)
{
	const struct symbols_entry *entry = symbols_table_find(table, resolver - file->base);

	return entry && entry->start == resolver - file->base ? entry->linkage : NULL;
}

static int read_slots(struct slots *slots, const struct symbols_table *table,
		      const struct symbols_file *file, Elf_Scn *scn, const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	GElf_Rela relocation;

	for (int i = 0; data && data->d_buf && i < RELOCATIONS_MOST && slots->count < SLOTS_MOST &&
			gelf_getrela(data, i, &relocation); i++) {
		const char *name = NULL;
		uint64_t type = GELF_R_TYPE(relocation.r_info);
		if (type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT)
			name = symbol_name(file, header, GELF_R_SYM(relocation.r_info));
		else if (type == R_X86_64_IRELATIVE)
			name = chosen_name(table, file, (uint64_t)relocation.r_addend);
		if (!name)
			continue;
		if ((slots->count & (slots->count - 1)) == 0) {
			size_t room = slots->count ? 2 * slots->count : 1;
			struct slot *grown = reallocarray(slots->all, room, sizeof *grown);
			if (!grown)
				return -ENOMEM;
			slots->all = grown;
		}
		slots->all[slots->count++] = (struct slot){ relocation.r_offset, name };
	}
	return 0;
}

/* "jmp *slot(%rip)" in a stub, with what may stand before it: endbr64, bnd, push */
static const struct slot *stub_slot(const struct slots *slots, const uint8_t *code, size_t bytes,
				    uint64_t address)
{
	for (size_t i = 0; i + 6 <= bytes; i++) {
		int32_t distance;
		if (code[i] != 0xff || code[i + 1] != 0x25)
			continue;
		memcpy(&distance, code + i + 2, sizeof distance);
		struct slot wanted = { .address = address + i + 6 + (uint64_t)(int64_t)distance };
		return bsearch(&wanted, slots->all, slots->count, sizeof wanted, by_slot);
	}
	return NULL;
}

static int read_stubs(struct symbols_table *table, const struct symbols_file *file,
		      const struct slots *slots, Elf_Scn *scn, const GElf_Shdr *header)
{
	Elf_Data *data = elf_rawdata(scn, NULL);
	size_t step = header->sh_entsize >= 8 && header->sh_entsize <= 64 ? header->sh_entsize
									  : STUB_BYTES;
	int found = 0;

	if (!data || !data->d_buf || header->sh_addr < file->base)
		return 0;
	for (size_t at = 0; data->d_size - at >= step && found < SLOTS_MOST; at += step) {
		char room[STUB_NAME_MOST];
		struct text name = text_in(room, sizeof room);
		const struct slot *slot = stub_slot(slots, (const uint8_t *)data->d_buf + at, step,
						    header->sh_addr + at);
		uint64_t start = header->sh_addr - file->base + at;
		if ((!slot && at) || !symbols_file_is_code(file, start))
			continue;
		if (slot)
			text_bytes(&name, slot->name, strcspn(slot->name, "@"));
		text_str(&name, slot ? "@plt" : ".plt");
		const char *kept = symbols_table_keep(table, room, name.len);
		/* what is no stub is the way to the loader's resolver */
		int error = kept ? symbols_table_add(table, start, slot ? step : data->d_size,
						     kept, 0)
				 : -ENOMEM;
		if (error)
			return error;
		found++;
	}
	return found;
}

static bool is_plt(const char *name)
{
	return name && (strncmp(name, ".plt", 4) == 0 || strcmp(name, ".iplt") == 0);
}

int symbols_read_plt(struct symbols_table *table, const struct symbols_file *file)
{
	struct slots slots = { 0 };
	GElf_Shdr header;
	Elf_Scn *scn = NULL;
	size_t names;
	int error = 0, found = 0, tables = 0;

	if (file->machine != EM_X86_64 || elf_getshdrstrndx(file->elf, &names) != 0)
		return 0;
	while (!error && tables < TABLES_MOST && (scn = elf_nextscn(file->elf, scn))) {
		if (gelf_getshdr(scn, &header) && header.sh_type == SHT_RELA &&
		    (header.sh_flags & SHF_ALLOC)) {
			error = read_slots(&slots, table, file, scn, &header);
			tables++;
		}
	}
	if (slots.count)
		qsort(slots.all, slots.count, sizeof *slots.all, by_slot);
	scn = NULL;
	tables = 0;
	while (!error && slots.count && tables < TABLES_MOST &&
	       (scn = elf_nextscn(file->elf, scn))) {
		if (!gelf_getshdr(scn, &header) || header.sh_type != SHT_PROGBITS ||
		    !(header.sh_flags & SHF_EXECINSTR) ||
		    !is_plt(elf_strptr(file->elf, names, header.sh_name)))
			continue;
		tables++;
		int stubs = read_stubs(table, file, &slots, scn, &header);
		if (stubs < 0)
			error = stubs;
		else
			found += stubs;
	}
	free(slots.all);
	return error ? error : found;
}
