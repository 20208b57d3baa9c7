/*
 * elf_case.h - small ELF files, made to order.
 */
#ifndef HARK_TESTS_UNIT_ELF_CASE_H
#define HARK_TESTS_UNIT_ELF_CASE_H

#include <elf.h>
#include <string.h>

struct elf_case {
	uint16_t type, machine;
	const char *interpreter;   /* NULL: none */
	const char *note_name;     /* NULL: no note */
	uint32_t note_type, note_bytes;
	uint64_t dynamic[8];       /* tag, value, …, as DT_NULL ends it */
};

struct elf_image {
	_Alignas(8) unsigned char bytes[2048];
	size_t size;
};

enum { ELF_CASE_INTERP, ELF_CASE_NOTE, ELF_CASE_DYNAMIC, ELF_CASE_SEGMENTS };

static inline Elf64_Ehdr *elf_case_header(struct elf_image *image)
{
	return (Elf64_Ehdr *)(void *)image->bytes;
}

static inline Elf64_Phdr *elf_case_segment(struct elf_image *image, unsigned which)
{
	return (Elf64_Phdr *)(void *)(image->bytes + sizeof(Elf64_Ehdr)) + which;
}

static inline void elf_case_place(struct elf_image *image, unsigned which, uint32_t type,
				  const void *bytes, size_t count)
{
	Elf64_Phdr *segment = elf_case_segment(image, which);

	*segment = (Elf64_Phdr){ .p_type = type, .p_offset = image->size, .p_filesz = count,
				 .p_memsz = count, .p_align = 4 };
	memcpy(image->bytes + image->size, bytes, count);
	image->size = (image->size + count + 7) & ~(size_t)7;
}

/* What the case has not is a segment of no meaning (PT_NULL). */
static inline void elf_case_make(struct elf_image *image, const struct elf_case *c)
{
	unsigned char note[256] = { 0 };

	memset(image, 0, sizeof *image);
	*elf_case_header(image) = (Elf64_Ehdr){
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = c->type,
		.e_machine = c->machine,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = ELF_CASE_SEGMENTS,
	};
	image->size = sizeof(Elf64_Ehdr) + ELF_CASE_SEGMENTS * sizeof(Elf64_Phdr);
	if (c->interpreter)
		elf_case_place(image, ELF_CASE_INTERP, PT_INTERP, c->interpreter,
			       strlen(c->interpreter) + 1);
	if (c->note_name) {
		uint32_t head[3] = { 4, c->note_bytes, c->note_type };
		memcpy(note, head, sizeof head);
		memcpy(note + 12, c->note_name, strlen(c->note_name));
		for (uint32_t i = 0; i < c->note_bytes; i++)
			note[16 + i] = (unsigned char)(0xa0 + i);
		elf_case_place(image, ELF_CASE_NOTE, PT_NOTE, note, 16 + c->note_bytes);
	}
	if (c->dynamic[0])
		elf_case_place(image, ELF_CASE_DYNAMIC, PT_DYNAMIC, c->dynamic, sizeof c->dynamic);
}

#endif
