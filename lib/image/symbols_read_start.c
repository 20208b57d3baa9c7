/*
 * symbols_read_start.c - where a program begins, and main(): the code that glibc has all programs begin with
 * names the second as an argument, in stripped files, too. See symbols_read.h; called by symbols.c, of any
 * file that somebody calls a module.
 */
#include <string.h>

#include "lib/image/symbols_read.h"

enum { LOOK = 64, ENDBR = 4, LEA = 7 };

/* xor ebp,ebp; mov r9,rdx; pop rsi; mov rdx,rsp; and rsp,-16; push rax; push rsp */
static const uint8_t crt1[] = { 0x31, 0xed, 0x49, 0x89, 0xd1, 0x5e, 0x48, 0x89,
				0xe2, 0x48, 0x83, 0xe4, 0xf0, 0x50, 0x54 };
/* The loader's own: mov rdi,rsp; call */
static const uint8_t loader[] = { 0x48, 0x89, 0xe7, 0xe8 };
static const uint8_t endbr[ENDBR] = { 0xf3, 0x0f, 0x1e, 0xfa };

/* How many bytes there are, up to LOOK. */
static size_t bytes_at(const struct symbols_file *file, uint64_t address, uint8_t bytes[LOOK])
{
	GElf_Phdr load;
	size_t count;

	if (elf_getphdrnum(file->elf, &count) != 0)
		return 0;
	for (size_t i = 0; i < count && gelf_getphdr(file->elf, (int)i, &load); i++) {
		if (load.p_type != PT_LOAD || address < load.p_vaddr ||
		    address - load.p_vaddr >= load.p_filesz || load.p_offset > INT64_MAX / 2)
			continue;
		uint64_t skip = address - load.p_vaddr, left = load.p_filesz - skip;
		if (skip > INT64_MAX / 2)
			return 0;
		Elf_Data *data = elf_getdata_rawchunk(file->elf, (int64_t)(load.p_offset + skip),
						      left < LOOK ? left : LOOK, ELF_T_BYTE);
		if (!data || !data->d_buf)
			return 0;
		memcpy(bytes, data->d_buf, data->d_size);
		return data->d_size;
	}
	return 0;
}

/* lea rdi,[rip+x] or mov rdi,x; 0: neither is there */
static uint64_t argument(const uint8_t *bytes, size_t count, uint64_t address)
{
	static const uint8_t lea[] = { 0x48, 0x8d, 0x3d }, mov[] = { 0x48, 0xc7, 0xc7 };
	int32_t value;

	for (size_t i = 0; i + LEA <= count; i++) {
		bool relative = memcmp(bytes + i, lea, sizeof lea) == 0;
		if (!relative && memcmp(bytes + i, mov, sizeof mov) != 0)
			continue;
		memcpy(&value, bytes + i + sizeof lea, sizeof value);
		return (relative ? address + i + LEA : 0) + (uint64_t)(int64_t)value;
	}
	return 0;
}

static int name(struct symbols_table *table, const struct symbols_file *file, uint64_t address,
		const char *called)
{
	if (address < file->base || !symbols_file_is_code(file, address - file->base))
		return 0;
	/* by any name that the file itself has, if there is one */
	int error = symbols_table_add(table, address - file->base, 0, called,
				      SYMBOLS_RANK_LABEL | SYMBOLS_RANK_LOCAL);
	return error ? error : 1;
}

int symbols_read_start(struct symbols_table *table, const struct symbols_file *file)
{
	uint8_t bytes[LOOK];
	GElf_Ehdr header;

	if (file->machine != EM_X86_64 || !gelf_getehdr(file->elf, &header) || !header.e_entry)
		return 0;
	size_t count = bytes_at(file, header.e_entry, bytes);
	size_t from = count > ENDBR && memcmp(bytes, endbr, ENDBR) == 0 ? ENDBR : 0;
	bool program = count >= from + sizeof crt1 && !memcmp(bytes + from, crt1, sizeof crt1);
	if (!program && !(count >= sizeof loader && !memcmp(bytes, loader, sizeof loader)))
		return 0;
	int found = name(table, file, header.e_entry, "_start");
	if (found < 0 || !program)
		return found;
	int more = name(table, file, argument(bytes, count, header.e_entry), "main");
	return more < 0 ? more : found + more;
}
