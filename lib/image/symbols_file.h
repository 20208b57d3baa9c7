/*
 * symbols_file.h - an ELF file that somebody else made, open for reading what it names.
 *
 * For symbols*.c. Read by pread and never mapped: a file that shrinks must not kill the reader.
 */
#ifndef HARK_IMAGE_SYMBOLS_FILE_H
#define HARK_IMAGE_SYMBOLS_FILE_H

#include <gelf.h>
#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/image/symbols_table.h"

enum { SYMBOLS_CODE_MOST = 64, SYMBOLS_BUILD_ID = 2 * 64 + 1 };

struct symbols_file {
	int fd;                  /* -1: in memory, or not open */
	Elf *elf;
	uint16_t machine;
	uint64_t base;           /* the address of the lowest PT_LOAD's page */
	char build_id[SYMBOLS_BUILD_ID]; /* hexadecimal; "": none */
	struct symbols_range code[SYMBOLS_CODE_MOST]; /* offsets from the base, sorted */
	size_t codes;
};

int symbols_file_open(struct symbols_file *file, const char *path);
	/* A program, a library or the debug file of one. 0; -ENOEXEC: something else, -EINVAL: damaged,
	 * -EFBIG, or open(2)'s. */
int symbols_file_memory(struct symbols_file *file, char *image, size_t bytes);
	/* image: stays the caller's, and must outlive the file */
void symbols_file_close(struct symbols_file *file);
bool symbols_file_is_code(const struct symbols_file *file, uint64_t offset);
Elf_Scn *symbols_file_section(const struct symbols_file *file, const char *name, uint32_t type,
			      GElf_Shdr *header);
	/* the first of that name (NULL: any) and type (SHT_NULL: any) that has bytes in the file */

#endif
