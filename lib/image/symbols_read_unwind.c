/*
 * symbols_read_unwind.c - .eh_frame, which even a stripped file keeps: it says where each function begins.
 * See symbols_read.h; called by symbols.c, of any file that somebody calls a module.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <string.h>

#include "lib/image/symbols_read.h"

struct frames {
	const struct symbols_file *file;
	unsigned char ident[EI_NIDENT];
	Elf_Data *data;
	uint64_t address;        /* of the first byte of the data */
	Dwarf_Off common;        /* the CIE looked at last, */
	int encoding;            /* and how its FDEs write addresses; -1: not readable */
};

static unsigned width_of(const struct frames *f, unsigned encoding)
{
	switch (encoding & 0x07) {
	case DW_EH_PE_absptr: return f->ident[EI_CLASS] == ELFCLASS64 ? 8 : 4;
	case DW_EH_PE_udata2: return 2;
	case DW_EH_PE_udata4: return 4;
	case DW_EH_PE_udata8: return 8;
	default: return 0;
	}
}

/* false: it ends before, or is written in a way that no compiler uses here */
static bool read_pointer(const struct frames *f, unsigned encoding, const uint8_t **at,
			 const uint8_t *end, uint64_t *value)
{
	unsigned width = width_of(f, encoding);
	const uint8_t *from = *at;
	uint64_t bits = 0;

	if (!width || from > end || (size_t)(end - from) < width)
		return false;
	for (unsigned i = 0; i < width; i++) {
		unsigned place = f->ident[EI_DATA] == ELFDATA2MSB ? width - 1 - i : i;
		bits |= (uint64_t)from[i] << (8 * place);
	}
	if ((encoding & DW_EH_PE_signed) && width < 8 && bits >> (8 * width - 1))
		bits |= UINT64_MAX << (8 * width);
	if ((encoding & 0x70) == DW_EH_PE_pcrel)
		bits += f->address + (uint64_t)(from - (const uint8_t *)f->data->d_buf);
	else if ((encoding & 0x70) != 0)
		return false;
	*at = from + width;
	*value = bits;
	return true;
}

static int encoding_of(const struct frames *f, const Dwarf_CIE *cie)
{
	const uint8_t *at = cie->augmentation_data;
	const uint8_t *end = at ? at + cie->augmentation_data_size : NULL;
	uint64_t ignored;

	if (cie->augmentation[0] != 'z')
		return cie->augmentation[0] ? -1 : DW_EH_PE_absptr;
	for (const char *letter = cie->augmentation + 1; *letter; letter++) {
		switch (*letter) {
		case 'R':
			return at < end ? *at : -1;
		case 'L':
			at++;
			break;
		case 'P':
			/* where it is relative to does not matter, only how long it is */
			if (at >= end)
				return -1;
			at++;
			if (!read_pointer(f, at[-1] & 0x0f, &at, end, &ignored))
				return -1;
			break;
		case 'S':
		case 'B':
			break;
		default:
			return -1;
		}
	}
	return DW_EH_PE_absptr;
}

static int encoding_at(struct frames *f, Dwarf_Off offset)
{
	Dwarf_CFI_Entry entry;
	Dwarf_Off next;

	if (offset == f->common)
		return f->encoding;
	f->common = offset;
	f->encoding = -1;
	if (dwarf_next_cfi(f->ident, f->data, true, offset, &next, &entry) == 0 &&
	    dwarf_cfi_cie_p(&entry))
		f->encoding = encoding_of(f, &entry.cie);
	return f->encoding;
}

static bool find_section(struct frames *f)
{
	GElf_Shdr header;
	Elf_Scn *scn = symbols_file_section(f->file, ".eh_frame", SHT_NULL, &header);

	f->data = scn ? elf_rawdata(scn, NULL) : NULL;
	f->address = header.sh_addr;
	return f->data && f->data->d_buf;
}

/* Without sections: .eh_frame_hdr is a segment and begins with where .eh_frame is, which ends with 0. */
static bool find_segment(struct frames *f)
{
	GElf_Phdr hdr = { 0 }, load;
	size_t count;
	uint64_t address = 0;

	if (elf_getphdrnum(f->file->elf, &count) != 0)
		return false;
	for (size_t i = 0; i < count && hdr.p_type != PT_GNU_EH_FRAME; i++) {
		if (!gelf_getphdr(f->file->elf, (int)i, &hdr))
			return false;
	}
	if (hdr.p_type != PT_GNU_EH_FRAME || hdr.p_offset > INT64_MAX || hdr.p_filesz < 8)
		return false;
	f->data = elf_getdata_rawchunk(f->file->elf, (int64_t)hdr.p_offset, hdr.p_filesz,
				       ELF_T_BYTE);
	if (!f->data)
		return false;
	f->address = hdr.p_vaddr;
	const uint8_t *bytes = f->data->d_buf, *at = bytes + 4;
	if (!read_pointer(f, bytes[1], &at, bytes + f->data->d_size, &address))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!gelf_getphdr(f->file->elf, (int)i, &load) || load.p_type != PT_LOAD ||
		    address < load.p_vaddr || address - load.p_vaddr >= load.p_filesz ||
		    load.p_offset > (uint64_t)INT64_MAX - load.p_filesz)
			continue;
		uint64_t skip = address - load.p_vaddr;
		f->data = elf_getdata_rawchunk(f->file->elf, (int64_t)(load.p_offset + skip),
					       load.p_filesz - skip, ELF_T_BYTE);
		f->address = address;
		return f->data != NULL;
	}
	return false;
}

/* 1, 0: nothing that is code, or -errno */
static int read_one(struct frames *f, struct symbols_table *table, const Dwarf_FDE *fde)
{
	int encoding = encoding_at(f, fde->CIE_pointer);
	const uint8_t *at = fde->start;
	uint64_t start, bytes;

	if (encoding < 0 || !read_pointer(f, (unsigned)encoding, &at, fde->end, &start) ||
	    !read_pointer(f, (unsigned)encoding & 0x07, &at, fde->end, &bytes))
		return 0;
	if (start < f->file->base || bytes == 0 ||
	    !symbols_file_is_code(f->file, start - f->file->base))
		return 0;
	int error = symbols_table_add(table, start - f->file->base, bytes, NULL,
				      SYMBOLS_RANK_UNWIND);
	return error ? error : 1;
}

int symbols_read_unwind(struct symbols_table *table, const struct symbols_file *file)
{
	struct frames f = { .file = file, .common = (Dwarf_Off)-1, .encoding = -1 };
	size_t ident_bytes;
	const char *ident = elf_getident(file->elf, &ident_bytes);
	Dwarf_Off offset = 0, next;
	Dwarf_CFI_Entry entry;
	int found = 0;

	if (!ident || ident_bytes < EI_NIDENT)
		return 0;
	memcpy(f.ident, ident, EI_NIDENT);
	if (!find_section(&f) && !find_segment(&f))
		return 0;
	while (found < SYMBOLS_MOST) {
		int result = dwarf_next_cfi(f.ident, f.data, true, offset, &next, &entry);
		if ((result != 0 && next <= offset) || result > 0 || next == (Dwarf_Off)-1)
			break; /* the end, or torn */
		if (result == 0 && !dwarf_cfi_cie_p(&entry)) {
			int one = read_one(&f, table, &entry.fde);
			if (one < 0)
				return one;
			found += one;
		}
		if (next <= offset)
			break;
		offset = next;
	}
	return found;
}
