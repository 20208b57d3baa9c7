/*
 * elf.h - what an ELF file says of itself: enough to know who can listen to it.
 *
 * The file may be hostile or torn: what is read is bounded, and nothing in it is believed that the
 * file's size contradicts.
 */
#ifndef HARK_IMAGE_ELF_H
#define HARK_IMAGE_ELF_H

#include <stdbool.h>
#include <stdint.h>

enum { ELF_INTERPRETER = 256, ELF_BUILD_ID = 32 };

/* What a program says it bears of its processor's protection. */
enum { ELF_IBT = 1, ELF_SHSTK = 2, ELF_BTI = 4, ELF_PAC = 8 };

struct elf_facts {
	unsigned bits;               /* 32 or 64 */
	bool big_endian;
	uint16_t type;               /* ET_EXEC, ET_DYN, … */
	uint16_t machine;            /* EM_X86_64, … */
	bool dynamic;                /* has a dynamic section */
	bool soname;                 /* names itself as a library: no program, or the loader itself */
	bool pie;                    /* DF_1_PIE */
	bool go;                     /* built by Go, which makes system calls by itself */
	bool relro;                  /* PT_GNU_RELRO: relocated once, then read-only */
	bool bind_now;               /* all functions are bound at the start */
	unsigned protection;         /* ELF_IBT | … */
	char interpreter[ELF_INTERPRETER]; /* the dynamic loader; "": none */
	uint8_t build_id[ELF_BUILD_ID];
	unsigned build_id_bytes;     /* 0: none */
};

int elf_facts_read(struct elf_facts *facts, int fd);
	/* fd: open for reading, of a regular file; its offset may move. 0; -ENOEXEC: no ELF file;
	 * -EINVAL: a damaged one. Not reentrant with respect to libelf's errors. */
bool elf_facts_static(const struct elf_facts *facts);
	/* A program that no dynamic loader prepares: static, or static-PIE. */
bool elf_facts_native(const struct elf_facts *facts);
	/* Of the class, byte order and machine that this code was compiled for. */
const char *elf_machine_name(uint16_t machine);
	/* "x86-64", "AArch64", …; "another machine" */

#endif
